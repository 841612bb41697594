/** Writes one blob file; see blob-format.ts. */
import { assert } from '../base/assert.ts'
import { writeU32, writeU48 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { VALUE_BYTES_MAX } from '../base/entry-kind.ts'
import {
  BLOB_FRAME_HEADER_BYTES,
  type BlobFileMeta,
  blobFrameBytes,
  encodeBlobReference,
} from '../block/blob-reference.ts'
import { type WritableFile, writeFully } from '../env/file-system.ts'
import { BLOB_HEADER_BYTES, encodeBlobHeader } from './blob-format.ts'

/** Frames are collected up to so many bytes; larger ones are written past the buffer. */
const BUFFER_BYTES = 2 ** 18

export class BlobWriter {
  readonly #file: WritableFile
  readonly #number: number
  readonly #seed: number
  readonly #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #buffered = 0
  #frames = 0
  /** Size of the file once the buffer is written. */
  #bytes = 0
  #lastOffset = 0
  #lastLength = 0

  constructor(file: WritableFile, number: number) {
    this.#file = file
    this.#number = number
    this.#seed = number % 4294967296
    this.#buffer.set(encodeBlobHeader(number))
    this.#buffered = BLOB_HEADER_BYTES
    this.#bytes = BLOB_HEADER_BYTES
  }

  /** Size of the file as it will be. */
  get bytes(): number {
    return this.#bytes
  }

  get frames(): number {
    return this.#frames
  }

  /** Appends the value bytes[start, end); returns where its frame begins. Throws Node's error when the disk refuses. */
  append(seqno: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    assert(length <= VALUE_BYTES_MAX, 'a value is not larger than a value can be')
    const frameBytes = blobFrameBytes(length)
    const isDirect = frameBytes > BUFFER_BYTES
    if (this.#buffered + (isDirect ? BLOB_FRAME_HEADER_BYTES : frameBytes) > BUFFER_BYTES)
      this.#flush()
    const buffer = this.#buffer
    const at = this.#buffered
    writeU32(buffer, at + 4, length)
    writeU48(buffer, at + 8, seqno)
    const valueAt = at + BLOB_FRAME_HEADER_BYTES
    const sum = checksum(buffer, at + 4, valueAt, this.#seed)
    writeU32(buffer, at, checksum(bytes, start, end, sum))
    if (isDirect) {
      this.#buffered = valueAt
      this.#flush()
      writeFully(this.#file, bytes, start, length)
    } else {
      buffer.set(bytes.subarray(start, end), valueAt)
      this.#buffered = valueAt + length
    }
    const offset = this.#bytes
    this.#bytes += frameBytes
    this.#frames++
    this.#lastOffset = offset
    this.#lastLength = length
    return offset
  }

  /** Writes the reference to the value appended last; returns the position after it. */
  encodeReference(target: Uint8Array, at: number): number {
    assert(this.#frames > 0, 'a value was appended')
    return encodeBlobReference(target, at, {
      file: this.#number,
      offset: this.#lastOffset,
      length: this.#lastLength,
    })
  }

  /** Writes what is left. The caller then syncs and closes the file. */
  finish(): BlobFileMeta {
    this.#flush()
    return {
      number: this.#number,
      bytes: this.#bytes,
      frames: this.#frames,
      frameBytes: this.#bytes - BLOB_HEADER_BYTES,
    }
  }

  #flush(): void {
    if (this.#buffered === 0) return
    writeFully(this.#file, this.#buffer, 0, this.#buffered)
    this.#buffered = 0
  }
}
