/**
 * Writing and reading the 24 bytes before each record; see record-header.ts for the layout.
 *
 * Checksums are seeded, so that a whole record of another store, which may well stand inside somebody's value, is no record
 * here: behind a torn tail a reader looks for good records at every byte.
 */
import { readU16, readU32, readU48, writeU16, writeU32, writeU48 } from '../base/bytes.ts'
import { checksum, rareChecksum } from '../base/checksum.ts'
import { assert } from '../base/assert.ts'
import {
  RECORD_COMMIT,
  RECORD_HEADER_BYTES,
  RECORD_MANIFEST_HEADER,
  RECORD_SYNC_MARK,
  RECORD_TYPE_IGNORABLE,
  RECORD_VERSION_EDIT,
  RECORD_WAL_HEADER,
} from './record-header.ts'

const LENGTH_AT = 4
const FILE_NUMBER_AT = 8
const PREVIOUS_AT = 12
const DURABLE_AT = 16
const TYPE_AT = 22

/** What ties a record to its place. */
export interface RecordPlace {
  readonly fileNumber: number
  /** Checksum of the record before it; 0 for the first. */
  readonly previous: number
  /** Bytes of the file that are known to be durable. */
  readonly durableBytes: number
  readonly seed: number
}

/** Seed of a store's WAL records, from its log id. Known from the manifest: a rotten WAL header must not hide what is behind it. */
export function recordSeed(logId: string): number {
  const bytes = Buffer.from(logId)
  return rareChecksum(bytes, 0, bytes.length)
}

/** A record with room for its frame: header bytes and payload; length and type are set. */
export function frameRecord(type: number, payload: Uint8Array): Buffer {
  const record = Buffer.alloc(RECORD_HEADER_BYTES + payload.length)
  writeU32(record, LENGTH_AT, record.length)
  writeU16(record, TYPE_AT, type)
  record.set(payload, RECORD_HEADER_BYTES)
  return record
}

/** Patches place and checksum into the record at `at`, whose length and type are set. Returns its checksum. */
export function sealRecord(bytes: Uint8Array, at: number, place: RecordPlace): number {
  const end = patchPlace(bytes, at, place)
  const sum = checksum(bytes, at + LENGTH_AT, end, place.seed)
  writeU32(bytes, at, sum)
  return sum
}

/** The same for records that are written once in a while; see rareChecksum. */
export function sealRareRecord(bytes: Uint8Array, at: number, place: RecordPlace): number {
  const end = patchPlace(bytes, at, place)
  const sum = rareChecksum(bytes, at + LENGTH_AT, end, place.seed)
  writeU32(bytes, at, sum)
  return sum
}

/** Returns where the record ends. */
function patchPlace(bytes: Uint8Array, at: number, place: RecordPlace): number {
  const length = readU32(bytes, at + LENGTH_AT)
  assert(
    length >= RECORD_HEADER_BYTES && at + length <= bytes.length,
    'a record that is sealed has a length',
  )
  writeU32(bytes, at + FILE_NUMBER_AT, place.fileNumber)
  writeU32(bytes, at + PREVIOUS_AT, place.previous)
  writeU48(bytes, at + DURABLE_AT, place.durableBytes)
  return at + length
}

export function recordChecksum(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at)
}

export function recordLength(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + LENGTH_AT)
}

export function recordFileNumber(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + FILE_NUMBER_AT)
}

export function recordPrevious(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + PREVIOUS_AT)
}

export function recordDurableBytes(bytes: Uint8Array, at: number): number {
  return readU48(bytes, at + DURABLE_AT)
}

export function recordType(bytes: Uint8Array, at: number): number {
  return readU16(bytes, at + TYPE_AT)
}

/** Whether the whole record [at, at + length) carries its own checksum. `isRare`: see rareChecksum. */
export function isRecordSound(
  bytes: Uint8Array,
  at: number,
  length: number,
  seed: number,
  isRare: boolean,
): boolean {
  const sumOf = isRare ? rareChecksum : checksum
  return sumOf(bytes, at + LENGTH_AT, at + length, seed) === readU32(bytes, at)
}

export function isKnownRecordType(type: number): boolean {
  return (
    type === RECORD_WAL_HEADER ||
    type === RECORD_COMMIT ||
    type === RECORD_MANIFEST_HEADER ||
    type === RECORD_VERSION_EDIT ||
    type === RECORD_SYNC_MARK
  )
}

export function isIgnorableRecordType(type: number): boolean {
  return (type & RECORD_TYPE_IGNORABLE) !== 0
}
