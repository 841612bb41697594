/**
 * The commit records of a memtable, one behind the other, and where each of their operations is.
 *
 * ```
 *   arena     | commit | commit | commit | appended, not published |  free  |
 *             0                          publishedEnd              arenaEnd
 *   links     two words per operation: where it begins in the arena; ordinal of the next older version of its key, or -1
 * ```
 *
 * Operations are numbered by ordinal; seqnos are dense, so an operation's seqno is the first one plus its ordinal. Bytes below
 * publishedEnd never change again. All memory that a record can need is taken when it is appended: publishing comes after
 * the write-ahead log has the record and must not fail for want of memory.
 */
import { assert } from '../base/assert.ts'
import { copyWords, readU32, readU48, viewOf, WORD_COPY_MAX } from '../base/bytes.ts'
import { CommitTable } from '../base/commit-table.ts'
import {
  COMMIT_BODY_AT,
  COMMIT_FIELD_BYTES_AT,
  COMMIT_FIRST_SEQNO_AT,
  COMMIT_OPERATIONS_AT,
  COMMIT_TIME_AT,
  FIELD_META,
} from '../batch/commit-record.ts'
import { ByteReader } from '../base/varint.ts'
import { ArenaWeight } from './arena-weight.ts'
import { Operation } from './operation.ts'
import { allocateBytes, growDoubles, grownLength, growInts, growWords } from './shared-memory.ts'

const ARENA_BYTES_FIRST = 64 * 1024
/** From here on the arena gets its whole capacity at once: fresh memory costs nothing until it is touched, copying does. */
const ARENA_BYTES_SMALL = 1024 * 1024
/** Offsets are int32. */
export const ARENA_BYTES_MAX: number = 2 ** 31 - 1
const OPERATIONS_FIRST = 256
const COMMITS_FIRST = 64
const RECORD_LENGTH_AT = 4
/** Smallest operation: kind, keyspace id, two lengths. */
const OPERATION_BYTES_MIN = 4
const OPERATION_INDEX_BYTES = 8
const COMMIT_ROW_BYTES = 20
/** Of the capacity: operations of 100 bytes and more; commits of about 200 bytes. */
const LINKS_SHARE = 1 / 16
const COMMIT_COLUMN_SHARE = 1 / 24

/** The arrays of a log, as they cross to a worker. */
export interface OperationLogParts {
  readonly firstSeqno: number
  readonly operations: number
  readonly arena: Uint8Array
  readonly arenaEnd: number
  readonly links: Int32Array
  readonly commits: {
    readonly count: number
    readonly first: Float64Array
    readonly size: Uint32Array
    readonly timeMs: Float64Array
    readonly metas: readonly (readonly [id: number, meta: Uint8Array])[]
  }
}

export interface OperationLogOptions {
  readonly firstSeqno: number
  readonly capacityBytes: number
  readonly shared: boolean
}

export class OperationLog {
  readonly firstSeqno: number
  /** A Buffer, as most keys are: reading from two kinds of arrays in one place costs a lookup 110 ns. */
  arena: Buffer
  /** The same memory. */
  arenaView: DataView
  arenaEnd = 0
  publishedEnd = 0
  /** Published operations. */
  count = 0
  /** Operations of records that were appended and not published. */
  pending = 0
  /** Side by side: a walk needs both, and each is a cache miss. */
  links: Int32Array
  readonly commits: CommitTable = new CommitTable(0)
  readonly weight: ArenaWeight = new ArenaWeight()
  /** Where the last short record came from: small commits share chunks. */
  #source: Uint8Array | undefined
  #sourceView: DataView
  readonly #capacityBytes: number
  readonly #shared: boolean
  #pendingCommits = 0
  readonly #operation = new Operation()
  /** Meta of the commit that was decoded last. */
  #meta: Buffer | undefined = undefined
  /** The commit that `commitOf` found last: neighbours ask one after the other. */
  #commitHint = 0

  constructor(options: OperationLogOptions, parts?: OperationLogParts) {
    this.firstSeqno = options.firstSeqno
    this.#capacityBytes = options.capacityBytes
    this.#shared = options.shared
    if (parts === undefined) {
      // Memory comes with the first record: a store that is opened to be read never has one.
      this.arena = Buffer.alloc(0)
      this.arenaView = viewOf(this.arena)
      this.#sourceView = this.arenaView
      this.links = new Int32Array(0)
      return
    }
    // A structured clone makes a plain Uint8Array of a Buffer.
    this.arena = Buffer.from(parts.arena.buffer)
    this.arenaView = viewOf(this.arena)
    this.#sourceView = this.arenaView
    this.arenaEnd = parts.arenaEnd
    this.publishedEnd = parts.arenaEnd
    this.count = parts.operations
    this.links = parts.links
    const { count, first, size, timeMs, metas } = parts.commits
    const commits = this.commits
    commits.first = first
    commits.size = size
    commits.timeMs = timeMs
    for (const [id, meta] of metas) {
      commits.count = id
      commits.add(first[id]!, size[id]!, timeMs[id]!, Buffer.from(meta))
    }
    commits.count = count
  }

  get lastSeqno(): number {
    return this.firstSeqno + this.count - 1
  }

  /** Where the operation begins in the arena. */
  offsetOf(ordinal: number): number {
    return this.links[ordinal * 2]!
  }

  /** Ordinal of the next older version of the same key; -1: none. */
  olderOf(ordinal: number): number {
    return this.links[ordinal * 2 + 1]!
  }

  setOlder(ordinal: number, older: number): void {
    this.links[ordinal * 2 + 1] = older
  }

  /** Arena and index, as far as they are in use. */
  get bytesUsed(): number {
    return (
      this.arenaEnd +
      (this.count + this.pending) * OPERATION_INDEX_BYTES +
      (this.commits.count + this.#pendingCommits) * COMMIT_ROW_BYTES
    )
  }

  /** Copies a record behind the last one; returns its offset. Throws, with nothing changed, when there is no memory. */
  append(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start
    const operations = readU32(bytes, start + COMMIT_OPERATIONS_AT)
    assert(length >= COMMIT_BODY_AT, 'a commit record is not shorter than its header')
    assert(
      operations <= (length - COMMIT_BODY_AT) / OPERATION_BYTES_MIN,
      'a commit record does not count more operations than it can hold',
    )
    const offset = this.arenaEnd
    this.#reserveArena(offset + length)
    this.#reserveOperations(this.count + this.pending + operations)
    const commits = this.commits.count + this.#pendingCommits + 1
    const rows = this.commits.first.length
    if (commits > rows) {
      const next = grownLength(rows, 8, this.#capacityBytes * COMMIT_COLUMN_SHARE)
      this.#growCommits(Math.max(commits, next, COMMITS_FIRST))
    }
    if (length <= WORD_COPY_MAX) {
      if (bytes !== this.#source) this.#viewSource(bytes)
      copyWords(this.arenaView, offset, this.#sourceView, start, length)
    } else {
      // Not `subarray`: of a Buffer it costs more than the copy.
      this.arena.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length), offset)
    }
    this.arenaEnd = offset + length
    this.pending += operations
    if (operations > 0) this.#pendingCommits++
    return offset
  }

  /** Takes back every record from `offset` on; none of them may be published. */
  truncate(offset: number): void {
    assert(
      offset >= this.publishedEnd && offset <= this.arenaEnd,
      'only records that were not published are taken back',
    )
    let pending = 0
    let commits = 0
    let at = this.publishedEnd
    while (at < offset) {
      const operations = readU32(this.arena, at + COMMIT_OPERATIONS_AT)
      pending += operations
      if (operations > 0) commits++
      at += readU32(this.arena, at + RECORD_LENGTH_AT)
    }
    assert(at === offset, 'records are taken back whole')
    this.pending = pending
    this.#pendingCommits = commits
    this.arenaEnd = offset
  }

  /**
   * Checks the record at `offset` and finds its operations. Nothing is visible yet: `accept` follows. Returns how many
   * there are; their ordinals begin at `count`.
   */
  decode(offset: number): number {
    assert(offset === this.publishedEnd, 'records are published in the order they were appended')
    const arena = this.arena
    const end = offset + readU32(arena, offset + RECORD_LENGTH_AT)
    const operations = readU32(arena, offset + COMMIT_OPERATIONS_AT)
    const fieldBytes = readU32(arena, offset + COMMIT_FIELD_BYTES_AT)
    assert(
      end >= offset + COMMIT_BODY_AT + fieldBytes && end <= this.arenaEnd,
      'a published record lies in the arena',
    )
    if (operations === 0) return 0
    assert(
      readU48(arena, offset + COMMIT_FIRST_SEQNO_AT) === this.firstSeqno + this.count,
      'a published record has the next seqno',
    )
    assert(operations <= this.pending, 'room was made for the operations of a record')
    const links = this.links
    const operation = this.#operation
    let at = offset + COMMIT_BODY_AT + fieldBytes
    for (let ordinal = this.count; ordinal < this.count + operations; ordinal++) {
      assert(operation.readChecked(arena, at, end), 'the operations of a record end with it')
      links[ordinal * 2] = at
      links[ordinal * 2 + 1] = -1
      at = operation.valueEnd
    }
    assert(at === end, 'a record ends with its last operation')
    this.#meta = metaOf(arena, offset)
    return operations
  }

  /** Makes the record at `offset`, which `decode` checked, a published one. */
  accept(offset: number, operations: number): void {
    const arena = this.arena
    this.publishedEnd = offset + readU32(arena, offset + RECORD_LENGTH_AT)
    if (operations === 0) return
    const timeMs = readU48(arena, offset + COMMIT_TIME_AT)
    this.commits.add(this.firstSeqno + this.count, operations, timeMs, this.#meta)
    this.count += operations
    this.pending -= operations
    this.#pendingCommits--
  }

  /** Where the published records begin. */
  recordOffsets(): Int32Array {
    let offsets: Int32Array = new Int32Array(this.commits.count + 1)
    let count = 0
    for (let at = 0; at < this.publishedEnd; at += readU32(this.arena, at + RECORD_LENGTH_AT)) {
      if (count === offsets.length) offsets = growInts(offsets, count * 2, false)
      offsets[count++] = at
    }
    return offsets.subarray(0, count)
  }

  /** Id, in `commits`, of the commit that an operation belongs to. */
  commitOf(ordinal: number): number {
    const first = this.commits.first
    const seqno = this.firstSeqno + ordinal
    const hint = this.#commitHint
    const count = this.commits.count
    if (first[hint]! <= seqno) {
      if (hint + 1 >= count || first[hint + 1]! > seqno) return hint
      if (hint + 2 >= count || first[hint + 2]! > seqno) return (this.#commitHint = hint + 1)
    }
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (first[middle]! <= seqno) low = middle + 1
      else high = middle
    }
    return (this.#commitHint = low - 1)
  }

  toParts(): OperationLogParts {
    const metas: [number, Uint8Array][] = []
    for (let id = 0; id < this.commits.count; id++) {
      const meta = this.commits.meta(id)
      if (meta !== undefined) metas.push([id, meta])
    }
    const { count, first, size, timeMs } = this.commits
    return {
      firstSeqno: this.firstSeqno,
      operations: this.count,
      arena: this.arena,
      arenaEnd: this.arenaEnd,
      links: this.links,
      commits: { count, first, size, timeMs, metas },
    }
  }

  #viewSource(bytes: Uint8Array): void {
    this.#source = bytes
    this.#sourceView = viewOf(bytes)
  }

  #reserveArena(needed: number): void {
    if (needed <= this.arena.length) return
    assert(needed <= ARENA_BYTES_MAX, 'a memtable holds less than 2 GiB')
    // Beyond the capacity there is only ever the one commit that is larger than it.
    const isSmall = needed <= ARENA_BYTES_SMALL
    const small = Math.max(this.arena.length * 4, ARENA_BYTES_FIRST)
    const next = Math.min(isSmall ? small : Infinity, this.#capacityBytes)
    const size = Math.min(needed > next ? roundUp(needed) : next, ARENA_BYTES_MAX)
    const grown = allocateBytes(size, this.#shared)
    grown.set(this.arena.subarray(0, this.arenaEnd))
    this.arena = grown
    this.arenaView = viewOf(grown)
    if (this.#shared) this.weight.grow(size)
  }

  #reserveOperations(needed: number): void {
    const words = needed * 2
    if (words <= this.links.length) return
    const next = grownLength(this.links.length, 4, this.#capacityBytes * LINKS_SHARE)
    this.links = growInts(this.links, Math.max(words, next, OPERATIONS_FIRST * 2), this.#shared)
  }

  /** The table would grow by itself, but in memory of its own, and when it is too late to fail. */
  #growCommits(rows: number): void {
    const commits = this.commits
    const first = growDoubles(commits.first, rows, this.#shared)
    const size = growWords(commits.size, rows, this.#shared)
    commits.timeMs = growDoubles(commits.timeMs, rows, this.#shared)
    commits.first = first
    commits.size = size
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 4096) * 4096
}

/** A copy of the commit's meta, when it has one. */
function metaOf(arena: Buffer, offset: number): Buffer | undefined {
  const length = readU32(arena, offset + COMMIT_FIELD_BYTES_AT)
  if (length === 0) return undefined
  const body = offset + COMMIT_BODY_AT
  const reader = new ByteReader(arena, body, body + length, (reason) => {
    throw new Error(`Varve assertion failed: fields of a commit record: ${reason}`)
  })
  while (reader.remaining > 0) {
    const tag = reader.varint()
    if (tag === FIELD_META) return reader.block()
    const skipped = reader.bounded(reader.remaining, 'field length')
    reader.position += skipped
  }
  return undefined
}
