/**
 * Reads one segment file. Nothing is read before it is needed: the constructor only keeps what the manifest says; scans of
 * changes read footer, block index and change index; separators, filter and range fragments come with the first who goes by
 * keys.
 *
 * ```
 *   find:     not open, and seldom asked: segment-probe.ts
 *             filter, once it has paid for being read --no--> absent
 *               | maybe
 *             separators -> block -> directory of the block cache --hit--> search in the slab
 *                                          | miss: read, check, put into the cache
 * ```
 *
 * One reader serves any number of lookups, iterators and scans at once; see BlockCache for what `find` returns.
 */
import { assert } from '../base/assert.ts'
import { FragmentedRanges } from '../base/range-tombstones.ts'
import type { BlockCache } from '../block/block-cache.ts'
import { findInBlock, type FoundEntry } from '../block/block-search.ts'
import type { FileProblem } from '../block/file-problem.ts'
import type { KeyHash } from '../block/key-hash.ts'
import { type ReadSteps, runReads, runReadsInSteps, runReadsSync } from '../block/read-fully.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { BlockSource } from './block-source.ts'
import type { BloomFilter } from './bloom-filter.ts'
import { CachedBlocks } from './cached-blocks.ts'
import type { ChangeDirectory } from './change-index.ts'
import type { CommitsByOrdinal, EventRun } from './change-reader.ts'
import { commitSteps, eventSteps, readDirectorySteps } from './change-reader.ts'
import type { GatherTarget } from './gather-target.ts'
import {
  filterSteps,
  keySteps,
  type OpenedSegment,
  openSteps,
  type SegmentKeys,
} from './opened-segment.ts'
import type { IteratedSegment } from './read-ahead.ts'
import { type BlockVisitor, visitBlocks } from './segment-blocks.ts'
import type { SegmentFooter } from './segment-footer.ts'
import { gatherEntries, type GatherResult } from './segment-gather.ts'
import { SegmentIterator, type SegmentIteratorOptions } from './segment-iterator.ts'
import type { SegmentMeta } from './segment-meta.ts'
import { type Probed, SegmentProbe } from './segment-probe.ts'
import { verifySegment } from './segment-verify.ts'

export { FoundEntry } from '../block/block-search.ts'
export { hashKey, KeyHash } from '../block/key-hash.ts'
export type { CommitsByOrdinal, EventRun } from './change-reader.ts'
export type { GatherResult } from './segment-gather.ts'

/** Outcome of a lookup. BLOCKED: `await loadBlocked()` and ask again. */
export type FindStatus = -1 | 0 | 1
export const FOUND = 1
export const ABSENT = 0
export const BLOCKED = -1

const NO_BLOCK = -1
const NO_FILTER = -2
/** A filter of so many bytes takes as long to read and check as a block that it would have spared. */
const FILTER_BYTES_PER_MISS = 8192

/** What scans of changes need. */
interface Opened extends OpenedSegment {
  readonly source: BlockSource
}

/** All that depends on the segment being open, for those who go by keys. */
interface Searchable extends Opened, SegmentKeys, IteratedSegment {
  readonly blocks: CachedBlocks
  /** Undefined: not read yet, or there is none. */
  bloom: BloomFilter | undefined
  /** So many lookups may go to a block in vain before the filter is read. */
  missesLeft: number
}

export class SegmentReader {
  readonly meta: SegmentMeta
  readonly #file: ReadableFile
  readonly #cache: BlockCache | undefined
  #opened: Opened | undefined
  #opening: Promise<Opened> | undefined
  #searchable: Searchable | undefined
  #preparing: Promise<Searchable> | undefined
  #directory: ChangeDirectory | undefined
  #isClosed = false
  #sifting: Promise<void> | undefined
  #probe: SegmentProbe | undefined
  /** So many lookups probe before the segment is opened; below 0 it is not known yet. */
  #probesLeft = -1
  /** What the last `find` that was BLOCKED needs; NO_BLOCK: the segment itself has to be opened. */
  #blockedOn = NO_BLOCK

  constructor(file: ReadableFile, meta: SegmentMeta, cache: BlockCache | undefined) {
    this.#file = file
    this.meta = meta
    this.#cache = cache
  }

  /** Lookups, iterators and `ranges` need no more than blocks. */
  get isOpen(): boolean {
    return this.#searchable !== undefined
  }

  /** Events and the places of their entries can be asked for; what finds keys may not be there. */
  get isOpenForChanges(): boolean {
    return this.#opened !== undefined
  }

  /** Whether `find` asks a filter in memory before anything else. */
  get isSifted(): boolean {
    return this.#searchable?.bloom !== undefined
  }

  get path(): string {
    return this.#file.path
  }

  get blockCount(): number {
    return this.#ready().index.count
  }

  /** Range fragments; opens the segment (on the calling thread) when it is not open and has any. */
  get ranges(): FragmentedRanges {
    if (this.meta.rangeFragments === 0) return FragmentedRanges.EMPTY
    return this.#searchableNow().ranges
  }

  /** Bytes held in memory for this segment, blocks in the cache not counted. */
  get residentBytes(): number {
    if (this.#opened === undefined) return 0
    const { index, footer, source } = this.#opened
    const blockBytes = index.residentBytes + source.residentBytes
    if (this.#searchable === undefined) return blockBytes
    const { bloomBytes, rangeBytes, separatorBytes } = footer.parts
    const keyBytes = rangeBytes + separatorBytes + (this.isSifted ? bloomBytes : 0)
    const guideBytes = this.#searchable.separators?.guideBytes ?? 0
    return blockBytes + keyBytes + guideBytes
  }

  openSync(): void {
    this.#searchableNow()
  }

  async open(): Promise<void> {
    await this.#searchableSoon()
  }

  openForChangesSync(): void {
    this.#ready()
  }

  async openForChanges(): Promise<void> {
    await this.#readyAsync()
  }

  /** Gives back memory and descriptor. Iterators, scans and lookups must have ended. */
  close(): void {
    this.#isClosed = true
    this.#dropOpened()
    this.#file.close()
  }

  /** Gives back the memory; the reader opens again when it is next used. Iterators that are open keep working. */
  release(): void {
    this.#dropOpened()
  }

  /**
   * Finds the newest entry of key[start, end) with a seqno of at most `snapshot`. `hash` is the key's. `mayRead` false: the
   * answer is BLOCKED when a block is not in memory; `await loadBlocked()`, called at once, then brings it there.
   */
  find(
    key: Uint8Array,
    start: number,
    end: number,
    hash: KeyHash,
    snapshot: number,
    mayRead: boolean,
    result: FoundEntry,
  ): FindStatus {
    let opened = this.#searchable
    if (opened === undefined) {
      if (!mayRead) {
        this.#blockedOn = NO_BLOCK
        return BLOCKED
      }
      const probed = this.#probeFor(key, start, end, hash, snapshot, result)
      if (probed !== 'unsure') return probed === 'found' ? FOUND : ABSENT
      opened = this.#searchableNow()
    }
    const { index, separators } = opened
    let { bloom } = opened
    if (bloom === undefined && opened.missesLeft <= 0) {
      if (!mayRead) {
        this.#blockedOn = NO_FILTER
        return BLOCKED
      }
      bloom = runReadsSync(this.#file, filterSteps(this.path, opened.footer))
      opened.bloom = bloom
    }
    if ((bloom !== undefined && !bloom.mayContain(hash)) || index.count === 0) return ABSENT
    assert(separators !== undefined, 'keys are looked up in key order')
    const block = separators.locate(key, start, end, snapshot)
    const blocks = opened.blocks
    if (!blocks.enter(block, mayRead)) {
      this.#blockedOn = block
      return BLOCKED
    }
    const from = blocks.start
    const to = from + index.rawBytes(block)
    const count = index.firstOrdinals[block + 1]! - index.firstOrdinals[block]!
    const tag = hash.low & 0xff
    const { bytes } = blocks
    const found = findInBlock(bytes, from, to, count, key, start, end, tag, snapshot, result)
    blocks.leave()
    if (!found && bloom === undefined) opened.missesLeft--
    return found ? FOUND : ABSENT
  }

  /** The answer of a probe, while the segment was asked less often than opening it costs. */
  #probeFor(
    key: Uint8Array,
    start: number,
    end: number,
    hash: KeyHash,
    snapshot: number,
    result: FoundEntry,
  ): Probed {
    if (this.#probesLeft === 0) return 'unsure'
    if (this.#probesLeft < 0) {
      this.#probe = SegmentProbe.open(this.#file, this.meta)
      this.#probesLeft = this.#probe?.probesMax ?? 0
    }
    const probe = this.#probe
    if (probe === undefined) return 'unsure'
    this.#probesLeft--
    return probe.find(key, start, end, hash, snapshot, result)
  }

  /** Reads what the last BLOCKED lookup needs. Call it before anything else is asked of this reader. */
  loadBlocked(): Promise<void> {
    const block = this.#blockedOn
    const searchable = this.#searchable
    if (block === NO_BLOCK || searchable === undefined) return this.open()
    if (block === NO_FILTER) return this.#loadFilter(searchable)
    return searchable.blocks.load(block)
  }

  /** Seqno of the newest range fragment over the key that `snapshot` sees; 0: none. Needs the segment open if it has any. */
  coveringSeqno(key: Uint8Array, start: number, end: number, snapshot: number): number {
    return this.ranges.coveringSeqno(key, start, end, snapshot)
  }

  /** Not positioned yet. `mayRead` false: it blocks instead of reading on the calling thread, also to open the segment. */
  iterator(options: SegmentIteratorOptions): SegmentIterator {
    const open = { sync: () => this.#searchableNow(), async: () => this.#searchableSoon() }
    return new SegmentIterator(open, this.#searchable, options)
  }

  /** Events with from <= seqno <= upTo, at most `limit`, seqno ascending. Reads only the chunks of the index that hold them. */
  eventsSync(from: number, upTo: number, limit: number): EventRun {
    const { footer } = this.#ready()
    const window = { from, upTo, limit }
    const steps = eventSteps(this.path, footer, this.#directoryNow(footer), window)
    return runReadsSync(this.#file, steps)
  }

  async events(from: number, upTo: number, limit: number): Promise<EventRun> {
    const { footer } = await this.#readyAsync()
    this.#directory ??= await runReads(this.#file, readDirectorySteps(this.path, footer))
    const steps = eventSteps(this.path, footer, this.#directory, { from, upTo, limit })
    return await runReads(this.#file, steps)
  }

  /** The commit of every entry by ordinal, NO_COMMIT for what is no event. Reads the whole index, on the calling thread. */
  commitsByOrdinal(): CommitsByOrdinal {
    return runReadsSync(this.#file, this.#commitSteps())
  }

  /** The same in steps: of a million entries it takes 50 ms. */
  commitsInSteps(): Generator<undefined, CommitsByOrdinal, undefined> {
    return runReadsInSteps(this.#file, this.#commitSteps())
  }

  #commitSteps(): ReadSteps<CommitsByOrdinal> {
    const { footer } = this.#ready()
    return commitSteps(this.path, footer, this.#directoryNow(footer))
  }

  #directoryNow(footer: SegmentFooter): ChangeDirectory {
    this.#directory ??= runReadsSync(this.#file, readDirectorySteps(this.path, footer))
    return this.#directory
  }

  /** The data block of the entry with this ordinal. */
  blockOf(ordinal: number): number {
    return this.#ready().index.blockOf(ordinal)
  }

  /**
   * Reads the entries with these ordinals (ascending) into `target`, one row each, until it is full. Each block is read once,
   * neighbours together. `mayRead`: on the calling thread, which is ten times faster when the page cache has them. `seen`: one
   * bit a block, so that `blocksRead` counts a block once over several calls.
   */
  async gather(
    ordinals: Int32Array,
    count: number,
    target: GatherTarget,
    mayRead = false,
    seen?: Uint8Array,
  ): Promise<GatherResult> {
    const opened = mayRead ? this.#ready() : await this.#readyAsync()
    return await gatherEntries(this.#file, opened.source, ordinals, count, target, mayRead, seen)
  }

  /** Visits every data block in file order, checked; see segment-blocks.ts. */
  async readAllBlocks(visitor: BlockVisitor): Promise<{ blocksRead: number; bytesRead: number }> {
    const opened = await this.#readyAsync()
    return await visitBlocks(this.#file, opened.source, visitor)
  }

  /** Checks every byte of the file; see segment-verify.ts. */
  async verify(onBytes?: (bytes: number) => void): Promise<FileProblem[]> {
    return await verifySegment(this.#file, this.meta, onBytes)
  }

  /** What the file says about itself, for dumps. Opens it on the calling thread. */
  get footer(): SegmentFooter {
    return this.#ready().footer
  }

  #ready(): Opened {
    if (this.#opened !== undefined) return this.#opened
    const { path, size } = this.#file
    return this.#take(runReadsSync(this.#file, openSteps(path, size, this.meta)))
  }

  #readyAsync(): Promise<Opened> {
    if (this.#opened !== undefined) return Promise.resolve(this.#opened)
    const { path, size } = this.#file
    this.#opening ??= runReads(this.#file, openSteps(path, size, this.meta))
      .then((opened) => this.#take(opened))
      .finally(() => {
        this.#opening = undefined
      })
    return this.#opening
  }

  #take(segment: OpenedSegment): Opened {
    if (this.#opened !== undefined) return this.#opened
    const { path } = this.#file
    const source = new BlockSource(segment.index, { path, number: this.meta.number })
    const opened = { ...segment, source }
    if (!this.#isClosed) this.#opened = opened
    return opened
  }

  #searchableNow(): Searchable {
    if (this.#searchable !== undefined) return this.#searchable
    const opened = this.#ready()
    return this.#prepare(opened, runReadsSync(this.#file, keySteps(this.path, opened.footer)))
  }

  #searchableSoon(): Promise<Searchable> {
    if (this.#searchable !== undefined) return Promise.resolve(this.#searchable)
    this.#preparing ??= this.#readyAsync()
      .then(async (opened) => {
        const keys = await runReads(this.#file, keySteps(this.path, opened.footer))
        return this.#prepare(opened, keys)
      })
      .finally(() => {
        this.#preparing = undefined
      })
    return this.#preparing
  }

  #loadFilter(searchable: Searchable): Promise<void> {
    this.#sifting ??= runReads(this.#file, filterSteps(this.path, searchable.footer))
      .then((bloom) => {
        searchable.bloom = bloom
      })
      .finally(() => {
        this.#sifting = undefined
      })
    return this.#sifting
  }

  #prepare(opened: Opened, keys: SegmentKeys): Searchable {
    if (this.#searchable !== undefined) return this.#searchable
    const file = this.#file
    const cache = this.#isClosed ? undefined : this.#cache
    const blocks = new CachedBlocks(file, opened.source, cache)
    const { bloomBytes } = opened.footer.parts
    const searchable: Searchable = {
      ...opened,
      ...keys,
      file,
      blocks,
      cache,
      cached: blocks.cached,
      bloom: undefined,
      missesLeft: bloomBytes === 0 ? Infinity : Math.ceil(bloomBytes / FILTER_BYTES_PER_MISS),
    }
    if (!this.#isClosed) this.#searchable = searchable
    this.#probe = undefined
    this.#probesLeft = 0
    return searchable
  }

  #dropOpened(): void {
    const searchable = this.#searchable
    this.#opened = undefined
    this.#searchable = undefined
    this.#directory = undefined
    this.#probe = undefined
    this.#probesLeft = -1
    searchable?.blocks.close()
  }
}
