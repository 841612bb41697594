/**
 * Entries of a few sources, decoded ahead, as columns: a row each, RUN_ROWS of them for every source.
 *
 * ```
 *   source 0                      source 1
 *   | row 0 | row 1 | ... | 63 |  | row 64 | ...       rank, seqno, kind, where key and value stand
 * ```
 *
 * A *run* is what one source has ahead in its current block. Its keys are put together in memory of results at once: the one copy
 * that the caller gets anyway. So a key that the walk never reaches is memory lost, until the walk ends or goes on from there.
 */
import { compareBytes } from '../base/bytes.ts'
import type { SegmentIterator } from '../segment/segment-iterator.ts'
import { CHUNK_WORDS, type ResultPool, type WordSource } from './result-pool.ts'

/** Longest run. A block of usual size has about 17 entries of 116 bytes. */
export const RUN_ROWS = 64

export const RANK_BELOW = -1
export const RANK_ABOVE: number = 2 ** 48
const RANK_BYTES = 6

/** A chunk with less room is given up: a run must not end early, again and again, at its end. */
const ROOM_WORDS = 256
/** What is copied of one key in a loop. */
const LOOP_COPY_MAX = 64

/** Longer runs are copied value by value. */
const RUN_COPY_MAX = 4096

const NO_MEMORY = new ArrayBuffer(0)
const NO_BYTES = new Uint8Array(0)

/** Rows [from, to). */
export interface RowRange {
  readonly from: number
  readonly to: number
}

export class EntryColumns {
  /** By row. */
  ranks: Float64Array = new Float64Array(0)
  seqnos: Float64Array = new Float64Array(0)
  kinds: Uint8Array = new Uint8Array(0)
  keyStarts: Int32Array = new Int32Array(0)
  keyEnds: Int32Array = new Int32Array(0)
  valueStarts: Int32Array = new Int32Array(0)
  valueEnds: Int32Array = new Int32Array(0)
  /** By source: where the keys of its run stand. */
  readonly keyMemory: ArrayBuffer[] = []
  readonly keyBytes: Uint8Array[] = []
  /** By source: memory that the values of its run may be handed out in, and where its block begins there. */
  readonly valueMemory: (ArrayBuffer | undefined)[] = []
  readonly valueBases: number[] = []

  /** Room for so many sources. */
  reserve(sources: number): void {
    const rows = sources * RUN_ROWS
    if (rows <= this.ranks.length) return
    this.ranks = new Float64Array(rows)
    this.seqnos = new Float64Array(rows)
    this.kinds = new Uint8Array(rows)
    this.keyStarts = new Int32Array(rows)
    this.keyEnds = new Int32Array(rows)
    this.valueStarts = new Int32Array(rows)
    this.valueEnds = new Int32Array(rows)
    while (this.keyMemory.length < sources) {
      this.keyMemory.push(NO_MEMORY)
      this.keyBytes.push(NO_BYTES)
      this.valueMemory.push(undefined)
      this.valueBases.push(0)
    }
  }

  /** Refers to nobody's memory any more. */
  clear(): void {
    this.keyMemory.fill(NO_MEMORY)
    this.keyBytes.fill(NO_BYTES)
    this.valueMemory.fill(undefined)
  }

  /**
   * Decodes the run of a source: what its block has from the current entry on, at most `most` entries. Returns the row behind the last one; no row where
   * the first key is too long for memory that results share.
   */
  decode(source: number, block: SegmentIterator, pool: ResultPool, most: number): number {
    const { seqnos, kinds, keyStarts, keyEnds, valueStarts, valueEnds } = this
    let row = source * RUN_ROWS
    const end = row + Math.min(block.entriesLeft, RUN_ROWS, most)
    let word = pool.room(ROOM_WORDS)
    const { words, bytes: keys } = pool
    this.keyMemory[source] = pool.memory
    this.keyBytes[source] = keys
    const bytes = block.valueBytes
    const firstKey = block.firstKeyAt
    let at = block.entryAt
    // A key of this run that begins with so many bytes of the block's first one: the others take them from there, by words.
    let modelWord = word
    let modelBytes = 0
    let isModel = block.isFirstInBlock
    for (; row < end; row++) {
      const shared = bytes[at++]!
      let rest = bytes[at++]!
      if (rest > 0x7f) {
        rest &= 0x7f
        let byte = bytes[at++]!
        rest |= (byte & 0x7f) << 7
        if (byte > 0x7f) {
          byte = bytes[at++]!
          rest |= byte << 14
        }
      }
      let valueBytes = bytes[at++]!
      if (valueBytes > 0x7f) {
        valueBytes &= 0x7f
        let shift = 7
        let byte = 0
        do {
          byte = bytes[at++]!
          valueBytes |= (byte & 0x7f) << shift
          shift += 7
        } while (byte > 0x7f)
      }
      const keyBytes = shared + rest
      const nextWord = word + ((keyBytes + 3) >> 2)
      if (nextWord > CHUNK_WORDS) break
      kinds[row] = bytes[at]!
      seqnos[row] =
        ((bytes[at + 1]! |
          (bytes[at + 2]! << 8) |
          (bytes[at + 3]! << 16) |
          (bytes[at + 4]! << 24)) >>>
          0) +
        (bytes[at + 5]! | (bytes[at + 6]! << 8)) * 4294967296
      at += 7
      const key = word << 2
      if (shared <= modelBytes) {
        for (let i = 0; i < shared; i += 4) words[word + (i >> 2)] = words[modelWord + (i >> 2)]!
      } else {
        for (let i = 0; i < shared; i++) keys[key + i] = bytes[firstKey + i]!
        modelWord = word
        modelBytes = shared
      }
      const restAt = key + shared
      if (rest > LOOP_COPY_MAX) keys.set(bytes.subarray(at, at + rest), restAt)
      else for (let i = 0; i < rest; i++) keys[restAt + i] = bytes[at + i]!
      if (isModel) {
        modelBytes = keyBytes
        isModel = false
      }
      at += rest
      keyStarts[row] = key
      keyEnds[row] = key + keyBytes
      valueStarts[row] = at
      at += valueBytes
      valueEnds[row] = at
      word = nextWord
    }
    pool.takeUpTo(word)
    return row
  }

  /**
   * Finds the values of a run, rows [from, to), a place where they may be handed out: where they are, in lent memory, or
   * else, mostly, one copy of all of them, which costs less than one of each.
   */
  placeValues(
    source: number,
    rows: RowRange,
    bytes: Uint8Array,
    pool: ResultPool,
    from: WordSource,
  ): void {
    from.attach(bytes)
    this.valueMemory[source] = from.lentMemory
    this.valueBases[source] = from.base
    if (from.lentMemory !== undefined) return
    const start = this.valueStarts[rows.from]!
    const length = this.valueEnds[rows.to - 1]! - start
    const valueBytes = this.valueEnds[rows.from]! - start
    if (length > RUN_COPY_MAX || 2 * valueBytes * (rows.to - rows.from) < length) return
    const word = pool.room((length + 3) >> 2)
    const at = word << 2
    pool.bytes.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length), at)
    pool.takeUpTo(word + ((length + 3) >> 2))
    this.valueMemory[source] = pool.memory
    this.valueBases[source] = at - start
  }

  /** Ranks rows [from, to) of a source; all of their keys begin with what the first `skip` bytes of a prefix are. */
  rank(source: number, rows: RowRange, skip: number): void {
    const { ranks, keyStarts, keyEnds } = this
    const keys = this.keyBytes[source]!
    for (let row = rows.from; row < rows.to; row++) {
      const at = keyStarts[row]! + skip
      const end = keyEnds[row]!
      ranks[row] =
        end - at >= RANK_BYTES
          ? ((keys[at]! << 16) | (keys[at + 1]! << 8) | keys[at + 2]!) * 16777216 +
            ((keys[at + 3]! << 16) | (keys[at + 4]! << 8) | keys[at + 5]!)
          : shortRank(keys, at, end)
    }
  }

  /** Key against key, all of their bytes. */
  compareKeys(source: number, row: number, other: number, otherRow: number): number {
    return compareBytes(
      this.keyBytes[source]!,
      this.keyStarts[row]!,
      this.keyEnds[row]!,
      this.keyBytes[other]!,
      this.keyStarts[otherRow]!,
      this.keyEnds[otherRow]!,
    )
  }
}

/** The rank of bytes[start, end), from behind the prefix on: a number below another only where the bytes are. */
export function rankOf(bytes: Uint8Array, start: number, end: number): number {
  return shortRank(bytes, start, Math.min(end, start + RANK_BYTES))
}

/** Padded with zeros: equal ranks are compared in full anyway. */
function shortRank(bytes: Uint8Array, start: number, end: number): number {
  let rank = 0
  for (let i = 0; i < RANK_BYTES; i++) rank = rank * 256 + (start + i < end ? bytes[start + i]! : 0)
  return rank
}
