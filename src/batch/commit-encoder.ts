/**
 * Builds one commit record (commit-record.ts) in a buffer of its own: operations first, while they are added; header and
 * fields when it is complete. Seqno, time, frame and checksum are patched later, in the memtable's arena.
 *
 * Room for the header is left at the front, so a commit without fields is never moved.
 */
import { copyWhole, EMPTY_BYTES, writeU16, writeU32 } from '../base/bytes.ts'
import { COMMIT_BYTES_MAX } from '../base/entry-kind.ts'
import { invalidArgument } from '../base/errors.ts'
import { varintBytes, writeVarint } from '../base/varint.ts'
import { RECORD_COMMIT } from '../record/record-header.ts'
import {
  COMMIT_BODY_AT,
  COMMIT_FIELD_BYTES_AT,
  COMMIT_OPERATIONS_AT,
  FIELD_ACK,
  FIELD_META,
} from './commit-record.ts'

const FIRST_CAPACITY = 256
const POOLED_BYTES = 1024
/** Longest numbers of so many bytes as varints. */
const ONE_BYTE_MAX = 0x7f
const TWO_BYTES_MAX = 0x3fff

/** Bytes that one operation takes in a record. */
export function operationBytes(keyspaceId: number, keyBytes: number, valueBytes: number): number {
  if (keyspaceId <= ONE_BYTE_MAX && keyBytes <= ONE_BYTE_MAX && valueBytes <= TWO_BYTES_MAX) {
    return (valueBytes <= ONE_BYTE_MAX ? 4 : 5) + keyBytes + valueBytes
  }
  return (
    1 +
    varintBytes(keyspaceId) +
    varintBytes(keyBytes) +
    varintBytes(valueBytes) +
    keyBytes +
    valueBytes
  )
}

/** Writes one operation at `at`; there must be room. Returns the position after it. */
export function writeOperation(
  target: Uint8Array,
  at: number,
  kind: number,
  keyspaceId: number,
  key: Uint8Array,
  value: Uint8Array,
): number {
  const keyBytes = key.length
  const valueBytes = value.length
  target[at] = kind
  let p: number
  if (keyspaceId <= ONE_BYTE_MAX && keyBytes <= ONE_BYTE_MAX && valueBytes <= TWO_BYTES_MAX) {
    target[at + 1] = keyspaceId
    target[at + 2] = keyBytes
    p = at + 4
    if (valueBytes <= ONE_BYTE_MAX) {
      target[at + 3] = valueBytes
    } else {
      target[at + 3] = (valueBytes & 0x7f) | 0x80
      target[at + 4] = valueBytes >>> 7
      p++
    }
  } else {
    p = writeVarint(target, at + 1, keyspaceId)
    p = writeVarint(target, p, keyBytes)
    p = writeVarint(target, p, valueBytes)
  }
  return copyWhole(target, copyWhole(target, p, key), value)
}

/** Writes the header of a commit that ends at `end`: everything but seqno, time and the frame's patched parts. */
export function writeCommitHeader(
  target: Buffer,
  at: number,
  end: number,
  counts: { operations: number; fieldBytes: number },
): void {
  // So few bytes that a call costs more; Buffer's own writers look at every argument, a tenth of a small put.
  for (let i = at; i < at + COMMIT_BODY_AT; i++) target[i] = 0
  writeU32(target, at + 4, end - at)
  writeU16(target, at + 22, RECORD_COMMIT)
  writeU32(target, at + COMMIT_OPERATIONS_AT, counts.operations)
  writeU32(target, at + COMMIT_FIELD_BYTES_AT, counts.fieldBytes)
}

/** The fields of a commit, each as tag, length, bytes. */
export interface CommitFields {
  readonly meta?: Uint8Array | undefined
  readonly acks?: readonly { readonly consumer: string; readonly next: number }[] | undefined
  /** Further fields, as tag and bytes. */
  readonly more?: readonly { readonly tag: number; readonly bytes: Uint8Array }[] | undefined
}

export function encodeFields(fields: CommitFields): Buffer {
  const parts: Buffer[] = []
  const add = (tag: number, bytes: Uint8Array): void => {
    const head = Buffer.alloc(varintBytes(tag) + varintBytes(bytes.length))
    writeVarint(head, writeVarint(head, 0, tag), bytes.length)
    parts.push(head, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  }
  if (fields.meta !== undefined) add(FIELD_META, fields.meta)
  for (const ack of fields.acks ?? []) {
    const name = Buffer.from(ack.consumer, 'utf8')
    const bytes = Buffer.alloc(varintBytes(ack.next) + name.length)
    name.copy(bytes, writeVarint(bytes, 0, ack.next))
    add(FIELD_ACK, bytes)
  }
  for (const field of fields.more ?? []) add(field.tag, field.bytes)
  return parts.length === 0 ? EMPTY_BYTES : Buffer.concat(parts)
}

/** Lends memory that a written commit no longer needs: a new buffer for each batch costs a fifth of writing it. */
export interface BufferLender {
  /** A buffer of at least so many bytes, which is the caller's from now on; undefined when there is none at hand. */
  lend(bytes: number): Buffer | undefined
}

export class CommitEncoder {
  operations = 0
  /** Bytes of keys and values. */
  userBytes = 0
  #bytes: Buffer
  #end = COMMIT_BODY_AT
  readonly #lender: BufferLender | undefined

  constructor(capacity: number = FIRST_CAPACITY, lender?: BufferLender) {
    this.#lender = lender
    const bytes = Math.max(capacity, COMMIT_BODY_AT)
    // Short-lived: small ones share the pool of Buffer, which is ten times as fast as memory of their own.
    this.#bytes = bytes < POOLED_BYTES ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes)
  }

  /** Memory of its own that may be lent to others once the finished record is in the arena; undefined for a pooled one. */
  get ownMemory(): Buffer | undefined {
    return this.#bytes.length < POOLED_BYTES ? undefined : this.#bytes
  }

  /** Bytes of the operations so far. */
  get operationBytes(): number {
    return this.#end - COMMIT_BODY_AT
  }

  add(kind: number, keyspaceId: number, key: Uint8Array, value: Uint8Array): void {
    const bytes = operationBytes(keyspaceId, key.length, value.length)
    this.#reserve(bytes)
    this.#end = writeOperation(this.#bytes, this.#end, kind, keyspaceId, key, value)
    this.operations++
    this.userBytes += key.length + value.length
  }

  /** Completes the record. The encoder must not be used afterwards; the bytes belong to the caller. */
  finish(fields: Buffer): Buffer {
    if (fields.length > 0) {
      this.#reserve(fields.length)
      this.#bytes.copyWithin(COMMIT_BODY_AT + fields.length, COMMIT_BODY_AT, this.#end)
      fields.copy(this.#bytes, COMMIT_BODY_AT)
      this.#end += fields.length
    }
    writeCommitHeader(this.#bytes, 0, this.#end, {
      operations: this.operations,
      fieldBytes: fields.length,
    })
    return this.#bytes.subarray(0, this.#end)
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes
    if (needed <= this.#bytes.length) return
    if (needed > COMMIT_BYTES_MAX) {
      throw invalidArgument(`a commit holds at most ${COMMIT_BYTES_MAX} bytes`, {
        bytes: needed,
        max: COMMIT_BYTES_MAX,
      })
    }
    const grown =
      this.#lender?.lend(needed) ??
      Buffer.allocUnsafeSlow(
        Math.min(COMMIT_BYTES_MAX, Math.max(this.#bytes.length * 2, needed, POOLED_BYTES)),
      )
    this.#bytes.copy(grown, 0, 0, this.#end)
    this.#bytes = grown
  }
}
