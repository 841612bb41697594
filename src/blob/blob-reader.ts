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
import type { BlockCache, CacheFile } from '../block/block-cache.ts'
import { readFully, readFullySync } from '../block/read-fully.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { BLOB_HEADER_BYTES, checkBlobHeader } from './blob-format.ts'

/** Larger values would push too much else out of the cache. */
const CACHED_VALUE_BYTES_MAX = 2 ** 16
/** `verify` reads in pieces of this size. */
const VERIFY_BYTES = 2 ** 20

/** One thing that is wrong with a file. */
export interface FileProblem {
  readonly offset: number
  readonly message: string
}

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
    const known = this.#fromCache(location)
    if (known !== undefined) return known
    const frame = this.#frameFor(location)
    await readFully(this.#file, frame, 0, frame.length, location.offset)
    return this.#check(frame, location)
  }

  /** The same on the calling thread. */
  readSync(location: BlobLocation): Buffer {
    const known = this.#fromCache(location)
    if (known !== undefined) return known
    const frame = this.#frameFor(location)
    readFullySync(this.#file, frame, 0, frame.length, location.offset)
    return this.#check(frame, location)
  }

  /** Reads the whole file, checks every byte, and returns what is wrong. `onBytes` hears of each piece that was read. */
  async verify(meta: BlobFileMeta, onBytes?: (bytes: number) => void): Promise<FileProblem[]> {
    const size = this.#file.refreshSize()
    if (size !== meta.bytes) {
      return [{ offset: size, message: `the file has ${size} bytes instead of ${meta.bytes}` }]
    }
    const buffer = Buffer.allocUnsafeSlow(VERIFY_BYTES)
    const header = buffer.subarray(0, BLOB_HEADER_BYTES)
    await readFully(this.#file, header, 0, BLOB_HEADER_BYTES, 0)
    onBytes?.(BLOB_HEADER_BYTES)
    checkBlobHeader(header, this.#file.path, this.#number)
    let position = BLOB_HEADER_BYTES
    let frames = 0
    while (position < size) {
      // A frame whose length cannot be believed ends the walk: where the next one begins is unknown.
      const left = size - position - BLOB_FRAME_HEADER_BYTES
      if (left < 0) return [{ offset: position, message: 'a frame is cut off' }]
      await readFully(this.#file, buffer, 0, BLOB_FRAME_HEADER_BYTES, position)
      const expected = readU32(buffer, 0)
      const length = readU32(buffer, 4)
      if (length > left) {
        return [{ offset: position, message: `a frame of ${length} bytes reaches beyond the file` }]
      }
      let sum = checksum(buffer, 4, BLOB_FRAME_HEADER_BYTES, this.#seed)
      let at = position + BLOB_FRAME_HEADER_BYTES
      const end = at + length
      while (at < end) {
        const piece = Math.min(VERIFY_BYTES, end - at)
        await readFully(this.#file, buffer, 0, piece, at)
        sum = checksum(buffer, 0, piece, sum)
        at += piece
        onBytes?.(piece)
      }
      onBytes?.(BLOB_FRAME_HEADER_BYTES)
      if (sum !== expected) {
        return [{ offset: position, message: 'the checksum of a frame does not fit' }]
      }
      frames++
      position = end
    }
    if (frames === meta.frames) return []
    return [{ offset: size, message: `${frames} frames are in the file, not ${meta.frames}` }]
  }

  /** Gives back what the cache holds of the file, and its descriptor. */
  close(): void {
    if (this.#cached !== undefined) this.#cache?.close(this.#cached)
    this.#cached = undefined
    this.#file.close()
  }

  #fromCache({ offset, length }: BlobLocation): Buffer | undefined {
    const cache = this.#cache
    if (cache === undefined || length > CACHED_VALUE_BYTES_MAX) return undefined
    const known = this.#cached === undefined ? undefined : cache.side(this.#cached, offset)
    if (known === undefined || known.length !== length) {
      cache.misses++
      return undefined
    }
    cache.hits++
    return Buffer.from(known)
  }

  #frameFor({ offset, length }: BlobLocation): Buffer {
    const frameBytes = blobFrameBytes(length)
    // Bounded by the file before anything is allocated.
    if (offset < BLOB_HEADER_BYTES || offset + frameBytes > this.#file.size) {
      throw this.#corruption(`a frame of ${frameBytes} bytes is not inside the file`, offset)
    }
    return Buffer.allocUnsafeSlow(frameBytes)
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
    if (cache !== undefined && length <= CACHED_VALUE_BYTES_MAX) {
      this.#cached ??= cache.open(0)
      // A copy: the caller may write to what it was given.
      cache.putSide(this.#cached, offset, Buffer.from(value))
    }
    return value
  }

  #corruption(message: string, offset: number): Error {
    return corruption(message, { file: this.#file.path, offset })
  }
}
