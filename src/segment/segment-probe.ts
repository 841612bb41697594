/**
 * Finds a key in a large segment that is not open, by a few small reads: two heads once, then for each lookup some rows of
 * separators and block index, and one block. Where they are the manifest tells; the footer is read when it does not.
 *
 * Opening reads 2 % of the file, which a process that has just begun, and asks a segment for a key or two, never earns back
 * (measured, 55 MiB: 0.8 ms to open, 0.05 to probe). So the first lookups probe, and who asks more often opens.
 *
 * Invariant: rows that were read one by one were held against no checksum, so nothing is believed of them but where to look. The
 * block is held against its own, and answers only where it proves the answer by itself: entries before and behind the place
 * of the key are in it, so that no other block can hold the key, or a newer version. Anything else is left to the open segment,
 * which also finds out where manifest and footer disagree.
 */
import { readU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { blockProblem } from '../block/block-check.ts'
import {
  blockCount,
  BLOCK_FOOT_BYTES,
  BLOCK_TRAILER_BYTES,
  ENTRY_BYTES_MIN,
} from '../block/block-format.ts'
import { findInBlock, type FoundEntry, lowerBound } from '../block/block-search.ts'
import { CODEC_NONE, COMPRESSION_RATIO_MAX, decompress } from '../block/codec.ts'
import type { KeyHash } from '../block/key-hash.ts'
import { readFullySync } from '../block/read-fully.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { type IndexLayout, indexLayout } from './block-index.ts'
import { openFooterAtOnce } from './opened-segment.ts'
import type { SegmentLayout, SegmentMeta } from './segment-meta.ts'
import {
  SEPARATORS_HEAD_BYTES,
  type SeparatorsLayout,
  separatorsLayout,
  wordAt,
} from './separators.ts'

/** Below so many a segment is opened as quickly. */
export const PROBED_BLOCKS_MIN = 1024
/** Opening costs one probe for so many blocks, about. */
const BLOCKS_PER_PROBE = 256
/** Rows that are read together at the end of a search: each step less to that spares a read, and 8 KiB are read as fast as four bytes. */
const WINDOW_ROWS = 2048
const INDEX_HEAD_BYTES = 8
/** What is no further apart is read together. */
const NEAR_BYTES = 4096

/** What a probe answers: the entry is there, no version that the snapshot sees is, or the open segment has to be asked. */
export type Probed = 'found' | 'absent' | 'unsure'

export class SegmentProbe {
  /** So many lookups cost what opening the segment does. */
  readonly probesMax: number
  readonly #file: ReadableFile
  readonly #layout: SegmentLayout
  /** What block checksums are seeded with. */
  readonly #seed: number
  readonly #index: IndexLayout
  readonly #separators: SeparatorsLayout
  readonly #prefix: Uint8Array
  readonly #rows: Buffer = Buffer.allocUnsafeSlow(4 * WINDOW_ROWS)

  /** Undefined where a segment cannot be probed, or is opened as quickly. Reads on the calling thread. */
  static open(
    file: ReadableFile,
    meta: SegmentMeta,
    blocksMin: number = PROBED_BLOCKS_MIN,
  ): SegmentProbe | undefined {
    if (meta.order !== 'key' || meta.rangeFragments > 0) return undefined
    const layout = meta.layout ?? openFooterAtOnce(file, meta)?.meta.layout
    if (layout === undefined || layout.blocks < Math.max(2, blocksMin)) return undefined
    const { blocks, separatorBytes, indexBytes } = layout
    const indexAt = meta.bytes - layout.footerBytes - indexBytes
    const separatorsPlace = { position: indexAt - separatorBytes, length: separatorBytes }
    const head = Buffer.allocUnsafe(SEPARATORS_HEAD_BYTES)
    readFullySync(file, head, 0, head.length, separatorsPlace.position)
    const separators = separatorsLayout(head, blocks, separatorsPlace)
    if (separators === undefined) return undefined
    // The prefix stands at the end of its section, and mostly right before the index.
    const { prefixAt, prefixBytes } = separators
    const apart = indexAt - prefixAt
    const isNear = apart <= NEAR_BYTES
    const rest = Buffer.allocUnsafe((isNear ? apart : prefixBytes) + INDEX_HEAD_BYTES)
    if (isNear) {
      readFullySync(file, rest, 0, rest.length, prefixAt)
    } else {
      readFullySync(file, rest, 0, prefixBytes, prefixAt)
      readFullySync(file, rest, prefixBytes, INDEX_HEAD_BYTES, indexAt)
    }
    const indexPlace = { position: indexAt, length: indexBytes }
    const index = indexLayout(rest.subarray(-INDEX_HEAD_BYTES), blocks, indexPlace)
    if (index === undefined) return undefined
    const prefix = rest.subarray(0, prefixBytes)
    return new SegmentProbe(file, meta.number, layout, { index, separators, prefix })
  }

  private constructor(
    file: ReadableFile,
    number: number,
    layout: SegmentLayout,
    heads: {
      readonly index: IndexLayout
      readonly separators: SeparatorsLayout
      readonly prefix: Uint8Array
    },
  ) {
    this.#file = file
    this.#seed = number % 4294967296
    this.#layout = layout
    this.#index = heads.index
    this.#separators = heads.separators
    this.#prefix = heads.prefix
    this.probesMax = Math.ceil(layout.blocks / BLOCKS_PER_PROBE)
  }

  /** As SegmentReader.find, in `result` when it is found. Reads on the calling thread. */
  find(
    key: Uint8Array,
    start: number,
    end: number,
    hash: KeyHash,
    snapshot: number,
    result: FoundEntry,
  ): Probed {
    const block = this.#locate(key, start, end)
    if (block < 0) return 'unsure'
    const content = this.#readBlock(block)
    if (content === undefined) return 'unsure'
    const { bytes, length, count } = content
    const slot = lowerBound(bytes, 0, length, key, start, end)
    const last = this.#layout.blocks - 1
    const isInside = (slot > 0 || block === 0) && (slot < count || block === last)
    if (!isInside) return 'unsure'
    const tag = hash.low & 0xff
    if (findInBlock(bytes, 0, length, count, key, start, end, tag, snapshot, result)) return 'found'
    if (block === last) return 'absent'
    // Older versions may go on in the next block.
    const behind = Buffer.alloc(end - start + 1)
    behind.set(key.subarray(start, end))
    return lowerBound(bytes, 0, length, behind, 0, behind.length) < count ? 'absent' : 'unsure'
  }

  /** The block in which the key should be; -1 where eight bytes behind the prefix do not tell. */
  #locate(key: Uint8Array, start: number, end: number): number {
    const prefix = this.#prefix
    const last = this.#layout.blocks - 1
    const limit = Math.min(end - start, prefix.length)
    for (let i = 0; i < limit; i++) {
      const difference = key[start + i]! - prefix[i]!
      if (difference !== 0) return difference < 0 ? 0 : last
    }
    if (limit < prefix.length) return 0
    const at = start + prefix.length
    const high = wordAt(key, at, end)
    const low = wordAt(key, at + 4, end)
    const { highAt, lowAt } = this.#separators
    const row = this.#rows
    // The answer is in [from, to].
    let from = 0
    let to = last
    while (to - from >= WINDOW_ROWS) {
      const middle = (from + to + 1) >>> 1
      this.#read(row, 4, highAt + 4 * middle)
      const middleHigh = readU32(row, 0) | 0
      // Where the word is the same, both halves may hold it.
      if (middleHigh === high) return this.#locateByBoth(high, low, from, to)
      if (middleHigh < high) from = middle
      else to = middle - 1
    }
    return this.#locateInWindow(high, low, from, to, { highAt, lowAt })
  }

  /** The same, where many separators share a word: both of each are read. */
  #locateByBoth(high: number, low: number, first: number, last: number): number {
    const { highAt, lowAt } = this.#separators
    const row = this.#rows
    let from = first
    let to = last
    while (to - from >= WINDOW_ROWS) {
      const middle = (from + to + 1) >>> 1
      this.#read(row, 4, highAt + 4 * middle)
      const middleHigh = readU32(row, 0) | 0
      this.#read(row, 4, lowAt + 4 * middle)
      const middleLow = readU32(row, 0) | 0
      if (middleHigh === high && middleLow === low) return -1
      if (middleHigh < high || (middleHigh === high && middleLow < low)) from = middle
      else to = middle - 1
    }
    return this.#locateInWindow(high, low, from, to, { highAt, lowAt })
  }

  /** The last of [from, to] whose separator is not behind the key: what stands before `from` is not, what stands behind `to` is. */
  #locateInWindow(
    high: number,
    low: number,
    from: number,
    to: number,
    { highAt, lowAt }: { readonly highAt: number; readonly lowAt: number },
  ): number {
    // The first row need not be looked at.
    const rows = to - from
    if (rows === 0) return from
    const window = this.#rows
    this.#read(window, 4 * rows, highAt + 4 * (from + 1))
    const smaller = countBelow(window, rows, high)
    const same = countBelow(window, rows, high + 1) - smaller
    if (same === 0) return from + smaller
    this.#read(window, 4 * same, lowAt + 4 * (from + 1 + smaller))
    const below = countBelow(window, same, low)
    if (below < same && (readU32(window, 4 * below) | 0) === low) return -1
    return from + smaller + below
  }

  /** The block, held against its checksum and good in itself; undefined where something does not fit. */
  #readBlock(block: number): { bytes: Uint8Array; length: number; count: number } | undefined {
    const { positionsAt, positionBytes, rawBytesAt } = this.#index
    const { dataBytes, largestBlockBytes } = this.#layout
    const row = this.#rows
    this.#read(row, 2 * positionBytes, positionsAt + positionBytes * block)
    const isWide = positionBytes === 8
    const position = isWide ? row.readDoubleLE(0) : readU32(row, 0)
    const storedBytes = (isWide ? row.readDoubleLE(8) : readU32(row, 4)) - position
    if (rawBytesAt !== undefined) this.#read(row, 4, rawBytesAt + 4 * block)
    const rawBytes = rawBytesAt === undefined ? storedBytes - BLOCK_TRAILER_BYTES : readU32(row, 0)
    // Written so that what is no number is refused too.
    const isPossible =
      Number.isInteger(position) &&
      Number.isInteger(storedBytes) &&
      position >= 0 &&
      storedBytes > BLOCK_TRAILER_BYTES &&
      position + storedBytes <= dataBytes &&
      rawBytes <= largestBlockBytes &&
      rawBytes >= ENTRY_BYTES_MIN + BLOCK_FOOT_BYTES &&
      rawBytes <= storedBytes * COMPRESSION_RATIO_MAX
    if (!isPossible) return undefined
    const stored = Buffer.allocUnsafe(storedBytes)
    readFullySync(this.#file, stored, 0, storedBytes, position)
    const checksumAt = storedBytes - 4
    if (checksum(stored, 0, checksumAt, this.#seed) !== readU32(stored, checksumAt))
      return undefined
    const bytes = unpack(stored, rawBytes)
    if (bytes === undefined) return undefined
    const count = blockCount(bytes, rawBytes)
    if (count === 0 || blockProblem(bytes, 0, rawBytes, count) !== undefined) return undefined
    return { bytes, length: rawBytes, count }
  }

  #read(target: Buffer, length: number, position: number): void {
    readFullySync(this.#file, target, 0, length, position)
  }
}

function unpack(stored: Buffer, rawBytes: number): Uint8Array | undefined {
  const end = stored.length - BLOCK_TRAILER_BYTES
  const codec = stored[end]!
  if (codec === CODEC_NONE) return end === rawBytes ? stored : undefined
  const raw = Buffer.allocUnsafe(rawBytes)
  return decompress(codec, stored, 0, end, raw, 0, rawBytes) ? raw : undefined
}

/** How many of the first `rows` words are smaller. They ascend. */
function countBelow(window: Uint8Array, rows: number, word: number): number {
  let low = 0
  let high = rows
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((readU32(window, 4 * middle) | 0) < word) low = middle + 1
    else high = middle
  }
  return low
}
