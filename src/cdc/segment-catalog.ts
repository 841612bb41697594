/**
 * The segments of one version as change capture looks at them: ascending by their largest event seqno, so that what lies wholly
 * before a position is skipped by a binary search, and a poll near the end looks at the few newest only.
 */
import { assert, paranoid } from '../base/assert.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilter } from './change-filter.ts'

export class SegmentCatalog {
  /** Every segment with events, ascending by maxEventSeqno. */
  readonly all: readonly SegmentMeta[]

  constructor(segments: readonly SegmentMeta[]) {
    this.all = segments
    if (!paranoid()) return
    for (const [i, meta] of segments.entries()) {
      const before = segments[i - 1]?.maxEventSeqno ?? 0
      assert(meta.events > 0, 'only segments with events are listed')
      assert(meta.maxEventSeqno >= before, 'segments are listed by their last event')
    }
  }

  /** How many of them hold only events before `from`. */
  countBefore(from: number): number {
    let lower = 0
    let upper = this.all.length
    while (lower < upper) {
      const middle = (lower + upper) >>> 1
      if (this.all[middle]!.maxEventSeqno < from) lower = middle + 1
      else upper = middle
    }
    return lower
  }

  /** Those that may hold events of the window that pass the filter. */
  within(
    bounds: { readonly from: number; readonly upTo: number },
    filter?: ChangeFilter,
  ): SegmentMeta[] {
    const found: SegmentMeta[] = []
    for (let i = this.countBefore(bounds.from); i < this.all.length; i++) {
      const meta = this.all[i]!
      if (meta.minEventSeqno > bounds.upTo) continue
      if (filter === undefined || filter.mayHold(meta)) found.push(meta)
    }
    return found
  }
}
