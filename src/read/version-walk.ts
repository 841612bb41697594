/**
 * The versions of one key that a snapshot sees, newest first, wherever they are: memtables, L0, and one segment of each deeper
 * level. Lookups take the first one; an operand chain goes on until it meets its base.
 *
 * Sources are asked from the newest to the oldest. For one key everything in a source is newer than everything in the next:
 * memtables and the segments of L0 hold disjoint ranges of seqnos, and what lies deeper in the levels was there before. So the
 * first version found is the newest, and a range tombstone found on the way hides all that is older and ends the walk.
 *
 * One object serves all lookups: `begin`, `next` until it is not FOUND (or enough), `end`. After BLOCKED, take `whenLoaded()`
 * at once, wait for it, and begin anew.
 *
 * Memtables tell range tombstones apart only for the latest seqno and for open snapshots. A cursor reads on at the seqno that
 * was the latest when it was made, and so do many lookups in one call: they bring what the memtables said then
 * (`memtableCover`).
 */
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
const NO_LEVELS: readonly (readonly SegmentMeta[])[] = []

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

  #view: ReadView | undefined = undefined
  #keyspaceId = 0
  #key: Uint8Array = EMPTY
  #end = 0
  #snapshot = 0
  #mayRead = true
  #asksMemtables = true
  /** Newest range tombstone over the key in the sources so far. */
  #covered = 0
  #nextMemtable = 0
  /** The source of the last version may have older ones. */
  #isInside = false
  #levels = NO_LEVELS
  #level = 0
  #nextInLevel = 0
  #reader: SegmentReader | undefined = undefined
  #isHashed = false
  readonly #entry: MemtableEntry = new MemtableEntry()
  readonly #found: FoundEntry = new FoundEntry()
  readonly #hash: KeyHash = new KeyHash()

  /** `memtableCover`: newest range tombstone over the key in all memtables, or ASK_MEMTABLES. */
  begin(
    view: ReadView,
    keyspaceId: number,
    key: Uint8Array,
    snapshot: number,
    mayRead: boolean,
    memtableCover: number,
  ): void {
    this.#view = view
    this.#keyspaceId = keyspaceId
    this.#key = key
    this.#end = key.length
    this.#snapshot = snapshot
    this.#mayRead = mayRead
    this.#asksMemtables = memtableCover === ASK_MEMTABLES
    this.#covered = this.#asksMemtables ? 0 : memtableCover
    this.#nextMemtable = 0
    this.#isInside = false
    this.#level = -1
    this.#reader = undefined
    this.#isHashed = false
    this.memtable = undefined
  }

  /** Lets go of everything: a lookup long ago must not keep a memtable in memory. */
  end(): void {
    this.#view = undefined
    this.#key = EMPTY
    this.#levels = NO_LEVELS
    this.#reader = undefined
    this.memtable = undefined
    this.bytes = EMPTY
  }

  /** The next older version. ABSENT: there is none, or a range tombstone hides it. */
  next(): FindStatus {
    if (this.#level < 0) {
      if (this.#nextInMemtables()) {
        if (this.seqno < this.#covered) return ABSENT
        return FOUND
      }
      // What covers in a memtable hides everything in segments.
      if (this.#covered > 0) return ABSENT
      this.#enterLevels()
    }
    return this.#nextInSegments()
  }

  /** What BLOCKED waits for. To be called before anything else is read. */
  whenLoaded(): Promise<void> {
    return this.#reader!.loadBlocked()
  }

  #nextInMemtables(): boolean {
    const { memtables } = this.#view!
    const entry = this.#entry
    let memtable = this.memtable
    if (this.#isInside && memtable !== undefined) {
      if (memtable.older(entry, this.#snapshot)) return this.#takeMemtableEntry()
      this.#isInside = false
    }
    while (this.#nextMemtable < memtables.length) {
      // What covers in a newer memtable hides everything in an older one.
      if (this.#covered > 0 && this.#asksMemtables) return false
      memtable = memtables[this.#nextMemtable++]!
      if (memtable.firstSeqno > this.#snapshot) continue
      if (this.#asksMemtables && memtable.hasRanges(this.#keyspaceId)) {
        const covering = memtable.coveringSeqno(
          this.#keyspaceId,
          this.#key,
          0,
          this.#end,
          this.#snapshot,
        )
        if (covering > this.#covered) this.#covered = covering
      }
      if (memtable.find(this.#keyspaceId, this.#key, 0, this.#end, this.#snapshot, entry)) {
        this.memtable = memtable
        this.#isInside = true
        return this.#takeMemtableEntry()
      }
    }
    return false
  }

  #takeMemtableEntry(): boolean {
    const entry = this.#entry
    this.seqno = entry.seqno
    this.kind = entry.kind
    this.bytes = entry.bytes
    this.valueStart = entry.valueStart
    this.valueEnd = entry.valueEnd
    this.ordinal = entry.ordinal
    return true
  }

  #enterLevels(): void {
    this.memtable = undefined
    this.#isInside = false
    this.#levels = this.#view!.version.files(this.#keyspaceId).levels
    this.#level = 0
    this.#nextInLevel = 0
  }

  #nextInSegments(): FindStatus {
    if (this.#isInside) {
      const status = this.#find(this.seqno - 1)
      if (status !== ABSENT) return status
      this.#isInside = false
      if (this.#covered > 0) return ABSENT
    }
    for (;;) {
      const meta = this.#nextSegment()
      if (meta === undefined) return ABSENT
      if (meta.minSeqno > this.#snapshot) continue
      const covers = mayCover(meta, this.#key, 0, this.#end)
      const holds = mayHold(meta, this.#key, 0, this.#end)
      if (!covers && !holds) continue
      const reader = this.#view!.segments.reader(meta)
      this.#reader = reader
      if (covers) {
        if (!reader.isOpen && !this.#mayRead) return BLOCKED
        const covering = reader.coveringSeqno(this.#key, 0, this.#end, this.#snapshot)
        if (covering > this.#covered) this.#covered = covering
      }
      if (holds) {
        const status = this.#find(this.#snapshot)
        if (status !== ABSENT) return status
      }
      if (this.#covered > 0) return ABSENT
    }
  }

  /** The next segment that may say something about the key: each one of L0, one of each deeper level. */
  #nextSegment(): SegmentMeta | undefined {
    const levels = this.#levels
    while (this.#level < levels.length) {
      const level = levels[this.#level]!
      if (this.#level === 0) {
        if (this.#nextInLevel < level.length) return level[this.#nextInLevel++]
        this.#level = 1
      } else {
        this.#level++
        if (level.length === 0) continue
        const meta = level[firstNotBelow(level, this.#key, 0, this.#end)]
        if (meta !== undefined) return meta
      }
    }
    return undefined
  }

  /** The newest version with a seqno of at most `limit` in the current segment, unless a range tombstone hides it. */
  #find(limit: number): FindStatus {
    if (!this.#isHashed) {
      this.#isHashed = true
      hashKey(this.#key, 0, this.#end, this.#hash)
    }
    const found = this.#found
    const status = this.#reader!.find(
      this.#key,
      0,
      this.#end,
      this.#hash,
      limit,
      this.#mayRead,
      found,
    )
    if (status === FOUND) {
      if (found.seqno < this.#covered) return ABSENT
      this.#isInside = true
      this.seqno = found.seqno
      this.kind = found.kind
      this.bytes = found.bytes
      this.valueStart = found.valueStart
      this.valueEnd = found.valueEnd
      return FOUND
    }
    return status
  }
}
