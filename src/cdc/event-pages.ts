/**
 * Remembers the events that scans and tails read from segments, in pages of neighbouring seqnos, for the next reader that asks
 * for them: consumers that follow a store read the same newest events one after the other. In key order each of them may
 * stand in a block of its own: 2 us to read and check one for each event, against 0.2 us to hand it out from a page.
 *
 * The pages lie in the block cache's side store and count towards its size. Two rules keep readers from washing it out:
 * - only a reader that has little to read (a quarter of the cache, as much as pages may take from blocks) leaves pages;
 * - where the cache is full, a page is kept when it is asked for the second time.
 *
 * Nothing is kept of filtered windows, of those with values in blob files, nor with `skip: false`, which reads every block.
 */
import type { BlockCache } from '../block/block-cache.ts'
import type { CacheFile } from '../block/cache-file.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { EventPage, PAGE_EVENTS, type WindowSegment } from './event-page.ts'
import type { EventWindow } from './event-window.ts'
import { SLOT_INTS } from './slot-arena.ts'

/** One part in so many of the cache may be filled by one reader. */
const READER_SHARE = 4
/** Bytes an event takes in a page besides key and value: its slot and its block. */
const EVENT_BYTES = SLOT_INTS * 4 + 4
/** A commit's, about. */
const COMMIT_BYTES = 24
/** So many pages that were asked for and not kept are remembered. */
const ASKED_MAX = 4096

export class EventPages {
  readonly #cache: BlockCache
  #made: CacheFile<EventPage> | undefined
  /** Numbers of pages that were asked for while the cache was full, in the order of asking. */
  readonly #asked = new Set<number>()

  constructor(cache: BlockCache) {
    this.#cache = cache
  }

  /** Made with the first reader of changes. */
  get #pages(): CacheFile<EventPage> {
    return (this.#made ??= this.#cache.open<EventPage>(0))
  }

  /** Whether a reader of so many seqnos may leave pages, if an event takes `bytesPerSeqno` in them. */
  welcomes(seqnos: number, bytesPerSeqno: number = EVENT_BYTES): boolean {
    return seqnos * bytesPerSeqno * READER_SHARE <= this.#cache.capacityBytes
  }

  /** The page that has the event `seqno`, if it is kept and goes with the segments of now. */
  find(seqno: number, segments: readonly SegmentMeta[]): EventPage | undefined {
    const number = Math.floor(seqno / PAGE_EVENTS)
    const page = this.#cache.side(this.#pages, number)
    if (page === undefined) return undefined
    if (!page.goesWith(segments)) {
      this.#cache.dropSide(this.#pages, number)
      return undefined
    }
    return seqno >= page.first && seqno <= page.last ? page : undefined
  }

  /** A reader that has `seqnos` to read in all has read this window, without filter, from these segments. */
  keep(
    window: EventWindow,
    reader: { readonly seqnos: number },
    from: { readonly list: readonly SegmentMeta[]; readonly segments: readonly WindowSegment[] },
  ): void {
    const { first, last } = window
    const commits = window.runs.reduce((sum, { events }) => sum + events.commits.count, 0)
    const bytes = window.arena.usedBytes + commits * COMMIT_BYTES
    const bytesPerSeqno = EVENT_BYTES + bytes / (last - first + 1)
    if (!this.welcomes(reader.seqnos, bytesPerSeqno)) return
    for (let at = first; at <= last; ) {
      const number = Math.floor(at / PAGE_EVENTS)
      const end = Math.min(last, (number + 1) * PAGE_EVENTS - 1)
      const bounds = { first: at, last: end }
      const pageBytes = bytesPerSeqno * (end - at + 1)
      if (!this.#has(number, bounds, from.list) && this.#admits(number, pageBytes)) {
        const page = EventPage.cut(window, from.segments, bounds)
        if (page !== undefined) {
          this.#cache.dropSide(this.#pages, number)
          this.#cache.putSide(this.#pages, number, page)
        }
      }
      at = end + 1
    }
  }

  #has(
    number: number,
    bounds: { readonly first: number; readonly last: number },
    list: readonly SegmentMeta[],
  ): boolean {
    const page = this.#cache.side(this.#pages, number)
    if (page === undefined || !page.goesWith(list)) return false
    return page.first <= bounds.first && page.last >= bounds.last
  }

  #admits(number: number, bytes: number): boolean {
    if (this.#cache.hasRoom(bytes)) return true
    const asked = this.#asked
    if (asked.delete(number)) return true
    if (asked.size === ASKED_MAX) {
      const [oldest] = asked
      asked.delete(oldest!)
    }
    asked.add(number)
    return false
  }
}
