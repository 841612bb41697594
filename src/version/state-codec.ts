/**
 * Bytes of what stands in a StoreState: keyspaces, consumers, series, clean close. Each may be followed by tagged fields, of
 * which there are none so far.
 *
 * ```
 * keyspace:     varint id | name | varint dropped at (0: not) | merge operator (empty: none) |
 *               varint blob threshold (0: no blobs) | compression | varint bloom bits per key | varint block bytes
 * consumer:     name | varint position | state u8 (0 active, 1 lost) | varint max held bytes + 1 (0: none) |
 *               varint max idle ms + 1 (0: none) | varint created at | varint last ack at + 1 (0: never)
 * series:       varint count, each varint seqno, time, user bytes; all three as differences to the point before
 * clean close:  varint log number | varint log bytes | f64 inode | f64 birth time of the manifest
 * ```
 * Names and words are `varint length, UTF-8`.
 */
import { ByteWriter, type ByteReader, VARINT_BYTES_MAX } from '../base/varint.ts'
import { type FieldSource, readFields } from '../record/tagged-fields.ts'
import {
  type CleanClose,
  type ConsumerRecord,
  type KeyspaceRecord,
  SERIES_POINTS_MAX,
  type SeriesPoint,
} from './store-state.ts'

/** More than all numbers and short words of one record take. */
const NUMBERS_BYTES_MAX: number = 12 * VARINT_BYTES_MAX

const noFields = (): boolean => false

export function encodeKeyspace(keyspace: KeyspaceRecord): Buffer {
  const { id, name, options, droppedAt } = keyspace
  const { blobThresholdBytes } = options
  const capacity = NUMBERS_BYTES_MAX + utf8Max(name) + utf8Max(options.mergeOperator ?? '')
  return new ByteWriter(capacity)
    .varint(id)
    .text(name)
    .varint(droppedAt ?? 0)
    .text(options.mergeOperator ?? '')
    .varint(blobThresholdBytes === Infinity ? 0 : blobThresholdBytes)
    .text(options.compression)
    .varint(options.bloomBitsPerKey)
    .varint(options.blockBytes)
    .bytes()
}

export function decodeKeyspace(reader: ByteReader, source: FieldSource): KeyspaceRecord {
  const id = reader.varint()
  const name = reader.text()
  const droppedAt = reader.varint()
  const mergeOperator = reader.text()
  const blobThresholdBytes = reader.varint()
  const compression = reader.text()
  if (compression !== 'none' && compression !== 'deflate' && compression !== 'lz4') {
    return reader.fail(`there is no compression ${JSON.stringify(compression)}`)
  }
  const bloomBitsPerKey = reader.varint()
  const blockBytes = reader.varint()
  readFields(reader, source, noFields)
  return {
    id,
    name,
    droppedAt: droppedAt === 0 ? undefined : droppedAt,
    options: {
      mergeOperator: mergeOperator === '' ? undefined : mergeOperator,
      blobThresholdBytes: blobThresholdBytes === 0 ? Infinity : blobThresholdBytes,
      compression,
      bloomBitsPerKey,
      blockBytes,
    },
  }
}

export function encodeConsumer(consumer: ConsumerRecord): Buffer {
  const writer = new ByteWriter(NUMBERS_BYTES_MAX + utf8Max(consumer.name))
    .text(consumer.name)
    .varint(consumer.position)
  writer.u8(consumer.state === 'active' ? 0 : 1)
  writeOptional(writer, consumer.maxHeldBytes)
  writeOptional(writer, consumer.maxIdleMs)
  writer.varint(consumer.createdAt)
  writeOptional(writer, consumer.lastAckAt)
  return writer.bytes()
}

export function decodeConsumer(reader: ByteReader, source: FieldSource): ConsumerRecord {
  const name = reader.text()
  const position = reader.varint()
  const state = reader.u8()
  if (state > 1) reader.fail(`there is no consumer state ${state}`)
  const maxHeldBytes = readOptional(reader)
  const maxIdleMs = readOptional(reader)
  const createdAt = reader.varint()
  const lastAckAt = readOptional(reader)
  readFields(reader, source, noFields)
  return {
    name,
    position,
    state: state === 0 ? 'active' : 'lost',
    maxHeldBytes,
    maxIdleMs,
    createdAt,
    lastAckAt,
  }
}

export function encodeSeries(series: readonly SeriesPoint[]): Buffer {
  const writer = new ByteWriter((1 + 3 * series.length) * VARINT_BYTES_MAX).varint(series.length)
  let last: SeriesPoint = { seqno: 0, timeMs: 0, userBytes: 0 }
  for (const point of series) {
    writer.varint(point.seqno - last.seqno)
    writer.varint(point.timeMs - last.timeMs)
    writer.varint(point.userBytes - last.userBytes)
    last = point
  }
  return writer.bytes()
}

export function decodeSeries(reader: ByteReader): SeriesPoint[] {
  const count = reader.bounded(SERIES_POINTS_MAX, 'count of series points')
  const series: SeriesPoint[] = []
  let seqno = 0
  let timeMs = 0
  let userBytes = 0
  for (let i = 0; i < count; i++) {
    seqno += reader.varint()
    timeMs += reader.varint()
    userBytes += reader.varint()
    series.push({ seqno, timeMs, userBytes })
  }
  return series
}

export function encodeCleanClose(close: CleanClose): Buffer {
  // Inodes may be larger than a varint here holds; as a float they compare as FileStat gives them.
  const floats = Buffer.alloc(16)
  floats.writeDoubleLE(close.manifestInode, 0)
  floats.writeDoubleLE(close.manifestBirthTimeMs, 8)
  return new ByteWriter(NUMBERS_BYTES_MAX)
    .varint(close.walNumber)
    .varint(close.walBytes)
    .raw(floats)
    .bytes()
}

export function decodeCleanClose(reader: ByteReader): CleanClose {
  const walNumber = reader.varint()
  const walBytes = reader.varint()
  const floats = reader.take(16)
  return {
    walNumber,
    walBytes,
    manifestInode: floats.readDoubleLE(0),
    manifestBirthTimeMs: floats.readDoubleLE(8),
  }
}

function utf8Max(text: string): number {
  return 3 * text.length
}

/** Undefined as 0, everything else one higher. */
function writeOptional(writer: ByteWriter, value: number | undefined): void {
  writer.varint(value === undefined ? 0 : value + 1)
}

function readOptional(reader: ByteReader): number | undefined {
  const value = reader.varint()
  return value === 0 ? undefined : value - 1
}
