/** Reads values from one blob file, each with one read; small ones are kept in the block cache. */
import { readU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { corruption } from '../base/errors.ts'
import {
  BLOB_FRAME_HEADER_BYTES,
  blobFrameBytes,
  type BlobFileMeta,
  type BlobLocation,
} from '../block/blob-reference.ts'
import { type BlockCache, SLOT_BYTES_MAX } from '../block/block-cache.ts'
import type { CacheFile } from '../block/cache-file.ts'
import { corruptAt, type FileProblem, problemOf } from '../block/file-problem.ts'
import { readFully, readFullySync } from '../block/read-fully.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { BLOB_HEADER_BYTES, checkBlobHeader } from './blob-format.ts'

/** Larger values would push too much else out of the cache, and fit no slot of it. */
const CACHED_VALUE_BYTES_MAX = SLOT_BYTES_MAX
/** `verify` reads in pieces of this size. */
const VERIFY_BYTES = 2 ** 20

/** So many bytes that belong to the caller, not cleared. */
type Allocate = (bytes: number) => Buffer

const allocateAlone: Allocate = (bytes) => Buffer.allocUnsafeSlow(bytes)

export class BlobReader {
  readonly #file: ReadableFile
  readonly #number: number
  readonly #seed: number
  readonly #cache: BlockCache | undefined
  #cached: CacheFile | undefined

  /** `number`: that of the file; no I/O. */
  constructor(file: ReadableFile, number: number, cache?: BlockCache) {
    this.#file = file
    this.#number = number
    this.#seed = number % 4294967296
    this.#cache = cache
  }

  /** The value; the caller owns it. */
  async read(location: BlobLocation): Promise<Buffer> {
    const known = this.#fromCache(location, allocateAlone)
    if (known !== undefined) return known
    const frame = this.#frameFor(location, allocateAlone)
    await readFully(this.#file, frame, 0, frame.length, location.offset)
    return this.#check(frame, location)
  }

  /** The same on the calling thread. `allocate` makes the memory of the result, and of a little before it. */
  readSync(location: BlobLocation, allocate: Allocate = allocateAlone): Buffer {
    const known = this.#fromCache(location, allocate)
    if (known !== undefined) return known
    const frame = this.#frameFor(location, allocate)
    readFullySync(this.#file, frame, 0, frame.length, location.offset)
    return this.#check(frame, location)
  }

  /** Reads the whole file, checks every byte, and returns what is wrong. `onBytes` hears of each piece that was read. */
  async verify(
    meta: BlobFileMeta,
    onBytes: (bytes: number) => void = () => {},
  ): Promise<FileProblem[]> {
    const size = this.#file.refreshSize()
    if (size !== meta.bytes) {
      return [corruptAt(undefined, `the file has ${size} bytes instead of ${meta.bytes}`)]
    }
    try {
      const frames = await this.#verifyFrames(size, onBytes)
      if (frames === meta.frames) return []
      return [corruptAt(undefined, `${frames} frames are in the file, not ${meta.frames}`)]
    } catch (error) {
      return [problemOf(error)]
    }
  }

  /** What the file holds, by itself: every byte is checked. For repair. */
  async survey(): Promise<BlobFileMeta> {
    const bytes = this.#file.refreshSize()
    const frames = await this.#verifyFrames(bytes, () => {})
    return { number: this.#number, bytes, frames, frameBytes: bytes - BLOB_HEADER_BYTES }
  }

  /** Number of frames in the file; throws at the first byte that is wrong: where the next frame begins is then unknown. */
  async #verifyFrames(size: number, onBytes: (bytes: number) => void): Promise<number> {
    const buffer = Buffer.allocUnsafeSlow(VERIFY_BYTES)
    if (size < BLOB_HEADER_BYTES) throw this.#corruption('the file is too short for its header', 0)
    await readFully(this.#file, buffer, 0, BLOB_HEADER_BYTES, 0)
    checkBlobHeader(buffer.subarray(0, BLOB_HEADER_BYTES), this.#file.path, this.#number)
    onBytes(BLOB_HEADER_BYTES)
    let position = BLOB_HEADER_BYTES
    let frames = 0
    while (position < size) {
      const left = size - position - BLOB_FRAME_HEADER_BYTES
      if (left < 0) throw this.#corruption('a frame is cut off', position)
      await readFully(this.#file, buffer, 0, BLOB_FRAME_HEADER_BYTES, position)
      const expected = readU32(buffer, 0)
      const length = readU32(buffer, 4)
      if (length > left) {
        throw this.#corruption(`a frame of ${length} bytes reaches beyond the file`, position)
      }
      let sum = checksum(buffer, 4, BLOB_FRAME_HEADER_BYTES, this.#seed)
      onBytes(BLOB_FRAME_HEADER_BYTES)
      const end = position + BLOB_FRAME_HEADER_BYTES + length
      for (let at = end - length; at < end; ) {
        const piece = Math.min(VERIFY_BYTES, end - at)
        await readFully(this.#file, buffer, 0, piece, at)
        sum = checksum(buffer, 0, piece, sum)
        at += piece
        onBytes(piece)
      }
      if (sum !== expected) throw this.#corruption('the checksum of a frame does not fit', position)
      frames++
      position = end
    }
    return frames
  }

  /** Gives back what the cache holds of the file, and its descriptor. */
  close(): void {
    if (this.#cached !== undefined) this.#cache?.close(this.#cached)
    this.#cached = undefined
    this.#file.close()
  }

  #fromCache({ offset, length }: BlobLocation, allocate: Allocate): Buffer | undefined {
    const cache = this.#cache
    if (cache === undefined || length > CACHED_VALUE_BYTES_MAX) return undefined
    const values = this.#cached?.values
    const row = values === undefined ? -1 : values.find(offset)
    if (values === undefined || row < 0 || values.bytesAt(row) !== length) {
      cache.misses++
      return undefined
    }
    const slot = values.slotAt(row)
    cache.hits++
    cache.referenced[slot] = 1
    const slab = cache.slabOf(slot)
    const at = slab.byteOffset + cache.offsetOf(slot)
    const own = allocate(length)
    own.set(new Uint8Array(slab.buffer, at, length), 0)
    return own
  }

  #frameFor({ offset, length }: BlobLocation, allocate: Allocate): Buffer {
    const frameBytes = blobFrameBytes(length)
    // Bounded by the file before anything is allocated.
    if (offset < BLOB_HEADER_BYTES || offset + frameBytes > this.#file.size) {
      throw this.#corruption(`a frame of ${frameBytes} bytes is not inside the file`, offset)
    }
    return allocate(frameBytes)
  }

  #check(frame: Buffer, { offset, length }: BlobLocation): Buffer {
    if (checksum(frame, 4, frame.length, this.#seed) !== readU32(frame, 0)) {
      throw this.#corruption('the checksum of a frame does not fit', offset)
    }
    if (readU32(frame, 4) !== length) {
      throw this.#corruption(`a frame holds ${readU32(frame, 4)} bytes, not ${length}`, offset)
    }
    const value = frame.subarray(BLOB_FRAME_HEADER_BYTES)
    const cache = this.#cache
    if (cache?.admitsValue(length) === true) {
      this.#cached ??= cache.open(0)
      cache.putValue(this.#cached, offset, value)
    }
    return value
  }

  #corruption(message: string, offset: number): Error {
    return corruption(message, { file: this.#file.path, offset })
  }
}
