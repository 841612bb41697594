/**
 * Merges segments forward, for compaction: key ascending, newest first. The iterators for readers go both ways and may block;
 * this one does neither.
 *
 * The inputs stand in the order of their current entries. When the first moves on, it mostly stays first (runs of one segment
 * are the rule), which one comparison tells; else it is put back by insertion: for the few inputs of a compaction as good as
 * a heap, and simpler. Comparisons look at eight key bytes *behind what all inputs have in common* first: measured, that is
 * worth a factor of 1.6 to 3.
 */
import { compareBytes, copyBytes, equalBytes } from '../base/bytes.ts'
import { CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import type { EntryIterator } from '../base/entry-iterator.ts'
import type { CommitsByOrdinal, SegmentReader } from '../segment/segment-reader.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { corruption } from '../base/errors.ts'

/** Opens a segment that the merge has come to; `done` is called when it is behind. */
export interface SegmentSource {
  open(meta: SegmentMeta): SegmentReader
  done(meta: SegmentMeta): void
  readonly readAheadBytes: number
}

/** Segments one behind the other, disjoint and by key: a level, or a single segment of level 0. */
export class SegmentRun {
  iterator: EntryIterator
  commits: CommitTable
  /** Row in `commits` by ordinal; NO_COMMIT: no event. */
  commitOf: Int32Array
  /** False: whatever it looks like, no entry of it is an event. */
  readonly hasEvents: boolean
  /** Entries read of the segment at hand: its metadata must agree. */
  #entries = 0
  #path = ''
  readonly #source: SegmentSource
  readonly #metas: readonly SegmentMeta[]
  #at = 0

  /** `metas`: at least one with entries, the first of which is opened. That reads all of its change index: in steps. */
  static *begin(
    source: SegmentSource,
    metas: readonly SegmentMeta[],
  ): Generator<undefined, SegmentRun, undefined> {
    const filled = metas.filter((meta) => meta.entries > 0)
    const reader = source.open(filled[0]!)
    return new SegmentRun(source, filled, yield* reader.commitsInSteps())
  }

  /** Of a segment whose events have their home elsewhere: its entries are none, and its change index is not read. */
  static withoutEvents(source: SegmentSource, meta: SegmentMeta): SegmentRun {
    const commitOf = new Int32Array(meta.entries).fill(NO_COMMIT)
    return new SegmentRun(source, [meta], { commits: new CommitTable(1), commitOf }, false)
  }

  private constructor(
    source: SegmentSource,
    metas: readonly SegmentMeta[],
    first: CommitsByOrdinal,
    hasEvents = true,
  ) {
    this.#source = source
    this.#metas = metas
    this.hasEvents = hasEvents
    const { iterator, commits, commitOf } = this.#open(first)
    this.iterator = iterator
    this.commits = commits
    this.commitOf = commitOf
  }

  /** Moves to the next entry; false at the end of the last segment. */
  next(): boolean {
    this.#entries++
    this.iterator.next()
    return this.iterator.valid || this.#nextSegment()
  }

  close(): void {
    this.iterator.close()
  }

  #nextSegment(): boolean {
    const meta = this.#metas[this.#at]!
    this.iterator.close()
    if (this.#entries !== meta.entries) {
      const message = `the segment has ${this.#entries} entries, ${meta.entries} were written`
      throw corruption(message, { file: this.#path })
    }
    this.#source.done(meta)
    this.#at++
    this.#entries = 0
    if (this.#at === this.#metas.length) return false
    const { iterator, commits, commitOf } = this.#open()
    this.iterator = iterator
    this.commits = commits
    this.commitOf = commitOf
    return true
  }

  #open(first?: CommitsByOrdinal): Pick<SegmentRun, 'iterator' | 'commits' | 'commitOf'> {
    const meta = this.#metas[this.#at]!
    const reader = this.#source.open(meta)
    this.#path = reader.path
    const { commits, commitOf } = first ?? reader.commitsByOrdinal()
    const iterator = reader.iterator({
      mayRead: true,
      readAheadBytes: this.#source.readAheadBytes,
    })
    iterator.seekToFirst()
    if (!iterator.valid) {
      const message = `the segment has no entries, ${meta.entries} were written`
      throw corruption(message, { file: reader.path })
    }
    return { iterator, commits, commitOf }
  }
}

export class ForwardMerge {
  /** The run with the smallest entry; undefined at the end. */
  current: SegmentRun | undefined
  /** Whether its key is that of the entry before. */
  isSameKey = false
  readonly #runs: readonly SegmentRun[]
  /** Indexes of runs, by their current entries. */
  readonly #order: Int32Array
  #count: number
  /** Bytes that all keys begin with. */
  readonly #shared: number
  /** Eight key bytes behind these, as two signed integers that compare like the bytes. */
  readonly #high: Int32Array
  readonly #low: Int32Array
  /** The key before: its length, its eight bytes, and what is behind them. */
  #lastBytes = -1
  #lastHigh = 0
  #lastLow = 0
  #lastRest: Uint8Array = new Uint8Array(64)

  /** `bounds`: keys between which all keys of all runs lie. */
  constructor(runs: readonly SegmentRun[], bounds: { first: Uint8Array; last: Uint8Array }) {
    this.#runs = runs
    this.#order = new Int32Array(runs.length)
    this.#high = new Int32Array(runs.length)
    this.#low = new Int32Array(runs.length)
    this.#shared = sharedPrefix(bounds.first, bounds.last)
    this.#count = 0
    for (let i = 0; i < runs.length; i++) {
      this.#readPrefix(i)
      this.#count = i + 1
      this.#order[i] = i
      this.#sink(i, i)
    }
    this.current = runs[this.#order[0] ?? 0]
  }

  next(): void {
    const order = this.#order
    const i = order[0]!
    const run = this.#runs[i]!
    this.#keepKey(i, run.iterator)
    if (run.next()) {
      this.#readPrefix(i)
      if (this.#count > 1 && !this.#isBefore(i, order[1]!)) this.#reinsert(i)
    } else {
      const count = --this.#count
      for (let k = 0; k < count; k++) order[k] = order[k + 1]!
      this.current = count === 0 ? undefined : this.#runs[order[0]!]
    }
    if (this.current !== undefined) this.isSameKey = this.#hasLastKey(order[0]!)
  }

  /** The iterator's key is about to be overwritten. Of most keys the eight bytes are all that has to be kept. */
  #keepKey(i: number, { keyBytes, keyStart, keyEnd }: EntryIterator): void {
    this.#lastBytes = keyEnd - keyStart
    this.#lastHigh = this.#high[i]!
    this.#lastLow = this.#low[i]!
    const from = keyStart + this.#shared + 8
    const length = keyEnd - from
    if (length <= 0) return
    if (this.#lastRest.length < length) this.#lastRest = new Uint8Array(2 * length)
    copyBytes(this.#lastRest, 0, keyBytes, from, keyEnd)
  }

  #hasLastKey(i: number): boolean {
    if (this.#high[i] !== this.#lastHigh || this.#low[i] !== this.#lastLow) return false
    const { keyBytes, keyStart, keyEnd } = this.#runs[i]!.iterator
    const length = keyEnd - keyStart
    if (length !== this.#lastBytes) return false
    const rest = length - this.#shared - 8
    return rest <= 0 || equalBytes(keyBytes, keyEnd - rest, keyEnd, this.#lastRest, 0, rest)
  }

  /** Puts the first run, which is behind the second, where it belongs. */
  #reinsert(i: number): void {
    const order = this.#order
    let low = 2
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#isBefore(i, order[middle]!)) high = middle
      else low = middle + 1
    }
    for (let k = 1; k < low; k++) order[k - 1] = order[k]!
    order[low - 1] = i
    this.current = this.#runs[order[0]!]
  }

  /** Moves the run at order[at] forward to where it belongs. */
  #sink(i: number, at: number): void {
    const order = this.#order
    let k = at
    while (k > 0 && this.#isBefore(i, order[k - 1]!)) {
      order[k] = order[k - 1]!
      k--
    }
    order[k] = i
  }

  #isBefore(a: number, b: number): boolean {
    const high = this.#high
    if (high[a] !== high[b]) return high[a]! < high[b]!
    const low = this.#low
    if (low[a] !== low[b]) return low[a]! < low[b]!
    const x = this.#runs[a]!.iterator
    const y = this.#runs[b]!.iterator
    const order = compareBytes(x.keyBytes, x.keyStart, x.keyEnd, y.keyBytes, y.keyStart, y.keyEnd)
    return order < 0 || (order === 0 && x.seqno > y.seqno)
  }

  #readPrefix(i: number): void {
    const { keyBytes, keyStart, keyEnd } = this.#runs[i]!.iterator
    const at = keyStart + this.#shared
    if (at + 8 <= keyEnd) {
      this.#high[i] =
        ((keyBytes[at]! << 24) |
          (keyBytes[at + 1]! << 16) |
          (keyBytes[at + 2]! << 8) |
          keyBytes[at + 3]!) ^
        0x80000000
      this.#low[i] =
        ((keyBytes[at + 4]! << 24) |
          (keyBytes[at + 5]! << 16) |
          (keyBytes[at + 6]! << 8) |
          keyBytes[at + 7]!) ^
        0x80000000
      return
    }
    // Missing bytes count as zeros; what that leaves undecided, the whole keys decide.
    let high = 0
    let low = 0
    for (let k = 0; k < 4; k++) high = (high << 8) | (at + k < keyEnd ? keyBytes[at + k]! : 0)
    for (let k = 4; k < 8; k++) low = (low << 8) | (at + k < keyEnd ? keyBytes[at + k]! : 0)
    this.#high[i] = high ^ 0x80000000
    this.#low[i] = low ^ 0x80000000
  }
}

function sharedPrefix(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  let shared = 0
  while (shared < length && a[shared] === b[shared]) shared++
  return shared
}
