/**
 * A blob file: values too large for blocks, one frame each, in the order in which they were written.
 *
 * ```
 *    0  magic "VARVEBLB"
 *    8  u16  format version
 *   10  u48  number of the file
 *   16  u32  checksum of bytes [0, 16)
 *   20  frames, to the end of the file, each:
 *         u32  checksum of the rest of the frame, seeded with the low 32 bits of the file's number
 *         u32  bytes of the value
 *         u48  seqno of the write that brought the value
 *         value
 * ```
 *
 * The bytes of a frame follow from those of its value, which stand in the reference (block/blob-reference.ts): a value is
 * read at once, without looking at the frame first. The manifest knows the file's size; a file of another size is damaged.
 */
import { readU16, readU32, readU48, writeU16, writeU32, writeU48 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { corruption, VarveError } from '../base/errors.ts'

export const BLOB_FORMAT_VERSION = 1
export const BLOB_HEADER_BYTES = 20
const MAGIC = Buffer.from('VARVEBLB', 'latin1')

export function encodeBlobHeader(number: number): Buffer {
  const header = Buffer.alloc(BLOB_HEADER_BYTES)
  header.set(MAGIC)
  writeU16(header, 8, BLOB_FORMAT_VERSION)
  writeU48(header, 10, number)
  writeU32(header, 16, checksum(header, 0, 16))
  return header
}

/** Throws when `header` is not that of blob file `number`. */
export function checkBlobHeader(header: Uint8Array, path: string, number: number): void {
  const isWhole =
    header.length === BLOB_HEADER_BYTES &&
    MAGIC.compare(header, 0, MAGIC.length) === 0 &&
    checksum(header, 0, 16) === readU32(header, 16)
  if (!isWhole)
    throw corruption('the file does not begin like a blob file', { file: path, offset: 0 })
  const version = readU16(header, 8)
  if (version !== BLOB_FORMAT_VERSION) {
    throw new VarveError('VARVE_UNSUPPORTED_FORMAT', `blob file format ${version} is not known`, {
      file: path,
      version,
    })
  }
  const found = readU48(header, 10)
  if (found !== number) {
    throw corruption(`the file says it is blob file ${found}, not ${number}`, {
      file: path,
      offset: 10,
    })
  }
}
