/**
 * Where each block of a segment is, and which entries it holds. What separates their keys is in separators.ts: a scan of changes,
 * which goes by entry numbers, never reads that.
 *
 * ```
 *   u32  number of blocks
 *   u32  1: positions are doubles | 2: some block is compressed
 *   u32 or f64 each  positions: block i is [positions[i], positions[i + 1]) of the file, trailer included; one more than blocks
 *   u32 each         number of each block's first entry; one more than blocks, the last is the number of entries
 *   u32 each         bytes of each block when decompressed, without trailer; only when some block is compressed
 * ```
 *
 * Opening is reading: the columns are used where they stand, so it costs the same for any number of blocks (measured, 222,000
 * blocks: 20 ms and more to decode the varints that were here before, in code that nothing had compiled yet). What would be
 * checked in one pass is checked of each block before it is read: `check`.
 */
import { BLOCK_FOOT_BYTES, BLOCK_TRAILER_BYTES, ENTRY_BYTES_MIN } from '../block/block-format.ts'
import { COMPRESSION_RATIO_MAX } from '../block/codec.ts'
import { readU32, writeU32 } from '../base/bytes.ts'
import {
  F64_BYTES,
  f64Column,
  i32Column,
  U32_BYTES,
  u32Column,
  writeF64Column,
  writeU32Column,
} from './columns.ts'

const HEAD_BYTES = 8
const WIDE_POSITIONS = 1
const HAS_RAW_BYTES = 2
const U32_LIMIT = 4294967296

/** Collects the places of blocks as they are finished. */
export class BlockIndexBuilder {
  count = 0
  largestBlockBytes = 0
  #positions: Float64Array = new Float64Array(256)
  #firstOrdinals: Int32Array = new Int32Array(256)
  #rawBytes: Int32Array = new Int32Array(256)
  #isCompressed = false

  /** Size of the index so far. */
  get bytes(): number {
    return HEAD_BYTES + (this.count + 1) * (this.#isCompressed ? 3 : 2) * U32_BYTES
  }

  add(block: { storedBytes: number; rawBytes: number; entries: number }): void {
    const { count } = this
    if (count + 1 === this.#positions.length) this.#grow()
    this.#rawBytes[count] = block.rawBytes
    this.#positions[count + 1] = this.#positions[count]! + block.storedBytes
    this.#firstOrdinals[count + 1] = this.#firstOrdinals[count]! + block.entries
    if (block.storedBytes !== block.rawBytes + BLOCK_TRAILER_BYTES) this.#isCompressed = true
    if (block.rawBytes > this.largestBlockBytes) this.largestBlockBytes = block.rawBytes
    this.count = count + 1
  }

  finish(): Buffer {
    const { count } = this
    const isWide = this.#positions[count]! >= U32_LIMIT
    const flags = (isWide ? WIDE_POSITIONS : 0) | (this.#isCompressed ? HAS_RAW_BYTES : 0)
    const bytes = Buffer.alloc(sectionBytes(count, flags))
    writeU32(bytes, 0, count)
    let at = writeU32(bytes, U32_BYTES, flags)
    if (isWide) at = writeF64Column(bytes, at, this.#positions, count + 1)
    else at = writeU32Column(bytes, at, this.#positions, count + 1)
    at = writeU32Column(bytes, at, this.#firstOrdinals, count + 1)
    if (this.#isCompressed) writeU32Column(bytes, at, this.#rawBytes, count)
    return bytes
  }

  #grow(): void {
    const capacity = this.#positions.length * 2
    const positions = new Float64Array(capacity)
    positions.set(this.#positions)
    this.#positions = positions
    const firstOrdinals = new Int32Array(capacity)
    firstOrdinals.set(this.#firstOrdinals)
    this.#firstOrdinals = firstOrdinals
    const rawBytes = new Int32Array(capacity)
    rawBytes.set(this.#rawBytes)
    this.#rawBytes = rawBytes
  }
}

function sectionBytes(blocks: number, flags: number): number {
  const positionBytes = (flags & WIDE_POSITIONS) !== 0 ? F64_BYTES : U32_BYTES
  const rawBytes = (flags & HAS_RAW_BYTES) !== 0 ? U32_BYTES * blocks : 0
  return HEAD_BYTES + (blocks + 1) * (positionBytes + U32_BYTES) + rawBytes
}

/** Where the columns of an index stand in the file. */
export interface IndexLayout {
  readonly positionsAt: number
  readonly positionBytes: 4 | 8
  /** Undefined when every block is stored as it is. */
  readonly rawBytesAt: number | undefined
}

/** From the first eight bytes of a section that was not read; undefined where it has no known form. */
export function indexLayout(
  head: Uint8Array,
  blocks: number,
  section: { readonly position: number; readonly length: number },
): IndexLayout | undefined {
  const flags = readU32(head, U32_BYTES)
  const isKnown = readU32(head, 0) === blocks && flags <= (WIDE_POSITIONS | HAS_RAW_BYTES)
  // Behind the section stands its checksum.
  if (!isKnown || section.length !== sectionBytes(blocks, flags) + U32_BYTES) return undefined
  const positionBytes = (flags & WIDE_POSITIONS) !== 0 ? F64_BYTES : U32_BYTES
  const positionsAt = section.position + HEAD_BYTES
  const ordinalsAt = positionsAt + (blocks + 1) * positionBytes
  const hasRawBytes = (flags & HAS_RAW_BYTES) !== 0
  const rawBytesAt = hasRawBytes ? ordinalsAt + (blocks + 1) * U32_BYTES : undefined
  return { positionsAt, positionBytes, rawBytesAt }
}

/** What the footer, already checked, says about the blocks; the index must fit it. */
export interface BlockIndexBounds {
  readonly blocks: number
  readonly entries: number
  /** Bytes of all blocks in the file. */
  readonly dataBytes: number
  readonly largestBlockBytes: number
}

/** Says what is wrong and where, counted from the section's start. */
export type SectionFailure = (reason: string, at: number) => never

export class BlockIndex {
  readonly count: number
  /** Block i is [positions[i], positions[i + 1]) of the file, trailer included. See `check`. */
  readonly positions: Uint32Array | Float64Array
  /** Ordinal of each block's first entry; one more at the end: the number of entries. */
  readonly firstOrdinals: Int32Array
  /** Empty when every block is stored as it is. */
  readonly #rawBytes: Int32Array
  readonly #bounds: BlockIndexBounds
  readonly #fail: SectionFailure
  /** Bytes that the index holds in memory. */
  readonly residentBytes: number

  /** `section` as `BlockIndexBuilder.finish` made it, kept; undefined: a segment without blocks has none. */
  constructor(section: Uint8Array | undefined, bounds: BlockIndexBounds, fail: SectionFailure) {
    const { blocks, dataBytes, entries } = bounds
    this.count = blocks
    this.#bounds = bounds
    this.#fail = fail
    this.residentBytes = section?.length ?? 0
    if (section === undefined) {
      if (blocks !== 0) fail('there are blocks and no index', 0)
      this.positions = new Uint32Array(1)
      this.firstOrdinals = new Int32Array(1)
      this.#rawBytes = new Int32Array(0)
    } else {
      if (section.length < HEAD_BYTES) fail('the block index is too short', 0)
      const flags = readU32(section, U32_BYTES)
      if (readU32(section, 0) !== blocks) fail('the index has another number of blocks', 0)
      if (flags > (WIDE_POSITIONS | HAS_RAW_BYTES)) fail('the index has no known form', U32_BYTES)
      if (section.length !== sectionBytes(blocks, flags)) fail('the index has another size', 0)
      const isWide = (flags & WIDE_POSITIONS) !== 0
      const ordinalsAt = HEAD_BYTES + (blocks + 1) * (isWide ? F64_BYTES : U32_BYTES)
      this.positions = isWide
        ? f64Column(section, HEAD_BYTES, blocks + 1)
        : u32Column(section, HEAD_BYTES, blocks + 1)
      this.firstOrdinals = i32Column(section, ordinalsAt, blocks + 1)
      const rawBytesAt = ordinalsAt + (blocks + 1) * U32_BYTES
      this.#rawBytes = i32Column(section, rawBytesAt, (flags & HAS_RAW_BYTES) !== 0 ? blocks : 0)
    }
    const { positions, firstOrdinals } = this
    if (positions[0] !== 0 || positions[blocks] !== dataBytes) {
      fail('blocks do not fill the data', HEAD_BYTES)
    }
    if (firstOrdinals[0] !== 0 || firstOrdinals[blocks] !== entries) {
      fail('blocks do not hold all entries', HEAD_BYTES)
    }
  }

  /** No block has more bytes when decompressed, without trailer. */
  get largestBlockBytes(): number {
    return this.#bounds.largestBlockBytes
  }

  /** Bytes of the block in the file, trailer included. */
  storedBytes(block: number): number {
    return this.positions[block + 1]! - this.positions[block]!
  }

  /** Bytes of the block when decompressed, without trailer. */
  rawBytes(block: number): number {
    const column = this.#rawBytes
    if (column.length !== 0) return column[block]!
    return this.positions[block + 1]! - this.positions[block]! - BLOCK_TRAILER_BYTES
  }

  /**
   * What the index says about the block is possible: it lies inside the data, and neither its size nor its number of entries is
   * more than what the footer allows. To be asked before a block is read; whoever has read it found that it fits.
   */
  check(block: number): void {
    const { positions, firstOrdinals } = this
    const { dataBytes, entries, largestBlockBytes } = this.#bounds
    const end = positions[block + 1]!
    const storedBytes = end - positions[block]!
    const rawBytes = this.rawBytes(block)
    const firstOrdinal = firstOrdinals[block]!
    const endOrdinal = firstOrdinals[block + 1]!
    const count = endOrdinal - firstOrdinal
    // Written so that what is no number is refused too.
    const isPossible =
      storedBytes > BLOCK_TRAILER_BYTES &&
      end <= dataBytes &&
      firstOrdinal >= 0 &&
      endOrdinal <= entries &&
      count > 0 &&
      rawBytes <= largestBlockBytes &&
      rawBytes >= count * ENTRY_BYTES_MIN + BLOCK_FOOT_BYTES &&
      rawBytes <= storedBytes * COMPRESSION_RATIO_MAX
    if (!isPossible) {
      this.#fail(
        `block ${block} cannot have ${count} entries, ${storedBytes} bytes and ${rawBytes} when decompressed`,
        HEAD_BYTES,
      )
    }
  }

  /** The same of all blocks. */
  checkAll(): void {
    for (let block = 0; block < this.count; block++) this.check(block)
  }

  /** The block that holds entry `ordinal`, searched for from block `from` on. */
  blockOfOrdinal(ordinal: number, from: number): number {
    const firsts = this.firstOrdinals
    // Gallop: gathers ask in ascending order, and the answer is mostly near.
    let step = 1
    let low = from
    while (low + step < this.count && firsts[low + step]! <= ordinal) {
      low += step
      step *= 2
    }
    let high = Math.min(low + step, this.count)
    while (low + 1 < high) {
      const middle = (low + high) >>> 1
      if (firsts[middle]! <= ordinal) low = middle
      else high = middle
    }
    return low
  }

  /** The same for ordinals in any order: blocks have about as many entries each, so the search begins near its end. */
  blockOf(ordinal: number): number {
    const firsts = this.firstOrdinals
    const { count } = this
    let from = Math.floor((ordinal / firsts[count]!) * count)
    for (let step = 1; firsts[from]! > ordinal; step *= 2) from = Math.max(0, from - step)
    return this.blockOfOrdinal(ordinal, from)
  }
}
