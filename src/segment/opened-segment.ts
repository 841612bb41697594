/**
 * What a segment reader holds in memory once it is open: footer, block index, bloom filter, range fragments. About 2 % of the
 * file. Every length in it was checked, against the file's size first of all, before anything was allocated by it.
 */
import { readU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { corruption } from '../base/errors.ts'
import { FragmentedRanges } from '../base/range-tombstones.ts'
import { ByteReader } from '../base/varint.ts'
import { type ByteSource, type ReadSteps, runReadsSync } from '../block/read-fully.ts'
import { BlockIndex } from './block-index.ts'
import { BloomFilter, bloomProblem } from './bloom-filter.ts'
import {
  decodeFooter,
  footerLength,
  SECTION_CHECKSUM_BYTES,
  SEGMENT_TRAILER_BYTES,
  type SegmentFooter,
} from './segment-footer.ts'
import type { SegmentMeta } from './segment-meta.ts'

export interface OpenedSegment {
  readonly footer: SegmentFooter
  readonly index: BlockIndex
  /** Undefined: every key may be there. */
  readonly bloom: BloomFilter | undefined
  readonly ranges: FragmentedRanges
  readonly residentBytes: number
}

/** Read at the end of a file to find its footer; nearly always holds all of it. */
const TAIL_BYTES = 4096

/** Reads the footer of the file. */
export function* readFooterSteps(path: string, fileBytes: number): ReadSteps<SegmentFooter> {
  if (fileBytes < SEGMENT_TRAILER_BYTES) {
    throw corruption(`${fileBytes} bytes are no segment`, { file: path, offset: 0 })
  }
  const tailBytes = Math.min(fileBytes, TAIL_BYTES)
  const tail = yield { position: fileBytes - tailBytes, length: tailBytes }
  const length = footerLength(tail, path, fileBytes)
  if (length <= tailBytes) return decodeFooter(tail, tailBytes - length, path, fileBytes)
  const whole = yield { position: fileBytes - length, length }
  return decodeFooter(whole, 0, path, fileBytes)
}

/** Reads and checks everything but the change index. `meta`: what the manifest says about the file. */
export function* openSteps(
  path: string,
  fileBytes: number,
  meta: SegmentMeta,
): ReadSteps<OpenedSegment> {
  if (fileBytes !== meta.bytes) {
    throw corruption(`the file has ${fileBytes} bytes instead of ${meta.bytes}`, { file: path })
  }
  const footer = yield* readFooterSteps(path, fileBytes)
  const mismatch = metaMismatch(footer.meta, meta)
  if (mismatch !== undefined) {
    throw corruption(`footer and manifest disagree about ${mismatch}`, { file: path })
  }
  const places = sectionPlaces(footer)
  let ranges = FragmentedRanges.EMPTY
  const rangeSection = yield* readSection(path, meta.number, places.ranges)
  if (rangeSection !== undefined) {
    ranges = FragmentedRanges.decode(rangeSection, failAt(path, places.ranges.position))
  }
  if (ranges.count !== meta.rangeFragments) {
    throw corruption(`${ranges.count} range fragments, not ${meta.rangeFragments}`, { file: path })
  }
  const bits = yield* readSection(path, meta.number, places.bloom)
  const problem = bits === undefined ? undefined : bloomProblem(bits)
  if (problem !== undefined)
    throw corruption(problem, { file: path, offset: places.bloom.position })
  const indexSection = yield* readSection(path, meta.number, places.index)
  const fail = failAt(path, places.index.position)
  const reader =
    indexSection === undefined
      ? new ByteReader(Uint8Array.of(0), 0, 1, fail)
      : new ByteReader(indexSection, 0, indexSection.length, fail)
  const index = new BlockIndex(reader, {
    byKey: meta.order === 'key',
    blocks: footer.blocks,
    entries: meta.entries,
    dataBytes: footer.parts.dataBytes,
    largestBlockBytes: footer.largestBlockBytes,
  })
  const residentBytes = index.residentBytes + footer.parts.bloomBytes + footer.parts.rangeBytes
  const bloom = bits === undefined ? undefined : new BloomFilter(bits)
  return { footer, index, bloom, ranges, residentBytes }
}

export interface SectionPlace {
  readonly position: number
  /** With the checksum; 0: not there. */
  readonly length: number
}

/** Where the sections are. */
export function sectionPlaces(
  footer: SegmentFooter,
): Record<'directory' | 'ranges' | 'bloom' | 'index', SectionPlace> {
  const { parts } = footer
  let position = parts.dataBytes + parts.changeBytes
  const next = (length: number): SectionPlace => {
    const place = { position, length }
    position += length
    return place
  }
  return {
    directory: next(parts.directoryBytes),
    ranges: next(parts.rangeBytes),
    bloom: next(parts.bloomBytes),
    index: next(parts.indexBytes),
  }
}

/** Reads a section and checks its checksum; undefined when it is not there. */
export function* readSection(
  path: string,
  number: number,
  place: SectionPlace,
): ReadSteps<Buffer | undefined> {
  if (place.length === 0) return undefined
  const bytes = yield place
  const end = bytes.length - SECTION_CHECKSUM_BYTES
  if (checksum(bytes, 0, end, number % 4294967296) !== readU32(bytes, end)) {
    throw corruption('the checksum of a section does not fit', {
      file: path,
      offset: place.position,
    })
  }
  return bytes.subarray(0, end)
}

/** A `fail` for decoders of bytes that begin at `position` of the file. */
export function failAt(path: string, position: number): (reason: string, at: number) => never {
  return (reason, at) => {
    throw corruption(reason, { file: path, offset: position + at })
  }
}

/** Name of a field that differs. Keys are compared by verify only: they follow from the blocks. */
function metaMismatch(found: SegmentMeta, expected: SegmentMeta): string | undefined {
  const fields = [
    'number',
    'keyspaceId',
    'order',
    'entries',
    'rangeFragments',
    'events',
    'minSeqno',
    'maxSeqno',
    'minEventSeqno',
    'maxEventSeqno',
  ] as const
  return fields.find((field) => found[field] !== expected[field])
}

/** The footer of a segment file of which nothing else is known: for dump, and for repair without a manifest. */
export function readSegmentFooter(file: ByteSource & { readonly size: number }): SegmentFooter {
  return runReadsSync(file, readFooterSteps(file.path, file.size))
}
