/**
 * Which block of a segment in key order holds a key.
 *
 * The separator before a block is the shortest key above the last of the block before and not above its own first one. When
 * both are the same key, it is that key with the seqno below the last version of the block before: so a lookup of (key,
 * snapshot) finds the one block in which its answer begins, however many blocks the versions of a key fill.
 *
 * ```
 *   u32  number of blocks; there is nothing of this where they are fewer than two
 *   u32  bytes that all separators begin with: the prefix
 *   u32  1: some block continues a key | 2: some separator has a tail
 *   u32  bytes of all tails
 *   f64 each  seqno, infinite where the block continues no key; only when some does
 *   i32 each  the four bytes behind the prefix as a big-endian number less 2^31, missing ones as zero
 *   i32 each  the four behind them likewise
 *   u32 each  where the tail begins: what is behind those eight; one more than blocks; only when some separator has one
 *   u8  each  how many of those eight bytes the separator has
 *   prefix | tails
 * ```
 *
 * Each column has a row for the first block too, which has no separator: zeros. The columns are used where they stand, so opening
 * costs the same for any number of blocks. The binary search compares two words, and more only where both are equal: 13 bytes a
 * block for keys that need no tail.
 */
import { compareBytes, copyBytes, EMPTY_BYTES, readU32, writeU32 } from '../base/bytes.ts'
import { assert } from '../base/assert.ts'
import type { SectionFailure } from './block-index.ts'
import {
  F64_BYTES,
  f64Column,
  i32Column,
  U32_BYTES,
  u32Column,
  writeF64Column,
  writeU32Column,
} from './columns.ts'
import { SeparatorGuide } from './separator-guide.ts'

export const SEPARATORS_HEAD_BYTES = 16
const HEAD_BYTES = SEPARATORS_HEAD_BYTES
const HAS_SEQNOS = 1
const HAS_TAILS = 2
/** Bytes of a separator that the search compares as two words. */
const WORDS_BYTES = 8
/** A separator that stands before every version of its key. */
const ALL_VERSIONS = Number.POSITIVE_INFINITY
const U32_LIMIT = 4294967296
/** Blocks whose columns are filled in one call. */
const PART = 1 << 11
/** Fewer rows are searched as they are. */
const GUIDE_ROWS_MIN = 256
/** A guide costs 20 ns a row to make, and spares 100 ns a search. */
const GUIDE_SEARCHES_PER_ROW = 1 / 4

/** Collects separators as blocks are finished. */
export class SeparatorsBuilder {
  /** Blocks so far. */
  count = 0
  /** Separator i (from 1) is bytes[ends[i - 1], ends[i]). */
  #bytes: Uint8Array = new Uint8Array(4096)
  #ends: Float64Array = new Float64Array(256)
  readonly #seqnos: number[] = []
  #isContinued = false

  /** About the size so far. */
  get bytes(): number {
    return this.count < 2 ? 0 : HEAD_BYTES + 9 * this.count + this.#tailsAtMost()
  }

  /**
   * A block and what is before it: separator[0, separatorBytes), or nothing (-1) for the first one. `continuedBelow`: the seqno,
   * where it continues a key.
   */
  add(separator: Uint8Array, separatorBytes: number, continuedBelow: number | undefined): void {
    const at = this.count
    assert((at === 0) === separatorBytes < 0, 'a separator between each two blocks')
    const start = at === 0 ? 0 : this.#ends[at - 1]!
    const end = separatorBytes < 0 ? start : start + separatorBytes
    if (at === this.#ends.length) {
      const ends = new Float64Array(at * 2)
      ends.set(this.#ends)
      this.#ends = ends
    }
    if (end > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(end, this.#bytes.length * 2))
      bytes.set(this.#bytes.subarray(0, start))
      this.#bytes = bytes
    }
    copyBytes(this.#bytes, start, separator, 0, end - start)
    this.#ends[at] = end
    this.#seqnos.push(continuedBelow ?? ALL_VERSIONS)
    if (continuedBelow !== undefined) this.#isContinued = true
    this.count = at + 1
  }

  /** Empty where there are fewer than two blocks. */
  finish(): Uint8Array {
    const { count } = this
    if (count < 2) return EMPTY_BYTES
    const bytes = this.#bytes
    const ends = this.#ends
    const prefixBytes = this.#prefixBytes()
    const high = new Int32Array(count)
    const low = new Int32Array(count)
    const tails = new Float64Array(count + 1)
    const lengths = Buffer.alloc(count)
    const columns = { high, low, lengths, tails }
    for (let from = 1; from < count; from += PART) {
      fillColumns(columns, bytes, ends, prefixBytes, from, Math.min(from + PART, count))
    }
    const tailBytes = tails[count]!
    assert(tailBytes < U32_LIMIT, 'separators are much smaller than the data')
    const flags = (this.#isContinued ? HAS_SEQNOS : 0) | (tailBytes > 0 ? HAS_TAILS : 0)
    const section = Buffer.alloc(tailsAt(count, prefixBytes, flags) + tailBytes)
    writeU32(section, 0, count)
    writeU32(section, 4, prefixBytes)
    writeU32(section, 8, flags)
    let at = writeU32(section, 12, tailBytes)
    if (this.#isContinued) at = writeF64Column(section, at, this.#seqnos, count)
    at = writeU32Column(section, at, high, count)
    at = writeU32Column(section, at, low, count)
    if (tailBytes > 0) at = writeU32Column(section, at, tails, count + 1)
    section.set(lengths, at)
    at += count
    section.set(bytes.subarray(0, prefixBytes), at)
    at += prefixBytes
    for (let i = 1; tailBytes > 0 && i < count; i++) {
      const tail = bytes.subarray(
        Math.min(ends[i - 1]! + prefixBytes + WORDS_BYTES, ends[i]!),
        ends[i],
      )
      section.set(tail, at)
      at += tail.length
    }
    return section
  }

  /** They are sorted: what the first and the last share, all share. */
  #prefixBytes(): number {
    const bytes = this.#bytes
    const last = this.#ends[this.count - 2]!
    const limit = Math.min(this.#ends[1]!, this.#ends[this.count - 1]! - last)
    let shared = 0
    while (shared < limit && bytes[shared] === bytes[last + shared]) shared++
    return shared
  }

  #tailsAtMost(): number {
    const average = this.#ends[this.count - 1]! / this.count
    return average <= WORDS_BYTES ? 0 : this.#ends[this.count - 1]! - WORDS_BYTES * this.count
  }
}

/** For a part of the blocks at a time: compiled after a few calls, not left where the loop ends. */
function fillColumns(
  columns: {
    readonly high: Int32Array
    readonly low: Int32Array
    readonly lengths: Uint8Array
    readonly tails: Float64Array
  },
  bytes: Uint8Array,
  ends: Float64Array,
  prefixBytes: number,
  from: number,
  to: number,
): void {
  const { high, low, lengths, tails } = columns
  for (let i = from; i < to; i++) {
    const at = ends[i - 1]! + prefixBytes
    const end = ends[i]!
    high[i] = wordAt(bytes, at, end)
    low[i] = wordAt(bytes, at + 4, end)
    lengths[i] = Math.min(end - at, WORDS_BYTES)
    tails[i + 1] = tails[i]! + Math.max(0, end - at - WORDS_BYTES)
  }
}

/** Where the tails begin: behind everything else. */
function tailsAt(count: number, prefixBytes: number, flags: number): number {
  const seqnoBytes = (flags & HAS_SEQNOS) !== 0 ? F64_BYTES * count : 0
  const startBytes = (flags & HAS_TAILS) !== 0 ? U32_BYTES * (count + 1) : 0
  return HEAD_BYTES + seqnoBytes + WORDS_BYTES * count + startBytes + count + prefixBytes
}

/** Where what a search needs first stands in the file. */
export interface SeparatorsLayout {
  readonly highAt: number
  readonly lowAt: number
  readonly prefixAt: number
  readonly prefixBytes: number
}

/** From the head of a section that was not read; undefined where it has no known form. */
export function separatorsLayout(
  head: Uint8Array,
  blocks: number,
  section: { readonly position: number; readonly length: number },
): SeparatorsLayout | undefined {
  const prefixBytes = readU32(head, 4)
  const flags = readU32(head, 8)
  const end = tailsAt(blocks, prefixBytes, flags)
  const isKnown = readU32(head, 0) === blocks && flags <= (HAS_SEQNOS | HAS_TAILS)
  // Behind the section stands its checksum.
  if (!isKnown || section.length !== end + readU32(head, 12) + U32_BYTES) return undefined
  const seqnoBytes = (flags & HAS_SEQNOS) !== 0 ? F64_BYTES * blocks : 0
  const highAt = section.position + HEAD_BYTES + seqnoBytes
  const prefixAt = section.position + end - prefixBytes
  return { highAt, lowAt: highAt + U32_BYTES * blocks, prefixAt, prefixBytes }
}

export class Separators {
  /** Blocks. */
  readonly count: number
  readonly #section: Uint8Array
  readonly #fail: SectionFailure
  readonly #prefixAt: number
  readonly #prefixBytes: number
  readonly #high: Int32Array
  readonly #low: Int32Array
  readonly #lengthsAt: number
  readonly #tailsAt: number
  readonly #tailBytes: number
  /** Undefined when no separator has a tail, */
  readonly #tailStarts: Uint32Array | undefined
  /** and when no block continues a key, which is the rule. */
  readonly #seqnos: Float64Array | undefined
  #guide: SeparatorGuide | undefined = undefined
  /** So many searches until a guide is worth making. */
  #searchesLeft: number

  /** `section` as `SeparatorsBuilder.finish` made it, kept; undefined where there are fewer than two blocks. */
  constructor(section: Uint8Array | undefined, blocks: number, fail: SectionFailure) {
    this.count = blocks
    this.#fail = fail
    this.#section = section ?? EMPTY_BYTES
    let flags = 0
    let prefixBytes = 0
    let tailBytes = 0
    if (section === undefined) {
      if (blocks > 1) fail('nothing separates the blocks', 0)
    } else {
      if (section.length < HEAD_BYTES) fail('the separators are too short', 0)
      if (readU32(section, 0) !== blocks) fail('other blocks are separated', 0)
      prefixBytes = readU32(section, 4)
      flags = readU32(section, 8)
      tailBytes = readU32(section, 12)
      if (flags > (HAS_SEQNOS | HAS_TAILS)) fail('the separators have no known form', 8)
      const bytes = tailsAt(blocks, prefixBytes, flags) + tailBytes
      if (section.length !== bytes) fail('the separators have another size', 0)
    }
    const rows = section === undefined ? 0 : blocks
    const bytes = this.#section
    let at = section === undefined ? 0 : HEAD_BYTES
    this.#seqnos = (flags & HAS_SEQNOS) !== 0 ? f64Column(bytes, at, rows) : undefined
    if (this.#seqnos !== undefined) at += F64_BYTES * rows
    this.#high = i32Column(bytes, at, rows)
    at += U32_BYTES * rows
    this.#low = i32Column(bytes, at, rows)
    at += U32_BYTES * rows
    this.#tailStarts = (flags & HAS_TAILS) !== 0 ? u32Column(bytes, at, rows + 1) : undefined
    if (this.#tailStarts !== undefined) at += U32_BYTES * (rows + 1)
    this.#lengthsAt = at
    this.#prefixAt = at + rows
    this.#prefixBytes = prefixBytes
    this.#tailsAt = this.#prefixAt + prefixBytes
    this.#tailBytes = tailBytes
    this.#searchesLeft = rows < GUIDE_ROWS_MIN ? Infinity : rows * GUIDE_SEARCHES_PER_ROW
  }

  /** Bytes in memory beside the section. */
  get guideBytes(): number {
    return this.#guide?.residentBytes ?? 0
  }

  /**
   * The block in which the entries (key, seqno) and after begin: the first entry that is not before (key, seqno) is in it,
   * or is the first one of the next. Use Infinity for the very first version of the key.
   */
  locate(key: Uint8Array, keyStart: number, keyEnd: number, seqno: number): number {
    let low = 0
    let high = this.count - 1
    if (high <= 0) return 0
    const prefixBytes = this.#prefixBytes
    if (prefixBytes > 0) {
      const section = this.#section
      const prefixAt = this.#prefixAt
      const limit = keyEnd - keyStart < prefixBytes ? keyEnd - keyStart : prefixBytes
      for (let i = 0; i < limit; i++) {
        const difference = key[keyStart + i]! - section[prefixAt + i]!
        if (difference !== 0) return difference < 0 ? 0 : high
      }
      if (limit < prefixBytes) return 0
    }
    const at = keyStart + prefixBytes
    const wantedHigh = wordAt(key, at, keyEnd)
    const wantedLow = wordAt(key, at + 4, keyEnd)
    const highs = this.#high
    const lows = this.#low
    const guide = this.#guide
    if (guide === undefined) {
      if (--this.#searchesLeft <= 0) this.#guide = new SeparatorGuide(highs, lows)
    } else if (guide.narrow(key, at, keyEnd)) {
      low = guide.low
      high = guide.high
    }
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      const middleHigh = highs[middle]!
      let isAtOrBelow: boolean
      if (middleHigh !== wantedHigh) {
        isAtOrBelow = middleHigh < wantedHigh
      } else if (lows[middle]! !== wantedLow) {
        isAtOrBelow = lows[middle]! < wantedLow
      } else {
        const order = this.#compareRest(middle, key, at, keyEnd)
        isAtOrBelow =
          order < 0 ||
          (order === 0 && (this.#seqnos === undefined || this.#seqnos[middle]! >= seqno))
      }
      if (isAtOrBelow) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Separator `i` against key[at, end), its part behind the prefix, when the words of both are equal. */
  #compareRest(i: number, key: Uint8Array, at: number, end: number): number {
    const length = this.#section[this.#lengthsAt + i]!
    // One of them ends within the words: where they are equal, it is what the other begins with, or the other itself.
    if (length < WORDS_BYTES || end - at < WORDS_BYTES) return length - (end - at)
    const start = this.#tailStart(i)
    const tailsAtByte = this.#tailsAt
    return compareBytes(
      this.#section,
      tailsAtByte + start,
      tailsAtByte + this.#tailStart(i + 1),
      key,
      at + WORDS_BYTES,
      end,
    )
  }

  /** Every separator has its bytes in their place. Whether they ascend and separate, the blocks tell. */
  checkAll(): void {
    for (let i = 1; i < this.count; i++) {
      const length = this.#section[this.#lengthsAt + i]!
      const tailBytes = this.#tailStart(i + 1) - this.#tailStart(i)
      const isPossible =
        length <= WORDS_BYTES && tailBytes >= 0 && (tailBytes === 0 || length === WORDS_BYTES)
      if (!isPossible) this.#fail(`separator ${i} is impossible`, this.#lengthsAt + i)
    }
  }

  #tailStart(i: number): number {
    if (this.#tailStarts === undefined) return 0
    const start = this.#tailStarts[i]!
    if (start > this.#tailBytes) this.#fail(`separator ${i} is not among the others`, 0)
    return start
  }

  /** Separator before block `i` (from 1), for verifying and dumping. */
  separator(i: number): { key: Uint8Array; continuedBelow: number | undefined } {
    const section = this.#section
    const words = Buffer.alloc(WORDS_BYTES)
    words.writeUInt32BE((this.#high[i]! ^ 0x80000000) >>> 0, 0)
    words.writeUInt32BE((this.#low[i]! ^ 0x80000000) >>> 0, 4)
    const from = this.#tailsAt + this.#tailStart(i)
    const key = Buffer.concat([
      section.subarray(this.#prefixAt, this.#prefixAt + this.#prefixBytes),
      words.subarray(0, section[this.#lengthsAt + i]),
      section.subarray(from, Math.max(from, this.#tailsAt + this.#tailStart(i + 1))),
    ])
    const seqno = this.#seqnos?.[i] ?? ALL_VERSIONS
    return { key, continuedBelow: seqno === ALL_VERSIONS ? undefined : seqno }
  }
}

/** Four bytes from `at`, zero behind `end`, as a signed integer that compares like the unsigned bytes. */
export function wordAt(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 <= end) {
    return (
      ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) ^
      0x80000000
    )
  }
  let word = 0
  for (let i = 0; i < 4; i++) word = (word << 8) | (at + i < end ? bytes[at + i]! : 0)
  return word ^ 0x80000000
}
