/**
 * Reading commit records (commit-record.ts): a check of the whole structure for bytes that come from a disk, its fields, and
 * a walk over its operations without an object for each.
 *
 * The frame was checked before (record/record-reader.ts). What is wrong here carries a checksum that holds, so it is
 * VARVE_CORRUPTION or was written by a newer version; it is never a torn tail.
 */
import { assert } from '../base/assert.ts'
import { compareBytes, readU32, readU48, U48_MAX } from '../base/bytes.ts'
import {
  FLAG_DROPS_KEYSPACE,
  FLAG_OPEN_END,
  KEY_BYTES_MAX,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_MERGE,
  KIND_RANGE_DELETE,
  META_BYTES_MAX,
  VALUE_BYTES_MAX,
} from '../base/entry-kind.ts'
import { ByteReader } from '../base/varint.ts'
import { type FieldSource, readFields } from '../record/tagged-fields.ts'
import {
  COMMIT_BODY_AT,
  COMMIT_FIELD_BYTES_AT,
  COMMIT_FIRST_SEQNO_AT,
  COMMIT_OPERATIONS_AT,
  COMMIT_TIME_AT,
  FIELD_ACK,
  FIELD_EPOCHS,
  FIELD_META,
  FIELD_SOURCE_TOKEN,
} from './commit-record.ts'

export interface CommitAck {
  readonly consumer: string
  readonly next: number
}

/** What a commit's fields say. Bytes are copies. */
export interface CommitFieldValues {
  readonly meta: Buffer | undefined
  readonly acks: readonly CommitAck[]
  readonly sourceToken: string | undefined
  /** Undecoded: version/epochs.ts knows the format. */
  readonly epochs: Buffer | undefined
}

const NO_FIELDS: CommitFieldValues = {
  meta: undefined,
  acks: [],
  sourceToken: undefined,
  epochs: undefined,
}

/** Smallest operation: kind, keyspace id, two lengths. */
const OPERATION_BYTES_MIN = 4
const KEYSPACE_ID_MAX: number = 2 ** 31 - 1
const CONSUMER_NAME_BYTES_MAX = 255

/** Seqno of the first operation; without operations the seqno that the next one would get. */
export function commitFirstSeqno(bytes: Uint8Array, start: number): number {
  return readU48(bytes, start + COMMIT_FIRST_SEQNO_AT)
}

export function commitTimeMs(bytes: Uint8Array, start: number): number {
  return readU48(bytes, start + COMMIT_TIME_AT)
}

export function commitOperations(bytes: Uint8Array, start: number): number {
  return readU32(bytes, start + COMMIT_OPERATIONS_AT)
}

/**
 * Checks the record [start, end) to the last byte: header, fields, and that its operations are well formed, as many as
 * stated, and end where the record ends. Afterwards it may be walked without looking at bounds.
 */
export function checkCommit(
  bytes: Uint8Array,
  start: number,
  end: number,
  source: FieldSource,
): void {
  const { fail } = source
  if (end - start < COMMIT_BODY_AT) fail('a commit is shorter than its header', start)
  const fieldBytes = readU32(bytes, start + COMMIT_FIELD_BYTES_AT)
  const body = start + COMMIT_BODY_AT
  if (fieldBytes > end - body) fail('the fields of a commit are cut off', body)
  if (fieldBytes > 0) decodeCommitFields(bytes, start, source)
  const operations = commitOperations(bytes, start)
  const room = end - body - fieldBytes
  if (operations > room / OPERATION_BYTES_MIN) fail('a commit counts too many operations', start)
  const first = commitFirstSeqno(bytes, start)
  if (first === 0 || first + operations - 1 > U48_MAX) fail('a commit has no valid seqno', start)
  checkOperations(bytes, { start: body + fieldBytes, end, operations }, source)
}

/** Decodes the fields of a commit. Unknown ones that must not be ignored are VARVE_UNSUPPORTED_FORMAT. */
export function decodeCommitFields(
  bytes: Uint8Array,
  start: number,
  source: FieldSource,
): CommitFieldValues {
  const length = readU32(bytes, start + COMMIT_FIELD_BYTES_AT)
  if (length === 0) return NO_FIELDS
  const body = start + COMMIT_BODY_AT
  const reader = new ByteReader(bytes, body, body + length, source.fail)
  let meta: Buffer | undefined
  let sourceToken: string | undefined
  let epochs: Buffer | undefined
  const acks: CommitAck[] = []
  readFields(reader, source, (tag, value) => {
    switch (tag) {
      case FIELD_META:
        if (value.remaining > META_BYTES_MAX) value.fail('the meta of a commit is too long')
        meta = value.take(value.remaining)
        return true
      case FIELD_ACK:
        acks.push(decodeAck(value))
        return true
      case FIELD_SOURCE_TOKEN:
        sourceToken = value.take(value.remaining).toString('utf8')
        return true
      case FIELD_EPOCHS:
        epochs = value.take(value.remaining)
        return true
      default:
        return false
    }
  })
  return { meta, acks, sourceToken, epochs }
}

function decodeAck(value: ByteReader): CommitAck {
  const next = value.varint()
  if (value.remaining === 0 || value.remaining > CONSUMER_NAME_BYTES_MAX) {
    value.fail('an acknowledgement names no consumer')
  }
  return { next, consumer: value.take(value.remaining).toString('utf8') }
}

interface OperationBytes {
  readonly start: number
  readonly end: number
  readonly operations: number
}

function checkOperations(bytes: Uint8Array, range: OperationBytes, source: FieldSource): void {
  const { fail } = source
  const cursor = new OperationCursor()
  let at = range.start
  for (let i = 0; i < range.operations; i++) {
    const next = cursor.readChecked(bytes, at, range.end)
    if (next < 0) fail('an operation is cut off', at)
    const reason = operationProblem(cursor, bytes)
    if (reason !== undefined) fail(reason, at)
    at = next
  }
  if (at !== range.end) fail('bytes stand behind the last operation of a commit', at)
}

/** What no encoder writes; undefined when all is well. */
function operationProblem(operation: OperationCursor, bytes: Uint8Array): string | undefined {
  const { kind, keyStart, keyEnd, valueStart, valueEnd } = operation
  const keyBytes = keyEnd - keyStart
  const valueBytes = valueEnd - valueStart
  if (keyBytes > KEY_BYTES_MAX) return 'a key is too long'
  if (operation.keyspaceId > KEYSPACE_ID_MAX) return 'a keyspace id is too large'
  switch (kind & KIND_MASK) {
    case KIND_INSERT:
    case KIND_MERGE:
      if (keyBytes === 0) return 'a key is empty'
      if (valueBytes > VALUE_BYTES_MAX) return 'a value is too long'
      return kind > KIND_MASK ? 'an operation has unknown flags' : undefined
    case KIND_DELETE:
      if (keyBytes === 0) return 'a key is empty'
      if (valueBytes > 0) return 'a point tombstone has a value'
      return kind > KIND_MASK ? 'an operation has unknown flags' : undefined
    case KIND_RANGE_DELETE:
      return rangeProblem(operation, bytes)
    default:
      return 'an operation has an unknown kind'
  }
}

function rangeProblem(operation: OperationCursor, bytes: Uint8Array): string | undefined {
  const { kind, keyStart, keyEnd, valueStart, valueEnd } = operation
  const flags = kind & ~KIND_MASK
  if ((flags & ~(FLAG_OPEN_END | FLAG_DROPS_KEYSPACE)) !== 0)
    return 'an operation has unknown flags'
  if ((flags & FLAG_OPEN_END) !== 0) {
    if (valueEnd > valueStart) return 'a range delete without end has one'
    if ((flags & FLAG_DROPS_KEYSPACE) !== 0 && keyEnd > keyStart) {
      return 'a keyspace is dropped from a key on'
    }
    return undefined
  }
  if (flags !== 0) return 'a keyspace is dropped up to a key'
  if (valueEnd - valueStart > KEY_BYTES_MAX) return 'a key is too long'
  return compareBytes(bytes, keyStart, keyEnd, bytes, valueStart, valueEnd) < 0
    ? undefined
    : 'a range delete covers nothing'
}

/**
 * Walks the operations of one commit after another. The fields describe the current operation; key and value are offsets
 * into the bytes that were opened.
 */
export class OperationCursor {
  /** Kind and flags. */
  kind = 0
  keyspaceId = 0
  keyStart = 0
  keyEnd = 0
  valueStart = 0
  valueEnd = 0
  /** Seqno of the current operation. */
  seqno = 0
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #left = 0
  #varint = 0

  /** Goes to before the first operation of the checked record at `start`. */
  open(bytes: Uint8Array, start: number): void {
    this.#bytes = bytes
    this.#at = start + COMMIT_BODY_AT + readU32(bytes, start + COMMIT_FIELD_BYTES_AT)
    this.#left = commitOperations(bytes, start)
    this.seqno = commitFirstSeqno(bytes, start) - 1
  }

  next(): boolean {
    if (this.#left === 0) return false
    this.#left--
    this.seqno++
    this.#at = this.readChecked(this.#bytes, this.#at, this.#bytes.length)
    assert(this.#at >= 0, 'a commit is checked before it is walked')
    return true
  }

  /** Reads the operation at `at`; returns where the next begins, or -1 when it does not end by `end`. */
  readChecked(bytes: Uint8Array, at: number, end: number): number {
    if (at >= end) return -1
    this.kind = bytes[at]!
    let p = this.#readVarint(bytes, at + 1, end)
    this.keyspaceId = this.#varint
    p = this.#readVarint(bytes, p, end)
    const keyBytes = this.#varint
    p = this.#readVarint(bytes, p, end)
    const valueBytes = this.#varint
    if (p > end || keyBytes + valueBytes > end - p) return -1
    this.keyStart = p
    this.keyEnd = p + keyBytes
    this.valueStart = this.keyEnd
    this.valueEnd = this.keyEnd + valueBytes
    return this.valueEnd
  }

  /** Leaves the value in #varint; answers a position beyond `end` when it does not end there or is too large. */
  #readVarint(bytes: Uint8Array, at: number, end: number): number {
    if (at >= end) return end + 1
    let value = bytes[at]!
    if (value < 0x80) {
      this.#varint = value
      return at + 1
    }
    value &= 0x7f
    // Five bytes are more than any of these may need; arithmetic, as the last may exceed 32 bits.
    let scale = 128
    for (let i = at + 1; i < end && i < at + 5; i++) {
      const byte = bytes[i]!
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        this.#varint = value
        return i + 1
      }
      scale *= 128
    }
    return end + 1
  }
}
