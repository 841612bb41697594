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
import { FLAG_OPEN_END, KIND_MASK, KIND_RANGE_DELETE } from '../base/entry-kind.ts'
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import type { ArenaWeight } from './arena-weight.ts'
import { KeyNeighbours } from './key-neighbours.ts'
import { type KeyspaceIndex, KeyspaceIndexes, type KeyspaceParts } from './keyspace-index.ts'
import { MemtableIterator } from './memtable-iterator.ts'
import { OperandMemo } from './operand-memo.ts'
import { ARENA_BYTES_MAX, OperationLog, type OperationLogParts } from './operation-log.ts'
import { Operation } from './operation.ts'
import { RadixNodes, type RadixNodesParts } from './radix-nodes.ts'
import { KEY_GROUP, RadixTree } from './radix-tree.ts'
import { SealedWalk } from './sealed-walk.ts'

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
  readonly nodes: RadixNodesParts
  readonly keyspaces: readonly KeyspaceParts[]
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

const NO_RANGES: readonly FragmentedRanges[] = []
/** What a record needs at most beside its own bytes, about: for judging whether there is room. */
const INDEX_BYTES_PER_OPERATION = 40
/** Of the capacity: short keys with values of 50 bytes and more. */
const NODES_SHARE = 1 / 4

export class Memtable {
  readonly firstSeqno: number
  readonly weight: ArenaWeight
  readonly #capacityBytes: number
  readonly #log: OperationLog
  readonly #tree: RadixTree
  readonly #nodes: RadixNodes
  readonly #keyspaces: KeyspaceIndexes
  readonly #openSnapshots: () => readonly number[]
  readonly #memo: OperandMemo
  readonly #operation = new Operation()
  readonly #neighbours: KeyNeighbours
  /** The operation that `#operation` holds. */
  #readOrdinal = -1
  #isSealed = false

  constructor(options: MemtableOptions, parts?: MemtableParts) {
    assert(options.firstSeqno >= 1, 'seqnos count from 1')
    this.firstSeqno = options.firstSeqno
    this.#capacityBytes = options.capacityBytes
    this.#openSnapshots = options.openSnapshots
    this.#log = new OperationLog(options, parts?.log)
    this.weight = this.#log.weight
    this.#nodes = new RadixNodes(options.shared, options.capacityBytes * NODES_SHARE, parts?.nodes)
    this.#tree = new RadixTree(this.#log, this.#nodes)
    this.#memo = new OperandMemo(this.#log, options.capacityBytes)
    this.#keyspaces = new KeyspaceIndexes(options.openSnapshots, (ordinal) =>
      this.#rangeDelete(ordinal),
    )
    this.#neighbours = new KeyNeighbours(this.#log, this.#tree, this.#keyspaces)
    for (const keyspace of parts?.keyspaces ?? []) this.#keyspaces.add(keyspace)
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

  /** Arena and index, as far as they are in use. */
  get bytesUsed(): number {
    return this.#log.bytesUsed + this.#nodes.bytesUsed
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
    if (arenaEnd + bytes > ARENA_BYTES_MAX) return false
    return this.bytesUsed + pending * INDEX_BYTES_PER_OPERATION + bytes <= this.#capacityBytes
  }

  /** Copies an encoded commit record to the arena's end; not visible. Returns its offset. */
  append(bytes: Uint8Array, start: number, end: number): number {
    assert(!this.#isSealed, 'a sealed memtable takes no commits')
    const offset = this.#log.append(bytes, start, end)
    this.#nodes.reserve(this.#log.pending)
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
    const end = from + operations
    let areNear = false
    for (let ordinal = from; ordinal < end; ordinal++) {
      if ((ordinal - from) % KEY_GROUP === 0) areNear = this.#neighbours.prepare(ordinal, end)
      this.#index(ordinal, areNear)
    }
    this.#keyspaces.settle()
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
    const keyspace = this.#keyspaces.get(keyspaceId)
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
    const ranges = this.#keyspaces.ranges(keyspaceId)
    return ranges === undefined ? 0 : ranges.coveringSeqno(key, start, end, snapshot)
  }

  /** The keyspace's range deletes as they are now, for a RangeWalker. Never changes, whatever is written. */
  rangesAt(keyspaceId: number): readonly FragmentedRanges[] {
    return this.#keyspaces.ranges(keyspaceId)?.view() ?? NO_RANGES
  }

  hasRanges(keyspaceId: number): boolean {
    return (this.#keyspaces.get(keyspaceId)?.rangeDeletes.length ?? 0) > 0
  }

  /** Walks the operations on keys; range deletes are not among them. Stays right while the memtable is written. */
  iterator(keyspaceId: number): MemtableIterator {
    return new MemtableIterator(this.#tree, () => this.#keyspaces.get(keyspaceId)?.root ?? 0)
  }

  /** Walks them once, from the first key on, faster than an iterator; only of a sealed memtable. */
  walk(keyspaceId: number): SealedWalk {
    assert(this.#isSealed, 'what is walked at once no longer changes')
    const keyspace = this.#keyspaces.get(keyspaceId)
    assert(keyspace !== undefined, 'a keyspace that is walked has operations')
    return new SealedWalk(this.#log, this.#nodes, keyspace.root)
  }

  /** Keyspaces with any operation, ascending. */
  keyspaceIds(): number[] {
    return this.#keyspaces.ids()
  }

  /** Range deletes with their original bounds, oldest first. */
  rangeDeletes(keyspaceId: number): RangeDelete[] {
    const ordinals = this.#keyspaces.get(keyspaceId)?.rangeDeletes ?? []
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

  arenaOffsetOf(ordinal: number): number {
    return this.#log.offsetOf(ordinal)
  }

  keyspaceOf(ordinal: number): number {
    return this.#read(ordinal).keyspaceId
  }

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

  /** Ordinal of the next older version of the operation's key; -1: none. */
  olderOf(ordinal: number): number {
    return this.#log.olderOf(ordinal)
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
    return {
      log: this.#log.toParts(),
      nodes: this.#nodes.toParts(),
      keyspaces: this.#keyspaces.toParts(),
      openSnapshots: [...this.#openSnapshots()],
    }
  }

  // ---------------------------------------------------------------------------------------------- inner

  #index(ordinal: number, isNear: boolean): void {
    const { kind, keyspaceId, keyStart, keyEnd } = this.#read(ordinal)
    const keyspace = this.#keyspaces.get(keyspaceId) ?? this.#addKeyspace(keyspaceId)
    if ((kind & KIND_MASK) === KIND_RANGE_DELETE) {
      this.#keyspaces.addRangeDelete(keyspace, ordinal)
    } else if (isNear) {
      this.#tree.insertNear(keyspace.root, ordinal, keyStart, keyEnd)
    } else {
      this.#tree.insert(keyspace.root, ordinal, keyStart, keyEnd)
    }
  }

  #addKeyspace(id: number): KeyspaceIndex {
    return this.#keyspaces.add({ id, root: this.#nodes.addRoot(), rangeDeletes: [] })
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
