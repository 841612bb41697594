/**
 * The store as reads see it: memtables that are in no segment yet, and the current version. Made anew only when one of the two
 * has changed.
 *
 * A flush makes a version before its memtable is removed from the set. Which memtables belong to a view follows from the
 * version alone (`lastFlushedSeqno`), so an event is never seen twice, nor missed, in between.
 */
import type { ChangeView } from '../cdc/change-source.ts'
import type { EventPages } from '../cdc/event-pages.ts'
import type { Memtable } from '../memtable/memtable.ts'
import type { ReadScratch } from '../read/read-scratch.ts'
import type { ReadView } from '../read/read-view.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { SegmentCache } from '../segment/segment-cache.ts'
import type { Version } from '../version/version.ts'

/**
 * All memtables, oldest first, the active one last; `generation` changes with the list. Asked by every read, so no accessor: V8
 * leaves those of object literals to its generic load.
 */
export interface MemtableSource {
  generation(): number
  list(): readonly Memtable[]
}

export interface ViewCacheOptions {
  readonly memtables: MemtableSource
  currentVersion(): Version
  readonly segments: SegmentCache
  readonly files: ReadView['files']
  readonly scratch: ReadScratch
  readonly pages: EventPages
}

export class ViewCache {
  readonly #options: ViewCacheOptions
  #generation = -1
  #view: ReadView | undefined

  constructor(options: ViewCacheOptions) {
    this.#options = options
  }

  current(): ReadView {
    const { memtables, segments, files, scratch } = this.#options
    const version = this.#options.currentVersion()
    const view = this.#view
    if (
      view !== undefined &&
      view.version === version &&
      this.#generation === memtables.generation()
    ) {
      return view
    }
    const { lastFlushedSeqno } = version.state
    const list = memtables.list()
    const unflushed = list.filter(
      (memtable, index) => memtable.lastSeqno > lastFlushedSeqno || index === list.length - 1,
    )
    this.#generation = memtables.generation()
    this.#view = { memtables: unflushed.toReversed(), version, segments, files, scratch }
    return this.#view
  }

  /** The same for change capture. Acquires the version until it is released. */
  changeView(): ChangeView {
    return new PinnedView(this.current(), this.#options.pages)
  }

  /** One more of a view whose version somebody holds. */
  changeViewOf(view: ReadView): ChangeView {
    return new PinnedView(view, this.#options.pages)
  }
}

class PinnedView implements ChangeView {
  readonly memtables: readonly Memtable[]
  readonly version: Version
  readonly isDiskFast: boolean
  readonly pages: EventPages
  readonly #segments: SegmentCache
  #isReleased = false

  constructor(view: ReadView, pages: EventPages) {
    this.memtables = view.memtables.toReversed()
    this.version = view.version.acquire()
    this.isDiskFast = view.files.isDiskFast
    this.pages = pages
    this.#segments = view.segments
  }

  listSegments(): readonly SegmentMeta[] {
    return this.version.eventSegments()
  }

  segment(meta: SegmentMeta): ReturnType<SegmentCache['reader']> {
    return this.#segments.reader(meta)
  }

  /** Undefined for a file that this version does not have: it may be gone from the disk. */
  blob(file: number): ReturnType<SegmentCache['blob']> | undefined {
    return this.version.blobs.has(file) ? this.#segments.blob(file) : undefined
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.version.release()
  }
}
