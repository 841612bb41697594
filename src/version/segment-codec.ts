/**
 * What the manifest says of one segment or blob file.
 *
 * ```
 * segment: place u8 (0..6: level, 255: history)
 *          varints number, keyspace id, bytes | order u8 (0 key, 1 seqno)
 *          varints entries, point tombstones, derived entries, held entries, range fragments,
 *                  min seqno, max seqno, events, min event seqno, max event seqno
 *          bounds u8: 1 has point keys, 2 has a cover, 4 the cover has an end
 *            1: first key, last key | 2: cover start | 4: cover end       each varint length, bytes
 *          varint count of blob references, each varints file number, bytes
 *          tagged fields:  1, ignorable  layout, of a segment in key order: varints format version of the segment, blocks, bytes
 *                          of the largest block, of all blocks, of separators, of block index, of footer
 * blob:    varints number, bytes, frames, frame bytes | tagged fields, none so far
 * ```
 */
import { ByteWriter, type ByteReader, VARINT_BYTES_MAX } from '../base/varint.ts'
import { type FieldSource, readFields, TAG_IGNORABLE } from '../record/tagged-fields.ts'
import { SEGMENT_FORMAT_VERSION } from '../segment/segment-footer.ts'
import type {
  BlobFileMeta,
  BlobReference,
  SegmentLayout,
  SegmentMeta,
} from '../segment/segment-meta.ts'
import { LEVEL_COUNT, type Place, type SegmentAddition } from './version-edit.ts'

const PLACE_HISTORY = 255
const HAS_KEYS = 1
const HAS_COVER = 2
const HAS_COVER_END = 4
/** Place, order, bounds, and every varint of a segment at its longest. */
const FIXED_BYTES_MAX: number = 3 + 18 * VARINT_BYTES_MAX

const TAG_LAYOUT = TAG_IGNORABLE
const LAYOUT_BYTES_MAX: number = 7 * VARINT_BYTES_MAX

const noFields = (): boolean => false

export function writePlace(writer: ByteWriter, place: Place): void {
  writer.u8(place === 'history' ? PLACE_HISTORY : place)
}

export function readPlace(reader: ByteReader): Place {
  const place = reader.u8()
  if (place === PLACE_HISTORY) return 'history'
  if (place >= LEVEL_COUNT) reader.fail(`there is no level ${place}`)
  return place
}

export function encodeSegment(addition: SegmentAddition): Buffer {
  const { meta, level } = addition
  const writer = new ByteWriter(capacityFor(meta))
  writePlace(writer, level)
  writer.varint(meta.number).varint(meta.keyspaceId).varint(meta.bytes)
  writer.u8(meta.order === 'key' ? 0 : 1)
  writer.varint(meta.entries).varint(meta.pointTombstones)
  writer.varint(meta.derivedEntries).varint(meta.heldEntries).varint(meta.rangeFragments)
  writer.varint(meta.minSeqno).varint(meta.maxSeqno)
  writer.varint(meta.events).varint(meta.minEventSeqno).varint(meta.maxEventSeqno)
  writeBounds(writer, meta)
  writer.varint(meta.blobReferences.length)
  for (const { file, bytes } of meta.blobReferences) writer.varint(file).varint(bytes)
  if (meta.layout !== undefined) writer.varint(TAG_LAYOUT).block(encodeLayout(meta.layout))
  return writer.bytes()
}

function encodeLayout(layout: SegmentLayout): Buffer {
  const { blocks, largestBlockBytes, dataBytes, separatorBytes, indexBytes, footerBytes } = layout
  const writer = new ByteWriter(LAYOUT_BYTES_MAX).varint(SEGMENT_FORMAT_VERSION)
  writer.varint(blocks).varint(largestBlockBytes).varint(dataBytes)
  return writer.varint(separatorBytes).varint(indexBytes).varint(footerBytes).bytes()
}

/** At least as many bytes as the segment's encoding takes. */
function capacityFor(meta: SegmentMeta): number {
  const { firstKey, lastKey, coverStart, coverEnd, blobReferences } = meta
  let bytes = FIXED_BYTES_MAX + 2 * VARINT_BYTES_MAX * blobReferences.length
  bytes += 2 * VARINT_BYTES_MAX + LAYOUT_BYTES_MAX
  for (const key of [firstKey, lastKey, coverStart, coverEnd]) bytes += key?.length ?? 0
  return bytes
}

function writeBounds(writer: ByteWriter, meta: SegmentMeta): void {
  const { firstKey, lastKey, coverStart, coverEnd } = meta
  const hasKeys = firstKey !== undefined && lastKey !== undefined
  const hasCover = coverStart !== undefined
  const hasCoverEnd = hasCover && coverEnd !== undefined
  writer.u8(
    (hasKeys ? HAS_KEYS : 0) | (hasCover ? HAS_COVER : 0) | (hasCoverEnd ? HAS_COVER_END : 0),
  )
  if (hasKeys) writer.block(firstKey).block(lastKey)
  if (hasCover) writer.block(coverStart)
  if (hasCoverEnd) writer.block(coverEnd)
}

export function decodeSegment(reader: ByteReader, source: FieldSource): SegmentAddition {
  const level = readPlace(reader)
  const number = reader.varint()
  const keyspaceId = reader.varint()
  const bytes = reader.varint()
  const order = reader.u8()
  if (order > 1) reader.fail(`there is no order ${order}`)
  const entries = reader.varint()
  const pointTombstones = reader.varint()
  const derivedEntries = reader.varint()
  const heldEntries = reader.varint()
  const rangeFragments = reader.varint()
  const minSeqno = reader.varint()
  const maxSeqno = reader.varint()
  const events = reader.varint()
  const minEventSeqno = reader.varint()
  const maxEventSeqno = reader.varint()
  const bounds = reader.u8()
  const hasKeys = (bounds & HAS_KEYS) !== 0
  const firstKey = hasKeys ? reader.block() : undefined
  const lastKey = hasKeys ? reader.block() : undefined
  const coverStart = (bounds & HAS_COVER) !== 0 ? reader.block() : undefined
  const coverEnd = (bounds & HAS_COVER_END) !== 0 ? reader.block() : undefined
  const blobReferences = readReferences(reader)
  let layout: SegmentLayout | undefined
  readFields(reader, source, (tag, field) => {
    if (tag !== TAG_LAYOUT) return false
    layout = readLayout(field, bytes)
    return true
  })
  const meta: SegmentMeta = {
    number,
    keyspaceId,
    bytes,
    order: order === 0 ? 'key' : 'seqno',
    entries,
    pointTombstones,
    derivedEntries,
    heldEntries,
    firstKey,
    lastKey,
    rangeFragments,
    coverStart,
    coverEnd,
    minSeqno,
    maxSeqno,
    events,
    minEventSeqno,
    maxEventSeqno,
    blobReferences,
    layout,
  }
  return { keyspaceId, level, meta }
}

/** Undefined where the segment is of a format that is not known: its footer says so to who opens it. */
function readLayout(field: ByteReader, fileBytes: number): SegmentLayout | undefined {
  if (field.varint() !== SEGMENT_FORMAT_VERSION) return undefined
  const blocks = field.varint()
  const largestBlockBytes = field.varint()
  const dataBytes = field.varint()
  const separatorBytes = field.varint()
  const indexBytes = field.varint()
  const footerBytes = field.varint()
  if (dataBytes + separatorBytes + indexBytes + footerBytes > fileBytes || blocks > dataBytes) {
    field.fail('the layout of a segment is larger than its file')
  }
  return { blocks, largestBlockBytes, dataBytes, separatorBytes, indexBytes, footerBytes }
}

function readReferences(reader: ByteReader): BlobReference[] {
  const count = reader.bounded(reader.remaining / 2, 'count of blob references')
  const references: BlobReference[] = []
  for (let i = 0; i < count; i++) {
    references.push({ file: reader.varint(), bytes: reader.varint() })
  }
  return references
}

export function encodeBlobFile(meta: BlobFileMeta): Buffer {
  const writer = new ByteWriter().varint(meta.number).varint(meta.bytes)
  return writer.varint(meta.frames).varint(meta.frameBytes).bytes()
}

export function decodeBlobFile(reader: ByteReader, source: FieldSource): BlobFileMeta {
  const number = reader.varint()
  const bytes = reader.varint()
  const frames = reader.varint()
  const frameBytes = reader.varint()
  readFields(reader, source, noFields)
  return { number, bytes, frames, frameBytes }
}
