/**
 * What a segment reader holds in memory once it is open: footer and block index, which scans of changes need, for all who go by
 * keys separators and range fragments, and for lookups the bloom filter. About 3 % of the file. Every length in it was checked,
 * against the file's size first of all, before anything was allocated by it.
 */
import { readU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { corruption, hasCode } from '../base/errors.ts'
import { FragmentedRanges } from '../base/range-tombstones.ts'
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
import { Separators } from './separators.ts'

export interface OpenedSegment {
  readonly footer: SegmentFooter
  readonly index: BlockIndex
}

/** What finds keys. */
export interface SegmentKeys {
  /** Undefined: in seqno order, or damaged and salvaged. */
  readonly separators: Separators | undefined
  readonly ranges: FragmentedRanges
}

/** A segment with all that is ever held of it. */
export interface WholeSegment extends OpenedSegment, SegmentKeys {
  /** Undefined: every key may be there. */
  readonly bloom: BloomFilter | undefined
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

/** Reads the footer and holds it against `meta`: what the manifest says about the file. */
function* openFooterSteps(
  path: string,
  fileBytes: number,
  meta: SegmentMeta,
): ReadSteps<SegmentFooter> {
  if (fileBytes !== meta.bytes) {
    throw corruption(`the file has ${fileBytes} bytes instead of ${meta.bytes}`, { file: path })
  }
  const footer = yield* readFooterSteps(path, fileBytes)
  checkMeta(footer, path, meta)
  return footer
}

/** The same for who reads on the calling thread and asks nothing but once: undefined where it takes more than that. */
export function openFooterAtOnce(file: ByteSource, meta: SegmentMeta): SegmentFooter | undefined {
  const tailBytes = Math.min(meta.bytes, TAIL_BYTES)
  // One byte more: where there is one, or one is missing, the file has another size.
  const tail = Buffer.allocUnsafeSlow(tailBytes + 1)
  const taken = file.readSync(tail, 0, tail.length, meta.bytes - tailBytes)
  if (taken !== tailBytes || tailBytes < SEGMENT_TRAILER_BYTES) return undefined
  const bytes = tail.subarray(0, tailBytes)
  const length = footerLength(bytes, file.path, meta.bytes)
  if (length > tailBytes) return undefined
  const footer = decodeFooter(bytes, tailBytes - length, file.path, meta.bytes)
  checkMeta(footer, file.path, meta)
  return footer
}

function checkMeta(footer: SegmentFooter, path: string, meta: SegmentMeta): void {
  const mismatch = metaMismatch(footer.meta, meta)
  if (mismatch === undefined) return
  throw corruption(`footer and manifest disagree about ${mismatch}`, { file: path })
}

/** Reads and checks footer and block index. `meta`: what the manifest says about the file. */
export function* openSteps(
  path: string,
  fileBytes: number,
  meta: SegmentMeta,
): ReadSteps<OpenedSegment> {
  const footer = yield* openFooterSteps(path, fileBytes, meta)
  const index = yield* readIndex(path, footer)
  return { footer, index }
}

/** Reads and checks what finds keys, but the filter. `isSalvage`: does without those parts of it that are damaged. */
export function* keySteps(
  path: string,
  footer: SegmentFooter,
  isSalvage = false,
): ReadSteps<SegmentKeys> {
  if (!isSalvage) {
    const ranges = yield* readRanges(path, footer)
    return { separators: yield* readSeparators(path, footer), ranges }
  }
  const ranges = (yield* orElse(readRanges(path, footer))) ?? FragmentedRanges.EMPTY
  return { separators: yield* orElse(readSeparators(path, footer)), ranges }
}

/** Everything but the change index, all of it checked at once. */
export function* wholeSteps(
  path: string,
  fileBytes: number,
  meta: SegmentMeta,
  isSalvage = false,
): ReadSteps<WholeSegment> {
  const opened = yield* openSteps(path, fileBytes, meta)
  opened.index.checkAll()
  const keys = yield* keySteps(path, opened.footer, isSalvage)
  if (!isSalvage) keys.separators?.checkAll()
  const filter = filterSteps(path, opened.footer)
  const bloom = isSalvage ? yield* orElse(filter) : yield* filter
  return { ...opened, ...keys, bloom }
}

/** What the steps give; undefined when the bytes are damaged. */
function* orElse<T>(steps: ReadSteps<T>): ReadSteps<T | undefined> {
  try {
    return yield* steps
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return undefined
  }
}

function* readRanges(path: string, footer: SegmentFooter): ReadSteps<FragmentedRanges> {
  const place = sectionPlaces(footer).ranges
  const section = yield* readSection(path, footer.meta.number, place)
  const ranges =
    section === undefined
      ? FragmentedRanges.EMPTY
      : FragmentedRanges.decode(section, failAt(path, place.position))
  if (ranges.count !== footer.meta.rangeFragments) {
    const message = `${ranges.count} range fragments, not ${footer.meta.rangeFragments}`
    throw corruption(message, { file: path, offset: place.position })
  }
  return ranges
}

/** Reads and checks the filter; undefined where there is none. */
export function* filterSteps(
  path: string,
  footer: SegmentFooter,
): ReadSteps<BloomFilter | undefined> {
  const place = sectionPlaces(footer).bloom
  const bits = yield* readSection(path, footer.meta.number, place)
  if (bits === undefined) return undefined
  const problem = bloomProblem(bits)
  if (problem !== undefined) throw corruption(problem, { file: path, offset: place.position })
  return new BloomFilter(bits)
}

function* readIndex(path: string, footer: SegmentFooter): ReadSteps<BlockIndex> {
  const { meta, parts, blocks, largestBlockBytes } = footer
  const place = sectionPlaces(footer).index
  const section = yield* readSection(path, meta.number, place)
  const { entries } = meta
  const { dataBytes } = parts
  const bounds = { blocks, entries, dataBytes, largestBlockBytes }
  return new BlockIndex(section, bounds, failAt(path, place.position))
}

function* readSeparators(path: string, footer: SegmentFooter): ReadSteps<Separators | undefined> {
  if (footer.meta.order !== 'key') return undefined
  const place = sectionPlaces(footer).separators
  const section = yield* readSection(path, footer.meta.number, place)
  return new Separators(section, footer.blocks, failAt(path, place.position))
}

export interface SectionPlace {
  readonly position: number
  /** With the checksum; 0: not there. */
  readonly length: number
}

/** Where the sections are. */
export function sectionPlaces(
  footer: SegmentFooter,
): Record<'directory' | 'ranges' | 'bloom' | 'separators' | 'index', SectionPlace> {
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
    separators: next(parts.separatorBytes),
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
  return fields.find((field) => found[field] !== expected[field]) ?? layoutMismatch(found, expected)
}

/** Probes went by what the manifest says, where it says anything. */
function layoutMismatch(
  { layout: found }: SegmentMeta,
  { layout: expected }: SegmentMeta,
): string | undefined {
  if (found === undefined || expected === undefined) return undefined
  const fields = [
    'blocks',
    'largestBlockBytes',
    'dataBytes',
    'separatorBytes',
    'indexBytes',
    'footerBytes',
  ] as const
  return fields.find((field) => found[field] !== expected[field])
}

/** The footer of a segment file of which nothing else is known: for dump, and for repair without a manifest. */
export function readSegmentFooter(file: ByteSource & { readonly size: number }): SegmentFooter {
  return runReadsSync(file, readFooterSteps(file.path, file.size))
}
