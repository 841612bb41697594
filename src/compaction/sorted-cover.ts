/** Range tombstones over keys that come in ascending order: a search only when a key leaves the last one's interval. */
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import type { RangeCover } from './version-fates.ts'

export class SortedCover implements RangeCover {
  readonly #ranges: FragmentedRanges
  #interval = -2

  constructor(ranges: FragmentedRanges) {
    this.#ranges = ranges
  }

  coveringSeqno(key: Uint8Array, start: number, end: number, snapshot: number): number {
    const ranges = this.#ranges
    let interval = this.#interval
    if (interval === -2 || !ranges.intervalHolds(interval, key, start, end)) {
      interval = ranges.intervalOf(key, start, end)
      this.#interval = interval
    }
    return interval < 0 ? 0 : ranges.newestIn(interval, snapshot)
  }
}
