/**
 * The versions of one key that a snapshot sees, newest first, wherever they are: memtables, L0, and one segment of each deeper
 * level. Lookups take the first one; an operand chain goes on until it meets its base.
 *
 * Sources are asked from the newest to the oldest. For one key everything in a source is newer than everything in the next:
 * memtables and the segments of L0 hold disjoint ranges of seqnos, and what lies deeper in the levels was there before. So the
 * first version found is the newest, and a range tombstone found on the way hides all that is older and ends the walk.
 *
 * One object serves all lookups: `first`, `next` until it is not FOUND (or enough), `end`. After BLOCKED, take `whenLoaded()`
 * at once, wait for it, and begin anew. Most lookups end with `first`: what only `next` needs is kept only for operands.
 *
 * Memtables tell range tombstones apart only for the latest seqno and for open snapshots. A cursor reads on at the seqno that
 * was the latest when it was made, and so do many lookups in one call: they bring what the memtables said then
 * (`memtableCover`).
 */
import { KIND_MASK, KIND_MERGE } from '../base/entry-kind.ts'
import { type Memtable, MemtableEntry } from '../memtable/memtable.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import {
  ABSENT,
  BLOCKED,
  type FindStatus,
  FOUND,
  FoundEntry,
  hashKey,
  KeyHash,
  type SegmentReader,
} from '../segment/segment-reader.ts'
import { firstNotBelow, mayCover, mayHold } from './level-search.ts'
import type { ReadView } from './read-view.ts'

/** As `memtableCover`: the read is made at the latest seqno or at an open snapshot; ask the memtables. */
export const ASK_MEMTABLES = -1

const EMPTY = new Uint8Array(0)

/**
 * Newest range tombstone over the key in the memtables that `snapshot` sees; 0: none. To be asked while `snapshot` is the latest
 * seqno or an open snapshot.
 */
export function memtableCoverOf(
  view: ReadView,
  keyspaceId: number,
  key: Uint8Array,
  snapshot: number,
): number {
  let newest = 0
  for (const memtable of view.memtables) {
    if (!memtable.hasRanges(keyspaceId)) continue
    newest = Math.max(newest, memtable.coveringSeqno(keyspaceId, key, 0, key.length, snapshot))
  }
  return newest
}

export class VersionWalk {
  /** The version found; bytes are borrowed until the next operation on memtables or the block cache. */
  seqno = 0
  kind = 0
  bytes: Uint8Array = EMPTY
  valueStart = 0
  valueEnd = 0
  /** The memtable it is in, and its ordinal there; undefined: in a segment. */
  memtable: Memtable | undefined = undefined
  ordinal = 0

  /** Newest range tombstone over the key in the sources so far. */
  #covered = 0
  /** Where the search goes on. */
  #nextMemtable = 0
  #level = 0
  #nextInLevel = 0
  #reader: SegmentReader | undefined = undefined
  readonly #entry: MemtableEntry = new MemtableEntry()
  readonly #found: FoundEntry = new FoundEntry()
  readonly #hash: KeyHash = new KeyHash()

  // Kept for `next`.
  #view: ReadView | undefined = undefined
  #keyspaceId = 0
  #key: Uint8Array = EMPTY
  #snapshot = 0
  #mayRead = true
  #asksMemtables = true

  /**
   * The newest version with a seqno of at most `snapshot`. ABSENT: there is none, or a range tombstone hides it.
   * `memtableCover`: newest range tombstone over the key in all memtables, or ASK_MEMTABLES.
   */
  first(
    view: ReadView,
    keyspaceId: number,
    key: Uint8Array,
    snapshot: number,
    mayRead: boolean,
    memtableCover: number,
  ): FindStatus {
    const asks = memtableCover === ASK_MEMTABLES
    this.#covered = asks ? 0 : memtableCover
    this.#nextMemtable = 0
    const status = this.#search(view, keyspaceId, key, snapshot, mayRead, asks)
    if (status === FOUND && (this.kind & KIND_MASK) === KIND_MERGE) {
      this.#view = view
      this.#keyspaceId = keyspaceId
      this.#key = key
      this.#snapshot = snapshot
      this.#mayRead = mayRead
      this.#asksMemtables = asks
    }
    return status
  }

  /** The next older version, after an operand. */
  next(): FindStatus {
    const view = this.#view!
    const key = this.#key
    if (this.memtable !== undefined) {
      if (this.memtable.older(this.#entry, this.#snapshot)) return this.#takeEntry(this.memtable)
      const asks = this.#asksMemtables
      return this.#search(view, this.#keyspaceId, key, this.#snapshot, this.#mayRead, asks)
    }
    const status = this.#find(this.#reader!, key, this.seqno - 1, this.#mayRead)
    if (status !== ABSENT) return status
    if (this.#covered > 0) return ABSENT
    const { levels } = view.version.files(this.#keyspaceId)
    return this.#searchLevels(view, levels, key, this.#snapshot, this.#mayRead)
  }

  /** What BLOCKED waits for. To be called before anything else is read. */
  whenLoaded(): Promise<void> {
    return this.#reader!.loadBlocked()
  }

  /** Lets go of memtables and views: a lookup long ago must not keep them in memory. */
  end(): void {
    if (this.memtable !== undefined) {
      this.memtable = undefined
      this.bytes = EMPTY
      this.#entry.bytes = EMPTY
    }
    if (this.#view !== undefined) {
      this.#view = undefined
      this.#key = EMPTY
    }
  }

  /** In the memtables from `#nextMemtable` on, then in all segments. */
  #search(
    view: ReadView,
    keyspaceId: number,
    key: Uint8Array,
    snapshot: number,
    mayRead: boolean,
    asks: boolean,
  ): FindStatus {
    const { memtables } = view
    for (let i = this.#nextMemtable; i < memtables.length; i++) {
      const memtable = memtables[i]!
      if (memtable.firstSeqno > snapshot) continue
      // What covers in a newer memtable hides everything in an older one.
      if (asks && this.#covered > 0) return ABSENT
      if (asks && memtable.hasRanges(keyspaceId)) {
        this.#covered = memtable.coveringSeqno(keyspaceId, key, 0, key.length, snapshot)
      }
      if (memtable.find(keyspaceId, key, 0, key.length, snapshot, this.#entry)) {
        this.#nextMemtable = i + 1
        return this.#takeEntry(memtable)
      }
    }
    this.memtable = undefined
    // What covers in a memtable hides everything in segments.
    if (this.#covered > 0) return ABSENT
    this.#level = 0
    this.#nextInLevel = 0
    const { levels } = view.version.files(keyspaceId)
    return this.#searchLevels(view, levels, key, snapshot, mayRead)
  }

  #takeEntry(memtable: Memtable): FindStatus {
    const entry = this.#entry
    this.memtable = memtable
    if (entry.seqno < this.#covered) return ABSENT
    this.seqno = entry.seqno
    this.kind = entry.kind
    this.bytes = entry.bytes
    this.valueStart = entry.valueStart
    this.valueEnd = entry.valueEnd
    this.ordinal = entry.ordinal
    return FOUND
  }

  /** In the segments from `#level`, `#nextInLevel` on: each one of L0, one of each deeper level. */
  #searchLevels(
    view: ReadView,
    levels: readonly (readonly SegmentMeta[])[],
    key: Uint8Array,
    snapshot: number,
    mayRead: boolean,
  ): FindStatus {
    const end = key.length
    let isHashed = false
    while (this.#level < levels.length) {
      const level = levels[this.#level]!
      const index = this.#level === 0 ? this.#nextInLevel++ : firstNotBelow(level, key, 0, end)
      const meta = level[index]
      if (this.#level > 0 || meta === undefined) this.#level++
      if (meta === undefined || meta.minSeqno > snapshot) continue
      const covers = mayCover(meta, key, 0, end)
      const reader = view.segments.reader(meta)
      // A filter at hand says more than the bounds do, and costs less than comparing two keys.
      const holds = reader.isSifted || mayHold(meta, key, 0, end)
      if (!covers && !holds) continue
      this.#reader = reader
      if (covers) {
        if (!reader.isOpen && !mayRead) return BLOCKED
        this.#covered = reader.coveringSeqno(key, 0, end, snapshot)
      }
      if (holds) {
        if (!isHashed) hashKey(key, 0, end, this.#hash)
        isHashed = true
        const status = this.#find(reader, key, snapshot, mayRead)
        if (status !== ABSENT) return status
      }
      if (this.#covered > 0) return ABSENT
    }
    return ABSENT
  }

  /** The newest version with a seqno of at most `limit` in this segment, unless a range tombstone hides it. */
  #find(reader: SegmentReader, key: Uint8Array, limit: number, mayRead: boolean): FindStatus {
    const found = this.#found
    const status = reader.find(key, 0, key.length, this.#hash, limit, mayRead, found)
    if (status !== FOUND) return status
    if (found.seqno < this.#covered) return ABSENT
    this.seqno = found.seqno
    this.kind = found.kind
    this.bytes = found.bytes
    this.valueStart = found.valueStart
    this.valueEnd = found.valueEnd
    return FOUND
  }
}
