/**
 * Sorts a stream of entries, key ascending and newest first, into what stays in the live tree, what goes to history, and
 * what is gone. The heart of flush and compaction; the rules for one key stand in version-fates.ts.
 *
 * ```
 *   entries ──> accept ──┬─> output.keep     live: the newest of each stripe, folded chains, tombstones still needed
 *                        ├─> output.retire   history: superseded events at or above the drop floor
 *                        └─> nothing         derived entries, events below the drop floor
 * ```
 *
 * Most keys need one glance: their newest version is a value, and whatever else lies in the same stripe is superseded. Those
 * go straight from the source's bytes to the output's. Only merge chains, and tombstones of which it matters what is below,
 * are gathered and decided as a whole.
 */
import { assert } from '../base/assert.ts'
import { EMPTY_BYTES } from '../base/bytes.ts'
import { type CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import type { SortedEntry } from '../base/entry-iterator.ts'
import { FLAG_DERIVED, KIND_DELETE, KIND_INSERT, KIND_MASK } from '../base/entry-kind.ts'
import {
  FATE_FOLDED,
  FATE_HISTORY,
  FATE_KEEP,
  FATE_MASK,
  type FateRules,
  isInsertOrDelete,
  KeyVersions,
  type RangeCover,
  stripeOf,
} from './version-fates.ts'

/** Where sorted entries go. Bytes are borrowed for the call. */
export interface SortedOutput {
  /** Before the first `keep` of each key: the only place where a segment may be cut. */
  startKey(keyBytes: Uint8Array, keyStart: number, keyEnd: number): void
  /** One entry for the live tree; commitId NO_COMMIT: no event. `isHeld`: superseded, here only because a snapshot sees it. */
  keep(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
    commits: CommitTable,
    commitId: number,
    isHeld: boolean,
  ): void
  /** One event for history. `ordinal` is the source's. */
  retire(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
    commits: CommitTable,
    commitId: number,
    ordinal: number,
  ): void
}

export interface SortRules extends FateRules {
  /** Whether nothing deeper in the tree can hold the key. Asked for ascending keys, and only where it matters. */
  isBottom(key: Uint8Array, start: number, end: number): boolean
  /** The source's value bytes stay put, and are one array, until the sorter is done: a sealed memtable's do. */
  readonly borrowValues: boolean
}

export class EntrySorter {
  readonly #rules: SortRules
  readonly #output: SortedOutput
  readonly #dropFloor: number
  readonly #hasSnapshots: boolean
  readonly #versions: KeyVersions
  readonly #ranges: RangeCover | undefined
  /** The key of the versions that are being gathered. */
  #key: Buffer = EMPTY_BYTES
  #isGathering = false
  #hasKept = false
  /** Entries of this key above it lie in a stripe that has its newest version already: they are superseded. */
  #closedAbove = Number.MAX_SAFE_INTEGER
  /** Whether something newer hides what is kept of the key from now on, except from snapshots. */
  #isShadowed = false

  constructor(rules: SortRules, output: SortedOutput) {
    this.#rules = rules
    this.#output = output
    this.#dropFloor = rules.dropFloor
    this.#ranges = rules.ranges
    this.#hasSnapshots = rules.snapshots.length > 0
    this.#versions = new KeyVersions({ borrow: rules.borrowValues })
  }

  /**
   * Takes the entry that `entry` stands on. `commitId` NO_COMMIT: it is no event. `isSameKey`: it has the key of the entry
   * before it. The source knows that best: keeping a copy of each key only to compare it was a tenth of the time here.
   */
  accept(entry: SortedEntry, commits: CommitTable, commitId: number, isSameKey: boolean): void {
    const keyBytes = entry.keyBytes
    const keyStart = entry.keyStart
    const keyEnd = entry.keyEnd
    const seqno = entry.seqno
    const kind = entry.kind
    if (!isSameKey) this.#startKey()
    const isEvent = seqno >= this.#dropFloor && (kind & FLAG_DERIVED) === 0
    // An event without its commit would leave the stream here, silently.
    assert(!isEvent || commitId !== NO_COMMIT, 'an event at or above the drop floor has its commit')
    const id = isEvent ? commitId : NO_COMMIT

    if (this.#isGathering) {
      this.#gather(entry, commits, id)
      return
    }
    if (seqno > this.#closedAbove) {
      if (isEvent) this.#retire(entry, commits, id)
      return
    }
    let lower = 0
    let top = Number.MAX_SAFE_INTEGER
    if (this.#hasSnapshots) {
      const stripe = stripeOf(this.#rules.snapshots, seqno)
      if (stripe > 0) lower = this.#rules.snapshots[stripe - 1]!
      top = this.#rules.snapshots[stripe] ?? top
    }
    const ranges = this.#ranges
    if (ranges !== undefined && ranges.coveringSeqno(keyBytes, keyStart, keyEnd, top) > seqno) {
      this.#closedAbove = lower
      if (isEvent) this.#retire(entry, commits, id)
      return
    }
    const bare = kind & KIND_MASK
    if (bare === KIND_INSERT) {
      this.#closedAbove = lower
      this.#keep(entry, commits, id)
      this.#isShadowed = true
      return
    }
    if (bare === KIND_DELETE) {
      const isBottom = this.#rules.isBottom(keyBytes, keyStart, keyEnd)
      // In the oldest stripe everything older is superseded, so that nothing is left for it to shadow.
      if (!isBottom || lower === 0) {
        this.#closedAbove = lower
        if (!isBottom) {
          this.#keep(entry, commits, id)
          this.#isShadowed = true
        } else if (isEvent) {
          this.#retire(entry, commits, id)
        }
        return
      }
    }
    this.#isGathering = true
    this.#key = Buffer.from(keyBytes.subarray(keyStart, keyEnd))
    this.#gather(entry, commits, id)
  }

  /** Whether every older entry of the key just given will be retired, whatever it is; the source may do that by itself. */
  get isRestSuperseded(): boolean {
    return this.#closedAbove === 0 && !this.#isGathering
  }

  /** After the last entry. */
  finish(): void {
    if (this.#isGathering) this.#settle()
  }

  #startKey(): void {
    if (this.#isGathering) this.#settle()
    this.#hasKept = false
    this.#isShadowed = false
    this.#closedAbove = Number.MAX_SAFE_INTEGER
  }

  #keep(entry: SortedEntry, commits: CommitTable, id: number): void {
    if (!this.#hasKept) {
      this.#hasKept = true
      this.#output.startKey(entry.keyBytes, entry.keyStart, entry.keyEnd)
    }
    this.#output.keep(
      entry.keyBytes,
      entry.keyStart,
      entry.keyEnd,
      entry.seqno,
      entry.kind,
      entry.valueBytes,
      entry.valueStart,
      entry.valueEnd,
      commits,
      id,
      this.#isShadowed ||
        this.#isCoveredLater(entry.keyBytes, entry.keyStart, entry.keyEnd, entry.seqno),
    )
  }

  #retire(entry: SortedEntry, commits: CommitTable, id: number): void {
    this.#output.retire(
      entry.keyBytes,
      entry.keyStart,
      entry.keyEnd,
      entry.seqno,
      entry.kind,
      entry.valueBytes,
      entry.valueStart,
      entry.valueEnd,
      commits,
      id,
      entry.ordinal,
    )
  }

  #gather(entry: SortedEntry, commits: CommitTable, id: number): void {
    this.#versions.push(
      entry.seqno,
      entry.kind,
      entry.valueBytes,
      entry.valueStart,
      entry.valueEnd,
      commits,
      id,
      entry.ordinal,
    )
  }

  /** Whether a range tombstone of a newer stripe hides a version that is kept. */
  #isCoveredLater(key: Uint8Array, start: number, end: number, seqno: number): boolean {
    const ranges = this.#ranges
    return (
      ranges !== undefined &&
      this.#hasSnapshots &&
      ranges.coveringSeqno(key, start, end, Number.MAX_SAFE_INTEGER) > seqno
    )
  }

  /** Decides over the versions gathered, and hands them on, newest first. */
  #settle(): void {
    this.#isGathering = false
    const versions = this.#versions
    const key = this.#key
    versions.decide(key, this.#rules, this.#rules.isBottom(key, 0, key.length))
    const folds = versions.folds
    let fold = 0
    for (let i = 0; i < versions.count; i++) {
      const fate = versions.fate[i]!
      if ((fate & FATE_FOLDED) !== 0) {
        const { kind, value } = folds[fold++]!
        this.#keepVersion(key, i, kind, value, 0, value.length, NO_COMMIT)
      }
      if ((fate & FATE_MASK) === FATE_KEEP) {
        this.#keepVersion(
          key,
          i,
          versions.kind[i]!,
          versions.bytes,
          versions.valueStart[i]!,
          versions.valueEnd[i]!,
          versions.commitId[i]!,
        )
      } else if ((fate & FATE_MASK) === FATE_HISTORY) {
        this.#output.retire(
          key,
          0,
          key.length,
          versions.seqno[i]!,
          versions.kind[i]!,
          versions.bytes,
          versions.valueStart[i]!,
          versions.valueEnd[i]!,
          versions.commits[i]!,
          versions.commitId[i]!,
          versions.ordinal[i]!,
        )
      }
    }
    versions.clear()
  }

  #keepVersion(
    key: Uint8Array,
    i: number,
    kind: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    id: number,
  ): void {
    const versions = this.#versions
    const seqno = versions.seqno[i]!
    if (!this.#hasKept) {
      this.#hasKept = true
      this.#output.startKey(key, 0, key.length)
    }
    const isHeld = this.#isShadowed || this.#isCoveredLater(key, 0, key.length, seqno)
    this.#output.keep(
      key,
      0,
      key.length,
      seqno,
      kind,
      bytes,
      start,
      end,
      versions.commits[i]!,
      id,
      isHeld,
    )
    if (isInsertOrDelete(kind)) this.#isShadowed = true
  }
}
