/**
 * The synchronous core of cursors: turns what a snapshot sees in a key range into items that the caller owns, a batch at a
 * time.
 *
 * ```
 *   memtables, L0, levels -> MergingIterator -> VisibleIterator -> gather() -> [key, value], key or value
 * ```
 *
 * `gather` fills as far as it comes without waiting. Values that live in blob files or at the end of long operand chains are
 * left out at first and noted; `settle` reads them together once the batch stands.
 */
import { assert } from '../base/assert.ts'
import type { BlobLocation } from '../block/blob-reference.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { EntryIterator } from '../base/entry-iterator.ts'
import type { BlockwiseIterator, SegmentIterator } from '../segment/segment-iterator.ts'
import { ForwardVisibleIterator } from './forward-visible-iterator.ts'
import { ReverseVisibleIterator } from './reverse-visible-iterator.ts'
import { blobLocation, readBlobs, readBlobSync } from './blob-values.ts'
import { inParallel } from './in-parallel.ts'
import { type DecodedRange, isEmptyRange } from './key-range.ts'
import { LevelIterator } from './level-iterator.ts'
import { mayHoldRange, segmentsWithin } from './level-search.ts'
import { lookup, lookupSync } from './lookup.ts'
import type { ColumnWalkOptions } from './column-walk.ts'
import { mergeSources, MergingIterator } from './merging-iterator.ts'
import { rangeCoverOf } from './range-cover.ts'
import type { KeyspaceReadSettings, ReadView } from './read-view.ts'
import { type ResultPool, WordSource } from './result-pool.ts'
import { ShortRange } from './short-range.ts'
import type { VisibleIterator } from './visible-iterator.ts'

export type CursorContent = 'entries' | 'keys' | 'values'
export type EntryItem = [key: Buffer, value: Buffer]

/** How a `gather` ended. */
export const GATHERED_ALL = 0
const GATHERED_ENOUGH = 1
/** `await load()` and gather on. */
export const GATHER_BLOCKED = 2

/** A batch is full when its keys and values take this much; it holds at least one item whatever its size. */
const BATCH_BYTES_MAX = 16 * 2 ** 20
const LOOKUPS_MAX = 16

/** A column walk is not for a few items: what it decodes has to be found again when it ends. */
const WALK_ITEMS_MIN = 64
/** One that begins a range has less to do. */
const FIRST_WALK_ITEMS_MIN = 32
/** After a column walk that gave fewer items than this, so many are taken the general way, */
const WALK_ITEMS_FAIR = 64
/** and after each one more twice as many, up to here. */
const GENERAL_ITEMS_MAX = 4096

/** A value that the batch still lacks: in a blob file, or (a key) to be looked up. */
interface Missing {
  readonly at: number
  readonly location: BlobLocation | undefined
  readonly key: Buffer | undefined
  /** With `key`: see VersionWalk. */
  readonly memtableCover: number
}

export interface RangeReaderOptions {
  readonly view: ReadView
  readonly keyspace: KeyspaceReadSettings
  readonly range: DecodedRange
  readonly snapshot: number
  readonly content: CursorContent
  /** Whether blocks may be read on the calling thread. Otherwise `gather` may end with GATHER_BLOCKED. */
  readonly mayRead: boolean
}

export class RangeReader<T extends EntryItem | Buffer> {
  readonly #options: RangeReaderOptions
  readonly #visible: VisibleIterator
  readonly #source: EntryIterator
  /** Undefined: only the general way leads through this range. */
  readonly #walkOptions: ColumnWalkOptions | undefined
  /** Items to be taken the general way before the next column walk, and after it if it does not come far. */
  #itemsToWalk = 0
  #itemsAfterWalk = WALK_ITEMS_FAIR
  readonly #pool: ResultPool
  readonly #keySource = new WordSource()
  readonly #valueSource: WordSource
  #left: number
  #isStarted = false
  /** The last move is finished, its entry not taken yet. */
  #hasMoved = false
  #batchBytes = 0
  #missing: Missing[] = []

  constructor(options: RangeReaderOptions) {
    const { view, keyspace, range, snapshot, content, mayRead } = options
    this.#options = options
    this.#pool = view.scratch.pool
    this.#valueSource = new WordSource(view.scratch.lent)
    this.#left = isEmptyRange(range) ? 0 : range.limit
    const memtables = this.#left === 0 ? [] : memtablesOf(options)
    const segments = this.#left === 0 ? [] : segmentsOf(options)
    this.#source = mergeSources([...memtables, ...segments])
    const cover = rangeCoverOf({ view, keyspaceId: keyspace.id, range, snapshot, mayRead })
    const isUsual = !range.reverse && cover === undefined && memtables.length === 0
    const valueSource = this.#valueSource
    this.#walkOptions = isUsual
      ? { sources: segments, snapshot, bound: range.upper, content, valueSource }
      : undefined
    const visible = {
      source: this.#source,
      snapshot,
      bound: range.reverse ? range.lower : range.upper,
      cover,
      needsValues: content !== 'keys',
      keyspace,
      pool: this.#pool,
    }
    this.#visible = range.reverse
      ? new ReverseVisibleIterator(visible)
      : new ForwardVisibleIterator(visible)
  }

  /** Nothing can come any more; known before the end is reached only where the range or the limit says so. */
  get isExhausted(): boolean {
    return this.#left === 0
  }

  /** Appends items until `target` has `max`, or the batch is full in bytes. Throws what reading throws. */
  gather(target: T[], max: number): number {
    const visible = this.#visible
    const content = this.#options.content
    while (this.#left > 0) {
      if (this.#isFull(target, max)) {
        visible.ownKey()
        return GATHERED_ENOUGH
      }
      if (this.#walkOptions !== undefined && this.#shouldWalk(max - target.length)) {
        this.#walk(this.#walkOptions, target, max)
        if (this.#left === 0 || this.#isFull(target, max)) continue
      }
      if (!this.#hasMoved) this.#move()
      if (!visible.valid) {
        if (visible.blocked) return GATHER_BLOCKED
        this.#left = 0
        break
      }
      this.#hasMoved = false
      this.#left--
      if (content === 'entries') {
        const key = this.#takeKey()
        ;(target as EntryItem[]).push([key, this.#takeValue(target.length)])
      } else {
        ;(target as Buffer[]).push(
          content === 'keys' ? this.#takeKey() : this.#takeValue(target.length),
        )
      }
    }
    return GATHERED_ALL
  }

  #isFull(target: T[], max: number): boolean {
    return target.length >= max || this.#batchBytes >= BATCH_BYTES_MAX
  }

  /** After GATHER_BLOCKED. */
  load(): Promise<void> {
    return this.#visible.load()
  }

  /** Whether `settle` has something to do; begins the next batch. */
  get needsSettling(): boolean {
    this.#batchBytes = 0
    return this.#missing.length > 0
  }

  /** How many of the first `count` items of a batch are whole. */
  wholeCount(count: number): number {
    return Math.min(count, this.#missing[0]?.at ?? count)
  }

  /** Fills in the values that the batch in `target` lacks. */
  async settle(target: T[]): Promise<void> {
    const { view, keyspace, snapshot } = this.#options
    const missing = this.#missing
    const blobs = missing.filter((item) => item.location !== undefined)
    const values = await readBlobs(
      view,
      blobs.map((item) => item.location!),
    )
    for (let i = 0; i < blobs.length; i++) this.#place(target, blobs[i]!.at, values[i])
    const chains = missing.filter((item) => item.key !== undefined)
    await inParallel({ count: chains.length, width: LOOKUPS_MAX }, async (i) => {
      const { at, key, memtableCover } = chains[i]!
      this.#place(target, at, await lookup(view, keyspace, key!, snapshot, memtableCover))
    })
    this.#missing = []
  }

  settleSync(target: T[]): void {
    const { view, keyspace, snapshot } = this.#options
    for (const { at, location, key, memtableCover } of this.#missing) {
      const value =
        location === undefined
          ? lookupSync(view, keyspace, key!, snapshot, memtableCover)
          : readBlobSync(view, location)
      this.#place(target, at, value)
    }
    this.#missing = []
  }

  close(): void {
    this.#left = 0
    this.#missing = []
    this.#visible.close()
  }

  #move(): void {
    this.#hasMoved = true
    if (this.#isStarted) return this.#visible.advance()
    this.#isStarted = true
    const { range } = this.#options
    this.#visible.start(range.reverse ? range.upper : range.lower)
  }

  #shouldWalk(wanted: number): boolean {
    if (this.#hasMoved || --this.#itemsToWalk >= 0) return false
    const least = this.#isStarted ? WALK_ITEMS_MIN : FIRST_WALK_ITEMS_MIN
    return wanted >= least && this.#left >= least
  }

  /** As far as the faster way leads; the general way goes on from there, with one item at least. */
  #walk(options: ColumnWalkOptions, target: T[], max: number): void {
    const before = target.length
    const wanted = Math.min(max - before, this.#left)
    const walk = this.#options.view.scratch.columnWalk
    const visible = this.#visible as ForwardVisibleIterator
    const items = before + wanted
    const bytes = BATCH_BYTES_MAX - this.#batchBytes
    const isAll = wanted === this.#left
    visible.lendTo(walk)
    try {
      if (this.#isStarted || this.#seekSources(options)) {
        this.#batchBytes += walk.run(options, target, { items, bytes, isAll })
      }
      visible.takeBackFrom(walk)
    } finally {
      walk.end()
    }
    this.#isStarted = true
    const walked = target.length - before
    this.#left -= walked
    if (walked < WALK_ITEMS_FAIR) {
      this.#itemsToWalk = this.#itemsAfterWalk
      this.#itemsAfterWalk = Math.min(2 * this.#itemsAfterWalk, GENERAL_ITEMS_MAX)
    } else {
      this.#itemsAfterWalk = WALK_ITEMS_FAIR
    }
    if (this.#left > 0 && this.#source instanceof MergingIterator) this.#source.resume()
  }

  /** Each of them to the beginning of the range; false when one is blocked. */
  #seekSources({ sources }: ColumnWalkOptions): boolean {
    const { lower } = this.#options.range
    let isBlocked = false
    for (const source of sources) {
      if (lower === undefined) source.seekToFirst()
      else source.seek(lower, 0, lower.length)
      if (source.blocked) isBlocked = true
    }
    return !isBlocked
  }

  #takeKey(): Buffer {
    const visible = this.#visible
    const key = this.#pool.copyFrom(
      this.#keySource,
      visible.keyBytes,
      visible.keyStart,
      visible.keyEnd,
    )
    visible.keepKey(key, 0, key.length)
    this.#batchBytes += key.length
    return key
  }

  /** The value for target[at], or a placeholder until `settle`. */
  #takeValue(at: number): Buffer {
    const visible = this.#visible
    if (!visible.isBlob && !visible.isChain) {
      this.#batchBytes += visible.valueEnd - visible.valueStart
      return this.#pool.copyFrom(
        this.#valueSource,
        visible.valueBytes,
        visible.valueStart,
        visible.valueEnd,
      )
    }
    if (visible.isBlob) {
      const location = blobLocation(visible.valueBytes, visible.valueStart, visible.valueEnd)
      this.#missing.push({ at, location, key: undefined, memtableCover: 0 })
      this.#batchBytes += location.length
      return PLACEHOLDER
    }
    if (visible.isDeferred) {
      const key = this.#pool.copy(visible.keyBytes, visible.keyStart, visible.keyEnd)
      const { memtableCover } = visible
      this.#missing.push({ at, location: undefined, key, memtableCover })
      return PLACEHOLDER
    }
    const folded = visible.fold()
    this.#batchBytes += folded.length
    return this.#pool.copy(folded, 0, folded.length)
  }

  #place(target: T[], at: number, value: Buffer | undefined): void {
    assert(value !== undefined, 'a visible key has no value')
    if (this.#options.content === 'entries') (target as EntryItem[])[at]![1] = value
    else (target as Buffer[])[at] = value
  }
}

const PLACEHOLDER = Buffer.alloc(0)

/** Memtables that may hold keys of the range, newest first. */
function memtablesOf({ view, keyspace, snapshot }: RangeReaderOptions): EntryIterator[] {
  const sources: EntryIterator[] = []
  for (const memtable of view.memtables) {
    if (memtable.isEmpty || memtable.firstSeqno > snapshot) continue
    if (memtable.keyspaceIds().includes(keyspace.id)) sources.push(memtable.iterator(keyspace.id))
  }
  return sources
}

/** Segments and levels that may hold keys of the range, newest first: all of them are older than the memtables. */
function segmentsOf(options: RangeReaderOptions): BlockwiseIterator[] {
  const { view, keyspace, range, snapshot, content, mayRead } = options
  const sources: BlockwiseIterator[] = []
  // Values are handed out where they stand, except where large chunks pay: on a slow disk.
  const lent = mayRead && content !== 'keys' ? view.scratch.lent : undefined
  const { levels } = view.version.files(keyspace.id)
  const short = ShortRange.of(levels, range.limit)
  const open = (meta: SegmentMeta, level: number): SegmentIterator => {
    const wantedBytes = short?.bytesOf(meta, level)
    return view.segments.reader(meta).iterator({ mayRead, lent, wantedBytes })
  }
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i]!
    if (i === 0) {
      // Segments of L0 overlap: each is a source of its own.
      for (const meta of level) {
        if (meta.minSeqno <= snapshot && mayHoldRange(meta, range)) sources.push(open(meta, 0))
      }
      continue
    }
    const within = segmentsWithin(level, range)
    if (within.length === 1) sources.push(open(within[0]!, i))
    else if (within.length > 1) sources.push(new LevelIterator(within, (meta) => open(meta, i)))
  }
  return sources
}
