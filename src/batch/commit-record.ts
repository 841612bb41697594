/**
 * One commit, as it stands in the WAL and, byte for byte, in the memtable's arena: encoded once, copied once.
 *
 * ```
 *   0  record header                     record/record-header.ts, type RECORD_COMMIT
 *  24  u48  seqno of the first operation; 0 ops: the seqno that the next operation would get
 *  30  u48  commit time, ms
 *  36  u32  number of operations (0 for a record that carries only fields)
 *  40  u32  bytes of the fields
 *  44  fields: each varint tag, varint length, bytes; tags with the low bit set may be ignored by a reader that does not
 *      know them, others may not
 *      operations, to the end of the record, each:
 *        u8 kind and flags | varint keyspace id | varint key length | varint value length | key | value
 * ```
 *
 * An operation's seqno is the first plus its index. A range delete has its start as key and its end as value.
 */
import { RECORD_HEADER_BYTES } from '../record/record-header.ts'

export const COMMIT_FIRST_SEQNO_AT: number = RECORD_HEADER_BYTES
export const COMMIT_TIME_AT: number = RECORD_HEADER_BYTES + 6
export const COMMIT_OPERATIONS_AT: number = RECORD_HEADER_BYTES + 12
export const COMMIT_FIELD_BYTES_AT: number = RECORD_HEADER_BYTES + 16
/** Where the fields begin. */
export const COMMIT_BODY_AT: number = RECORD_HEADER_BYTES + 20

/** `WriteOptions.meta`. Raw bytes. */
export const FIELD_META = 2
/** A consumer's position: varint next, then the name. May stand several times. */
export const FIELD_ACK = 4
/** A replica's resume token at its source. UTF-8. */
export const FIELD_SOURCE_TOKEN = 6
/** A replica's copy of its source's epochs; see version/store-state.ts. */
export const FIELD_EPOCHS = 8
