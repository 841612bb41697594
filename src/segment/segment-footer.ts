/**
 * The end of a segment file: where its parts are, and everything that the manifest also knows of it, so that a lost manifest
 * can be made again from the segments.
 *
 * ```
 *   0           data blocks (block/block-format.ts), one after the other
 *               chunks of the change index (change-index.ts), likewise
 *               change directory          |
 *               range fragments           |  sections: their bytes, then u32 checksum seeded with the low 32 bits
 *               bloom filter              |  of the file's number; a section that is not there has no bytes at all
 *               separators                |
 *               block index               |
 *   end - 18-p  properties                p bytes, each: varint tag | varint length | bytes
 *   end - 18    u32  p
 *   end - 14    u16  format version
 *   end - 12    magic "VARVESEG"
 *   end - 4     u32  checksum of everything from the properties on
 * ```
 *
 * Parts follow one another without a gap: every byte of the file is under exactly one checksum. A property whose tag has the
 * low bit set may be ignored by a reader that does not know it; any other unknown one is VARVE_UNSUPPORTED_FORMAT.
 */
import { readU16, readU32 } from '../base/bytes.ts'
import { rareChecksum } from '../base/checksum.ts'
import { KEY_BYTES_MAX } from '../base/entry-kind.ts'
import { corruption, VarveError } from '../base/errors.ts'
import { ByteReader, ByteWriter } from '../base/varint.ts'
import { BLOCK_BYTES_MAX } from '../block/block-format.ts'
import type { BlobReference, SegmentLayout, SegmentMeta } from './segment-meta.ts'

export const SEGMENT_FORMAT_VERSION = 1
export const SEGMENT_TRAILER_BYTES = 18
/** Behind each section. */
export const SECTION_CHECKSUM_BYTES = 4
const MAGIC = Buffer.from('VARVESEG', 'latin1')

const TAG_IDENTITY = 2
const TAG_SECTIONS = 4
const TAG_BLOCKS = 6
const TAG_ENTRIES = 8
const TAG_SEQNOS = 10
const TAG_FIRST_KEY = 12
const TAG_LAST_KEY = 14
const TAG_COVER = 16
const TAG_BLOBS = 18
/** Ignorable: only for people who look at the file. */
const TAG_BUILT_WITH = 21
/** Ignorable: only for repair without any manifest. */
const TAG_ORIGIN = 23

/** Sizes of the parts behind the data blocks, in file order; sections with their checksum, 0 when not there. */
export interface SegmentParts {
  readonly dataBytes: number
  readonly changeBytes: number
  readonly directoryBytes: number
  readonly rangeBytes: number
  readonly bloomBytes: number
  readonly separatorBytes: number
  readonly indexBytes: number
}

/**
 * Of what a job made that took inputs over whole (compaction/takeover.ts). All the rest it left out may stand in those alone, so its
 * outputs count together or not at all: when no manifest says whether they do, this does (db/job-survey.ts).
 */
export interface SegmentOrigin {
  /** The segment is history although it is in key order: a copy of an input. */
  readonly isHistory: boolean
  /** Number of the file that the job ended last: where that is whole, everything is. */
  readonly closing: number
  /** Numbers of the segments that the job read, and which its outputs replace. */
  readonly inputs: readonly number[]
}

export interface SegmentFooter {
  readonly meta: SegmentMeta
  readonly parts: SegmentParts
  readonly blocks: number
  /** Decompressed, without trailer: the bound for everything that is allocated for a block. */
  readonly largestBlockBytes: number
  readonly changeChunks: number
  /** What the segment was built with, in words. */
  readonly builtWith: string
  /** Undefined: made by a job that took nothing over. */
  readonly origin?: SegmentOrigin | undefined
  /** Bytes of the footer: properties and trailer. */
  readonly bytes: number
}

/** What the manifest is to know of where things are, so that a probe need not read the footer. */
export function layoutOf(
  order: SegmentMeta['order'],
  { parts, blocks, largestBlockBytes, bytes }: Omit<SegmentFooter, 'meta'>,
): SegmentLayout | undefined {
  if (order !== 'key') return undefined
  const { dataBytes, separatorBytes, indexBytes } = parts
  return { blocks, largestBlockBytes, dataBytes, separatorBytes, indexBytes, footerBytes: bytes }
}

/** The footer's bytes. `meta.bytes` is the size of the whole file; `footerBytes` makes it known beforehand. */
export function encodeFooter(footer: Omit<SegmentFooter, 'bytes'>): Buffer {
  const { meta, parts } = footer
  const { firstKey, lastKey, coverStart, coverEnd, blobReferences } = meta
  const builtWith = Buffer.from(footer.builtWith)
  const writer = new ByteWriter(512)
  const property = (tag: number, fill: (body: ByteWriter) => void): void => {
    const body = new ByteWriter(64)
    fill(body)
    writer.varint(tag).block(body.bytes())
  }
  property(TAG_IDENTITY, (body) => {
    body
      .varint(meta.number)
      .varint(meta.keyspaceId)
      .u8(meta.order === 'key' ? 0 : 1)
  })
  property(TAG_SECTIONS, (body) => {
    body.varint(parts.dataBytes).varint(parts.changeBytes).varint(parts.directoryBytes)
    body.varint(parts.rangeBytes).varint(parts.bloomBytes).varint(parts.separatorBytes)
    body.varint(parts.indexBytes)
  })
  property(TAG_BLOCKS, (body) => {
    body.varint(footer.blocks).varint(footer.largestBlockBytes).varint(footer.changeChunks)
  })
  property(TAG_ENTRIES, (body) => {
    body.varint(meta.entries).varint(meta.pointTombstones).varint(meta.derivedEntries)
    body.varint(meta.heldEntries).varint(meta.rangeFragments).varint(meta.events)
  })
  property(TAG_SEQNOS, (body) => {
    body.varint(meta.minSeqno).varint(meta.maxSeqno)
    body.varint(meta.minEventSeqno).varint(meta.maxEventSeqno)
  })
  if (firstKey !== undefined) property(TAG_FIRST_KEY, (body) => body.raw(firstKey))
  if (lastKey !== undefined) property(TAG_LAST_KEY, (body) => body.raw(lastKey))
  if (coverStart !== undefined) {
    property(TAG_COVER, (body) => {
      body.block(coverStart)
      if (coverEnd !== undefined) body.u8(1).raw(coverEnd)
      else body.u8(0)
    })
  }
  if (blobReferences.length > 0) {
    property(TAG_BLOBS, (body) => {
      body.varint(blobReferences.length)
      for (const { file, bytes } of blobReferences) body.varint(file).varint(bytes)
    })
  }
  if (builtWith.length > 0) property(TAG_BUILT_WITH, (body) => body.raw(builtWith))
  const { origin } = footer
  if (origin !== undefined) {
    property(TAG_ORIGIN, (body) => {
      body.u8(origin.isHistory ? 1 : 0).varint(origin.closing)
      for (const number of origin.inputs) body.varint(number)
    })
  }
  writer.u32(writer.length).u16(SEGMENT_FORMAT_VERSION).raw(MAGIC)
  const bytes = writer.bytes()
  return Buffer.from(writer.u32(rareChecksum(bytes, 0, bytes.length)).bytes())
}

/**
 * Length of the whole footer as its trailer, the last SEGMENT_TRAILER_BYTES of the file, says; checked against the file's size.
 */
export function footerLength(tail: Uint8Array, path: string, fileBytes: number): number {
  const at = tail.length - SEGMENT_TRAILER_BYTES
  if (at < 0 || MAGIC.compare(tail, at + 6, at + 6 + MAGIC.length) !== 0) {
    throw corruption('the file does not end like a segment', { file: path, offset: fileBytes })
  }
  const length = readU32(tail, at) + SEGMENT_TRAILER_BYTES
  if (length > fileBytes) {
    throw corruption(`a footer of ${length} bytes is larger than the file`, {
      file: path,
      offset: fileBytes - SEGMENT_TRAILER_BYTES,
    })
  }
  return length
}

/** Decodes and checks the footer in bytes[start, length): the last bytes of a file of `fileBytes`. */
export function decodeFooter(
  bytes: Uint8Array,
  start: number,
  path: string,
  fileBytes: number,
): SegmentFooter {
  const length = bytes.length - start
  const footerAt = fileBytes - length
  const fail = (reason: string, position: number): never => {
    throw corruption(reason, { file: path, offset: footerAt + position - start })
  }
  const checksumAt = bytes.length - 4
  const trailerAt = bytes.length - SEGMENT_TRAILER_BYTES
  if (rareChecksum(bytes, start, checksumAt) !== readU32(bytes, checksumAt)) {
    fail('the checksum of a segment footer does not fit', start)
  }
  const version = readU16(bytes, trailerAt + 4)
  if (version !== SEGMENT_FORMAT_VERSION) {
    throw new VarveError('VARVE_UNSUPPORTED_FORMAT', `segment format ${version} is not known`, {
      file: path,
      version,
    })
  }
  const found = new Map<number, ByteReader>()
  const reader = new ByteReader(bytes, start, trailerAt, fail)
  while (reader.remaining > 0) {
    const tag = reader.varint()
    const bodyBytes = reader.bounded(reader.remaining, 'length of a property')
    if (found.has(tag)) reader.fail(`property ${tag} stands twice`)
    found.set(tag, new ByteReader(bytes, reader.position, reader.position + bodyBytes, fail))
    reader.position += bodyBytes
  }
  return readProperties(found, { path, fileBytes, footerBytes: length, fail })
}

interface FooterContext {
  readonly path: string
  readonly fileBytes: number
  readonly footerBytes: number
  readonly fail: (reason: string, position: number) => never
}

function readProperties(found: Map<number, ByteReader>, context: FooterContext): SegmentFooter {
  const { path, fileBytes, footerBytes } = context
  const take = (tag: number): ByteReader | undefined => {
    const body = found.get(tag)
    found.delete(tag)
    return body
  }
  const need = (tag: number): ByteReader => {
    const body = take(tag)
    if (body !== undefined) return body
    throw corruption(`property ${tag} is missing`, { file: path, offset: fileBytes - footerBytes })
  }
  const end = (body: ByteReader): void => {
    if (body.remaining > 0) body.fail('a property is too long')
  }

  const identity = need(TAG_IDENTITY)
  const number = identity.varint()
  const keyspaceId = identity.varint()
  const order = identity.u8()
  if (order > 1) identity.fail(`order ${order} is not known`)
  end(identity)

  const sections = need(TAG_SECTIONS)
  let left = fileBytes - footerBytes
  const part = (what: string): number => {
    const bytes = sections.bounded(left, what)
    left -= bytes
    return bytes
  }
  const parts: SegmentParts = {
    dataBytes: part('bytes of all blocks'),
    changeBytes: part('bytes of the change index'),
    directoryBytes: part('bytes of the change directory'),
    rangeBytes: part('bytes of the range fragments'),
    bloomBytes: part('bytes of the bloom filter'),
    separatorBytes: part('bytes of the separators'),
    indexBytes: part('bytes of the block index'),
  }
  if (left !== 0) sections.fail(`${left} bytes of the file belong to no part of it`)
  for (const bytes of [
    parts.directoryBytes,
    parts.rangeBytes,
    parts.bloomBytes,
    parts.separatorBytes,
    parts.indexBytes,
  ]) {
    if (bytes !== 0 && bytes <= SECTION_CHECKSUM_BYTES) sections.fail('a section is too short')
  }
  end(sections)

  const blocksBody = need(TAG_BLOCKS)
  const blocks = blocksBody.bounded(parts.dataBytes, 'number of blocks')
  const largestBlockBytes = blocksBody.bounded(BLOCK_BYTES_MAX, 'bytes of the largest block')
  const changeChunks = blocksBody.bounded(parts.changeBytes, 'number of change chunks')
  if (blocks > 0 && parts.indexBytes === 0) blocksBody.fail('there are blocks and no index')
  if (changeChunks > 0 && parts.directoryBytes === 0)
    blocksBody.fail('there are chunks and no directory')
  end(blocksBody)

  const counts = need(TAG_ENTRIES)
  const entries = counts.bounded(2 ** 31 - 1, 'number of entries')
  const pointTombstones = counts.bounded(entries, 'number of tombstones')
  const derivedEntries = counts.bounded(entries, 'number of derived entries')
  const heldEntries = counts.bounded(entries, 'number of held entries')
  const rangeFragments = counts.bounded(parts.rangeBytes, 'number of range fragments')
  const events = counts.bounded(entries, 'number of events')
  end(counts)

  const seqnos = need(TAG_SEQNOS)
  const minSeqno = seqnos.varint()
  const maxSeqno = seqnos.varint()
  const minEventSeqno = seqnos.varint()
  const maxEventSeqno = seqnos.varint()
  if (minSeqno > maxSeqno || minEventSeqno > maxEventSeqno || maxEventSeqno > maxSeqno) {
    seqnos.fail('seqno bounds are not in order')
  }
  end(seqnos)

  const rest = (tag: number): Buffer | undefined => {
    const body = take(tag)
    if (body === undefined) return undefined
    if (body.remaining > KEY_BYTES_MAX) body.fail('a key is too long')
    return body.take(body.remaining)
  }
  const firstKey = rest(TAG_FIRST_KEY)
  const lastKey = rest(TAG_LAST_KEY)
  const cover = take(TAG_COVER)
  const coverStart = cover?.block()
  const coverEnd = cover !== undefined && cover.u8() === 1 ? cover.take(cover.remaining) : undefined
  if (cover !== undefined) end(cover)

  const blobReferences: BlobReference[] = []
  const blobs = take(TAG_BLOBS)
  if (blobs !== undefined) {
    const count = blobs.bounded(blobs.remaining, 'number of blob files')
    for (let i = 0; i < count; i++) {
      blobReferences.push({ file: blobs.varint(), bytes: blobs.varint() })
    }
    end(blobs)
  }
  const builtWithBody = take(TAG_BUILT_WITH)
  const builtWith = builtWithBody?.take(builtWithBody.remaining).toString() ?? ''
  const origin = readOrigin(take(TAG_ORIGIN))
  for (const tag of found.keys()) {
    if (tag % 2 === 1) continue
    throw new VarveError('VARVE_UNSUPPORTED_FORMAT', `segment property ${tag} is not known`, {
      file: path,
      property: tag,
    })
  }
  const about = {
    parts,
    blocks,
    largestBlockBytes,
    changeChunks,
    builtWith,
    origin,
    bytes: footerBytes,
  }
  const orderName = order === 0 ? 'key' : 'seqno'
  const meta: SegmentMeta = {
    number,
    keyspaceId,
    bytes: fileBytes,
    order: orderName,
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
    layout: layoutOf(orderName, about),
  }
  return { meta, ...about }
}

function readOrigin(body: ByteReader | undefined): SegmentOrigin | undefined {
  if (body === undefined) return undefined
  const isHistory = body.u8()
  if (isHistory > 1) body.fail(`${isHistory} is neither history nor live`)
  const closing = body.varint()
  const inputs: number[] = []
  while (body.remaining > 0) inputs.push(body.varint())
  return { isHistory: isHistory === 1, closing, inputs }
}
