/**
 * Reads one segment file. Nothing is read before it is needed: the constructor only keeps what the manifest says; opening
 * reads footer, block index, filter and range fragments; the change index is read when changes are asked for.
 *
 * ```
 *   find:     filter --no--> absent
 *               | maybe
 *             block index -> block -> directory of the block cache --hit--> search in the slab
 *                                          | miss: read, check, put into the cache
 * ```
 *
 * One reader serves any number of lookups, iterators and scans at once; see BlockCache for what `find` returns.
 */
import type { CommitTable } from '../base/commit-table.ts'
import { FragmentedRanges } from '../base/range-tombstones.ts'
import { type BlockCache, SLOT_BYTES_MAX } from '../block/block-cache.ts'
import { BLOCK_TRAILER_BYTES } from '../block/block-format.ts'
import { findInBlock, type FoundEntry } from '../block/block-search.ts'
import type { KeyHash } from '../block/key-hash.ts'
import { readFully, readFullySync, runReads, runReadsSync } from '../block/read-fully.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { BlockSource } from './block-source.ts'
import type { ChangeDirectory } from './change-index.ts'
import { commitSteps, type EventRun, eventSteps, readDirectorySteps } from './change-reader.ts'
import type { EntryArena } from './entry-arena.ts'
import { type OpenedSegment, openSteps } from './opened-segment.ts'
import { gatherEntries, type GatherResult } from './segment-gather.ts'
import {
  type IteratedSegment,
  SegmentIterator,
  type SegmentIteratorOptions,
} from './segment-iterator.ts'
import type { SegmentMeta } from './segment-meta.ts'

export { FoundEntry } from '../block/block-search.ts'
export { hashKey, KeyHash } from '../block/key-hash.ts'
export type { EventRun } from './change-reader.ts'
export type { GatherResult } from './segment-gather.ts'

/** Outcome of a lookup. BLOCKED: `await loadBlocked()` and ask again. */
export type FindStatus = -1 | 0 | 1
export const FOUND = 1
export const ABSENT = 0
export const BLOCKED = -1

const NO_BLOCK = -1

/** All that depends on the segment being open. */
interface Opened extends OpenedSegment, IteratedSegment {}

export class SegmentReader {
  readonly meta: SegmentMeta
  readonly #file: ReadableFile
  readonly #cache: BlockCache | undefined
  #opened: Opened | undefined
  #opening: Promise<Opened> | undefined
  #directory: ChangeDirectory | undefined
  #isClosed = false
  /** What the last `find` that was BLOCKED needs; NO_BLOCK: the segment itself has to be opened. */
  #blockedOn = NO_BLOCK
  readonly #loading: Map<number, Promise<void>> = new Map()
  /** Where the last block that was entered lies. */
  #bytes: Uint8Array = new Uint8Array(0)
  #start = 0
  /** A block that the cache does not hold: read without a cache, or too large for it. */
  #kept: { readonly block: number; readonly bytes: Uint8Array } | undefined

  constructor(file: ReadableFile, meta: SegmentMeta, cache: BlockCache | undefined) {
    this.#file = file
    this.meta = meta
    this.#cache = cache
  }

  get isOpen(): boolean {
    return this.#opened !== undefined
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
    return this.#ready().ranges
  }

  /** Bytes held in memory for this segment, blocks in the cache not counted. */
  get residentBytes(): number {
    return this.#opened?.residentBytes ?? 0
  }

  openSync(): void {
    this.#ready()
  }

  async open(): Promise<void> {
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
    let opened = this.#opened
    if (opened === undefined) {
      if (!mayRead) {
        this.#blockedOn = NO_BLOCK
        return BLOCKED
      }
      opened = this.#ready()
    }
    const { bloom, index } = opened
    if ((bloom !== undefined && !bloom.mayContain(hash)) || index.count === 0) return ABSENT
    const block = index.locate(key, start, end, snapshot)
    if (!this.#enter(opened, block, mayRead)) {
      this.#blockedOn = block
      return BLOCKED
    }
    const from = this.#start
    const to = from + index.rawBytes[block]!
    const tag = hash.low & 0xff
    return findInBlock(this.#bytes, from, to, key, start, end, tag, snapshot, result)
      ? FOUND
      : ABSENT
  }

  /** Reads what the last BLOCKED lookup needs. Call it before anything else is asked of this reader. */
  loadBlocked(): Promise<void> {
    const block = this.#blockedOn
    if (block === NO_BLOCK || this.#opened === undefined) return this.open()
    let loading = this.#loading.get(block)
    if (loading === undefined) {
      loading = this.#load(this.#opened, block).finally(() => this.#loading.delete(block))
      this.#loading.set(block, loading)
    }
    return loading
  }

  /** Seqno of the newest range fragment over the key that `snapshot` sees; 0: none. Needs the segment open if it has any. */
  coveringSeqno(key: Uint8Array, start: number, end: number, snapshot: number): number {
    return this.ranges.coveringSeqno(key, start, end, snapshot)
  }

  /** Not positioned yet. `mayRead` false: it blocks instead of reading on the calling thread, also to open the segment. */
  iterator(options: SegmentIteratorOptions): SegmentIterator {
    const open = { sync: () => this.#ready(), async: () => this.#readyAsync() }
    return new SegmentIterator(open, this.#opened, options)
  }

  /** Events with from <= seqno <= upTo, at most `limit`, seqno ascending. Reads only the chunks of the index that hold them. */
  eventsSync(from: number, upTo: number, limit: number): EventRun {
    const { footer } = this.#ready()
    const path = this.#file.path
    this.#directory ??= runReadsSync(this.#file, readDirectorySteps(path, footer))
    return runReadsSync(
      this.#file,
      eventSteps(path, footer, this.#directory, { from, upTo, limit }),
    )
  }

  async events(from: number, upTo: number, limit: number): Promise<EventRun> {
    const { footer } = await this.#readyAsync()
    const path = this.#file.path
    this.#directory ??= await runReads(this.#file, readDirectorySteps(path, footer))
    return await runReads(
      this.#file,
      eventSteps(path, footer, this.#directory, { from, upTo, limit }),
    )
  }

  /** The commit of every entry by ordinal, NO_COMMIT for what is no event. Reads the whole index, on the calling thread. */
  commitsByOrdinal(): { commits: CommitTable; commitOf: Int32Array } {
    const { footer } = this.#ready()
    const path = this.#file.path
    this.#directory ??= runReadsSync(this.#file, readDirectorySteps(path, footer))
    return runReadsSync(this.#file, commitSteps(path, footer, this.#directory))
  }

  /**
   * Reads the entries with these ordinals (ascending) into `target`, one row each, until it is full. Each block is read once,
   * neighbours together. `mayRead`: on the calling thread, which is ten times faster when the page cache has them.
   */
  async gather(
    ordinals: Int32Array,
    count: number,
    target: EntryArena,
    mayRead = false,
  ): Promise<GatherResult> {
    const opened = mayRead ? this.#ready() : await this.#readyAsync()
    return await gatherEntries(this.#file, opened.source, ordinals, count, target, mayRead)
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
    const source = new BlockSource(segment.index, {
      path: this.#file.path,
      number: this.meta.number,
    })
    const cache = this.#isClosed ? undefined : this.#cache
    const cached = cache?.open(segment.index.count)
    const opened: Opened = { ...segment, file: this.#file, source, cache, cached }
    if (!this.#isClosed) this.#opened = opened
    return opened
  }

  #dropOpened(): void {
    const opened = this.#opened
    this.#opened = undefined
    this.#directory = undefined
    this.#kept = undefined
    this.#bytes = new Uint8Array(0)
    if (opened?.cached !== undefined) opened.cache!.close(opened.cached)
  }

  /** Sets #bytes and #start to the block's content; false when it would have to be read and may not be. */
  #enter(opened: Opened, block: number, mayRead: boolean): boolean {
    const { cache, cached } = opened
    if (cache !== undefined && cached !== undefined) {
      const slot = cached.directory[block]!
      if (slot >= 0) {
        cache.hits++
        cache.referenced[slot] = 1
        this.#bytes = cache.slabOf(slot)
        this.#start = cache.offsetOf(slot)
        return true
      }
    }
    return this.#enterUncached(opened, block, mayRead)
  }

  #enterUncached(opened: Opened, block: number, mayRead: boolean): boolean {
    const { cache, cached } = opened
    if (this.#kept?.block === block) {
      this.#bytes = this.#kept.bytes
      this.#start = 0
      // Without a cache it serves as one; beside a cache it is too large to be kept longer than needed.
      if (cache !== undefined) this.#kept = undefined
      return true
    }
    if (cache !== undefined && cached !== undefined) {
      const large = cache.side(cached, block)
      if (large !== undefined) {
        cache.hits++
        this.#bytes = large
        this.#start = 0
        return true
      }
      if (!mayRead) return false
      cache.misses++
    }
    if (!mayRead) return false
    this.#readBlock(opened, block)
    return true
  }

  #readBlock(opened: Opened, block: number): void {
    const { cache, cached, source, index } = opened
    const storedBytes = index.storedBytes(block)
    const position = index.positions[block]!
    if (
      cache === undefined ||
      cached === undefined ||
      storedBytes > SLOT_BYTES_MAX ||
      !source.isPlain(block)
    ) {
      const stored = Buffer.allocUnsafeSlow(storedBytes)
      readFullySync(this.#file, stored, 0, storedBytes, position)
      this.#keep(opened, block, stored)
      this.#enterKept(opened, block)
      return
    }
    // Straight from the file into its slot.
    const slot = cache.reserve(cached, block, storedBytes)
    const slab = cache.slabOf(slot)
    const at = cache.offsetOf(slot)
    try {
      readFullySync(this.#file, slab, at, storedBytes, position)
      source.check(slab, at, block)
    } catch (error) {
      cache.release(slot)
      throw error
    }
    this.#bytes = slab
    this.#start = at
  }

  async #load(opened: Opened, block: number): Promise<void> {
    const { cache, index } = opened
    const storedBytes = index.storedBytes(block)
    const stored = Buffer.allocUnsafeSlow(storedBytes)
    if (cache !== undefined) cache.misses++
    await readFully(this.#file, stored, 0, storedBytes, index.positions[block]!)
    if (this.#opened === opened) this.#keep(opened, block, stored)
  }

  /** Checks the stored block, decompresses it and puts it where `#enter` finds it. */
  #keep(opened: Opened, block: number, stored: Uint8Array): void {
    const { cache, cached, source, index } = opened
    const rawBytes = index.rawBytes[block]!
    if (cached !== undefined && cached.directory[block]! >= 0) return
    const isPlain = source.isPlain(block)
    const slot =
      cache === undefined || cached === undefined ? -1 : cache.reserve(cached, block, rawBytes)
    if (slot >= 0) {
      const slab = cache!.slabOf(slot)
      const at = cache!.offsetOf(slot)
      try {
        if (isPlain) {
          source.check(stored, 0, block)
          slab.set(stored.subarray(0, rawBytes), at)
        } else {
          source.unpack(stored, 0, block, slab, at)
        }
      } catch (error) {
        cache!.release(slot)
        throw error
      }
      return
    }
    let bytes: Uint8Array
    if (isPlain) {
      source.check(stored, 0, block)
      bytes = stored.subarray(0, stored.length - BLOCK_TRAILER_BYTES)
    } else {
      bytes = Buffer.allocUnsafeSlow(rawBytes)
      source.unpack(stored, 0, block, bytes, 0)
    }
    if (cache !== undefined && cached !== undefined && cache.putSide(cached, block, bytes)) return
    this.#kept = { block, bytes }
  }

  #enterKept(opened: Opened, block: number): void {
    const { cache, cached } = opened
    const slot = cached?.directory[block] ?? -1
    if (slot >= 0) {
      this.#bytes = cache!.slabOf(slot)
      this.#start = cache!.offsetOf(slot)
      return
    }
    this.#bytes = this.#kept?.block === block ? this.#kept.bytes : cache!.side(cached!, block)!
    this.#start = 0
    if (cache !== undefined) this.#kept = undefined
  }
}
