/**
 * The newest range tombstone over the keys of a walk, out of all memtables and segments of a view.
 *
 * The walk asks key by key, in order: per source a RangeWalker remembers the interval that it is in. A segment is opened when
 * the walk first reaches what it covers; a walk that may not read on the calling thread is told BLOCKED_COVER then, and calls
 * `load`.
 */
import { assert } from '../base/assert.ts'
import { RangeWalker } from '../base/range-tombstones.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { SegmentReader } from '../segment/segment-reader.ts'
import type { KeyRange } from './key-range.ts'
import { firstNotBelow, mayCover, mayCoverRange } from './level-search.ts'
import type { ReadView } from './read-view.ts'

/** An answer of `coveringSeqno`: a segment must be opened first. */
export const BLOCKED_COVER = -1

export interface RangeCover {
  /** Seqno of the newest range tombstone over the key that the snapshot sees; 0: none. */
  coveringSeqno(key: Uint8Array, start: number, end: number): number
  /** The part of the last answer that is in memtables. */
  readonly inMemtables: number
  /** After BLOCKED_COVER; then the same key is asked again. */
  load(): Promise<void>
}

export interface RangeCoverOptions {
  readonly view: ReadView
  readonly keyspaceId: number
  readonly range: KeyRange
  readonly snapshot: number
  readonly mayRead: boolean
}

/** Undefined when nothing covers any key of the range. */
export function rangeCoverOf(options: RangeCoverOptions): RangeCover | undefined {
  const { view, keyspaceId, range, snapshot } = options
  const walkers: RangeWalker[] = []
  for (const memtable of view.memtables) {
    if (!memtable.hasRanges(keyspaceId)) continue
    for (const ranges of memtable.rangesAt(keyspaceId)) {
      walkers.push(new RangeWalker(ranges, snapshot))
    }
  }
  const runs: (readonly SegmentMeta[])[] = []
  const levels = view.version.files(keyspaceId).levels
  for (let i = 0; i < levels.length; i++) {
    const covering = levels[i]!.filter((meta) => mayCoverRange(meta, range))
    // Segments of L0 overlap each other: each is a run of its own.
    if (i === 0) for (const meta of covering) runs.push([meta])
    else if (covering.length > 0) runs.push(covering)
  }
  if (walkers.length === 0 && runs.length === 0) return undefined
  return new SourcesCover(options, walkers, runs)
}

class SourcesCover implements RangeCover {
  inMemtables = 0
  readonly #memtables: readonly RangeWalker[]
  readonly #runs: readonly RunCover[]
  #blockedOn: SegmentReader | undefined = undefined

  constructor(
    options: RangeCoverOptions,
    memtables: readonly RangeWalker[],
    runs: readonly (readonly SegmentMeta[])[],
  ) {
    this.#memtables = memtables
    this.#runs = runs.map((segments) => new RunCover(options, segments))
  }

  coveringSeqno(key: Uint8Array, start: number, end: number): number {
    let newest = 0
    for (let i = 0; i < this.#memtables.length; i++) {
      const seqno = this.#memtables[i]!.coveringSeqno(key, start, end)
      if (seqno > newest) newest = seqno
    }
    this.inMemtables = newest
    for (let i = 0; i < this.#runs.length; i++) {
      const run = this.#runs[i]!
      const seqno = run.coveringSeqno(key, start, end)
      if (seqno === BLOCKED_COVER) {
        this.#blockedOn = run.blockedOn
        return BLOCKED_COVER
      }
      if (seqno > newest) newest = seqno
    }
    return newest
  }

  async load(): Promise<void> {
    assert(this.#blockedOn !== undefined, 'load of a range cover that is not blocked')
    await this.#blockedOn.open()
    this.#blockedOn = undefined
  }
}

/** Disjoint segments in key order, each with range tombstones. */
class RunCover {
  blockedOn: SegmentReader | undefined = undefined
  readonly #options: RangeCoverOptions
  readonly #segments: readonly SegmentMeta[]
  #current: SegmentMeta | undefined = undefined
  #walker: RangeWalker | undefined = undefined

  constructor(options: RangeCoverOptions, segments: readonly SegmentMeta[]) {
    this.#options = options
    this.#segments = segments
  }

  coveringSeqno(key: Uint8Array, start: number, end: number): number {
    let meta = this.#current
    if (meta === undefined || !mayCover(meta, key, start, end)) {
      meta = this.#segments[firstNotBelow(this.#segments, key, start, end)]
      if (meta === undefined || !mayCover(meta, key, start, end)) return 0
      if (meta !== this.#current) {
        const { view, mayRead, snapshot } = this.#options
        const reader = view.segments.reader(meta)
        if (!reader.isOpen) {
          if (!mayRead) {
            this.blockedOn = reader
            return BLOCKED_COVER
          }
          reader.openSync()
        }
        this.#current = meta
        this.#walker = new RangeWalker(reader.ranges, snapshot)
      }
    }
    return this.#walker!.coveringSeqno(key, start, end)
  }
}
