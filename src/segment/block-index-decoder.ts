/**
 * From the bytes of a block index (block-index.ts) to its columns; every length is checked before it is used.
 */
import { compareBytes, copyBytes } from '../base/bytes.ts'
import { KEY_BYTES_MAX } from '../base/entry-kind.ts'
import type { ByteReader } from '../base/varint.ts'
import { BLOCK_FOOT_BYTES, BLOCK_TRAILER_BYTES, ENTRY_BYTES_MIN } from '../block/block-format.ts'
import { COMPRESSION_RATIO_MAX } from '../block/codec.ts'

/** A separator that stands before every version of its key. */
export const ALL_VERSIONS: number = Number.POSITIVE_INFINITY

/** What the footer, already checked, says about the blocks; the index must fit it. */
export interface BlockIndexBounds {
  readonly byKey: boolean
  readonly blocks: number
  readonly entries: number
  /** Bytes of all blocks in the file. */
  readonly dataBytes: number
  readonly largestBlockBytes: number
}

/** Up to here a loop copies faster than a native call. */
const SHORT_BYTES = 64
/** More than the numbers before a separator take when none has more than two bytes. */
const PLAIN_BYTES = 16

/**
 * Decodes the index a slice at a time. A store is opened by code that nothing has compiled yet: a function that is called again
 * and again is compiled after a few slices, while one long loop was interpreted to its end, segment after segment, by the time
 * its compiled form was there (measured: 17,000 blocks in 20 ms, and in 1 when compiled).
 */
export class BlockIndexDecoder {
  readonly positions: Float64Array
  readonly rawBytes: Int32Array
  readonly firstOrdinals: Int32Array
  readonly starts: Int32Array
  separators: Uint8Array
  seqnos: Float64Array | undefined = undefined
  /** Where the next block begins, */
  position = 0
  /** with which entry, */
  ordinal = 0
  /** and where its separator goes. */
  end = 0
  #block = 0
  readonly #reader: ByteReader
  readonly #bounds: BlockIndexBounds

  constructor(reader: ByteReader, bounds: BlockIndexBounds) {
    this.#reader = reader
    this.#bounds = bounds
    const { blocks, byKey } = bounds
    this.positions = new Float64Array(blocks + 1)
    this.rawBytes = new Int32Array(blocks)
    this.firstOrdinals = new Int32Array(blocks + 1)
    this.starts = new Int32Array(blocks + 1)
    this.separators = new Uint8Array(byKey ? Math.max(256, 2 * reader.remaining) : 0)
  }

  /** Decodes the blocks before `to` that were not decoded yet. */
  decode(to: number): void {
    const reader = this.#reader
    const bounds = this.#bounds
    const { positions, firstOrdinals, rawBytes: raw, starts } = this
    let { separators, seqnos, position, ordinal, end } = this
    // Most numbers have one or two bytes and are read right here, where none can be cut off.
    const { bytes, end: bytesEnd } = reader
    const plainEnd = bytesEnd - PLAIN_BYTES
    for (let i = this.#block; i < to; i++) {
      let at = reader.position
      let storedBytes = 0
      let rawBytes = 0
      let entries = 0
      if (at <= plainEnd) {
        storedBytes = bytes[at++]!
        if (storedBytes > 0x7f) storedBytes += (bytes[at++]! << 7) - 0x80
        rawBytes = bytes[at++]!
        if (rawBytes > 0x7f) rawBytes += (bytes[at++]! << 7) - 0x80
        entries = bytes[at++]!
        if (entries > 0x7f) entries += (bytes[at++]! << 7) - 0x80
      }
      // Not so: a third byte follows, or the end is near.
      if (at > plainEnd || (storedBytes | rawBytes | entries) > 0x3fff) {
        storedBytes = reader.varint()
        rawBytes = reader.varint()
        entries = reader.varint()
        at = reader.position
      } else {
        reader.position = at
      }
      if (storedBytes > bounds.dataBytes - position)
        beyond(reader, storedBytes, bounds.dataBytes - position, 'bytes of a block')
      if (rawBytes > bounds.largestBlockBytes)
        beyond(reader, rawBytes, bounds.largestBlockBytes, 'decompressed bytes of a block')
      if (entries > bounds.entries - ordinal)
        beyond(reader, entries, bounds.entries - ordinal, 'entries of a block')
      if (storedBytes <= BLOCK_TRAILER_BYTES) reader.fail('a block has no bytes')
      if (entries === 0 || rawBytes < entries * ENTRY_BYTES_MIN + BLOCK_FOOT_BYTES) {
        reader.fail('a block is too small for its entries')
      }
      if (rawBytes > storedBytes * COMPRESSION_RATIO_MAX) {
        reader.fail(`${storedBytes} bytes of a block cannot become ${rawBytes}`)
      }
      position += storedBytes
      ordinal += entries
      positions[i + 1] = position
      raw[i] = rawBytes
      firstOrdinals[i + 1] = ordinal
      starts[i] = end
      if (!bounds.byKey || i === 0) continue
      const before = starts[i - 1]!
      let shared = 0
      let coded = 0
      if (at <= plainEnd) {
        shared = bytes[at]!
        coded = bytes[at + 1]!
      }
      if (at > plainEnd || (shared | coded) > 0x7f) {
        shared = reader.varint()
        coded = reader.varint()
        at = reader.position
      } else {
        at += 2
        reader.position = at
      }
      if (shared > end - before) beyond(reader, shared, end - before, 'shared bytes of a separator')
      if (coded > 2 * KEY_BYTES_MAX + 1)
        beyond(reader, coded, 2 * KEY_BYTES_MAX + 1, 'length of a separator')
      const rest = (coded - (coded % 2)) / 2
      const length = shared + rest
      // The block itself begins with a key at least as long: so all separators together are smaller than the data.
      if (length > KEY_BYTES_MAX || length > rawBytes) reader.fail('a separator is too long')
      if (rest > bytesEnd - at) reader.fail('a separator is cut off')
      if (end + length > separators.length) {
        const grown = new Uint8Array(Math.max(separators.length * 2, end + length))
        grown.set(separators)
        separators = grown
      }
      // Byte by byte where it is short, which is the rule: a view for each block cost half of opening a segment.
      if (shared > SHORT_BYTES) separators.copyWithin(end, before, before + shared)
      else for (let k = 0; k < shared; k++) separators[end + k] = separators[before + k]!
      if (rest > SHORT_BYTES) copyBytes(separators, end + shared, bytes, at, at + rest)
      else for (let k = 0; k < rest; k++) separators[end + shared + k] = bytes[at + k]!
      reader.position = at + rest
      const continuedBelow = coded % 2 === 1 ? reader.varint() : ALL_VERSIONS
      // The first byte that is not shared decides, as a rule; looked at whole where it does not.
      const isAbove =
        rest > 0 &&
        (shared === end - before || separators[end + shared]! > separators[before + shared]!)
      const order =
        isAbove || i === 1
          ? 1
          : compareBytes(separators, end, end + length, separators, before, end)
      if (continuedBelow !== ALL_VERSIONS && seqnos === undefined) {
        seqnos = new Float64Array(bounds.blocks).fill(ALL_VERSIONS)
      }
      if (seqnos !== undefined) seqnos[i] = continuedBelow
      if (order < 0 || (order === 0 && !(continuedBelow < (seqnos?.[i - 1] ?? ALL_VERSIONS)))) {
        reader.fail('separators are not ascending')
      }
      end += length
    }
    this.#block = to
    this.separators = separators
    this.seqnos = seqnos
    this.position = position
    this.ordinal = ordinal
    this.end = end
  }
}

function beyond(reader: ByteReader, value: number, max: number, what: string): never {
  return reader.fail(`${what} is ${value}, at most ${max} is possible`)
}
