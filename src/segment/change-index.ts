/**
 * The change index of a segment: which of its entries are events, in seqno order, and of which commits.
 *
 * Chunks (change-chunk.ts) follow one another behind the data blocks; the directory tells where each is:
 *
 * ```
 *   f64 each  positions: chunk i is [positions[i], positions[i + 1]) of the file, checksum included; one more than chunks
 *   f64 each  first seqno
 *   f64 each  last seqno
 *   u32 each  events
 * ```
 *
 * A scan reads the directory once, uses its columns where they stand, and then reads only the chunks that hold seqnos it wants.
 */
import { EMPTY_BYTES, U48_MAX, writeU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import type { CommitTable } from '../base/commit-table.ts'
import { BitWriter } from './bit-stream.ts'
import type { SectionFailure } from './block-index.ts'
import { CHUNK_EVENTS, encodeChunk, type SortedEvents } from './change-chunk.ts'
import {
  F64_BYTES,
  f64Column,
  U32_BYTES,
  u32Column,
  writeF64Column,
  writeU32Column,
} from './columns.ts'
import { type SortedSeqnos, sortSeqnos } from './seqno-sort.ts'
import { SECTION_CHECKSUM_BYTES, type SegmentFooter } from './segment-footer.ts'

/** What is not touched costs nothing, each copy does. */
const GROWTH = 4

/** Collects the events of a segment in the order of its entries, and writes them in seqno order. */
export class ChangeIndexBuilder {
  count = 0
  #seqnos: Float64Array = new Float64Array(1024)
  #ordinals: Int32Array = new Int32Array(1024)
  #commitIds: Int32Array = new Int32Array(1024)
  #tableIds: Uint16Array = new Uint16Array(1024)
  readonly #tables: CommitTable[] = []
  #table: CommitTable | undefined
  #tableId = 0
  #isSorted = true
  #firstSeqno = 0
  #lastSeqno = 0

  /** Of all events; 0 when there are none. After `chunks` has run. */
  get firstSeqno(): number {
    return this.#firstSeqno
  }

  get lastSeqno(): number {
    return this.#lastSeqno
  }

  add(seqno: number, ordinal: number, commits: CommitTable, commitId: number): void {
    const at = this.count
    if (at === this.#seqnos.length) this.#grow()
    if (commits !== this.#table) {
      this.#table = commits
      this.#tableId = this.#tables.indexOf(commits)
      if (this.#tableId < 0) this.#tableId = this.#tables.push(commits) - 1
    }
    if (at > 0 && this.#isSorted && seqno < this.#seqnos[at - 1]!) this.#isSorted = false
    this.#seqnos[at] = seqno
    this.#ordinals[at] = ordinal
    this.#commitIds[at] = commitId
    this.#tableIds[at] = this.#tableId
    this.count = at + 1
  }

  /**
   * The encoded chunks with their checksums, one at a time (valid until the next), the first of which goes to `position` of the
   * file; then as result the directory, empty where there are no events. Between longer steps `undefined`.
   */
  *chunks(seed: number, position: number): Generator<Buffer | undefined, Buffer> {
    const events = yield* this.#sort()
    const positions = [position]
    const firstSeqnos: number[] = []
    const lastSeqnos: number[] = []
    const counts: number[] = []
    const bits = new BitWriter()
    for (let from = 0; from < this.count; from += CHUNK_EVENTS) {
      const to = Math.min(from + CHUNK_EVENTS, this.count)
      const writer = encodeChunk(events, from, to, bits)
      writer.u32(checksum(writer.bytes(), 0, writer.length, seed))
      positions.push(positions.at(-1)! + writer.length)
      firstSeqnos.push(events.seqnos[from]!)
      lastSeqnos.push(events.seqnos[to - 1]!)
      counts.push(to - from)
      yield writer.bytes()
    }
    const chunks = counts.length
    const directory = Buffer.alloc(chunks === 0 ? 0 : directoryBytes(chunks))
    if (chunks === 0) return directory
    let at = writeF64Column(directory, 0, positions, chunks + 1)
    at = writeF64Column(directory, at, firstSeqnos, chunks)
    at = writeF64Column(directory, at, lastSeqnos, chunks)
    writeU32Column(directory, at, counts, chunks)
    return directory
  }

  *#sort(): Generator<undefined, SortedEvents> {
    const { count } = this
    let sorted: SortedSeqnos
    if (this.#isSorted) {
      sorted = { seqnos: this.#seqnos, rows: ascending(count) }
    } else {
      sorted = yield* sortSeqnos(this.#seqnos, count)
    }
    const { seqnos, rows } = sorted
    let ordinals = rows
    // When every entry is an event, the ordinal of an event is its row.
    if (count > 0 && this.#ordinals[count - 1] !== count - 1) {
      ordinals = permuted(this.#ordinals, rows)
      yield undefined
    }
    this.#lastSeqno = count === 0 ? 0 : seqnos[count - 1]!
    this.#firstSeqno = count === 0 ? 0 : seqnos[0]!
    const [commitIds, tableIds, tables] = [this.#commitIds, this.#tableIds, this.#tables]
    return { seqnos, ordinals, rows, commitIds, tableIds, tables }
  }

  #grow(): void {
    const capacity = this.#seqnos.length * GROWTH
    const seqnos = new Float64Array(capacity)
    seqnos.set(this.#seqnos)
    this.#seqnos = seqnos
    const ordinals = new Int32Array(capacity)
    ordinals.set(this.#ordinals)
    this.#ordinals = ordinals
    const commitIds = new Int32Array(capacity)
    commitIds.set(this.#commitIds)
    this.#commitIds = commitIds
    const tableIds = new Uint16Array(capacity)
    tableIds.set(this.#tableIds)
    this.#tableIds = tableIds
  }
}

function ascending(count: number): Int32Array {
  const rows = new Int32Array(count)
  for (let i = 0; i < count; i++) rows[i] = i
  return rows
}

function permuted(column: Int32Array, rows: Int32Array): Int32Array {
  const result = new Int32Array(rows.length)
  for (let i = 0; i < rows.length; i++) result[i] = column[rows[i]!]!
  return result
}

/** Where the chunks are and what they hold. A chunk is asked for by `check` before it is read. */
export class ChangeDirectory {
  readonly count: number
  /** Chunk i is [positions[i], positions[i + 1]) of the file. */
  readonly positions: Float64Array
  readonly events: Uint32Array
  readonly firstSeqnos: Float64Array
  readonly lastSeqnos: Float64Array
  readonly #fail: SectionFailure

  /** `section` as `ChangeIndexBuilder.chunks` made it, kept; undefined: there are no events. Checked against the footer. */
  constructor(section: Uint8Array | undefined, footer: SegmentFooter, fail: SectionFailure) {
    const { meta, parts, changeChunks } = footer
    this.#fail = fail
    this.count = changeChunks
    const bytes = section ?? EMPTY_BYTES
    const wanted = changeChunks === 0 ? 0 : directoryBytes(changeChunks)
    if (bytes.length !== wanted) fail('the change directory has another size', 0)
    const rows = changeChunks === 0 ? 0 : changeChunks + 1
    this.positions = f64Column(bytes, 0, rows)
    this.firstSeqnos = f64Column(bytes, F64_BYTES * rows, changeChunks)
    this.lastSeqnos = f64Column(bytes, F64_BYTES * (rows + changeChunks), changeChunks)
    this.events = u32Column(bytes, F64_BYTES * (rows + 2 * changeChunks), changeChunks)
    const { positions, firstSeqnos, lastSeqnos } = this
    const isWhole =
      changeChunks === 0
        ? parts.changeBytes === 0 && meta.events === 0
        : positions[0] === parts.dataBytes &&
          positions[changeChunks] === parts.dataBytes + parts.changeBytes &&
          firstSeqnos[0] === meta.minEventSeqno &&
          lastSeqnos[changeChunks - 1] === meta.maxEventSeqno
    if (!isWhole) fail('the change directory does not fit the footer', 0)
  }

  /** What the directory says about the chunk is possible, and fits the chunk before. */
  check(chunk: number): void {
    const { positions, events, firstSeqnos, lastSeqnos } = this
    const position = positions[chunk]!
    const end = positions[chunk + 1]!
    const first = firstSeqnos[chunk]!
    const last = lastSeqnos[chunk]!
    const count = events[chunk]!
    const isPossible =
      Number.isSafeInteger(position) &&
      Number.isSafeInteger(end) &&
      Number.isSafeInteger(first) &&
      Number.isSafeInteger(last) &&
      position >= positions[0]! &&
      end > position + SECTION_CHECKSUM_BYTES &&
      end <= positions[this.count]! &&
      count > 0 &&
      count <= CHUNK_EVENTS &&
      first > (chunk === 0 ? 0 : lastSeqnos[chunk - 1]!) &&
      last - first >= count - 1 &&
      last <= U48_MAX
    if (!isPossible) this.#fail(`chunk ${chunk} of the change index is impossible`, 0)
  }

  /** The same of all chunks, which together hold so many events. */
  checkAll(expectedEvents: number): void {
    let found = 0
    for (let chunk = 0; chunk < this.count; chunk++) {
      this.check(chunk)
      found += this.events[chunk]!
    }
    if (found !== expectedEvents) this.#fail('the chunks do not hold all events', 0)
  }

  /** The first chunk with an event at or above `seqno`; `count` when there is none. */
  chunkAtOrAbove(seqno: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.lastSeqnos[middle]! < seqno) low = middle + 1
      else high = middle
    }
    return low
  }
}

function directoryBytes(chunks: number): number {
  return F64_BYTES * (3 * chunks + 1) + U32_BYTES * chunks
}

/** Adds the checksum that stands behind each section. */
export function sealSection(section: Uint8Array, seed: number): Buffer {
  const sealed = Buffer.allocUnsafe(section.length + SECTION_CHECKSUM_BYTES)
  sealed.set(section)
  writeU32(sealed, section.length, checksum(section, 0, section.length, seed))
  return sealed
}
