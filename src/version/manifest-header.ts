/**
 * The first record of a manifest.
 *
 * ```
 *   0  record header                     record/record-header.ts, type RECORD_MANIFEST_HEADER
 *  24  8 bytes  "VarveMan"
 *  32  u32      format version
 *  36  tagged fields                     record/tagged-fields.ts
 *        2  varint: so many edits that follow are the snapshot of the whole state
 * ```
 *
 * CURRENT names a manifest only after its header and its snapshot were synced, so in these nothing counts as torn.
 */
import { corruption } from '../base/errors.ts'
import { ByteReader, ByteWriter } from '../base/varint.ts'
import { frameRecord } from '../record/record-frame.ts'
import { RECORD_MANIFEST_HEADER } from '../record/record-header.ts'
import { FieldList, readFields, unsupportedFormat } from '../record/tagged-fields.ts'

export const MANIFEST_FORMAT_VERSION = 1
/** Manifest records carry plain checksums: they are read before anything is known of the store. */
export const MANIFEST_SEED = 0

const MAGIC: Buffer = Buffer.from('VarveMan', 'latin1')
const FIELD_SNAPSHOT_EDITS = 2

export interface ManifestHeader {
  readonly snapshotEdits: number
}

export function encodeManifestHeader(header: ManifestHeader): Buffer {
  const fields = new FieldList().addNumber(FIELD_SNAPSHOT_EDITS, header.snapshotEdits)
  const version = new ByteWriter(4).u32(MANIFEST_FORMAT_VERSION).bytes()
  return frameRecord(RECORD_MANIFEST_HEADER, Buffer.concat([MAGIC, version, fields.bytes()]))
}

export function decodeManifestHeader(
  bytes: Uint8Array,
  start: number,
  end: number,
  file: string,
): ManifestHeader {
  const fail = (reason: string): never => {
    throw corruption(`manifest header: ${reason}`, { file, offset: 0 })
  }
  const reader = new ByteReader(bytes, start, end, fail)
  if (!reader.take(MAGIC.length).equals(MAGIC)) fail('not a manifest')
  const version = reader.u32()
  if (version > MANIFEST_FORMAT_VERSION) {
    throw unsupportedFormat('manifest', {
      file,
      found: version,
      supported: MANIFEST_FORMAT_VERSION,
    })
  }
  if (version === 0) fail('format version 0')
  let snapshotEdits = 0
  readFields(reader, { file, fail }, (tag, field) => {
    if (tag !== FIELD_SNAPSHOT_EDITS) return false
    snapshotEdits = field.varint()
    return true
  })
  if (snapshotEdits === 0) fail('no snapshot')
  return { snapshotEdits }
}
