/**
 * What was committed and is not yet in segments, in memory.
 *
 * ```
 *   encoded commit ──append──> arena ──(sealed and written to the log by wal/)──publish──> index: visible
 * ```
 *
 * The arena holds the commit records exactly as the write-ahead log does, in seqno order, so change capture is a walk over
 * ordinals. The index is a radix tree per keyspace. All keyspaces are in one memtable: they are sealed and flushed together.
 *
 * One thread writes. Readers of the same thread may stand in it while it is written; once sealed it never changes, and with
 * `shared` memory it passes to another thread without a copy.
 */
import { assert } from '../base/assert.ts'
import type { CommitTable } from '../base/commit-table.ts'
import type { EntryIterator } from '../base/entry-iterator.ts'
import { FLAG_OPEN_END, KIND_MASK, KIND_RANGE_DELETE } from '../base/entry-kind.ts'
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import { MemtableIterator } from './memtable-iterator.ts'
import { OperandMemo } from './operand-memo.ts'
import { ARENA_BYTES_MAX, OperationLog, type OperationLogParts } from './operation-log.ts'
import { Operation } from './operation.ts'
import { RadixTree, type RadixTreeParts } from './radix-tree.ts'
import { RangeTombstoneSet } from './range-tombstone-set.ts'

export interface MemtableOptions {
  /** Seqno that the first operation will have. */
  readonly firstSeqno: number
  /** `hasRoom` says no when arena and index together would take more. */
  readonly capacityBytes: number
  /** Memory that threads can share. */
  readonly shared: boolean
  /** Ascending seqnos of the snapshots that are open at the time of the call: what `coveringSeqno` must answer for. */
  readonly openSnapshots: () => readonly number[]
}

/** A sealed memtable as plain data; the big parts are shared memory where it was made with `shared`. */
export interface MemtableParts {
  readonly log: OperationLogParts
  readonly tree: RadixTreeParts
  readonly keyspaces: readonly {
    readonly id: number
    readonly root: number
    readonly rangeDeletes: readonly number[]
  }[]
  readonly openSnapshots: readonly number[]
}

/** One version that a lookup found. Bytes are borrowed: they stay what they are, also while the memtable is written. */
export class MemtableEntry {
  seqno = 0
  /** Kind and flags, see base/entry-kind.ts. */
  kind = 0
  bytes: Uint8Array = new Uint8Array(0)
  valueStart = 0
  valueEnd = 0
  /** Position in the memtable's seqno order, from 0. */
  ordinal = -1
}

/** A range delete as it was committed. Bytes are borrowed. */
export interface RangeDelete {
  readonly ordinal: number
  readonly seqno: number
  /** Kind and flags. */
  readonly kind: number
  readonly start: Buffer
  /** Undefined: to the end of the keyspace. */
  readonly end: Buffer | undefined
}

/** What the memtable knows of one keyspace. */
interface KeyspaceIndex {
  readonly id: number
  /** Root of its tree. */
  readonly root: number
  /** Ordinals of its range deletes. */
  readonly rangeDeletes: number[]
  ranges: RangeTombstoneSet | undefined
}

const NO_RANGES: readonly FragmentedRanges[] = []
/** What a record needs at most beside its own bytes, about: for judging whether there is room. */
const INDEX_BYTES_PER_OPERATION = 40

export class Memtable {
  readonly firstSeqno: number
  readonly #capacityBytes: number
  readonly #log: OperationLog
  readonly #tree: RadixTree
  readonly #keyspaces = new Map<number, KeyspaceIndex>()
  /** The keyspace that was asked for last: mostly it is the next one too. */
  #lastKeyspace: KeyspaceIndex | undefined = undefined
  readonly #openSnapshots: () => readonly number[]
  readonly #memo: OperandMemo
  readonly #operation = new Operation()
  /** The operation that `#operation` holds. */
  #readOrdinal = -1
  #isSealed = false
  /** What the commit that is being published added range deletes to. */
  #unsettled: RangeTombstoneSet[] | undefined = undefined

  constructor(options: MemtableOptions, parts?: MemtableParts) {
    assert(options.firstSeqno >= 1, 'seqnos count from 1')
    this.firstSeqno = options.firstSeqno
    this.#capacityBytes = options.capacityBytes
    this.#openSnapshots = options.openSnapshots
    this.#log = new OperationLog(options, parts?.log)
    this.#tree = new RadixTree(this.#log, options.shared, parts?.tree)
    this.#memo = new OperandMemo(this.#log, options.capacityBytes)
    for (const { id, root, rangeDeletes } of parts?.keyspaces ?? []) {
      this.#keyspaces.set(id, { id, root, rangeDeletes: [...rangeDeletes], ranges: undefined })
    }
  }

  /** The same memtable again, sealed, maybe in another thread. */
  static fromParts(parts: MemtableParts): Memtable {
    const memtable = new Memtable(
      {
        firstSeqno: parts.log.firstSeqno,
        capacityBytes: parts.log.arenaEnd,
        shared: false,
        openSnapshots: () => parts.openSnapshots,
      },
      parts,
    )
    memtable.#isSealed = true
    return memtable
  }

  /** firstSeqno - 1 while it is empty. */
  get lastSeqno(): number {
    return this.#log.lastSeqno
  }

  /** Whether no operation is published. Records without operations may be there. */
  get isEmpty(): boolean {
    return this.#log.count === 0
  }

  get isSealed(): boolean {
    return this.#isSealed
  }

  /** Arena and index, as far as they are in use. */
  get bytesUsed(): number {
    return this.#log.bytesUsed + this.#tree.bytesUsed
  }

  /** The commit records. Another array after an `append` that needed more room; offsets stay. */
  get arena(): Buffer {
    return this.#log.arena
  }

  get arenaEnd(): number {
    return this.#log.arenaEnd
  }

  get commits(): CommitTable {
    return this.#log.commits
  }

  // ---------------------------------------------------------------------------------------------- writing

  /** Whether a record of so many bytes fits the capacity. A memtable that holds nothing takes any. */
  hasRoom(bytes: number): boolean {
    const { arenaEnd, pending } = this.#log
    if (arenaEnd === 0) return bytes <= ARENA_BYTES_MAX
    return this.bytesUsed + pending * INDEX_BYTES_PER_OPERATION + bytes <= this.#capacityBytes
  }

  /** Copies an encoded commit record to the arena's end; not visible. Returns its offset. */
  append(bytes: Uint8Array, start: number, end: number): number {
    assert(!this.#isSealed, 'a sealed memtable takes no commits')
    const offset = this.#log.append(bytes, start, end)
    this.#tree.reserve(this.#log.pending)
    return offset
  }

  /** Takes back every record from `offset` on. None of them may have been published. */
  truncate(offset: number): void {
    this.#log.truncate(offset)
  }

  /**
   * Makes the record at `offset` visible: the next one in seqno order. All that can go wrong does so before anything is
   * visible, and would be our own mistake. A record without operations stays in the arena and indexes nothing.
   */
  publish(offset: number): void {
    assert(!this.#isSealed, 'a sealed memtable takes no commits')
    const log = this.#log
    const from = log.count
    const operations = log.decode(offset)
    log.accept(offset, operations)
    for (let ordinal = from; ordinal < from + operations; ordinal++) this.#index(ordinal)
    if (this.#unsettled !== undefined) this.#settle()
  }

  /** No more writes. */
  seal(): void {
    assert(this.#log.arenaEnd === this.#log.publishedEnd, 'what was appended is published first')
    this.#isSealed = true
  }

  // ---------------------------------------------------------------------------------------------- reading

  /** Newest operation on the key with seqno <= snapshot. Range deletes are not looked at: see `coveringSeqno`. */
  find(
    keyspaceId: number,
    key: Uint8Array,
    start: number,
    end: number,
    snapshot: number,
    result: MemtableEntry,
  ): boolean {
    const keyspace = this.#keyspace(keyspaceId)
    if (keyspace === undefined) return false
    return this.#fill(this.#tree.find(keyspace.root, key, start, end), snapshot, result)
  }

  /** Goes from `result` to the next older version of the same key with seqno <= snapshot. */
  older(result: MemtableEntry, snapshot: number): boolean {
    return this.#fill(this.#log.olderOf(result.ordinal), snapshot, result)
  }

  /**
   * Seqno of the newest range delete over the key with seqno <= snapshot; 0: none. Exact where snapshot is the latest seqno or
   * one of `openSnapshots`: others are no longer told apart.
   */
  coveringSeqno(
    keyspaceId: number,
    key: Uint8Array,
    start: number,
    end: number,
    snapshot: number,
  ): number {
    const ranges = this.#ranges(keyspaceId)
    return ranges === undefined ? 0 : ranges.coveringSeqno(key, start, end, snapshot)
  }

  /** The keyspace's range deletes as they are now, for a RangeWalker. Never changes, whatever is written. */
  rangesAt(keyspaceId: number): readonly FragmentedRanges[] {
    return this.#ranges(keyspaceId)?.view() ?? NO_RANGES
  }

  hasRanges(keyspaceId: number): boolean {
    const keyspace = this.#keyspace(keyspaceId)
    return keyspace !== undefined && keyspace.rangeDeletes.length > 0
  }

  /** Walks the operations on keys; range deletes are not among them. Stays right while the memtable is written. */
  iterator(keyspaceId: number): EntryIterator {
    return new MemtableIterator(this.#tree, () => this.#keyspaces.get(keyspaceId)?.root ?? 0)
  }

  /** Keyspaces with any operation, ascending. */
  keyspaceIds(): number[] {
    return [...this.#keyspaces.keys()].sort((a, b) => a - b)
  }

  /** Range deletes with their original bounds, oldest first. */
  rangeDeletes(keyspaceId: number): RangeDelete[] {
    const ordinals = this.#keyspace(keyspaceId)?.rangeDeletes ?? []
    return ordinals.map((ordinal) => this.#rangeDelete(ordinal))
  }

  /** Merged value that a read left at this operand; borrowed. */
  memo(ordinal: number): Buffer | undefined {
    return this.#memo.get(ordinal)
  }

  /** To be called by a read that folded many operands, with the newest one's ordinal; keeps a copy where it is worth it. */
  remember(ordinal: number, value: Uint8Array): void {
    this.#memo.remember(ordinal, value)
  }

  // ---------------------------------------------------------------------------------------------- by ordinal

  keyspaceOf(ordinal: number): number {
    return this.#read(ordinal).keyspaceId
  }

  /** Kind and flags. */
  kindOf(ordinal: number): number {
    return this.#read(ordinal).kind
  }

  keyStart(ordinal: number): number {
    return this.#read(ordinal).keyStart
  }

  keyEnd(ordinal: number): number {
    return this.#read(ordinal).keyEnd
  }

  valueStart(ordinal: number): number {
    return this.#read(ordinal).valueStart
  }

  valueEnd(ordinal: number): number {
    return this.#read(ordinal).valueEnd
  }

  /** Id in `commits`. */
  commitOf(ordinal: number): number {
    assert(ordinal >= 0 && ordinal < this.#log.count, 'an ordinal lies in the memtable')
    return this.#log.commitOf(ordinal)
  }

  /** Where the published commit records begin in the arena, in order. */
  recordOffsets(): Int32Array {
    return this.#log.recordOffsets()
  }

  // ---------------------------------------------------------------------------------------------- moving

  /** A sealed memtable as plain data; nothing big is copied. */
  toParts(): MemtableParts {
    assert(this.#isSealed, 'only a sealed memtable is taken apart')
    const keyspaces = [...this.#keyspaces.values()]
    return {
      log: this.#log.toParts(),
      tree: this.#tree.toParts(),
      keyspaces: keyspaces.map(({ id, root, rangeDeletes }) => ({ id, root, rangeDeletes })),
      openSnapshots: [...this.#openSnapshots()],
    }
  }

  // ---------------------------------------------------------------------------------------------- inner

  #index(ordinal: number): void {
    const operation = this.#read(ordinal)
    const keyspace = this.#keyspace(operation.keyspaceId) ?? this.#addKeyspace(operation.keyspaceId)
    if ((operation.kind & KIND_MASK) !== KIND_RANGE_DELETE) {
      this.#tree.insert(keyspace.root, ordinal)
      return
    }
    keyspace.rangeDeletes.push(ordinal)
    const ranges = (keyspace.ranges ??= new RangeTombstoneSet())
    ranges.add(copyOf(this.#rangeDelete(ordinal)))
    this.#unsettled ??= []
    if (!this.#unsettled.includes(ranges)) this.#unsettled.push(ranges)
  }

  /** After the commit is visible as a whole: merging runs takes memory, and needs nothing but the set itself. */
  #settle(): void {
    const sets = this.#unsettled!
    this.#unsettled = undefined
    for (const ranges of sets) ranges.settle(this.#openSnapshots)
  }

  #keyspace(id: number): KeyspaceIndex | undefined {
    const last = this.#lastKeyspace
    if (last !== undefined && last.id === id) return last
    const keyspace = this.#keyspaces.get(id)
    if (keyspace !== undefined) this.#lastKeyspace = keyspace
    return keyspace
  }

  #addKeyspace(id: number): KeyspaceIndex {
    const keyspace = { id, root: this.#tree.addRoot(), rangeDeletes: [], ranges: undefined }
    this.#keyspaces.set(id, keyspace)
    this.#lastKeyspace = keyspace
    return keyspace
  }

  #ranges(keyspaceId: number): RangeTombstoneSet | undefined {
    const keyspace = this.#keyspace(keyspaceId)
    if (keyspace === undefined || keyspace.rangeDeletes.length === 0) return undefined
    if (keyspace.ranges === undefined) {
      // From parts: made when somebody asks, which a flush does not.
      const ranges = new RangeTombstoneSet()
      for (const ordinal of keyspace.rangeDeletes) {
        ranges.add(this.#rangeDelete(ordinal))
        ranges.settle(this.#openSnapshots)
      }
      keyspace.ranges = ranges
    }
    return keyspace.ranges
  }

  #rangeDelete(ordinal: number): RangeDelete {
    const { kind, keyStart, keyEnd, valueStart, valueEnd } = this.#read(ordinal)
    const arena = this.#log.arena
    return {
      ordinal,
      seqno: this.firstSeqno + ordinal,
      kind,
      start: arena.subarray(keyStart, keyEnd),
      end: (kind & FLAG_OPEN_END) === 0 ? arena.subarray(valueStart, valueEnd) : undefined,
    }
  }

  #fill(newest: number, snapshot: number, result: MemtableEntry): boolean {
    const log = this.#log
    const last = snapshot - this.firstSeqno
    if (last < 0) return false
    let ordinal = newest
    while (ordinal > last) ordinal = log.olderOf(ordinal)
    if (ordinal < 0) return false
    const operation = this.#read(ordinal)
    result.seqno = this.firstSeqno + ordinal
    result.kind = operation.kind
    result.bytes = log.arena
    result.valueStart = operation.valueStart
    result.valueEnd = operation.valueEnd
    result.ordinal = ordinal
    return true
  }

  #read(ordinal: number): Operation {
    const operation = this.#operation
    if (ordinal !== this.#readOrdinal) {
      operation.read(this.#log.arena, this.#log.offsetOf(ordinal))
      this.#readOrdinal = ordinal
    }
    return operation
  }
}

/** With bytes of its own: the arena may be replaced by a larger one, and would be kept alive. */
function copyOf(tombstone: RangeDelete): RangeDelete {
  const { start, end } = tombstone
  return { ...tombstone, start: Buffer.from(start), end: end && Buffer.from(end) }
}
