/**
 * Looking behind damage: is there a good record, and can a power cut explain what stands before it?
 *
 * What a power cut leaves of bytes that were not synced, sector by sector: the new content, the old content, or zeros; and
 * the file may end early. Logs are only appended to, so old content is "nothing yet": every sector that did not make it
 * ends in zeros. Damage before which no sector ends so is none of a power cut's.
 */
import { readU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import type { ReadableFile } from '../env/file-system.ts'
import {
  isIgnorableRecordType,
  isKnownRecordType,
  recordDurableBytes,
  recordFileNumber,
  recordLength,
  recordType,
} from './record-frame.ts'
import { RECORD_HEADER_BYTES } from './record-header.ts'
import { RecordWindow } from './record-window.ts'

const SECTOR_BYTES = 512
const PIECE_BYTES = 1 << 20
/**
 * Bound on bytes that are checksummed for candidates, as a multiple of what is searched: values could be made to look like
 * record headers at every step. Beyond it the search gives up, and the damage counts as a torn tail.
 */
const EFFORT_FACTOR = 64

export interface RecordSearch {
  readonly fileNumber: number
  readonly seed: number
  /** Where the file ends. */
  readonly size: number
}

export interface RecordBehind {
  /** Where the first good record behind the damage begins. */
  readonly first: number
  /** The largest count of durable bytes that a good record behind it carries. */
  readonly durableBytes: number
}

/** Searches (offset, size) for good records, byte by byte. */
export async function findRecordBehind(
  file: ReadableFile,
  offset: number,
  search: RecordSearch,
): Promise<RecordBehind | undefined> {
  const window = new RecordWindow(file, search.size)
  let effort = EFFORT_FACTOR * (search.size - offset + PIECE_BYTES)
  let first = -1
  let durableBytes = 0
  let at = offset + 1
  while (at + RECORD_HEADER_BYTES <= search.size && effort > 0) {
    if (!(await window.load(at, RECORD_HEADER_BYTES))) break
    at = skipToCandidate(window, at, search)
    if (!window.holds(at, RECORD_HEADER_BYTES)) continue
    const start = at - window.position
    const length = recordLength(window.bytes, start)
    const durable = recordDurableBytes(window.bytes, start)
    effort -= length
    if (await isSoundAt(file, window, at, length, search.seed)) {
      if (first < 0) first = at
      if (durable > durableBytes) durableBytes = durable
      if (durableBytes > offset) break
      at += length
    } else {
      at++
    }
  }
  return first < 0 ? undefined : { first, durableBytes }
}

/** The first position from `at` on in the window that could be a record, or the first whose header is not in the window. */
function skipToCandidate(window: RecordWindow, at: number, search: RecordSearch): number {
  const { bytes, position } = window
  const last = window.length - RECORD_HEADER_BYTES
  const low = search.fileNumber & 0xff
  for (let i = at - position; i <= last; i++) {
    // The file number is never 0 here, so stretches of zeros cost one look a byte.
    if (bytes[i + 8] !== low || recordFileNumber(bytes, i) !== search.fileNumber) continue
    const length = recordLength(bytes, i)
    if (length < RECORD_HEADER_BYTES || length > search.size - position - i) continue
    const type = recordType(bytes, i)
    if (!isKnownRecordType(type) && !isIgnorableRecordType(type)) continue
    if (recordDurableBytes(bytes, i) <= position + i) return position + i
  }
  return position + Math.max(last + 1, at - position)
}

async function isSoundAt(
  file: ReadableFile,
  window: RecordWindow,
  at: number,
  length: number,
  seed: number,
): Promise<boolean> {
  const start = at - window.position
  const expected = readU32(window.bytes, start)
  if (window.holds(at, length)) {
    return checksum(window.bytes, start + 4, start + length, seed) === expected
  }
  // Piece by piece: the length is only claimed, and may be most of a large file.
  const piece = new Uint8Array(Math.min(PIECE_BYTES, length))
  let sum = seed
  let position = at + 4
  while (position < at + length) {
    const wanted = Math.min(piece.length, at + length - position)
    const read = await file.read(piece, 0, wanted, position)
    if (read <= 0) return false
    sum = checksum(piece, 0, read, sum)
    position += read
  }
  return sum === expected
}

/** Whether some sector in [from, to) looks as if it had never been written, to its end. */
export async function isTornBySectors(
  file: ReadableFile,
  from: number,
  to: number,
): Promise<boolean> {
  // One sector more than needed: the one in which `to` lies must be zero to its end, too.
  const window = new RecordWindow(file, file.size)
  let end = from - (from % SECTOR_BYTES) + SECTOR_BYTES
  for (; end - SECTOR_BYTES < to; end += SECTOR_BYTES) {
    const sectorEnd = Math.min(end, file.size)
    const start = Math.min(sectorEnd, to) - 1
    if (!(await window.load(start, sectorEnd - start))) return true
    if (isZero(window.bytes, start - window.position, sectorEnd - window.position)) return true
  }
  return false
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false
  return true
}
