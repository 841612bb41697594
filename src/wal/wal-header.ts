/**
 * The first record of a WAL file: which store it belongs to, and which log it continues.
 *
 * ```
 *   0  record header                     record/record-header.ts, type RECORD_WAL_HEADER, checksum seed 0
 *  24  8 bytes  "VarveWAL"
 *  32  u32      format version
 *  36  tagged fields                     record/tagged-fields.ts
 *        2  log id, UTF-8: tells this store's logs from others
 *        4  the log before it: u48 number, u48 end offset, u32 checksum of its last record, u8 1 when it was durable up to
 *           there when this log was created
 * ```
 *
 * Magic and version keep their place in every future version, under this same frame.
 */
import { ByteReader, ByteWriter } from '../base/varint.ts'
import { corruption } from '../base/errors.ts'
import { frameRecord } from '../record/record-frame.ts'
import { RECORD_HEADER_BYTES, RECORD_WAL_HEADER } from '../record/record-header.ts'
import { FieldList, readFields, unsupportedFormat } from '../record/tagged-fields.ts'

export const WAL_FORMAT_VERSION = 1
/** Seed of the header record's own checksum: it is read before anything is known of the store. */
export const WAL_HEADER_SEED = 0

const MAGIC: Buffer = Buffer.from('VarveWAL', 'latin1')
const FIELD_LOG_ID = 2
const FIELD_PREVIOUS = 4
const LINK_BYTES = 17
/** Tag and length of a field. */
const FIELD_HEAD_BYTES = 2

/** Where a log ends: what its successor's header says of it. */
export interface WalEnd {
  readonly number: number
  /** Offset behind its last record. */
  readonly bytes: number
  /** Checksum of its last record. */
  readonly checksum: number
}

export interface WalLink extends WalEnd {
  /** All of it, and of every log before it, was durable when the successor was created. */
  readonly isDurable: boolean
}

export interface WalHeader {
  /** `StoreState.logId` of the store that it belongs to. */
  readonly logId: string
  /** Undefined: this log begins a chain. */
  readonly previous: WalLink | undefined
}

/** The whole header record, ready to be sealed. */
export function encodeWalHeader(header: WalHeader): Buffer {
  const fields = new FieldList().addText(FIELD_LOG_ID, header.logId)
  if (header.previous !== undefined) {
    const { number, bytes, checksum, isDurable } = header.previous
    const link = new ByteWriter(LINK_BYTES).u48(number).u48(bytes).u32(checksum)
    fields.add(FIELD_PREVIOUS, link.u8(isDurable ? 1 : 0).bytes())
  }
  const version = new ByteWriter(4).u32(WAL_FORMAT_VERSION).bytes()
  return frameRecord(RECORD_WAL_HEADER, Buffer.concat([MAGIC, version, fields.bytes()]))
}

/** Whether a log of so many bytes holds its header and nothing else: no record is as short as the field that may be in it or not. */
export function isHeaderAlone(bytes: number, logId: string): boolean {
  const withoutLink =
    RECORD_HEADER_BYTES + MAGIC.length + 4 + FIELD_HEAD_BYTES + Buffer.byteLength(logId)
  return bytes === withoutLink || bytes === withoutLink + FIELD_HEAD_BYTES + LINK_BYTES
}

/** Decodes the payload [start, end) of a header record whose checksum holds. `file` is for messages. */
export function decodeWalHeader(
  bytes: Uint8Array,
  start: number,
  end: number,
  file: string,
): WalHeader {
  const fail = (reason: string): never => {
    throw corruption(`log header: ${reason}`, { file, offset: 0 })
  }
  const reader = new ByteReader(bytes, start, end, fail)
  if (!reader.take(MAGIC.length).equals(MAGIC)) fail('not a log')
  const version = reader.u32()
  if (version > WAL_FORMAT_VERSION) {
    throw unsupportedFormat('log', { file, found: version, supported: WAL_FORMAT_VERSION })
  }
  if (version === 0) fail('format version 0')
  let logId = ''
  let previous: WalLink | undefined
  readFields(reader, { file, fail }, (tag, field) => {
    if (tag === FIELD_LOG_ID) logId = field.take(field.remaining).toString()
    else if (tag === FIELD_PREVIOUS) {
      const number = field.u48()
      const size = field.u48()
      previous = { number, bytes: size, checksum: field.u32(), isDurable: field.u8() === 1 }
    } else return false
    return true
  })
  if (logId === '') fail('no log id')
  return { logId, previous }
}
