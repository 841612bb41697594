/** A manifest: its edits, one after the other, as data. */
import { corruption } from '../../base/errors.ts'
import type { ReadableFile } from '../../env/file-system.ts'
import {
  RECORD_HEADER_BYTES,
  RECORD_MANIFEST_HEADER,
  RECORD_VERSION_EDIT,
} from '../../record/record-header.ts'
import { RecordReader } from '../../record/record-reader.ts'
import type { FieldSource } from '../../record/tagged-fields.ts'
import { decodeManifestHeader, MANIFEST_SEED } from '../../version/manifest-header.ts'
import { decodeEdit } from '../../version/version-edit-codec.ts'
import { printable } from '../encoding.ts'
import type { DumpChoice, DumpWriter } from './dump-writer.ts'

export async function dumpManifest(
  file: ReadableFile,
  choice: DumpChoice,
  writer: DumpWriter,
): Promise<void> {
  const reader = new RecordReader(file, { fileNumber: choice.number, seed: MANIFEST_SEED })
  const hasHeader = await reader.next()
  const firstType: number = reader.type
  if (!hasHeader || firstType !== RECORD_MANIFEST_HEADER) {
    throw corruption('the header of the manifest is damaged', { file: file.path, offset: 0 })
  }
  const payload = reader.start + RECORD_HEADER_BYTES
  const { snapshotEdits } = decodeManifestHeader(reader.bytes, payload, reader.end, file.path)
  const source: FieldSource = {
    file: file.path,
    fail: (reason, position) => {
      throw reader.corruption(reader.offset + position - reader.start, `manifest: ${reason}`)
    },
  }
  let edits = 0
  while (await reader.next()) {
    if (reader.type !== RECORD_VERSION_EDIT) continue
    const edit = decodeEdit(reader.bytes, reader.start + RECORD_HEADER_BYTES, reader.end, source)
    if (choice.hasEntries && edits < choice.limit) {
      const data: unknown = JSON.parse(JSON.stringify(edit, plain))
      await writer.item('edit', { offset: reader.offset, content: { data } })
    }
    edits++
  }
  const damage = await reader.damage()
  await writer.properties('manifest', {
    number: choice.number,
    bytes: file.size,
    snapshotEdits,
    edits,
    goodBytes: reader.position,
    end: damage === undefined ? 'whole' : `${damage.isRot ? 'damaged' : 'torn'}: ${damage.reason}`,
  })
}

/** Bytes as text, and no number that JSON has not. Buffers arrive here as what their toJSON makes of them. */
function plain(_name: string, value: unknown): unknown {
  if (value === Infinity) return 'off'
  if (value instanceof Uint8Array) return printable(value, 'utf8')
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown }
  if (type === 'Buffer' && Array.isArray(data))
    return printable(Buffer.from(data as number[]), 'utf8')
  return value
}
