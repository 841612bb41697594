/**
 * From bytes as they stand in the file to a block that may be trusted: checksum, codec, decompression, structure.
 */
import { readU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { ChecksumRun } from '../base/checksum-run.ts'
import { corruption } from '../base/errors.ts'
import { blockProblem } from '../block/block-check.ts'
import { BLOCK_TRAILER_BYTES } from '../block/block-format.ts'
import { CODEC_NONE, decompress } from '../block/codec.ts'
import { Fingerprint, fingerprint } from './block-fingerprint.ts'
import type { BlockIndex } from './block-index.ts'
import { CODEC_LOG, expandLogBlock, type LogBlockWalk } from './log-block.ts'

/** A run of larger blocks is not summed as one: what its calls cost is little beside the bytes. */
const RUN_BLOCK_BYTES_MAX = 2 ** 14
/** Nor are few blocks: what a run prepares for each of their sizes takes longer than it spares. 64 of 4 KiB: 310 us and not 100. */
export const RUN_BLOCKS_MIN = 256
/** What one call more costs, in bytes that it could sum instead. */
const CALL_BYTES = 1500

export class BlockSource {
  readonly index: BlockIndex
  readonly #path: string
  readonly #seed: number
  /**
   * Blocks whose structure was found good. With the same checksum they are the same bytes, so a block that is read again is
   * only held against its checksum: 1 us, and not 0.3 us more.
   */
  readonly #isSound: Uint8Array
  /** Two words a block; undefined before the first lookup or short range that reads one. */
  #fingerprints: Int32Array | undefined = undefined
  readonly #found: Fingerprint = new Fingerprint()
  /** Undefined when blocks are too large or too few for it to be worth anything. */
  readonly #run: ChecksumRun | undefined

  constructor(index: BlockIndex, file: { path: string; number: number }) {
    this.index = index
    this.#path = file.path
    this.#seed = file.number % 4294967296
    this.#isSound = new Uint8Array(index.count)
    const bytesMax = index.largestBlockBytes + BLOCK_TRAILER_BYTES
    this.#run =
      bytesMax > RUN_BLOCK_BYTES_MAX || index.count < RUN_BLOCKS_MIN
        ? undefined
        : new ChecksumRun({ seed: this.#seed, bytesMax })
  }

  /** Bytes held in memory, beside the index. */
  get residentBytes(): number {
    return this.#isSound.byteLength + (this.#fingerprints?.byteLength ?? 0)
  }

  /** Whether the block stands in the file as it is; then its stored bytes without the trailer are the block. */
  isPlain(block: number): boolean {
    return this.index.storedBytes(block) === this.index.rawBytes(block) + BLOCK_TRAILER_BYTES
  }

  /**
   * Whether the checksums of all blocks from `first` to `last`, whose stored bytes begin at `at`, are found good by one call.
   * False says nothing: also when it is not tried because so few of the blocks, `wanted`, have to be checked at all.
   */
  areSummed(
    bytes: Uint8Array,
    at: number,
    blocks: { readonly first: number; readonly last: number; readonly wanted: number },
  ): boolean {
    const { first, last, wanted } = blocks
    const { positions } = this.index
    const length = positions[last + 1]! - positions[first]!
    const share = wanted / (last - first + 1)
    if (this.#run === undefined || wanted < 2 || (1 - share) * length > wanted * CALL_BYTES) {
      return false
    }
    this.#run.begin()
    for (let block = first; block <= last; block++) {
      this.index.check(block)
      this.#run.add(this.index.storedBytes(block))
    }
    return this.#run.fits(bytes, at, at + length)
  }

  /** Checks a plain block whose stored bytes begin at `at`. `isSummed`: its checksum was found good. */
  check(bytes: Uint8Array, at: number, block: number, isSummed = false): void {
    const codec = this.#checkStored(bytes, at, block, isSummed)
    if (codec !== CODEC_NONE) this.#fail(block, `a block of codec ${codec} is not compressed`)
    this.#checkBlock(bytes, at, block)
  }

  /**
   * The same for lookups and short ranges, which read the same blocks again and again; `view` is the memory of `bytes`. A block
   * that is what it was when its checksum was found good is good.
   */
  checkAgain(bytes: Uint8Array, view: DataView, at: number, block: number): void {
    const storedBytes = this.index.storedBytes(block)
    const found = this.#found
    fingerprint(view, at, storedBytes, found)
    const row = 2 * block
    const prints = (this.#fingerprints ??= new Int32Array(2 * this.index.count))
    const isKnown = prints[row] === found.low && prints[row + 1] === found.high
    if (isKnown && this.#isSound[block] === 1) return
    this.check(bytes, at, block)
    prints[row] = found.low
    prints[row + 1] = found.high
  }

  /**
   * Whether the stored bytes at `at`, which are checked, are a block in the form of the log; its entries are read where they stand by
   * `walk`, which begins with it.
   */
  walkLog(
    bytes: Uint8Array,
    at: number,
    block: number,
    walk: LogBlockWalk,
    isSummed: boolean,
  ): boolean {
    if (this.#checkStored(bytes, at, block, isSummed) !== CODEC_LOG) return false
    const end = at + this.index.storedBytes(block) - BLOCK_TRAILER_BYTES
    const entries = this.index.firstOrdinals[block + 1]! - this.index.firstOrdinals[block]!
    if (!walk.begin(bytes, at, end) || walk.count !== entries) {
      this.#fail(block, `a block in the form of the log does not have ${entries} entries`)
    }
    return true
  }

  /** `walk` found what cannot be. */
  failWalk(block: number): never {
    this.#fail(block, 'a block in the form of the log is damaged')
  }

  /** Checks the stored bytes at `at` and decompresses them to target[targetAt...]: `rawBytes[block]` bytes. */
  unpack(
    bytes: Uint8Array,
    at: number,
    block: number,
    target: Uint8Array,
    targetAt: number,
    isSummed = false,
  ): void {
    const codec = this.#checkStored(bytes, at, block, isSummed)
    const end = at + this.index.storedBytes(block) - BLOCK_TRAILER_BYTES
    const rawBytes = this.index.rawBytes(block)
    if (codec === CODEC_NONE) this.#fail(block, 'a block that is not compressed has another size')
    const isUnpacked =
      codec === CODEC_LOG
        ? expandLogBlock(bytes, at, end, target, targetAt, rawBytes)
        : decompress(codec, bytes, at, end, target, targetAt, rawBytes)
    if (!isUnpacked) {
      this.#fail(block, `a block does not decompress to ${rawBytes} bytes with codec ${codec}`)
    }
    this.#checkBlock(target, targetAt, block)
  }

  #checkStored(bytes: Uint8Array, at: number, block: number, isSummed: boolean): number {
    const checksumAt = at + this.index.storedBytes(block) - 4
    if (!isSummed && checksum(bytes, at, checksumAt, this.#seed) !== readU32(bytes, checksumAt)) {
      this.#fail(block, 'the checksum of a block does not fit')
    }
    return bytes[checksumAt - 1]!
  }

  #checkBlock(bytes: Uint8Array, at: number, block: number): void {
    if (this.#isSound[block] === 1) return
    const { index } = this
    const entries = index.firstOrdinals[block + 1]! - index.firstOrdinals[block]!
    const problem = blockProblem(bytes, at, at + index.rawBytes(block), entries)
    if (problem !== undefined) this.#fail(block, problem)
    this.#isSound[block] = 1
  }

  #fail(block: number, reason: string): never {
    const offset = this.index.positions[block]!
    throw corruption(reason, { file: this.#path, offset, block })
  }
}
