/**
 * The segments of one version as change capture looks at them: by the largest event seqno, so that what lies wholly before a
 * position is skipped by a binary search and a poll near the end looks at the few newest only. Made once a version.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilter } from './change-filter.ts'
import type { ChangeView } from './change-source.ts'

const catalogs = new WeakMap<object, SegmentCatalog>()

export class SegmentCatalog {
  /** Every segment of the version. */
  readonly all: readonly SegmentMeta[]
  /** Those with events, ascending by maxEventSeqno. */
  readonly #withEvents: readonly SegmentMeta[]

  constructor(segments: readonly SegmentMeta[]) {
    this.all = segments
    this.#withEvents = segments
      .filter((meta) => meta.events > 0)
      .sort((a, b) => a.maxEventSeqno - b.maxEventSeqno)
  }

  static of(view: ChangeView): SegmentCatalog {
    let catalog = catalogs.get(view.version)
    if (catalog === undefined) {
      catalog = new SegmentCatalog(view.listSegments())
      catalogs.set(view.version, catalog)
    }
    return catalog
  }

  /** Segments with events. */
  get count(): number {
    return this.#withEvents.length
  }

  /** How many of them hold only events before `from`. */
  countBefore(from: number): number {
    let lower = 0
    let upper = this.#withEvents.length
    while (lower < upper) {
      const middle = (lower + upper) >>> 1
      if (this.#withEvents[middle]!.maxEventSeqno < from) lower = middle + 1
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
    for (let i = this.countBefore(bounds.from); i < this.#withEvents.length; i++) {
      const meta = this.#withEvents[i]!
      if (meta.minEventSeqno > bounds.upTo) continue
      if (filter === undefined || filter.mayHold(meta)) found.push(meta)
    }
    return found
  }
}
