/**
 * The events of up to 256 neighbouring seqnos, in seqno order, cut from a window that was loaded and proven: what EventPages
 * keeps in memory. Seqno order is what entries in key order cost most to get; a page has them so, and their commits.
 *
 * ```
 *   memory   | slots, as in slot-arena.ts | key value | key value | key value | ...
 *   blocks   the data block that each event stands in: a scan counts the same blocks whether it read them or not
 * ```
 *
 * A page is never changed. An event never changes either (invariants I2, I4), but which files hold it does: a page is taken for
 * as long as the segments around it are the ones it was read from, so that what it gives is never more than the store's files
 * would give.
 */
import { assert } from '../base/assert.ts'
import { CommitTable } from '../base/commit-table.ts'
import { FLAG_BLOB } from '../base/entry-kind.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilter } from './change-filter.ts'
import type { EventRun } from '../segment/change-reader.ts'
import type { EventWindow } from './event-window.ts'
import type { ScanTally } from './scan-tally.ts'
import { SegmentCatalog } from './segment-catalog.ts'
import {
  SLOT_COMMIT,
  SLOT_END,
  SLOT_INTS,
  SLOT_KEY_END,
  SLOT_KIND,
  SLOT_RUN,
  SLOT_START,
} from './slot-arena.ts'

/** Seqnos of one page, which begins at a multiple of it. */
export const PAGE_EVENTS = 256

/** A segment that a window's events were looked for in. */
export interface WindowSegment {
  readonly meta: SegmentMeta
  readonly segment: {
    readonly blockCount: number
    blockOf(ordinal: number): number
  }
}

interface PageRun {
  readonly meta: SegmentMeta
  readonly blocks: number
  readonly events: { readonly commits: CommitTable }
}

/** Mostly events come from few commits, or each from its own. */
const COMMITS_FIRST = 4
/** A commit's row, and the Buffer of a meta. */
const COMMIT_BYTES = 20
const META_BYTES = 128
/** The page itself, its runs and its place in the cache. */
const PAGE_BYTES = 512

export class EventPage {
  readonly first: number
  readonly last: number
  readonly slots: Int32Array
  /** What the slots point into; keys and values follow one another from the slots' end to its own. */
  readonly bytes: Uint8Array
  /** Nothing of it is handed out without a copy: the cache may want the memory back. */
  readonly lent = undefined
  /** Every segment that can have events of these seqnos, as the catalog lists them. */
  readonly runs: readonly PageRun[]
  /** About all the memory it takes. */
  readonly byteLength: number
  readonly #blocks: Int32Array
  /** The list of segments that it was last found to go with. */
  #goodFor: readonly SegmentMeta[] | undefined

  /**
   * Cuts the seqnos [first, last] out of a window without filter. `segments`: where its events were looked for. Undefined when
   * some value is in a blob file, which may be collected.
   */
  static cut(
    window: EventWindow,
    segments: readonly WindowSegment[],
    bounds: { readonly first: number; readonly last: number },
  ): EventPage | undefined {
    const { first, last } = bounds
    const { arena } = window
    let bytes = 0
    for (let seqno = first; seqno <= last; seqno++) {
      const slot = arena.open(seqno)
      const { slots } = arena
      const kind = slots[slot + SLOT_KIND]!
      if (kind <= 0 || (kind & FLAG_BLOB) !== 0) return undefined
      bytes += roomOf(slots[slot + SLOT_START]!, slots[slot + SLOT_END]!)
    }
    return new EventPage(window, segments, bounds, bytes)
  }

  private constructor(
    window: EventWindow,
    segments: readonly WindowSegment[],
    { first, last }: { readonly first: number; readonly last: number },
    entryBytes: number,
  ) {
    this.first = first
    this.last = last
    const span = last - first + 1
    const slotBytes = span * SLOT_INTS * 4
    const memory = Buffer.allocUnsafeSlow(slotBytes + entryBytes).buffer
    this.slots = new Int32Array(memory, 0, span * SLOT_INTS)
    this.bytes = new Uint8Array(memory)
    this.#blocks = new Int32Array(span)
    const commits = new CommitTable(COMMITS_FIRST)
    this.runs = segments
      .filter(({ meta }) => meta.minEventSeqno <= last && meta.maxEventSeqno >= first)
      .map(({ meta, segment }) => ({ meta, blocks: segment.blockCount, events: { commits } }))
    for (const { meta, located } of window.runs) {
      assert(located !== undefined, 'a window that is cut into pages has all of its runs')
      this.#noteBlocks(located, segments.find((each) => each.meta === meta)!.segment)
    }
    this.#copy(window, commits)
    let metaBytes = 0
    for (let id = 0; id < commits.count; id++) {
      const meta = commits.meta(id)
      if (meta !== undefined) metaBytes += META_BYTES + meta.length
    }
    const commitBytes = commits.first.length * COMMIT_BYTES + metaBytes
    this.byteLength = memory.byteLength + span * 4 + commitBytes + PAGE_BYTES
  }

  /** Where the event `seqno` ends in `bytes`. */
  endOf(seqno: number): number {
    return this.slots[(seqno - this.first) * SLOT_INTS + SLOT_END]!
  }

  /** Whether these are still the segments that can have its events. */
  goesWith(list: readonly SegmentMeta[]): boolean {
    if (list === this.#goodFor) return true
    const now = new SegmentCatalog(list).within({ from: this.first, upTo: this.last })
    const { runs } = this
    if (now.length !== runs.length) return false
    for (let i = 0; i < now.length; i++) if (now[i]!.number !== runs[i]!.meta.number) return false
    this.#goodFor = list
    return true
  }

  /** Counts the blocks that the events [from, upTo] stand in, as if they had been read for them. */
  count(tally: ScanTally, filter: ChangeFilter, bounds: { from: number; upTo: number }): void {
    const { runs, slots, first } = this
    for (let r = 0; r < runs.length; r++) {
      const { meta, blocks } = runs[r]!
      if (!filter.mayHold(meta)) continue
      const seen = tally.opened(meta, blocks)
      let found = 0
      for (let at = bounds.from - first; at <= bounds.upTo - first; at++) {
        if (slots[at * SLOT_INTS + SLOT_RUN] !== r + 1) continue
        const block = this.#blocks[at]!
        const mask = 1 << (block & 7)
        const byte = seen[block >>> 3]!
        if ((byte & mask) !== 0) continue
        seen[block >>> 3] = byte | mask
        found++
      }
      tally.read(meta, found)
    }
  }

  #noteBlocks(events: EventRun, segment: WindowSegment['segment']): void {
    const { seqnos, ordinals, count } = events
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (seqnos[middle]! < this.first) low = middle + 1
      else high = middle
    }
    for (let i = low; i < count && seqnos[i]! <= this.last; i++) {
      this.#blocks[seqnos[i]! - this.first] = segment.blockOf(ordinals[i]!)
    }
  }

  /** Entries keep their place in a word, so that whole words can be moved. */
  #copy(window: EventWindow, commits: CommitTable): void {
    const { slots, bytes, first, last } = this
    const { arena } = window
    const words = new Int32Array(bytes.buffer)
    const runs = window.runs.map(({ meta }) => 1 + this.runs.findIndex((run) => run.meta === meta))
    let at = slots.byteLength
    let run = 0
    let commitId = -1
    for (let seqno = first; seqno <= last; seqno++) {
      const source = arena.open(seqno)
      const from = arena.slots
      const slot = (seqno - first) * SLOT_INTS
      const start = from[source + SLOT_START]!
      const end = from[source + SLOT_END]!
      const shift = at - (start & ~3)
      if (from[source + SLOT_RUN] !== run || from[source + SLOT_COMMIT] !== commitId) {
        run = from[source + SLOT_RUN]!
        commitId = from[source + SLOT_COMMIT]!
        takeCommit(window.runs[run - 1]!.events.commits, commitId, commits)
      }
      slots[slot + SLOT_KIND] = from[source + SLOT_KIND]!
      slots[slot + SLOT_START] = start + shift
      slots[slot + SLOT_KEY_END] = from[source + SLOT_KEY_END]! + shift
      slots[slot + SLOT_END] = end + shift
      slots[slot + SLOT_RUN] = runs[run - 1]!
      slots[slot + SLOT_COMMIT] = commits.count - 1
      copyWords(arena, words, { start, end, at })
      at += roomOf(start, end)
    }
  }
}

/** Bytes of whole words around [start, end). */
function roomOf(start: number, end: number): number {
  return ((start & 3) + end - start + 3) & ~3
}

/** Up to here, moving 32-bit words is faster than the native copy with the view it needs. */
const WORD_COPY_MAX = 160

function copyWords(
  arena: { readonly words: Int32Array },
  to: Int32Array,
  { start, end, at }: { start: number; end: number; at: number },
): void {
  const { words } = arena
  const first = start >> 2
  const last = (end + 3) >> 2
  const target = at >> 2
  if (end - start > WORD_COPY_MAX) to.set(words.subarray(first, last), target)
  else for (let i = first; i < last; i++) to[target + i - first] = words[i]!
}

function takeCommit(from: CommitTable, id: number, into: CommitTable): void {
  const meta = from.meta(id)
  // A copy: the one of the window is a part of the whole chunk that was read.
  const own = meta === undefined ? undefined : Buffer.from(meta)
  into.add(from.first[id]!, from.size[id]!, from.timeMs[id]!, own)
}
