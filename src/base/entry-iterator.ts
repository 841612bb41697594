/**
 * The one way in which sorted entries are walked: memtables, segments, levels and merges of them all look like this.
 *
 * Order: key ascending (bytewise), then seqno descending: the newest version of a key comes first. `prev` walks exactly the
 * reverse. The fields describe the current entry and are read directly in hot loops; bytes are borrowed until the next move.
 *
 * A move is synchronous per entry. When it needs a block that may not be read on the calling thread, it leaves
 * `valid === false` and `blocked === true`; `await load()` then reads the block and *finishes that same move*, after which
 * `blocked` is false (or true again, for the next block). Implementations opened for synchronous reading never block.
 */
const EMPTY = new Uint8Array(0)

/** The entry that a walk stands on. */
export interface SortedEntry {
  readonly keyBytes: Uint8Array
  readonly keyStart: number
  readonly keyEnd: number
  readonly seqno: number
  /** Kind and flags, see entry-kind.ts. */
  readonly kind: number
  readonly valueBytes: Uint8Array
  readonly valueStart: number
  readonly valueEnd: number
  /** Position of the entry in its segment's file order, or in its memtable's seqno order; counted from 0. */
  readonly ordinal: number
}

export abstract class EntryIterator implements SortedEntry {
  valid = false
  blocked = false
  keyBytes: Uint8Array = EMPTY
  keyStart = 0
  keyEnd = 0
  seqno = 0
  kind = 0
  valueBytes: Uint8Array = EMPTY
  valueStart = 0
  valueEnd = 0
  ordinal = 0

  abstract seekToFirst(): void
  abstract seekToLast(): void
  /** First entry with key >= the given one. */
  abstract seek(key: Uint8Array, start: number, end: number): void
  /** Last entry with key < the given one. */
  abstract seekBefore(key: Uint8Array, start: number, end: number): void
  abstract next(): void
  abstract prev(): void
  /** Reads what the blocked move needs and finishes it. Only while `blocked`. */
  abstract load(): Promise<void>
  abstract close(): void
}
