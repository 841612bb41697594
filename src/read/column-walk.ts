/**
 * The usual way forward through segments, many items at a time: what MergingIterator, ForwardVisibleIterator and RangeReader do
 * entry by entry, on columns of decoded entries and with nothing but numbers moved between them.
 *
 * ```
 *   segments' blocks -> EntryColumns, a run each -> smallest rank -> newest version a key -> items
 * ```
 *
 * It begins with the sources wherever they stand, and leaves them standing where the general way goes on: at the end, at a block
 * that is still to be loaded, and at the first entry that only the general way knows what to do with (operands, values in blob
 * files, long runs of older versions, very long keys). What it does not take part in at all: walks over memtables, over range
 * tombstones, and in reverse. Measured, an entry of three segments: 268 ns the general way, 192 this way.
 *
 * Ranks are those of MergingIterator, but behind a prefix that is chosen again as the walk goes on: near to each other in key order,
 * keys have much in common. All keys of a run begin with it when its first and its last one do.
 *
 * One per store: a walk leaves nothing in it that the next one uses.
 */
import { compareBytes, EMPTY_BYTES } from '../base/bytes.ts'
import { FLAG_BLOB, KIND_DELETE, KIND_INSERT, KIND_MASK } from '../base/entry-kind.ts'
import type { BlockwiseIterator } from '../segment/segment-iterator.ts'
import { EntryColumns, RANK_ABOVE, RANK_BELOW, rankOf, RUN_ROWS } from './entry-columns.ts'
import { OwnedBuffer, type ResultPool, type WordSource } from './result-pool.ts'

/** After so many older versions of a key the general way seeks past the rest. */
const SKIPS_MAX = 16
/** Rows beyond the share of a source. */
const SHARE_SLACK = 4
const NO_SOURCE = -1
/** Runs between two looks whether keys have more in common by now. */
const RUNS_PER_PREFIX = 16

export interface ColumnWalkOptions {
  /** Newest first. */
  readonly sources: readonly BlockwiseIterator[]
  readonly snapshot: number
  /** Stop before the first key >= this. */
  readonly bound: Uint8Array | undefined
  readonly content: 'entries' | 'keys' | 'values'
  readonly valueSource: WordSource
}

/** What one walk may append. */
export interface WalkLimits {
  /** Items in `target` then. */
  readonly items: number
  /** Of keys and values. */
  readonly bytes: number
  /** Nobody wants anything behind so many items: then the sources are left anywhere. */
  readonly isAll: boolean
}

export class ColumnWalk {
  /** The last key that was dealt with stands here: none of its older versions counts. */
  keyBytes: Uint8Array = EMPTY_BYTES
  keyStart = 0
  keyEnd = 0

  readonly #pool: ResultPool
  readonly #columns = new EntryColumns()
  #sources: readonly BlockwiseIterator[] = []
  #bound: Uint8Array | undefined = undefined
  #valueSource: WordSource | undefined = undefined
  /** Sources that have an entry, the one with the first of them first. */
  #order: Int32Array = new Int32Array(0)
  /** By source: the current row and its rank, and where its run begins and ends. */
  #rows: Int32Array = new Int32Array(0)
  #current: Float64Array = new Float64Array(0)
  #begins: Int32Array = new Int32Array(0)
  #ends: Int32Array = new Int32Array(0)
  #live = 0
  /** What ranks leave out is the beginning of this. */
  #prefix: Uint8Array = EMPTY_BYTES
  #prefixAt = 0
  #prefixBytes = 0
  #runsSincePrefix = 0
  #boundRank = 0
  #lastRank = 0
  /** The run that the last key is from, as long as `keyBytes` says nothing of it. */
  #last = NO_SOURCE

  constructor(pool: ResultPool) {
    this.#pool = pool
  }

  /**
   * Appends items to `target`; returns what their keys and values take. `key*` must be set (no key: no bytes), and no source may be
   * blocked.
   */
  run(options: ColumnWalkOptions, target: unknown[], limits: WalkLimits): number {
    const { sources } = options
    this.#sources = sources
    this.#bound = options.bound
    this.#valueSource = options.content === 'keys' ? undefined : options.valueSource
    this.#reserve(sources.length)
    try {
      const isBegun = this.#begin(limits.items - target.length)
      return isBegun ? this.#walk(options, target, limits) : 0
    } finally {
      this.#columns.clear()
      this.#sources = []
      this.#valueSource = undefined
      this.#last = NO_SOURCE
      this.#prefix = EMPTY_BYTES
    }
  }

  /** Lets go of the last key. */
  end(): void {
    this.keyBytes = EMPTY_BYTES
  }

  #reserve(sources: number): void {
    this.#columns.reserve(sources)
    if (sources <= this.#order.length) return
    this.#order = new Int32Array(sources)
    this.#rows = new Int32Array(sources)
    this.#current = new Float64Array(sources)
    this.#begins = new Int32Array(sources)
    this.#ends = new Int32Array(sources)
  }

  #walk(options: ColumnWalkOptions, target: unknown[], limits: WalkLimits): number {
    const { snapshot, content, valueSource } = options
    const pool = this.#pool
    const columns = this.#columns
    const { ranks, seqnos, kinds, keyStarts, keyEnds, valueStarts, valueEnds } = columns
    const order = this.#order
    const rows = this.#rows
    const ends = this.#ends
    const current = this.#current
    const { valueMemory, valueBases } = columns
    const hasKeys = content !== 'values'
    const hasValues = content !== 'keys'
    const kindMask = hasValues ? KIND_MASK | FLAG_BLOB : KIND_MASK
    const most = limits.items
    let count = target.length
    let bytesLeft = limits.bytes
    let skips = 0
    while (this.#live > 0) {
      const index = order[0]!
      const row = rows[index]!
      const rank = current[index]!
      if (rank >= this.#boundRank && (rank > this.#boundRank || !this.#isBelowBound(index))) break
      if (rank === this.#lastRank && this.#isLastKey(index)) {
        if (++skips === SKIPS_MAX) break
      } else if (seqnos[row]! <= snapshot) {
        const kind = kinds[row]! & kindMask
        const keyStart = keyStarts[row]!
        const keyEnd = keyEnds[row]!
        if (kind === KIND_INSERT) {
          let key = EMPTY_BYTES
          let value = EMPTY_BYTES
          if (hasKeys) {
            key = new OwnedBuffer(columns.keyMemory[index]!, keyStart, keyEnd - keyStart)
            bytesLeft -= keyEnd - keyStart
          }
          if (hasValues) {
            const start = valueStarts[row]!
            const end = valueEnds[row]!
            const memory = valueMemory[index]
            if (memory === undefined) {
              value = pool.copyFrom(valueSource, this.#sources[index]!.valueBytes, start, end)
            } else if (end > start) {
              value = new OwnedBuffer(memory, valueBases[index]! + start, end - start)
            }
            bytesLeft -= end - start
          }
          target[count++] = hasKeys ? (hasValues ? [key, value] : key) : value
        } else if (kind !== KIND_DELETE) {
          break
        }
        this.#last = index
        this.keyStart = keyStart
        this.keyEnd = keyEnd
        this.#lastRank = rank
        skips = 0
        // The source stays on what was handed out: it may be the last that anybody wants.
        if (count >= most || bytesLeft <= 0) break
      }
      const next = row + 1
      rows[index] = next
      if (next < ends[index]!) current[index] = ranks[next]!
      else if (!this.#advance(index, most - count)) break
      this.#moveBack()
    }
    this.#keepLast()
    if (!limits.isAll || count < most) this.#leave()
    return limits.bytes - bytesLeft
  }

  /** False: nothing can be done this way. */
  #begin(wanted: number): boolean {
    const sources = this.#sources
    this.#live = sources.length
    const most = this.#shareOf(wanted)
    this.#live = 0
    for (let i = 0; i < sources.length; i++) {
      this.#rows[i] = 0
      this.#ends[i] = 0
      if (!sources[i]!.valid) continue
      if (!this.#decode(i, most)) return false
      this.#order[this.#live++] = i
    }
    if (this.#live === 0) return false
    this.#choosePrefix()
    for (let sorted = 1; sorted < this.#live; sorted++) this.#insert(sorted)
    return true
  }

  /** Decodes the run of a source from its current entry on, at most `most` entries; false when it cannot be. */
  #decode(index: number, most: number): boolean {
    const begin = index * RUN_ROWS
    const block = this.#sources[index]!.inBlock
    const end = this.#columns.decode(index, block, this.#pool, most)
    if (end > begin && this.#valueSource !== undefined) {
      this.#columns.placeValues(
        index,
        { from: begin, to: end },
        block.valueBytes,
        this.#pool,
        this.#valueSource,
      )
    }
    this.#begins[index] = begin
    this.#rows[index] = begin
    this.#ends[index] = end
    return end > begin
  }

  /** The first source has used up its run: on to the next one. False: only the general way goes on from here. */
  #advance(index: number, wanted: number): boolean {
    const source = this.#sources[index]!
    this.#keepLast()
    this.#stand(index)
    if (!source.valid) {
      if (source.blocked) return false
      this.#live--
      this.#order.copyWithin(0, 1, this.#live + 1)
      return true
    }
    if (!this.#decode(index, this.#shareOf(wanted))) return false
    const begin = this.#begins[index]!
    const end = this.#ends[index]!
    const isDue = ++this.#runsSincePrefix >= RUNS_PER_PREFIX
    if (
      isDue ||
      this.#shared(index, begin) + this.#shared(index, end - 1) < 2 * this.#prefixBytes
    ) {
      this.#choosePrefix()
    } else {
      this.#columns.rank(index, { from: begin, to: end }, this.#prefixBytes)
      this.#current[index] = this.#columns.ranks[begin]!
    }
    return true
  }

  /** Remembers the last key by where it stands, not by the run that it is from. */
  #keepLast(): void {
    if (this.#last === NO_SOURCE) return
    this.keyBytes = this.#columns.keyBytes[this.#last]!
    this.#last = NO_SOURCE
  }

  /** Moves the source itself to the current row of its run, or behind the run. */
  #stand(index: number): void {
    const row = this.#rows[index]!
    const passed = row - this.#begins[index]!
    if (passed === 0) return
    const source = this.#sources[index]!
    source.inBlock.skip(passed - 1, this.#columns.valueEnds[row - 1]!)
    source.next()
    this.#begins[index] = row
  }

  /** Every source stands on its first entry that was not dealt with. */
  #leave(): void {
    for (let i = 0; i < this.#sources.length; i++) {
      if (this.#rows[i]! < this.#ends[i]!) this.#stand(i)
    }
  }

  /** What one source will give of so many items, rather more than less: to decode what nobody asks for costs as much. */
  #shareOf(wanted: number): number {
    return Math.ceil(wanted / this.#live) + SHARE_SLACK
  }

  /** Puts the first source where it belongs now. */
  #moveBack(): void {
    const order = this.#order
    const index = order[0]!
    let place = 1
    while (place < this.#live && this.#isBefore(order[place]!, index)) {
      order[place - 1] = order[place]!
      place++
    }
    order[place - 1] = index
  }

  /** Puts the source at `place` where it belongs among those before it. */
  #insert(sorted: number): void {
    const order = this.#order
    const index = order[sorted]!
    let place = sorted
    while (place > 0 && this.#isBefore(index, order[place - 1]!)) {
      order[place] = order[place - 1]!
      place--
    }
    order[place] = index
  }

  #isBefore(i: number, j: number): boolean {
    const a = this.#current[i]!
    const b = this.#current[j]!
    return a === b ? this.#isBeforeInFull(i, j) : a < b
  }

  #isBeforeInFull(i: number, j: number): boolean {
    const columns = this.#columns
    const row = this.#rows[i]!
    const other = this.#rows[j]!
    let order = columns.compareKeys(i, row, j, other)
    if (order === 0) order = columns.seqnos[other]! - columns.seqnos[row]!
    if (order === 0) order = i - j
    return order < 0
  }

  /** Whether the current key of a source is the last one, whose rank it has. */
  #isLastKey(index: number): boolean {
    this.#keepLast()
    return this.#compareCurrent(index, this.keyBytes, this.keyStart, this.keyEnd) === 0
  }

  /** Whether the current key of a source is below the bound, whose rank it has. */
  #isBelowBound(index: number): boolean {
    const bound = this.#bound!
    return this.#compareCurrent(index, bound, 0, bound.length) < 0
  }

  #compareCurrent(index: number, key: Uint8Array, start: number, end: number): number {
    const { keyBytes, keyStarts, keyEnds } = this.#columns
    const row = this.#rows[index]!
    return compareBytes(keyBytes[index]!, keyStarts[row]!, keyEnds[row]!, key, start, end)
  }

  /** The longest prefix of all that is ahead in the runs, and ranks behind it. */
  #choosePrefix(): void {
    const columns = this.#columns
    const first = this.#order[0]!
    this.#prefix = columns.keyBytes[first]!
    this.#prefixAt = columns.keyStarts[this.#rows[first]!]!
    this.#prefixBytes = columns.keyEnds[this.#rows[first]!]! - this.#prefixAt
    this.#runsSincePrefix = 0
    for (let i = 0; i < this.#live; i++) {
      const index = this.#order[i]!
      this.#prefixBytes = this.#shared(index, this.#rows[index]!)
      this.#prefixBytes = this.#shared(index, this.#ends[index]! - 1)
    }
    for (let i = 0; i < this.#live; i++) {
      const index = this.#order[i]!
      const from = this.#rows[index]!
      columns.rank(index, { from, to: this.#ends[index]! }, this.#prefixBytes)
      this.#current[index] = columns.ranks[from]!
    }
    this.#lastRank = this.#rankOf(this.keyBytes, this.keyStart, this.keyEnd)
    const bound = this.#bound
    this.#boundRank =
      bound === undefined ? Number.POSITIVE_INFINITY : this.#rankOf(bound, 0, bound.length)
  }

  /** How many bytes of the prefix a key begins with. */
  #shared(index: number, row: number): number {
    const key = this.#columns.keyBytes[index]!
    const start = this.#columns.keyStarts[row]!
    const most = Math.min(this.#prefixBytes, this.#columns.keyEnds[row]! - start)
    const prefix = this.#prefix
    const prefixAt = this.#prefixAt
    let i = 0
    while (i < most && key[start + i] === prefix[prefixAt + i]) i++
    return i
  }

  /** The rank of any key: one without the prefix is below or above all that have it. */
  #rankOf(key: Uint8Array, start: number, end: number): number {
    const prefixEnd = start + this.#prefixBytes
    for (let i = start, at = this.#prefixAt; i < prefixEnd; i++, at++) {
      if (i === end) return RANK_BELOW
      const difference = key[i]! - this.#prefix[at]!
      if (difference !== 0) return difference < 0 ? RANK_BELOW : RANK_ABOVE
    }
    return rankOf(key, prefixEnd, end)
  }
}
