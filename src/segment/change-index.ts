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
import { assert } from '../base/assert.ts'
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
import type { LogBlock } from './log-block.ts'
import { type SortedSeqnos, sortSeqnos } from './seqno-sort.ts'
import { SECTION_CHECKSUM_BYTES, type SegmentFooter } from './segment-footer.ts'

/** What is not touched costs nothing, each copy does. */
const GROWTH = 4
/** Many segments are small, of some stores all: the memory of a megabyte of entries takes longer to clear than theirs to write. */
const ROWS_FIRST = 256
/** Of events in order no more are held. Whole chunks; what is hot stays in the cache. */
const ROWS_IN_ORDER: number = 4 * CHUNK_EVENTS

interface Chunk {
  readonly bytes: Buffer
  readonly firstSeqno: number
  readonly lastSeqno: number
  readonly events: number
}

/**
 * Collects the events of a segment in the order of its entries, and writes them in seqno order. Where that is one order, as in
 * history, chunks are encoded as they fill, and no more than a few chunks' events are held.
 */
export class ChangeIndexBuilder {
  /** Of all events; 0 when there are none. After `chunks` has run. */
  firstSeqno = 0
  lastSeqno = 0
  readonly #seed: number
  readonly #isInOrder: boolean
  readonly #bits: BitWriter = new BitWriter()
  /** Chunks with their checksums, in order. */
  readonly #chunks: Chunk[] = []
  /** Events in `#chunks`. */
  #encoded = 0
  /** Events that were not encoded yet, and their columns. */
  #rows = 0
  #seqnos: Float64Array
  #ordinals: Int32Array
  #commitIds: Int32Array
  #tableIds: Uint16Array
  readonly #tables: CommitTable[] = []
  #table: CommitTable | undefined
  #tableId = 0
  #isSorted = true
  /** 0, 1, 2 … */
  #identity: Int32Array = new Int32Array(0)

  /** `seed` of checksums. `isInOrder`: events will come in the order of their seqnos. */
  constructor(options: { seed: number; isInOrder: boolean }) {
    this.#seed = options.seed
    this.#isInOrder = options.isInOrder
    this.#seqnos = new Float64Array(ROWS_FIRST)
    this.#ordinals = new Int32Array(ROWS_FIRST)
    this.#commitIds = new Int32Array(ROWS_FIRST)
    this.#tableIds = new Uint16Array(ROWS_FIRST)
  }

  get count(): number {
    return this.#encoded + this.#rows
  }

  add(seqno: number, ordinal: number, commits: CommitTable, commitId: number): void {
    if (this.#rows === this.#seqnos.length) this.#makeRoom()
    const at = this.#rows
    if (commits !== this.#table) this.#changeTable(commits)
    if (at > 0 && this.#isSorted && seqno < this.#seqnos[at - 1]!) this.#isSorted = false
    this.#seqnos[at] = seqno
    this.#ordinals[at] = ordinal
    this.#commitIds[at] = commitId
    this.#tableIds[at] = this.#tableId
    this.#rows = at + 1
  }

  /** The entries of `block`, which have ordinals from `ordinal` on. */
  addBlock(block: LogBlock, ordinal: number, commits: CommitTable): void {
    assert(this.#isInOrder, 'blocks in the form of the log are history')
    if (commits !== this.#table) this.#changeTable(commits)
    for (let done = 0; done < block.count; ) {
      if (this.#rows === this.#seqnos.length) this.#makeRoom()
      const count = Math.min(block.count - done, this.#seqnos.length - this.#rows)
      this.#addPart(block, { from: done, count }, ordinal)
      done += count
    }
  }

  #addPart(block: LogBlock, part: { from: number; count: number }, ordinal: number): void {
    const { numbers, commitOf, firstOrdinal, firstSeqno } = block
    const [seqnos, ordinals, commitIds] = [this.#seqnos, this.#ordinals, this.#commitIds]
    const { from, count } = part
    const at = this.#rows
    for (let i = 0; i < count; i++) {
      const number = numbers[from + i]!
      seqnos[at + i] = firstSeqno + number
      ordinals[at + i] = ordinal + from + i
      commitIds[at + i] = commitOf[firstOrdinal + number]!
    }
    this.#tableIds.fill(this.#tableId, at, at + count)
    this.#rows = at + count
  }

  /**
   * The encoded chunks with their checksums, the first of which goes to `position` of the file; then as result the directory, empty
   * where there are no events. Between longer steps `undefined`.
   */
  *chunks(position: number): Generator<Buffer | undefined, Buffer> {
    for (const { bytes } of this.#chunks) yield bytes
    if (this.#rows > 0) {
      const events = this.#isSorted ? this.#ascending() : yield* this.#sort()
      for (let from = 0; from < this.#rows; from += CHUNK_EVENTS) {
        yield this.#encode(events, from, Math.min(from + CHUNK_EVENTS, this.#rows))
      }
    }
    const chunks = this.#chunks
    if (chunks.length === 0) return EMPTY_BYTES
    this.firstSeqno = chunks[0]!.firstSeqno
    this.lastSeqno = chunks.at(-1)!.lastSeqno
    return encodeDirectory(chunks, position)
  }

  /** Events [from, to) of the rows. */
  #encode(events: SortedEvents, from: number, to: number): Buffer {
    const writer = encodeChunk(events, from, to, this.#bits)
    writer.u32(checksum(writer.bytes(), 0, writer.length, this.#seed))
    const bytes = writer.bytes()
    const firstSeqno = events.seqnos[from]!
    const lastSeqno = events.seqnos[to - 1]!
    this.#chunks.push({ bytes, firstSeqno, lastSeqno, events: to - from })
    return bytes
  }

  /** Rows are full. */
  #makeRoom(): void {
    if (!this.#isInOrder) {
      this.#grow(Infinity)
      return
    }
    if (this.#rows < ROWS_IN_ORDER) {
      this.#grow(ROWS_IN_ORDER)
      return
    }
    const events = this.#ascending()
    for (let from = 0; from < this.#rows; from += CHUNK_EVENTS) {
      this.#encode(events, from, from + CHUNK_EVENTS)
    }
    this.#encoded += this.#rows
    this.#rows = 0
  }

  /** Rows as they are, which have come in the order of their seqnos. */
  #ascending(): SortedEvents {
    const before = this.#chunks.at(-1)?.lastSeqno ?? 0
    assert(this.#isSorted && this.#seqnos[0]! > before, 'events come in the order of their seqnos')
    if (this.#identity.length < this.#rows) this.#identity = rowNumbers(this.#rows)
    return this.#columns({ seqnos: this.#seqnos, rows: this.#identity }, this.#ordinals)
  }

  *#sort(): Generator<undefined, SortedEvents> {
    const count = this.#rows
    const sorted = yield* sortSeqnos(this.#seqnos, count)
    // When every entry is an event, the ordinal of an event is its row.
    if (this.#ordinals[count - 1] === count - 1) return this.#columns(sorted, sorted.rows)
    const ordinals = permuted(this.#ordinals, sorted.rows)
    yield undefined
    return this.#columns(sorted, ordinals)
  }

  #columns(sorted: SortedSeqnos, ordinals: Int32Array): SortedEvents {
    return {
      ...sorted,
      ordinals,
      isInOrder: this.#isSorted,
      commitIds: this.#commitIds,
      tableIds: this.#tableIds,
      tables: this.#tables,
    }
  }

  #changeTable(commits: CommitTable): void {
    this.#table = commits
    this.#tableId = this.#tables.indexOf(commits)
    if (this.#tableId < 0) this.#tableId = this.#tables.push(commits) - 1
  }

  #grow(rowsMax: number): void {
    const capacity = Math.min(this.#seqnos.length * GROWTH, rowsMax)
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

/** Filled in a loop: `Int32Array.from` asks for each number by name, 50 ns of it, in a flush of ascending keys 30 ms. */
function rowNumbers(count: number): Int32Array {
  const numbers = new Int32Array(count)
  for (let i = 0; i < count; i++) numbers[i] = i
  return numbers
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

function encodeDirectory(chunks: readonly Chunk[], position: number): Buffer {
  const positions = [position]
  for (const { bytes } of chunks) positions.push(positions.at(-1)! + bytes.length)
  const count = chunks.length
  const directory = Buffer.alloc(directoryBytes(count))
  let at = writeF64Column(directory, 0, positions, count + 1)
  at = writeF64Column(directory, at, column(chunks, 'firstSeqno'), count)
  at = writeF64Column(directory, at, column(chunks, 'lastSeqno'), count)
  writeU32Column(directory, at, column(chunks, 'events'), count)
  return directory
}

function column(chunks: readonly Chunk[], name: 'firstSeqno' | 'lastSeqno' | 'events'): number[] {
  return chunks.map((chunk) => chunk[name])
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
