/**
 * Reading the change index: events of a window of seqnos, or all of them by ordinal.
 */
import { readU32, U48_MAX } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import { corruption, hasCode } from '../base/errors.ts'
import { ByteReader } from '../base/varint.ts'
import type { ReadSteps } from '../block/read-fully.ts'
import { CHUNK_EVENTS, decodeChunk, type DecodedEvents } from './change-chunk.ts'
import { ChangeDirectory } from './change-index.ts'
import { failAt, readSection, sectionPlaces } from './opened-segment.ts'
import { SECTION_CHECKSUM_BYTES, type SegmentFooter } from './segment-footer.ts'

/** Events in seqno order, in columns. */
export interface EventRun {
  readonly count: number
  readonly seqnos: Float64Array
  /** Where each event's entry stands in the segment's file order. */
  readonly ordinals: Int32Array
  /** Row of each event's commit in `commits`. */
  readonly commitIds: Int32Array
  readonly commits: CommitTable
  /** The first seqno that was not looked at; upTo + 1 when all were. */
  readonly next: number
}

/** The commit of every entry, a row of `commits`; NO_COMMIT for what is no event. */
export interface CommitsByOrdinal {
  readonly commits: CommitTable
  readonly commitOf: Int32Array
}

/** So many bytes of neighbouring chunks are read at once. */
const READ_BYTES_MAX = 2 ** 20

export function* readDirectorySteps(
  path: string,
  footer: SegmentFooter,
): ReadSteps<ChangeDirectory> {
  const place = sectionPlaces(footer).directory
  const section = yield* readSection(path, footer.meta.number, place)
  return new ChangeDirectory(section, footer, failAt(path, place.position))
}

/** Events in [from, upTo], at most `limit` of them. */
export function* eventSteps(
  path: string,
  footer: SegmentFooter,
  directory: ChangeDirectory,
  window: { from: number; upTo: number; limit: number },
): ReadSteps<EventRun> {
  const { from, upTo, limit } = window
  const firstChunk = directory.chunkAtOrAbove(from)
  let lastChunk = firstChunk
  let rows = 0
  // The first chunk may begin far before `from`: it does not count towards the limit.
  let beyondFirst = 0
  while (
    lastChunk < directory.count &&
    directory.firstSeqnos[lastChunk]! <= upTo &&
    beyondFirst < limit
  ) {
    directory.check(lastChunk)
    rows += directory.events[lastChunk]!
    if (lastChunk > firstChunk) beyondFirst += directory.events[lastChunk]!
    lastChunk++
  }
  const decoded: DecodedEvents = {
    seqnos: new Float64Array(rows),
    ordinals: new Int32Array(rows),
    commitIds: new Int32Array(rows),
    commits: new CommitTable(),
  }
  const { seqnos, ordinals, commitIds, commits } = decoded
  const chunks = { firstChunk, lastChunk, upTo }
  const decodedRows = yield* decodeChunks(path, footer, directory, chunks, decoded)
  const start = lowerBound(seqnos, decodedRows, from)
  const found = decodedRows - start
  const count = Math.min(found, limit)
  const end = start + count
  return {
    count,
    seqnos: seqnos.subarray(start, end),
    ordinals: ordinals.subarray(start, end),
    commitIds: commitIds.subarray(start, end),
    commits,
    next: nextSeqno(),
  }

  function nextSeqno(): number {
    if (count < found) return seqnos[end]!
    if (lastChunk < directory.count && directory.firstSeqnos[lastChunk]! <= upTo) {
      return directory.firstSeqnos[lastChunk]!
    }
    return Math.max(from, upTo + 1)
  }
}

/** Commit of every entry. `isSalvage`: a damaged chunk only costs its own events. */
export function* commitSteps(
  path: string,
  footer: SegmentFooter,
  directory: ChangeDirectory,
  isSalvage = false,
): ReadSteps<CommitsByOrdinal> {
  const commitOf = new Int32Array(footer.meta.entries).fill(NO_COMMIT)
  const decoded: DecodedEvents = {
    seqnos: new Float64Array(CHUNK_EVENTS),
    ordinals: new Int32Array(CHUNK_EVENTS),
    commitIds: new Int32Array(CHUNK_EVENTS),
    commits: new CommitTable(),
  }
  const { ordinals, commitIds, commits } = decoded
  directory.checkAll(footer.meta.events)
  for (let chunk = 0; chunk < directory.count; chunk++) {
    // One chunk after the other through the same columns; reading them singly costs 3 us each.
    const chunks = { firstChunk: chunk, lastChunk: chunk + 1, upTo: U48_MAX }
    try {
      yield* decodeChunks(path, footer, directory, chunks, decoded)
    } catch (error) {
      if (!isSalvage || !hasCode(error, 'VARVE_CORRUPTION')) throw error
      continue
    }
    for (let i = 0; i < directory.events[chunk]!; i++) {
      if (commitOf[ordinals[i]!] !== NO_COMMIT) {
        throw corruption(`entry ${ordinals[i]!} is two events`, {
          file: path,
          offset: directory.positions[chunk]!,
        })
      }
      commitOf[ordinals[i]!] = commitIds[i]!
    }
  }
  return { commits, commitOf }
}

/** Decodes chunks, all but the last whole; that one up to `upTo`. Returns the number of their events. */
function* decodeChunks(
  path: string,
  footer: SegmentFooter,
  directory: ChangeDirectory,
  chunks: { firstChunk: number; lastChunk: number; upTo: number },
  target: DecodedEvents,
): ReadSteps<number> {
  const { number, entries } = footer.meta
  const { positions } = directory
  let row = 0
  let chunk = chunks.firstChunk
  while (chunk < chunks.lastChunk) {
    const position = positions[chunk]!
    let end = chunk + 1
    while (end < chunks.lastChunk && positions[end + 1]! - position <= READ_BYTES_MAX) end++
    const bytes = yield { position, length: positions[end]! - position }
    for (; chunk < end; chunk++) {
      const start = positions[chunk]! - position
      const checksumAt = positions[chunk + 1]! - position - SECTION_CHECKSUM_BYTES
      if (checksum(bytes, start, checksumAt, number % 4294967296) !== readU32(bytes, checksumAt)) {
        throw corruption('the checksum of a chunk of the change index does not fit', {
          file: path,
          offset: positions[chunk]!,
        })
      }
      const events = directory.events[chunk]!
      const firstSeqno = directory.firstSeqnos[chunk]!
      const lastSeqno = directory.lastSeqnos[chunk]!
      const reader = new ByteReader(bytes, start, checksumAt, failAt(path, position))
      const bounds = { events, firstSeqno, lastSeqno, entries }
      row += decodeChunk(reader, bounds, target, row, chunks.upTo)
    }
  }
  return row
}

/** Index of the first of `count` ascending seqnos that is at or above `seqno`. */
function lowerBound(seqnos: Float64Array, count: number, seqno: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (seqnos[middle]! < seqno) low = middle + 1
    else high = middle
  }
  return low
}
