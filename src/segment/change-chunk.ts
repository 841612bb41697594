/**
 * One chunk of the change index: up to 2,048 events of a segment in seqno order, readable on its own.
 *
 * ```
 *   varint  events
 *   varint  seqno of the first
 *   u8      seqno gaps: Rice parameter, or 63 when there are none
 *   u8      ordinals: width in bits, 0 to 31 | 0x80 when they ascend
 *   varint  base ordinal
 *   varint  time of the first commit, ms
 *   varint  number of different commit metas; each varint length, bytes
 *   varint  bits that the gaps take
 *   bits, low bit first, padded to a whole byte:
 *     gaps      for each event but the first, seqno - one before - 1: quotient by 2^parameter in ones, a zero, the rest in
 *               parameter bits; 20 ones are followed by 48 bits of the gap itself
 *     ordinals  where the entry is: base + width bits; when they ascend: width bits of (ordinal - one before - 1)
 *     commits   for each event that does not belong to the commit of the one before:
 *                 1              a commit of one operation, or
 *                 0, and         1: as many operations as the last such commit | 0, 5 bits w, w + 1 bits of (operations - 1)
 *                                0: the event is its first operation | 1, its offset, in as many bits as operations - 1 has
 *                 0              at the time of the commit before, or
 *                 1, sign, 6 bits w, w + 1 bits of the difference in ms
 *                 only when there are metas: 1: that of the commit before, at first none | 0, id from 1, 0: none
 *   u32     checksum of all this, seeded with the low 32 bits of the file's number
 * ```
 *
 * The events of a commit follow one another and their number follows from their seqnos: it is not stored. Whoever wants only
 * the first events decodes no more: gaps in front, and it is known where ordinals and commits begin.
 * Measured with random keys in segments of a million entries: 2.5 bytes an event for the ordinal, 0.1 to 0.5 for the rest.
 */
import { U48_MAX } from '../base/bytes.ts'
import type { CommitTable } from '../base/commit-table.ts'
import { META_BYTES_MAX } from '../base/entry-kind.ts'
import { type ByteReader, ByteWriter } from '../base/varint.ts'
import { BitReader, type BitWriter } from './bit-stream.ts'
import { NO_GAPS, readRice, RICE_PARAMETER_MAX, ricePacking, writeGaps } from './seqno-gaps.ts'

export const CHUNK_EVENTS = 2048
const ASCENDING = 0x80
const COMMIT_STRIDE = 32
const OTHER_SEQNOS = 'a chunk holds other seqnos than the directory says'

/**
 * Events in seqno order. What is needed once a commit only stays in the order in which the events were collected:
 * event i is row `rows[i]`, and its commit is row `commitIds[row]` of `tables[tableIds[row]]`.
 */
export interface SortedEvents {
  readonly seqnos: Float64Array
  readonly ordinals: Int32Array
  /** Ordinals ascend: entries are in the order of their seqnos, as in history. */
  readonly isInOrder: boolean
  readonly rows: Int32Array
  readonly commitIds: Int32Array
  readonly tableIds: Uint16Array
  readonly tables: readonly CommitTable[]
}

/** The commits that events [from, to) come from, in order. */
interface CommitRun {
  readonly tables: CommitTable[]
  readonly commitIds: Int32Array
  /** The first event of each. */
  readonly events: Int32Array
  /** Ids in `metas`, from 1; 0: none. */
  readonly metaIds: Int32Array
  readonly metas: Buffer[]
}

interface OrdinalPacking {
  readonly ascending: boolean
  readonly base: number
  /** In bits. */
  readonly width: number
}

/** Events [from, to) as one chunk, without its checksum. */
export function encodeChunk(
  events: SortedEvents,
  from: number,
  to: number,
  bits: BitWriter,
): ByteWriter {
  const { seqnos, ordinals } = events
  const parameter = ricePacking(seqnos, from, to)
  const first = ordinals[from]!
  const isRun = events.isInOrder && ordinals[to - 1]! - first === to - 1 - from
  const packing = isRun
    ? { ascending: true, base: first, width: 0 }
    : ordinalPacking(ordinals, from, to)
  const run = collectCommits(events, from, to)
  const { metas } = run
  const timeMs = run.tables[0]!.timeMs[run.commitIds[0]!]!
  const writer = new ByteWriter(Math.ceil(((to - from) * packing.width) / 8) + 1024)
  writer.varint(to - from).varint(seqnos[from]!)
  writer.u8(parameter)
  writer.u8(packing.width | (packing.ascending ? ASCENDING : 0)).varint(packing.base)
  writer.varint(timeMs).varint(metas.length)
  for (const meta of metas) writer.block(meta)

  if (parameter !== NO_GAPS) writeGaps(bits, seqnos, from, to, parameter)
  writer.varint(bits.bits)
  writeOrdinals(bits, ordinals, from, to, packing)
  writeCommits(bits, seqnos, run, timeMs)
  return writer.raw(bits.take())
}

/** By itself, as what is hot here is compiled quickly then: the first chunks of a process are a flush that writers wait for. */
function writeOrdinals(
  bits: BitWriter,
  ordinals: Int32Array,
  from: number,
  to: number,
  packing: OrdinalPacking,
): void {
  const { ascending, base, width } = packing
  if (width === 0) return
  let before = base - 1
  for (let i = from; i < to; i++) {
    const ordinal = ordinals[i]!
    bits.write(ascending ? ordinal - before - 1 : ordinal - base, width)
    before = ordinal
  }
}

function writeCommits(
  bits: BitWriter,
  seqnos: Float64Array,
  run: CommitRun,
  firstTimeMs: number,
): void {
  const { metas } = run
  const metaIdBits = bitsOf(metas.length)
  let timeMs = firstTimeMs
  let lastSize = 0
  let metaId = 0
  for (let i = 0; i < run.tables.length; i++) {
    const table = run.tables[i]!
    const commitId = run.commitIds[i]!
    const size = table.size[commitId]!
    if (size === 1) {
      bits.write(1, 1)
    } else {
      bits.write(size === lastSize ? 0b10 : 0, 2)
      const sizeBits = bitsOf(size - 1)
      if (size !== lastSize) {
        bits.write(sizeBits - 1, 5)
        bits.write(size - 1, sizeBits)
      }
      const offset = seqnos[run.events[i]!]! - table.first[commitId]!
      bits.write(offset === 0 ? 0 : 1, 1)
      if (offset !== 0) bits.write(offset, sizeBits)
      lastSize = size
    }
    const difference = table.timeMs[commitId]! - timeMs
    bits.write(difference === 0 ? 0 : 1, 1)
    if (difference !== 0) {
      const distance = Math.abs(difference)
      bits.write(difference < 0 ? 1 : 0, 1)
      bits.write(bitsOf(distance) - 1, 6)
      bits.write(distance, bitsOf(distance))
      timeMs += difference
    }
    if (metas.length > 0) {
      const id = run.metaIds[i]!
      bits.write(id === metaId ? 1 : 0, 1)
      if (id !== metaId) bits.write(id, metaIdBits)
      metaId = id
    }
  }
}

function collectCommits(events: SortedEvents, from: number, to: number): CommitRun {
  const { seqnos, rows, commitIds, tableIds } = events
  const run = {
    tables: [] as CommitTable[],
    commitIds: new Int32Array(to - from),
    events: new Int32Array(to - from),
    metaIds: new Int32Array(to - from),
    metas: [] as Buffer[],
  }
  const ids = new Map<string, number>()
  let commitEnd = 0
  for (let i = from; i < to; i++) {
    if (seqnos[i]! < commitEnd) {
      // Most of the events of a large commit are passed over in strides.
      while (i + COMMIT_STRIDE < to && seqnos[i + COMMIT_STRIDE]! < commitEnd) i += COMMIT_STRIDE
      continue
    }
    const row = rows[i]!
    const table = events.tables[tableIds[row]!]!
    const commitId = commitIds[row]!
    commitEnd = table.first[commitId]! + table.size[commitId]!
    const at = run.tables.push(table) - 1
    run.commitIds[at] = commitId
    run.events[at] = i
    const meta = table.meta(commitId)
    if (meta === undefined) continue
    const text = meta.toString('latin1')
    let id = ids.get(text)
    if (id === undefined) {
      id = run.metas.push(meta)
      ids.set(text, id)
    }
    run.metaIds[at] = id
  }
  return run
}

/** Where decoded events go: columns with room enough, and the commits they belong to. */
export interface DecodedEvents {
  readonly seqnos: Float64Array
  readonly ordinals: Int32Array
  readonly commitIds: Int32Array
  readonly commits: CommitTable
}

/** What the directory, already checked, says about a chunk; the chunk must fit it. */
export interface ChunkBounds {
  readonly events: number
  readonly firstSeqno: number
  readonly lastSeqno: number
  /** Ordinals are smaller. */
  readonly entries: number
}

/** What stands before the bits. */
interface ChunkHead {
  /** Rice parameter of the gaps. */
  readonly parameter: number
  readonly packing: number
  readonly base: number
  readonly timeMs: number
  readonly metas: readonly Buffer[]
  /** Stands on the gaps. */
  readonly bits: BitReader
  readonly ordinalsAt: number
}

/** Only the seqnos of the chunk's events, into the front of `seqnos`. */
export function decodeSeqnos(reader: ByteReader, bounds: ChunkBounds, seqnos: Float64Array): void {
  readSeqnos(reader, bounds, readHead(reader, bounds), seqnos, 0, bounds.lastSeqno)
}

function readHead(reader: ByteReader, bounds: ChunkBounds): ChunkHead {
  const count = reader.varint()
  if (count !== bounds.events)
    reader.fail(`a chunk has ${count} events instead of ${bounds.events}`)
  if (reader.varint() !== bounds.firstSeqno) reader.fail(OTHER_SEQNOS)
  const parameter = reader.u8()
  const packing = reader.u8()
  const base = reader.bounded(bounds.entries, 'base ordinal')
  const timeMs = reader.bounded(U48_MAX, 'time')
  const metaCount = reader.bounded(Math.min(count, reader.remaining), 'number of metas')
  const metas: Buffer[] = []
  for (let i = 0; i < metaCount; i++) {
    metas.push(reader.take(reader.bounded(META_BYTES_MAX, 'length of a meta')))
  }
  const gapBits = reader.bounded(8 * reader.remaining, 'bits of the gaps')
  const bits = new BitReader(reader.bytes, reader.position, reader.end)
  const ordinalsAt = bits.position + gapBits
  if (parameter !== NO_GAPS && parameter > RICE_PARAMETER_MAX) {
    reader.fail('gaps of seqnos have no known form')
  }
  return { parameter, packing, base, timeMs, metas, bits, ordinalsAt }
}

/** Those up to `upTo`, from row `at` on; returns their number. */
function readSeqnos(
  reader: ByteReader,
  bounds: ChunkBounds,
  { parameter, bits, ordinalsAt }: ChunkHead,
  seqnos: Float64Array,
  at: number,
  upTo: number,
): number {
  const isWhole = upTo >= bounds.lastSeqno
  const end = at + bounds.events
  let seqno = bounds.firstSeqno
  let last = seqno
  let row = at
  while (row < end && seqno <= upTo) {
    seqnos[row++] = seqno
    last = seqno
    if (row < end) seqno += parameter === NO_GAPS ? 1 : 1 + readRice(bits, parameter)
  }
  if (bits.isBeyondEnd) reader.fail('gaps of seqnos are cut off')
  if (isWhole && (row < end || last !== bounds.lastSeqno)) reader.fail(OTHER_SEQNOS)
  if (isWhole && bits.position !== ordinalsAt) reader.fail('gaps of seqnos end elsewhere')
  return row - at
}

/**
 * Decodes the chunk that `reader` stands on into `target` from row `at`: its events up to `upTo`, and returns their number. A
 * commit that goes on from the row before keeps its id. What is wrong behind them is only seen when all are asked for.
 */
export function decodeChunk(
  reader: ByteReader,
  bounds: ChunkBounds,
  target: DecodedEvents,
  at: number,
  upTo: number,
): number {
  const head = readHead(reader, bounds)
  const { packing, base, metas, bits, ordinalsAt } = head
  const metaCount = metas.length
  let { timeMs } = head
  const isWhole = upTo >= bounds.lastSeqno
  const { seqnos, ordinals, commitIds, commits } = target
  const end = at + readSeqnos(reader, bounds, head, seqnos, at, upTo)
  bits.position = ordinalsAt

  const width = packing & 0x7f
  const ascending = (packing & ASCENDING) !== 0
  if (width > 31) reader.fail('ordinals have no known form')
  let before = base - 1
  for (let i = at; i < end; i++) {
    const value = bits.read(width)
    const ordinal = ascending ? before + 1 + value : base + value
    if (ordinal >= bounds.entries) reader.fail(`ordinal ${ordinal} is beyond the last entry`)
    ordinals[i] = ordinal
    before = ordinal
  }
  bits.position = ordinalsAt + width * bounds.events
  if (bits.isBeyondEnd) reader.fail('ordinals are cut off')

  const metaIdBits = bitsOf(metaCount)
  let commitEnd = 0
  let commitId = 0
  let lastSize = 0
  let metaId = 0
  for (let i = at; i < end; i++) {
    const current = seqnos[i]!
    if (current >= commitEnd) {
      let size = 1
      let first = current
      if (bits.read(1) === 0) {
        size = lastSize
        if (bits.read(1) === 0) size = 1 + bits.read(bits.read(5) + 1)
        if (bits.read(1) === 1) first -= bits.read(bitsOf(size - 1))
        lastSize = size
        if (size < 2 || first < 1 || first + size <= current || size > 0xffffffff) {
          reader.fail('a commit does not hold its event')
        }
      }
      if (bits.read(1) === 1) {
        const isEarlier = bits.read(1) === 1
        const distance = bits.read(Math.min(48, bits.read(6) + 1))
        timeMs += isEarlier ? -distance : distance
        if (timeMs < 0 || timeMs > U48_MAX) reader.fail('a commit has an impossible time')
      }
      if (metaCount > 0 && bits.read(1) === 0) {
        metaId = bits.read(metaIdBits)
        if (metaId > metaCount) reader.fail('a commit has an unknown meta')
      }
      commitEnd = first + size
      commitId = commits.count - 1
      if (i !== at || commitId < 0 || commits.first[commitId] !== first) {
        commitId = commits.add(first, size, timeMs, metaId === 0 ? undefined : metas[metaId - 1])
      }
    }
    commitIds[i] = commitId
  }
  if (bits.isBeyondEnd) reader.fail('commits are cut off')
  if (!isWhole) return end - at
  if (bits.end - bits.position >= 8) reader.fail('bytes are left behind the last event')
  if (bits.read(bits.end - bits.position) !== 0) reader.fail('bits are set behind the last event')
  return end - at
}

/** Bits that `value` needs; 0 for 0. */
function bitsOf(value: number): number {
  if (value < 4294967296) return 32 - Math.clz32(value)
  return 64 - Math.clz32(Math.floor(value / 4294967296))
}

function ordinalPacking(ordinals: Int32Array, from: number, to: number): OrdinalPacking {
  let least = ordinals[from]!
  let most = least
  let largestStep = 0
  let ascending = true
  for (let i = from + 1; i < to; i++) {
    const ordinal = ordinals[i]!
    const step = ordinal - ordinals[i - 1]! - 1
    if (step < 0) ascending = false
    else if (step > largestStep) largestStep = step
    if (ordinal < least) least = ordinal
    if (ordinal > most) most = ordinal
  }
  if (ascending) return { ascending, base: least, width: bitsOf(largestStep) }
  return { ascending, base: least, width: bitsOf(most - least) }
}
