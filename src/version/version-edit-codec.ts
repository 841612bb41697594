/**
 * Bytes of a version edit: tagged fields (record/tagged-fields.ts), each any number of times and in any order.
 *
 * ```
 *   2 store id       UTF-8              20 keyspace             state-codec.ts      36 segment added     segment-codec.ts
 *   4 log id         UTF-8              22 keyspace forgotten   varint id           38 segment removed   varint number
 *   6 role           u8, 1: replica     24 consumer             state-codec.ts      40 segment moved     place, varint number
 *   8 epochs         epochs.ts          26 consumer dropped     UTF-8               42 blob file added   segment-codec.ts
 *  10 floor          varint             28 series               state-codec.ts      44 blob file removed varint number
 *  12 last flushed   varint seqno       30 source token         UTF-8, empty: none
 *  14 log number     varint             32 clean close          state-codec.ts
 *  16 next file      varint             34 last flushed         varint time, ms
 *  18 next keyspace  varint id
 * ```
 *
 * Epochs and series replace what was there. A clean close holds only while no edit follows it.
 */
import { ByteReader, ByteWriter } from '../base/varint.ts'
import { FieldList, type FieldSource, readFields } from '../record/tagged-fields.ts'
import type { BlobFileMeta } from '../segment/segment-meta.ts'
import { encodeEpochs, readEpochs } from './epochs.ts'
import {
  decodeBlobFile,
  decodeSegment,
  encodeBlobFile,
  encodeSegment,
  readPlace,
  writePlace,
} from './segment-codec.ts'
import {
  decodeCleanClose,
  decodeConsumer,
  decodeKeyspace,
  decodeSeries,
  encodeCleanClose,
  encodeConsumer,
  encodeKeyspace,
  encodeSeries,
} from './state-codec.ts'
import type { ConsumerRecord, KeyspaceRecord } from './store-state.ts'
import type { Place, SegmentAddition, StateChange, VersionEdit } from './version-edit.ts'

const TAG_STORE_ID = 2
const TAG_LOG_ID = 4
const TAG_ROLE = 6
const TAG_EPOCHS = 8
const TAG_FLOOR = 10
const TAG_FLUSHED_SEQNO = 12
const TAG_WAL_NUMBER = 14
const TAG_NEXT_FILE = 16
const TAG_NEXT_KEYSPACE = 18
const TAG_KEYSPACE = 20
const TAG_KEYSPACE_FORGOTTEN = 22
const TAG_CONSUMER = 24
const TAG_CONSUMER_DROPPED = 26
const TAG_SERIES = 28
const TAG_SOURCE_TOKEN = 30
const TAG_CLEAN_CLOSE = 32
const TAG_FLUSHED_TIME = 34
const TAG_SEGMENT = 36
const TAG_SEGMENT_REMOVED = 38
const TAG_SEGMENT_MOVED = 40
const TAG_BLOB = 42
const TAG_BLOB_REMOVED = 44

/** A state change as the manifest holds it: the log id is set once, by the first edit. */
export type StoredStateChange = StateChange & { readonly logId?: string }
export interface StoredEdit extends VersionEdit {
  readonly state?: StoredStateChange
}

export function encodeEdit(edit: StoredEdit): Buffer {
  const fields = new FieldList()
  if (edit.state !== undefined) addState(fields, edit.state)
  for (const addition of edit.additions ?? []) {
    fields.add(TAG_SEGMENT, encodeSegment(addition))
  }
  for (const number of edit.removals ?? []) fields.addNumber(TAG_SEGMENT_REMOVED, number)
  for (const { number, level } of edit.moves ?? []) {
    const move = new ByteWriter(16)
    writePlace(move, level)
    fields.add(TAG_SEGMENT_MOVED, move.varint(number).bytes())
  }
  for (const blob of edit.blobAdditions ?? []) fields.add(TAG_BLOB, encodeBlobFile(blob))
  for (const number of edit.blobRemovals ?? []) fields.addNumber(TAG_BLOB_REMOVED, number)
  return fields.bytes()
}

function addState(fields: FieldList, state: StoredStateChange): void {
  if (state.storeId !== undefined) fields.addText(TAG_STORE_ID, state.storeId)
  if (state.logId !== undefined) fields.addText(TAG_LOG_ID, state.logId)
  if (state.role !== undefined) fields.addNumber(TAG_ROLE, state.role === 'replica' ? 1 : 0)
  if (state.epochs !== undefined) fields.add(TAG_EPOCHS, encodeEpochs(state.epochs))
  if (state.floor !== undefined) fields.addNumber(TAG_FLOOR, state.floor)
  const { lastFlushedSeqno, lastFlushedTimeMs } = state
  if (lastFlushedSeqno !== undefined) fields.addNumber(TAG_FLUSHED_SEQNO, lastFlushedSeqno)
  if (lastFlushedTimeMs !== undefined) fields.addNumber(TAG_FLUSHED_TIME, lastFlushedTimeMs)
  if (state.walNumber !== undefined) fields.addNumber(TAG_WAL_NUMBER, state.walNumber)
  if (state.nextFileNumber !== undefined) fields.addNumber(TAG_NEXT_FILE, state.nextFileNumber)
  if (state.nextKeyspaceId !== undefined) {
    fields.addNumber(TAG_NEXT_KEYSPACE, state.nextKeyspaceId)
  }
  for (const keyspace of state.keyspaces ?? []) {
    fields.add(TAG_KEYSPACE, encodeKeyspace(keyspace))
  }
  for (const id of state.forgottenKeyspaces ?? []) fields.addNumber(TAG_KEYSPACE_FORGOTTEN, id)
  for (const consumer of state.consumers ?? []) {
    fields.add(TAG_CONSUMER, encodeConsumer(consumer))
  }
  for (const name of state.droppedConsumers ?? []) fields.addText(TAG_CONSUMER_DROPPED, name)
  if (state.series !== undefined) fields.add(TAG_SERIES, encodeSeries(state.series))
  if (state.sourceToken !== undefined) fields.addText(TAG_SOURCE_TOKEN, state.sourceToken ?? '')
  if (state.cleanClose !== undefined) {
    fields.add(TAG_CLEAN_CLOSE, encodeCleanClose(state.cleanClose))
  }
}

/** A state change while its fields are being read. */
interface ReadState extends Omit<Mutable<StoredStateChange>, 'keyspaces' | 'consumers'> {
  readonly keyspaces: KeyspaceRecord[]
  readonly forgottenKeyspaces: number[]
  readonly consumers: ConsumerRecord[]
  readonly droppedConsumers: string[]
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** An edit while its fields are being read. */
class EditReader {
  readonly additions: SegmentAddition[] = []
  readonly removals: number[] = []
  readonly moves: { number: number; level: Place }[] = []
  readonly blobAdditions: BlobFileMeta[] = []
  readonly blobRemovals: number[] = []
  readonly state: ReadState = {
    keyspaces: [],
    forgottenKeyspaces: [],
    consumers: [],
    droppedConsumers: [],
  }

  visit(tag: number, field: ByteReader, source: FieldSource): boolean {
    switch (tag) {
      case TAG_KEYSPACE:
        this.state.keyspaces.push(decodeKeyspace(field, source))
        return true
      case TAG_KEYSPACE_FORGOTTEN:
        this.state.forgottenKeyspaces.push(field.varint())
        return true
      case TAG_CONSUMER:
        this.state.consumers.push(decodeConsumer(field, source))
        return true
      case TAG_CONSUMER_DROPPED:
        this.state.droppedConsumers.push(textOf(field))
        return true
      case TAG_SEGMENT:
        this.additions.push(decodeSegment(field, source))
        return true
      case TAG_SEGMENT_REMOVED:
        this.removals.push(field.varint())
        return true
      case TAG_SEGMENT_MOVED: {
        const level = readPlace(field)
        this.moves.push({ level, number: field.varint() })
        return true
      }
      case TAG_BLOB:
        this.blobAdditions.push(decodeBlobFile(field, source))
        return true
      case TAG_BLOB_REMOVED:
        this.blobRemovals.push(field.varint())
        return true
      default:
        return this.#visitValue(tag, field)
    }
  }

  #visitValue(tag: number, field: ByteReader): boolean {
    const { state } = this
    switch (tag) {
      case TAG_STORE_ID:
        state.storeId = textOf(field)
        return true
      case TAG_LOG_ID:
        state.logId = textOf(field)
        return true
      case TAG_ROLE:
        state.role = roleOf(field)
        return true
      case TAG_EPOCHS:
        state.epochs = readEpochs(field)
        return true
      case TAG_FLOOR:
        state.floor = field.varint()
        return true
      case TAG_FLUSHED_SEQNO:
        state.lastFlushedSeqno = field.varint()
        return true
      case TAG_FLUSHED_TIME:
        state.lastFlushedTimeMs = field.varint()
        return true
      case TAG_WAL_NUMBER:
        state.walNumber = field.varint()
        return true
      case TAG_NEXT_FILE:
        state.nextFileNumber = field.varint()
        return true
      case TAG_NEXT_KEYSPACE:
        state.nextKeyspaceId = field.varint()
        return true
      case TAG_SERIES:
        state.series = decodeSeries(field)
        return true
      case TAG_SOURCE_TOKEN: {
        const token = textOf(field)
        state.sourceToken = token === '' ? null : token
        return true
      }
      case TAG_CLEAN_CLOSE:
        state.cleanClose = decodeCleanClose(field)
        return true
      default:
        return false
    }
  }
}

/** Decodes the payload [start, end) of an edit record. */
export function decodeEdit(
  bytes: Uint8Array,
  start: number,
  end: number,
  source: FieldSource,
): StoredEdit {
  const edit = new EditReader()
  const reader = new ByteReader(bytes, start, end, source.fail)
  readFields(reader, source, (tag, field) => edit.visit(tag, field, source))
  const { additions, removals, moves, blobAdditions, blobRemovals } = edit
  return { additions, removals, moves, blobAdditions, blobRemovals, state: edit.state }
}

function textOf(field: ByteReader): string {
  return field.take(field.remaining).toString()
}

function roleOf(field: ByteReader): 'primary' | 'replica' {
  const role = field.varint()
  if (role > 1) field.fail(`there is no role ${role}`)
  return role === 1 ? 'replica' : 'primary'
}
