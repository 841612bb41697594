/**
 * Which block holds a key, and where each block is.
 *
 * ```
 *   varint  number of blocks
 *   each:   varint bytes in the file, trailer included; blocks follow one another from the file's start
 *           varint bytes of the block when decompressed
 *           varint entries
 *           in key order only, and not for the first block:
 *             varint  bytes shared with the separator before
 *             varint  2 x length of the rest + 1 when the block continues the versions of a key
 *             rest of the separator
 *             varint  seqno, when it continues
 * ```
 *
 * The separator before a block is the shortest key above the last of the block before and not above its own first one. When
 * both are the same key, it is that key with the seqno below the last version of the block before: so a lookup of (key,
 * snapshot) finds the one block in which its answer begins, however many blocks the versions of a key fill.
 *
 * In memory: typed arrays, no object per block. The binary search compares two 32-bit words taken after the prefix that all
 * separators share, and looks at whole separators only when both are equal. About 40 bytes a block.
 */
import { compareBytes, EMPTY_BYTES } from '../base/bytes.ts'
import { type ByteReader, ByteWriter, VARINT_BYTES_MAX } from '../base/varint.ts'
import { ALL_VERSIONS, type BlockIndexBounds, BlockIndexDecoder } from './block-index-decoder.ts'

/** Writes the index while blocks are finished. */
export class BlockIndexBuilder {
  readonly #byKey: boolean
  readonly #writer: ByteWriter = new ByteWriter(4096)
  #previous: Uint8Array = EMPTY_BYTES
  count = 0
  largestBlockBytes = 0

  constructor(options: { byKey: boolean }) {
    this.#byKey = options.byKey
  }

  /** Size of the index so far. */
  get bytes(): number {
    return this.#writer.length
  }

  /**
   * `separator` as described above (kept), undefined for the first block; `continuedBelow`: the seqno, where the block
   * continues a key.
   */
  add(
    block: { storedBytes: number; rawBytes: number; entries: number },
    separator: Uint8Array | undefined,
    continuedBelow: number | undefined,
  ): void {
    const writer = this.#writer
    writer.varint(block.storedBytes).varint(block.rawBytes).varint(block.entries)
    if (this.#byKey && separator !== undefined) {
      const previous = this.#previous
      const limit = Math.min(previous.length, separator.length)
      let shared = 0
      while (shared < limit && previous[shared] === separator[shared]) shared++
      const continues = continuedBelow === undefined ? 0 : 1
      writer.varint(shared).varint(2 * (separator.length - shared) + continues)
      writer.raw(separator.subarray(shared))
      if (continuedBelow !== undefined) writer.varint(continuedBelow)
      this.#previous = separator
    }
    this.count++
    if (block.rawBytes > this.largestBlockBytes) this.largestBlockBytes = block.rawBytes
  }

  finish(): Buffer {
    const head = new ByteWriter(VARINT_BYTES_MAX).varint(this.count)
    return Buffer.concat([head.bytes(), this.#writer.bytes()])
  }
}

const NO_WORDS = new Int32Array(0)
/** So many blocks are decoded by one call. */
const SLICE_BLOCKS = 64

export class BlockIndex {
  readonly count: number
  /** Whether keys can be located at all: not in history in seqno order. */
  readonly isByKey: boolean
  /** Block i is [positions[i], positions[i + 1]) of the file, trailer included. */
  readonly positions: Float64Array
  /** Bytes of each block when decompressed, without trailer. */
  readonly rawBytes: Int32Array
  /** Ordinal of each block's first entry; one more at the end: the number of entries. */
  readonly firstOrdinals: Int32Array
  readonly #separators: Uint8Array
  /** Separator i (from 1) is separators[starts[i], starts[i + 1]). */
  readonly #starts: Int32Array
  /** Seqnos of the separators; undefined when no block continues another, which is the rule. */
  readonly #seqnos: Float64Array | undefined
  /** Bytes that all separators share, and the eight behind them as two signed words that compare like the bytes. */
  readonly #prefixBytes: number
  /** Undefined until the first key is located: a scan of changes opens a segment and never asks for one. */
  #high: Int32Array | undefined
  #low: Int32Array = NO_WORDS

  /** Decodes what `BlockIndexBuilder.finish` made. The reader's `fail` names file and offset. */
  constructor(reader: ByteReader, bounds: BlockIndexBounds) {
    const count = reader.bounded(bounds.blocks, 'number of blocks')
    if (count !== bounds.blocks)
      reader.fail(`${count} blocks are in the index, not ${bounds.blocks}`)
    this.count = count
    this.isByKey = bounds.byKey
    const decoder = new BlockIndexDecoder(reader, bounds)
    for (let to = 0; to < count; ) {
      to = Math.min(count, to + SLICE_BLOCKS)
      decoder.decode(to)
    }
    if (decoder.position !== bounds.dataBytes) reader.fail('blocks do not fill the data')
    if (decoder.ordinal !== bounds.entries) reader.fail('blocks do not hold all entries')
    if (reader.remaining > 0) reader.fail('bytes are left behind the last block')
    const { end, separators } = decoder
    this.positions = decoder.positions
    this.rawBytes = decoder.rawBytes
    this.firstOrdinals = decoder.firstOrdinals
    this.#starts = decoder.starts
    this.#starts[count] = end
    this.#separators = separators.length > 2 * end ? separators.slice(0, end) : separators
    this.#seqnos = decoder.seqnos
    this.#prefixBytes = bounds.byKey ? this.#sharedPrefix() : 0
  }

  #makeWords(): Int32Array {
    const separators = this.#separators
    const starts = this.#starts
    const prefixBytes = this.#prefixBytes
    const high = new Int32Array(this.count)
    const low = new Int32Array(this.count)
    for (let i = 1; i < this.count; i++) {
      const at = starts[i]! + prefixBytes
      const end = starts[i + 1]!
      high[i] = wordAt(separators, at, end)
      low[i] = wordAt(separators, at + 4, end)
    }
    this.#low = low
    this.#high = high
    return high
  }

  /** Bytes of block i in the file, trailer included. */
  storedBytes(block: number): number {
    return this.positions[block + 1]! - this.positions[block]!
  }

  /** Bytes that the index holds in memory. */
  get residentBytes(): number {
    return (
      this.count * 32 + this.#separators.length + (this.#seqnos === undefined ? 0 : this.count * 8)
    )
  }

  /**
   * The block in which the entries (key, seqno) and after begin: the first entry that is not before (key, seqno) is in it,
   * or is the first one of the next. Use Infinity for the very first version of the key.
   */
  locate(key: Uint8Array, keyStart: number, keyEnd: number, seqno: number): number {
    let low = 0
    let high = this.count - 1
    if (high === 0) return 0
    const separators = this.#separators
    const starts = this.#starts
    const prefixBytes = this.#prefixBytes
    if (prefixBytes > 0) {
      const prefixAt = starts[1]!
      const limit = keyEnd - keyStart < prefixBytes ? keyEnd - keyStart : prefixBytes
      for (let i = 0; i < limit; i++) {
        const difference = key[keyStart + i]! - separators[prefixAt + i]!
        if (difference !== 0) return difference < 0 ? 0 : high
      }
      if (limit < prefixBytes) return 0
    }
    const at = keyStart + prefixBytes
    const wantedHigh = wordAt(key, at, keyEnd)
    const wantedLow = wordAt(key, at + 4, keyEnd)
    const highs = this.#high ?? this.#makeWords()
    const lows = this.#low
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      const middleHigh = highs[middle]!
      let isAtOrBelow: boolean
      if (middleHigh !== wantedHigh) {
        isAtOrBelow = middleHigh < wantedHigh
      } else if (lows[middle]! !== wantedLow) {
        isAtOrBelow = lows[middle]! < wantedLow
      } else {
        const start = starts[middle]!
        const order = compareBytes(separators, start, starts[middle + 1]!, key, keyStart, keyEnd)
        isAtOrBelow =
          order < 0 ||
          (order === 0 && (this.#seqnos === undefined || this.#seqnos[middle]! >= seqno))
      }
      if (isAtOrBelow) low = middle
      else high = middle - 1
    }
    return low
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

  /** Separator before block `i` (from 1), for verifying and dumping. */
  separator(i: number): { key: Uint8Array; continuedBelow: number | undefined } {
    const seqno = this.#seqnos?.[i] ?? ALL_VERSIONS
    return {
      key: this.#separators.subarray(this.#starts[i]!, this.#starts[i + 1]!),
      continuedBelow: seqno === ALL_VERSIONS ? undefined : seqno,
    }
  }

  #sharedPrefix(): number {
    if (this.count < 2) return 0
    // They are sorted: what the first and the last share, all share.
    const first = this.#starts[1]!
    const last = this.#starts[this.count - 1]!
    const limit = this.#starts[2]! - first
    const lastBytes = this.#starts[this.count]! - last
    let shared = 0
    while (
      shared < limit &&
      shared < lastBytes &&
      this.#separators[first + shared] === this.#separators[last + shared]
    ) {
      shared++
    }
    return shared
  }
}

/** Four bytes from `at`, zero behind `end`, as a signed integer that compares like the unsigned bytes. */
function wordAt(bytes: Uint8Array, at: number, end: number): number {
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
