/**
 * Fills an EventWindow from the segments of one view:
 *
 * ```
 *   catalog ──> segments with events in the window ──> change index: which events, where
 *           ──> entries of each, in file order, into one arena (one read for neighbouring blocks)
 *           ──> too many bytes: the same with a smaller window
 * ```
 *
 * With `skip: false` no index says where to look: every block of every segment is read, and what is an event of the window is
 * seen from the entry itself. The commit of an event stands in the index only and is taken from there.
 */
import { NO_COMMIT } from '../base/commit-table.ts'
import { corruption } from '../base/errors.ts'
import { FLAG_DERIVED } from '../base/entry-kind.ts'
import { segmentFileName } from '../env/file-names.ts'
import type { EventRun } from '../segment/change-reader.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilter } from './change-filter.ts'
import type { ChangeSegment, ChangeView } from './change-source.ts'
import { PAGE_EVENTS, type WindowSegment } from './event-page.ts'
import type { EventWindow } from './event-window.ts'
import { OrdinalSorter } from './ordinal-sorter.ts'
import type { ScanTally } from './scan-tally.ts'
import { SegmentCatalog } from './segment-catalog.ts'
import type { WindowSizer } from './window-sizer.ts'

/** A segment with events of the window; its number among the runs is its place in the list. */
interface OpenRun {
  readonly meta: SegmentMeta
  readonly segment: ChangeSegment
  readonly seen: Uint8Array
  /** Ascending. */
  readonly ordinals: Int32Array
}

/** Where a window's events were looked for, and what was found. */
interface Found {
  readonly segments: readonly WindowSegment[]
  readonly runs: readonly OpenRun[]
  readonly events: number
  /** Bytes of what indexes say about them, at the most while they are read. */
  readonly indexBytes: number
}

export interface WindowReach {
  readonly from: number
  readonly upTo: number
  /** The window may be kept in pages: it goes to the end of one. */
  readonly inPages: boolean
}

/** An event's place in file order, */
const ORDINAL_BYTES = 4
/** what else the index says of it, */
const COLUMNS_BYTES = 16
/** and a commit's row. */
const COMMIT_BYTES = 28

interface Bounds {
  readonly first: number
  readonly last: number
}

export class WindowLoader {
  readonly #filter: ChangeFilter
  readonly #skip: boolean
  readonly #tally: ScanTally
  readonly #sorter = new OrdinalSorter()

  constructor(options: {
    readonly filter: ChangeFilter
    readonly skip: boolean
    readonly tally: ScanTally
  }) {
    this.#filter = options.filter
    this.#skip = options.skip
    this.#tally = options.tally
  }

  /** Loads a window that begins at `from` and ends at or before `upTo`; resolves to where it looked. */
  async load(
    view: ChangeView,
    window: EventWindow,
    reach: WindowReach,
    sizer: WindowSizer,
  ): Promise<readonly WindowSegment[]> {
    window.clear()
    if (!this.#skip) sizer.widen()
    const mayRead = view.isDiskFast ?? false
    const readBefore = this.#tally.bytesRead
    for (;;) {
      const bounds = { first: reach.from, last: endOf(reach, sizer.span) }
      const span = bounds.last - bounds.first + 1
      window.begin(bounds, sizer.expectedBytes(span))
      const found = await this.#find(view, window, { ...bounds, isKept: reach.inPages }, mayRead)
      // Without a filter on keyspaces and segments every seqno of the window must be found.
      if (this.#filter.isAll) window.checkWhole(bounds, found.events)
      const gathered = await this.#gather(window, found.runs, mayRead)
      if (gathered === undefined) {
        window.settle(this.#filter)
        window.finish(bounds)
        sizer.fitted({
          ...bounds,
          indexBytes: found.indexBytes,
          bytes: window.arena.usedBytes,
          bytesRead: this.#tally.bytesRead - readBefore,
        })
        return found.segments
      }
      sizer.overflowed(span, gathered, found.events)
    }
  }

  /** Gathers every run; returns the number of entries when the arena overflowed, else undefined. */
  async #gather(
    window: EventWindow,
    runs: readonly OpenRun[],
    mayRead: boolean,
  ): Promise<number | undefined> {
    for (let r = 0; r < runs.length; r++) {
      const { segment, ordinals, meta, seen } = runs[r]!
      window.arena.beginRun(r + 1, meta.number)
      const result = await segment.gather(ordinals, ordinals.length, window.arena, mayRead, seen)
      this.#tally.bytesRead += result.bytesRead
      this.#tally.read(meta, result.blocksRead)
      if (result.gathered < ordinals.length) return window.arena.count
    }
    return undefined
  }

  /** Marks what the indexes say, one segment after the other: of each only the places of its entries are kept. */
  async #find(
    view: ChangeView,
    window: EventWindow,
    bounds: Bounds & { readonly isKept: boolean },
    mayRead: boolean,
  ): Promise<Found> {
    const catalog = new SegmentCatalog(view.listSegments())
    const metas = this.#skip
      ? catalog.within({ from: bounds.first, upTo: bounds.last }, this.#filter)
      : catalog.all.filter((meta) => this.#filter.acceptsKeyspace(meta.keyspaceId))
    const runs: OpenRun[] = []
    const segments: WindowSegment[] = []
    let found = 0
    let keptBytes = 0
    let passingBytes = 0
    for (const meta of metas) {
      const segment = view.segment(meta)
      segments.push({ meta, segment })
      // Each await of the thread pool costs more than the reading, where the page cache has what is asked for.
      if (mayRead) segment.openForChangesSync()
      else if (!segment.isOpenForChanges) await segment.openForChanges()
      const seen = this.#tally.opened(meta, segment.blockCount)
      const { first, last } = bounds
      const limit = last - first + 1
      let events: EventRun
      if (!this.#skip) events = await this.#readWhole(segment, meta, bounds)
      else if (mayRead) events = segment.eventsSync(first, last, limit)
      else events = await segment.events(first, last, limit)
      const { count, commits } = events
      if (count === 0) continue
      window.mark(meta, events, bounds, bounds.isKept)
      const ordinals = this.#sorter.sorted(events.ordinals, count, meta.entries).slice()
      runs.push({ meta, segment, seen, ordinals })
      found += count
      keptBytes += count * ORDINAL_BYTES + commits.count * COMMIT_BYTES
      if (bounds.isKept) keptBytes += count * COLUMNS_BYTES
      else passingBytes = Math.max(passingBytes, count * COLUMNS_BYTES)
    }
    return { runs, segments, events: found, indexBytes: keptBytes + passingBytes }
  }

  /** Without trusting the index: every block is read. */
  async #readWhole(segment: ChangeSegment, meta: SegmentMeta, bounds: Bounds): Promise<EventRun> {
    const events = await eventsOfEntries(segment, meta, bounds)
    this.#tally.read(meta, segment.blockCount)
    this.#tally.bytesRead += meta.bytes
    return events
  }
}

/** The last seqno of a window of about `span`. */
function endOf({ from, upTo, inPages }: WindowReach, span: number): number {
  let last = from + span - 1
  // The sizer's bounds are kept: only small windows grow by a page, and they are far from any bound.
  if (inPages && span >= PAGE_EVENTS) last += PAGE_EVENTS - 1 - (last % PAGE_EVENTS)
  return Math.min(last, upTo)
}

/** The events of the window as the entries themselves tell. */
async function eventsOfEntries(
  segment: ChangeSegment,
  meta: SegmentMeta,
  bounds: Bounds,
): Promise<EventRun> {
  const { commits, commitOf } = segment.commitsByOrdinal()
  const seqnos: number[] = []
  const ordinals: number[] = []
  const iterator = segment.iterator({ mayRead: false })
  try {
    iterator.seekToFirst()
    for (;;) {
      while (iterator.blocked) await iterator.load()
      if (!iterator.valid) break
      const { seqno, ordinal } = iterator
      const isEvent = (iterator.kind & FLAG_DERIVED) === 0
      if (isEvent && seqno >= bounds.first && seqno <= bounds.last) {
        if (commitOf[ordinal] === NO_COMMIT) {
          throw corruption('An event is missing from the change index', {
            file: segmentFileName(meta.number),
            seqno,
          })
        }
        seqnos.push(seqno)
        ordinals.push(ordinal)
      }
      iterator.next()
    }
  } finally {
    iterator.close()
  }
  return {
    count: seqnos.length,
    seqnos: Float64Array.from(seqnos),
    ordinals: Int32Array.from(ordinals),
    commitIds: Int32Array.from(ordinals, (ordinal) => commitOf[ordinal]!),
    commits,
    next: bounds.last + 1,
  }
}
