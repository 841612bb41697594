/**
 * The change index of a segment: which of its entries are events, in seqno order, and of which commits.
 *
 * Chunks (change-chunk.ts) follow one another behind the data blocks; the directory tells where each is:
 *
 * ```
 *   varint  chunks
 *   each:   varint bytes in the file, checksum included
 *           varint events
 *           varint first seqno - last seqno of the chunk before (or 0)
 *           varint last seqno - first seqno
 * ```
 *
 * A scan reads the directory once and then only the chunks that hold seqnos it wants.
 */
import { U48_MAX, writeU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import type { CommitTable } from '../base/commit-table.ts'
import { type ByteReader, ByteWriter } from '../base/varint.ts'
import { BitWriter } from './bit-stream.ts'
import { CHUNK_EVENTS, encodeChunk, type SortedEvents } from './change-chunk.ts'
import { type SortedSeqnos, sortSeqnos } from './seqno-sort.ts'
import { SECTION_CHECKSUM_BYTES, type SegmentFooter } from './segment-footer.ts'

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
   * The encoded chunks with their checksums, one at a time (valid until the next), then as result the directory. Between
   * longer steps `undefined`.
   */
  *chunks(seed: number): Generator<Buffer | undefined, Buffer> {
    const events = yield* this.#sort()
    const directory = new ByteWriter(1024)
    directory.varint(Math.ceil(this.count / CHUNK_EVENTS))
    const bits = new BitWriter()
    let lastSeqno = 0
    for (let from = 0; from < this.count; from += CHUNK_EVENTS) {
      const to = Math.min(from + CHUNK_EVENTS, this.count)
      const writer = encodeChunk(events, from, to, bits)
      writer.u32(checksum(writer.bytes(), 0, writer.length, seed))
      const firstSeqno = events.seqnos[from]!
      directory
        .varint(writer.length)
        .varint(to - from)
        .varint(firstSeqno - lastSeqno)
      lastSeqno = events.seqnos[to - 1]!
      directory.varint(lastSeqno - firstSeqno)
      yield writer.bytes()
    }
    return directory.bytes()
  }

  *#sort(): Generator<undefined, SortedEvents> {
    const { count } = this
    let sorted: SortedSeqnos
    if (this.#isSorted) {
      const rows = new Int32Array(count)
      for (let i = 0; i < count; i++) rows[i] = i
      sorted = { seqnos: this.#seqnos, rows }
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
    const capacity = this.#seqnos.length * 2
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

function permuted(column: Int32Array, rows: Int32Array): Int32Array {
  const result = new Int32Array(rows.length)
  for (let i = 0; i < rows.length; i++) result[i] = column[rows[i]!]!
  return result
}

/** Where the chunks are and what they hold. */
export class ChangeDirectory {
  readonly count: number
  /** Chunk i is [positions[i], positions[i + 1]) of the file. */
  readonly positions: Float64Array
  readonly events: Int32Array
  readonly firstSeqnos: Float64Array
  readonly lastSeqnos: Float64Array

  /** Decodes it, and checks it against the footer. */
  constructor(reader: ByteReader, footer: SegmentFooter) {
    const { meta, parts } = footer
    this.count = reader.bounded(footer.changeChunks, 'number of chunks')
    if (this.count !== footer.changeChunks)
      reader.fail('the number of chunks is not that of the footer')
    this.positions = new Float64Array(this.count + 1)
    this.events = new Int32Array(this.count)
    this.firstSeqnos = new Float64Array(this.count)
    this.lastSeqnos = new Float64Array(this.count)
    let position = parts.dataBytes
    const end = position + parts.changeBytes
    let events = 0
    let lastSeqno = 0
    for (let i = 0; i < this.count; i++) {
      this.positions[i] = position
      const bytes = reader.bounded(end - position, 'bytes of a chunk')
      if (bytes <= SECTION_CHECKSUM_BYTES) reader.fail('a chunk has no bytes')
      const inChunk = reader.bounded(CHUNK_EVENTS, 'events of a chunk')
      const gap = reader.bounded(U48_MAX, 'first seqno of a chunk')
      const span = reader.bounded(U48_MAX, 'last seqno of a chunk')
      if (inChunk === 0 || gap === 0 || span < inChunk - 1)
        reader.fail('a chunk has no room for its events')
      this.firstSeqnos[i] = lastSeqno + gap
      lastSeqno += gap + span
      this.lastSeqnos[i] = lastSeqno
      this.events[i] = inChunk
      events += inChunk
      position += bytes
    }
    this.positions[this.count] = position
    if (position !== end) reader.fail('chunks do not fill the change index')
    if (reader.remaining > 0) reader.fail('bytes are left behind the last chunk')
    const isWhole =
      events === meta.events &&
      lastSeqno === meta.maxEventSeqno &&
      (this.count === 0 || this.firstSeqnos[0] === meta.minEventSeqno)
    if (!isWhole) reader.fail('the change directory does not fit the footer')
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

/** Adds the checksum that stands behind each section. */
export function sealSection(section: Uint8Array, seed: number): Buffer {
  const sealed = Buffer.allocUnsafe(section.length + SECTION_CHECKSUM_BYTES)
  sealed.set(section)
  writeU32(sealed, section.length, checksum(section, 0, section.length, seed))
  return sealed
}
