/**
 * The range tombstones of one keyspace in a memtable: a short tail in the order they came, and before it runs of fragments,
 * each several times as large as the next, merged as they grow. So adding one costs a few copies of its bounds over time, a
 * question is logarithmic, and nothing that was handed out ever changes.
 *
 * ```
 *   runs   [ 3 1 4 2 ........ ] [ 7 5 6 ... ] [ 9 8 ]      tail  10 11 12
 *          seqnos of a run are all smaller than those of the next
 * ```
 */
import { compareBytes } from '../base/bytes.ts'
import { FragmentedRanges, type RangeTombstone } from '../base/range-tombstones.ts'

const TAIL_MAX = 16
/** A run is merged with the next one when it is less than so many times as large. */
const RUN_RATIO = 4

export class RangeTombstoneSet {
  #runs: readonly FragmentedRanges[] = []
  /** Ascending seqnos. */
  #tail: RangeTombstone[] = []
  #view: readonly FragmentedRanges[] | undefined = undefined

  /** A tombstone newer than all in the set. Its bytes are taken over. */
  add(tombstone: RangeTombstone): void {
    this.#tail.push(tombstone)
    this.#view = undefined
  }

  /**
   * Keeps questions fast; to be called after `add`. `openSnapshots` gives the ascending seqnos of the snapshots that are open
   * now: of the tombstones over a key, what none of them sees is dropped. Later snapshots see only the newest anyway.
   */
  settle(openSnapshots: () => readonly number[]): void {
    if (this.#tail.length < TAIL_MAX) return
    const stripes = openSnapshots()
    const runs = [...this.#runs, FragmentedRanges.build(this.#tail, stripes)]
    while (runs.length > 1 && sizeOf(runs.at(-2)!) < RUN_RATIO * sizeOf(runs.at(-1)!)) {
      const pair = runs.splice(-2)
      runs.push(FragmentedRanges.merge(pair, stripes))
    }
    this.#runs = runs
    this.#tail = []
    this.#view = undefined
  }

  /** Newest tombstone over the key with seqno <= snapshot, which is an open snapshot or the latest seqno; 0: none. */
  coveringSeqno(key: Uint8Array, start: number, end: number, snapshot: number): number {
    const tail = this.#tail
    for (let i = tail.length - 1; i >= 0; i--) {
      const tombstone = tail[i]!
      if (tombstone.seqno <= snapshot && covers(tombstone, key, start, end)) return tombstone.seqno
    }
    const runs = this.#runs
    for (let i = runs.length - 1; i >= 0; i--) {
      const seqno = runs[i]!.coveringSeqno(key, start, end, snapshot)
      if (seqno > 0) return seqno
    }
    return 0
  }

  /** The set as it is now, for RangeWalker: it never changes, whatever is added. */
  view(): readonly FragmentedRanges[] {
    if (this.#view === undefined) {
      const tail = this.#tail
      // Nothing of the tail is dropped: who looks at the view may look from any seqno.
      const all = FragmentedRanges.build(
        tail,
        tail.map((tombstone) => tombstone.seqno),
      )
      this.#view = tail.length === 0 ? this.#runs : [...this.#runs, all]
    }
    return this.#view
  }
}

function sizeOf(ranges: FragmentedRanges): number {
  return ranges.intervalCount
}

function covers(
  { start: lower, end: upper }: RangeTombstone,
  key: Uint8Array,
  start: number,
  end: number,
): boolean {
  return (
    compareBytes(lower, 0, lower.length, key, start, end) <= 0 &&
    (upper === undefined || compareBytes(key, start, end, upper, 0, upper.length) < 0)
  )
}
