/**
 * Blocks of history in the form of the log. What a flush finds superseded lies in the memtable's arena, in seqno order, and where
 * most operations are superseded a block is a stretch of the arena as it stands, and a bit for each operation in it.
 *
 * ```
 *   operations  as in a commit (batch/commit-record.ts), one behind the other, each
 *                 u8 kind and flags | varint keyspace id | varint length of key | varint length of value | key | value
 *               between those of two commits the head of the second, and of any without operations before it
 *   u8 0        only where there would be as many bytes as in the block that it expands to: equal sizes mean that nothing is packed
 *   bits        of each operation one, low bit first: 1 when it is an entry of the block
 *   u48         seqno of the first operation; they are dense
 *   u32         number of operations
 *   u32         how many of them stand before the first head of a commit, at most
 * ```
 *
 * Entries are of kind 1 to 3 and without flags. Gathering takes them where they stand (`LogBlockWalk`); for all others it is a codec,
 * and expands to a block as any other (block-format.ts), whose entries share no bytes with the first key, and whose offsets are
 * u32 when the entries take more than 65,535 bytes.
 */
import {
  COMMIT_BODY_AT,
  COMMIT_FIELD_BYTES_AT,
  COMMIT_OPERATIONS_AT,
} from '../batch/commit-record.ts'
import { KIND_DELETE } from '../base/entry-kind.ts'
import {
  copyWords,
  EMPTY_BYTES,
  readU32,
  readU48,
  viewOf,
  WORD_COPY_MAX,
  writeU32,
  writeU48,
} from '../base/bytes.ts'
import {
  BLOCK_FOOT_BYTES,
  BLOCK_TRAILER_BYTES,
  FLAG_WIDE,
  NARROW_OFFSET_MAX,
} from '../block/block-format.ts'

/** Operations of a block take at most so many bytes: larger ones are hardly cheaper to write, and all of one is read for any entry. */
export const LOG_BLOCK_BYTES: number = 2 ** 16
/** Kind, keyspace id, two lengths. */
const OPERATION_BYTES_MIN = 4
const LOG_BLOCK_OPERATIONS_MAX: number = Math.ceil(LOG_BLOCK_BYTES / OPERATION_BYTES_MIN)
const FOOT_BYTES = 14
/** shared, seqno: what an entry of a block has and an operation has not. */
const ENTRY_BYTES_MORE = 7
/** Its number, beside those in block/codec.ts. */
export const CODEC_LOG = 3

/** A stretch of a log that is to become a block. The owner fills it. */
export class LogBlock {
  /** Operations stand in log[start, end), from the first entry to the last. */
  log: Uint8Array = EMPTY_BYTES
  start = 0
  end = 0
  firstSeqno = 0
  /** Operations before the first head of a commit. */
  leading = 0
  /** Operations that are entries, `count` of them: their numbers, counted from 0 and ascending. */
  readonly numbers: Int32Array = new Int32Array(LOG_BLOCK_OPERATIONS_MAX)
  count = 0
  /** How many of them are point tombstones; the others are values and operands. */
  pointTombstones = 0
  /** Bytes of these operations, less what their keyspace ids take. */
  bytes = 0
  /** Row in the commit table of operation i: commitOf[firstOrdinal + i]. */
  commitOf: Int32Array = new Int32Array(0)
  firstOrdinal = 0

  /** Seqno of the last entry. */
  get lastSeqno(): number {
    return this.firstSeqno + this.numbers[this.count - 1]!
  }

  /** Bytes of the block that this expands to. */
  get rawBytes(): number {
    const entryBytes = this.bytes + ENTRY_BYTES_MORE * this.count
    return entryBytes + this.count * (entryBytes > NARROW_OFFSET_MAX ? 4 : 2) + BLOCK_FOOT_BYTES
  }

  /** What stands behind the operations, with room for the checksum at its end. */
  table(): Uint8Array {
    const { count, numbers } = this
    const operations = numbers[count - 1]! + 1
    const bitBytes = (operations + 7) >>> 3
    const isAlike = this.end - this.start + bitBytes + FOOT_BYTES === this.rawBytes
    const bitsAt = isAlike ? 1 : 0
    const table = new Uint8Array(bitsAt + bitBytes + FOOT_BYTES + BLOCK_TRAILER_BYTES)
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!
      table[bitsAt + (number >>> 3)]! |= 1 << (number & 7)
    }
    let at = writeU48(table, bitsAt + bitBytes, this.firstSeqno)
    at = writeU32(table, at, operations)
    at = writeU32(table, at, this.leading)
    table[at] = CODEC_LOG
    return table
  }
}

/** Goes through the entries of a stored block. Nothing in it is trusted: what cannot be ends the walk. */
export class LogBlockWalk {
  /** Entries of the block, and of them those not yet passed. */
  count = 0
  left = 0
  bytes: Uint8Array = EMPTY_BYTES
  kind = 0
  seqno = 0
  /** Both lengths as they stand. */
  lengthsAt = 0
  keyAt = 0
  keyBytes = 0
  valueBytes = 0
  #firstSeqno = 0
  #operations = 0
  #operation = 0
  #leading = 0
  #bitsAt = 0
  /** Behind the last operation. */
  #at = 0

  /** Begins with bytes[start, end); false when that is no such block. */
  begin(bytes: Uint8Array, start: number, end: number): boolean {
    this.count = 0
    this.left = 0
    if (end - start < FOOT_BYTES + OPERATION_BYTES_MIN + 1) return false
    const operations = readU32(bytes, end - 8)
    const bitBytes = Math.ceil(operations / 8)
    const bitsAt = end - FOOT_BYTES - bitBytes
    if (operations === 0 || bitsAt - start < operations * OPERATION_BYTES_MIN) return false
    this.bytes = bytes
    this.count = countBits(bytes, bitsAt, bitBytes)
    this.left = this.count
    this.#firstSeqno = readU48(bytes, end - FOOT_BYTES)
    this.#operations = operations
    this.#operation = -1
    this.#leading = readU32(bytes, end - 4)
    this.#bitsAt = bitsAt
    this.#at = start
    return true
  }

  /** Moves to the next entry; false when there is none, or none that could be. */
  next(): boolean {
    if (this.left === 0) return false
    const { bytes } = this
    const bitsAt = this.#bitsAt
    let isEntry = false
    while (!isEntry) {
      const operation = ++this.#operation
      if (operation === this.#operations) return false
      if (this.#leading === 0 && !this.#passHeads()) return false
      this.#leading--
      let at = this.#at
      if (at + OPERATION_BYTES_MIN > bitsAt) return false
      this.kind = bytes[at++]!
      while (bytes[at++]! > 0x7f);
      this.lengthsAt = at
      let keyBytes = bytes[at++]!
      if (keyBytes > 0x7f) {
        keyBytes = (keyBytes & 0x7f) | (bytes[at]! << 7)
        // No operation of a block has more than 2^21 bytes.
        if (bytes[at++]! > 0x7f) keyBytes = (keyBytes & 0x3fff) | (bytes[at++]! << 14)
      }
      let valueBytes = bytes[at++]!
      if (valueBytes > 0x7f) {
        valueBytes = (valueBytes & 0x7f) | (bytes[at]! << 7)
        if (bytes[at++]! > 0x7f) valueBytes = (valueBytes & 0x3fff) | (bytes[at++]! << 14)
      }
      this.keyAt = at
      this.keyBytes = keyBytes
      this.valueBytes = valueBytes
      this.#at = at + keyBytes + valueBytes
      if (this.#at > bitsAt) return false
      isEntry = (bytes[bitsAt + (operation >>> 3)]! & (1 << (operation & 7))) !== 0
    }
    // Values, operands and point tombstones, without flags.
    if ((this.kind - 1) >>> 0 >= KIND_DELETE) return false
    this.seqno = this.#firstSeqno + this.#operation
    this.left--
    return true
  }

  /** After the last entry: whether nothing is left between it and the bits. */
  get isAtEnd(): boolean {
    const rest = this.#bitsAt - this.#at
    const isLast = this.left === 0 && this.#operation === this.#operations - 1
    return isLast && (rest === 0 || (rest === 1 && this.bytes[this.#at] === 0))
  }

  #passHeads(): boolean {
    const { bytes } = this
    while (this.#leading === 0) {
      const at = this.#at
      if (at + COMMIT_BODY_AT > this.#bitsAt) return false
      this.#leading = readU32(bytes, at + COMMIT_OPERATIONS_AT)
      this.#at = at + COMMIT_BODY_AT + readU32(bytes, at + COMMIT_FIELD_BYTES_AT)
    }
    return true
  }
}

/**
 * Expands source[start, end) to the block target[at, at + rawBytes); false when it is not exactly that. Nothing is written elsewhere.
 */
export function expandLogBlock(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
  rawBytes: number,
): boolean {
  const walk = new LogBlockWalk()
  if (!walk.begin(source, start, end)) return false
  const { count } = walk
  const isWide = rawBytes - BLOCK_FOOT_BYTES - 2 * count > NARROW_OFFSET_MAX
  const width = isWide ? 4 : 2
  const tableAt = at + rawBytes - BLOCK_FOOT_BYTES - count * width
  const sourceView = viewOf(source)
  const targetView = viewOf(target)
  let to = at
  let offsetAt = tableAt
  while (walk.next()) {
    const { keyAt, lengthsAt } = walk
    const bytes = walk.keyBytes + walk.valueBytes
    if (to + ENTRY_BYTES_MORE + 1 + keyAt - lengthsAt + bytes > tableAt) return false
    const offset = to - at
    target[offsetAt] = offset
    target[offsetAt + 1] = offset >>> 8
    if (isWide) {
      target[offsetAt + 2] = offset >>> 16
      target[offsetAt + 3] = offset >>> 24
    }
    offsetAt += width
    target[to++] = 0
    for (let i = lengthsAt; i < keyAt; i++) target[to++] = source[i]!
    target[to++] = walk.kind
    to = writeU48(target, to, walk.seqno)
    if (bytes <= WORD_COPY_MAX) copyWords(targetView, to, sourceView, keyAt, bytes)
    else target.set(new Uint8Array(source.buffer, source.byteOffset + keyAt, bytes), to)
    to += bytes
  }
  if (to !== tableAt || !walk.isAtEnd) return false
  writeU32(target, offsetAt, count)
  if (isWide) target[offsetAt + BLOCK_FOOT_BYTES - 1]! |= FLAG_WIDE
  return true
}

function countBits(bytes: Uint8Array, at: number, length: number): number {
  let count = 0
  for (let i = at; i < at + length; i++) {
    for (let byte = bytes[i]!; byte !== 0; byte &= byte - 1) count++
  }
  return count
}
