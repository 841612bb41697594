/**
 * What stands in a block in place of a value that lives in a blob file (FLAG_BLOB):
 *
 * ```
 *   varint  number of the blob file
 *   varint  offset of the frame in it
 *   varint  bytes of the value
 * ```
 *
 * and how large a frame of such a value is; its layout is in blob/blob-format.ts. It stands here, below segments and blob
 * files, because segments count what they refer to.
 */
import { VALUE_BYTES_MAX } from '../base/entry-kind.ts'
import { VARINT_BYTES_MAX, writeVarint } from '../base/varint.ts'

/** Checksum, length, seqno. */
export const BLOB_FRAME_HEADER_BYTES = 14
export const BLOB_REFERENCE_BYTES_MAX: number = 3 * VARINT_BYTES_MAX

export interface BlobLocation {
  /** Number of the blob file. */
  readonly file: number
  /** Where the frame begins. */
  readonly offset: number
  /** Bytes of the value. */
  readonly length: number
}

/** What the manifest knows of a blob file. */
export interface BlobFileMeta {
  readonly number: number
  readonly bytes: number
  /** Frames in it. */
  readonly frames: number
  /** Bytes of all frames: what a live share is a share of. */
  readonly frameBytes: number
}

/** Bytes of the frame of a value of `length` bytes. */
export function blobFrameBytes(length: number): number {
  return BLOB_FRAME_HEADER_BYTES + length
}

/** Writes a reference at `at`; returns the position after it. At most BLOB_REFERENCE_BYTES_MAX bytes. */
export function encodeBlobReference(
  target: Uint8Array,
  at: number,
  location: BlobLocation,
): number {
  const afterFile = writeVarint(target, at, location.file)
  return writeVarint(target, writeVarint(target, afterFile, location.offset), location.length)
}

/** The reference in bytes[start, end); undefined when they are none. */
export function decodeBlobReference(
  bytes: Uint8Array,
  start: number,
  end: number,
): BlobLocation | undefined {
  const reader = { at: start, end }
  const file = readNumber(bytes, reader)
  const offset = readNumber(bytes, reader)
  const length = readNumber(bytes, reader)
  const isWhole = file >= 0 && offset >= 0 && length >= 0 && reader.at === end
  return isWhole && length <= VALUE_BYTES_MAX ? { file, offset, length } : undefined
}

/** A varint of at most 53 bits; -1 when it is cut off or larger. */
function readNumber(bytes: Uint8Array, reader: { at: number; readonly end: number }): number {
  let value = 0
  for (let scale = 1; scale <= 2 ** 49 && reader.at < reader.end; scale *= 128) {
    const byte = bytes[reader.at++]!
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : -1
  }
  return -1
}
