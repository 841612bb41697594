/** A blob file: its values, frame by frame. */
import { readU32, readU48 } from '../../base/bytes.ts'
import { corruption } from '../../base/errors.ts'
import { BLOB_HEADER_BYTES, checkBlobHeader } from '../../blob/blob-format.ts'
import { BlobReader } from '../../blob/blob-reader.ts'
import { BLOB_FRAME_HEADER_BYTES } from '../../block/blob-reference.ts'
import { readFully } from '../../block/read-fully.ts'
import type { ReadableFile } from '../../env/file-system.ts'
import type { DumpChoice, DumpWriter } from './dump-writer.ts'

export async function dumpBlobFile(
  file: ReadableFile,
  choice: DumpChoice,
  writer: DumpWriter,
): Promise<void> {
  const header = Buffer.alloc(Math.min(BLOB_HEADER_BYTES, file.size))
  await readFully(file, header, 0, header.length, 0)
  checkBlobHeader(header, file.path, choice.number)
  const reader = new BlobReader(file, choice.number)
  const frame = Buffer.alloc(BLOB_FRAME_HEADER_BYTES)
  let offset = BLOB_HEADER_BYTES
  let frames = 0
  let valueBytes = 0
  while (offset < file.size) {
    if (file.size - offset < frame.length) {
      throw corruption('a frame is cut off', { file: file.path, offset })
    }
    await readFully(file, frame, 0, frame.length, offset)
    const length = readU32(frame, 4)
    if (length > file.size - offset - frame.length) {
      throw corruption('a frame reaches beyond the file', { file: file.path, offset })
    }
    if (choice.hasEntries && frames < choice.limit) {
      const value = await reader.read({ file: choice.number, offset, length })
      await writer.item('frame', {
        offset,
        seqno: readU48(frame, 8),
        bytes: length,
        value: { value },
      })
    }
    frames++
    valueBytes += length
    offset += frame.length + length
  }
  await writer.properties('blob file', {
    number: choice.number,
    bytes: file.size,
    frames,
    valueBytes,
  })
}
