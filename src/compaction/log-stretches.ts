/**
 * Where most operations in a stretch of a memtable's arena go to history, it is written as it stands (segment/log-block.ts): finds
 * those stretches.
 */
import { KIND_DELETE } from '../base/entry-kind.ts'
import { varintBytes } from '../base/varint.ts'
import type { Memtable } from '../memtable/memtable.ts'
import { Operation } from '../memtable/operation.ts'
import { LOG_BLOCK_BYTES, LogBlock } from '../segment/log-block.ts'
import type { BlobSink } from './blob-sink.ts'
import type { OrdinalSet } from './ordinal-set.ts'

/**
 * So much of a block, and of all of them together, may be what is no entry: other operations, heads of commits. To write it costs half
 * as much time as an entry that is encoded by itself; the space, until files are merged, is what bounds it.
 */
const IDLE_PART_OF_ONE = 2 / 3
const IDLE_PART_OF_ALL = 1 / 4

export class LogStretches {
  /** The stretch found last. */
  readonly block: LogBlock = new LogBlock()
  readonly #memtable: Memtable
  readonly #retired: OrdinalSet
  /** Row in the commit table, by ordinal. */
  readonly #commitOf: Int32Array
  readonly #blobs: BlobSink
  readonly #operation = new Operation()
  /** Of the operations of the block that are entries. */
  #entryBytes = 0
  /** Of the blocks that were found worth it: bytes, and those of them that are no entries. */
  #bytes = 0
  #idleBytes = 0

  constructor(
    memtable: Memtable,
    options: { retired: OrdinalSet; commitOf: Int32Array; blobs: BlobSink },
  ) {
    this.#memtable = memtable
    this.#retired = options.retired
    this.#commitOf = options.commitOf
    this.#blobs = options.blobs
    this.block.log = memtable.arena
    this.block.commitOf = options.commitOf
  }

  /**
   * Takes retired operations from ordinal `first` on, which is one, as many as make a block and lie below ordinal `end`; none where
   * the first cannot be in one. Returns the next, -1 at the end.
   */
  take(first: number, end: number): number {
    const memtable = this.#memtable
    const { arena, commits, firstSeqno } = memtable
    const { block } = this
    const { numbers } = block
    const blobs = this.#blobs
    const commitOf = this.#commitOf
    const operation = this.#operation
    const start = memtable.arenaOffsetOf(first)
    const limit = start + LOG_BLOCK_BYTES
    let stop = start
    let count = 0
    let pointTombstones = 0
    let bytes = 0
    let ordinal = first
    for (; ordinal >= 0 && ordinal < end; ordinal = this.#retired.nextFrom(ordinal + 1)) {
      const at = memtable.arenaOffsetOf(ordinal)
      if (at >= limit) break
      let next = memtable.arenaOffsetOf(ordinal + 1)
      if (commitOf[ordinal + 1] !== commitOf[ordinal]) {
        operation.read(arena, at)
        next = operation.valueEnd
      }
      const kind = arena[at]!
      // What a segment must know more of ends a stretch: deleted ranges, and values that go to a blob file.
      if (next > limit || kind > KIND_DELETE || blobs.concerns(kind, next - at)) break
      if (kind === KIND_DELETE) pointTombstones++
      numbers[count++] = ordinal - first
      bytes += next - at
      stop = next
    }
    operation.read(arena, start)
    const commitId = commitOf[first]!
    block.start = start
    block.end = stop
    block.firstOrdinal = first
    block.firstSeqno = firstSeqno + first
    block.leading = commits.first[commitId]! + commits.size[commitId]! - block.firstSeqno
    block.count = count
    block.pointTombstones = pointTombstones
    this.#entryBytes = bytes
    block.bytes = bytes - count * varintBytes(operation.keyspaceId)
    return ordinal
  }

  /** Whether the block is to be written as it is; then it counts. */
  judge(): boolean {
    const { block } = this
    const bytes = block.end - block.start
    const idle = bytes - this.#entryBytes
    if (block.count === 0 || idle > bytes * IDLE_PART_OF_ONE) return false
    if (this.#idleBytes + idle > (this.#bytes + bytes) * IDLE_PART_OF_ALL) return false
    this.#idleBytes += idle
    this.#bytes += bytes
    return true
  }
}
