/**
 * Reads the stream forward from a position: what scans and tails have in common.
 *
 * ```
 *                     position
 *                        │
 *   ── segments ─────────┼──────────────┐ first memtable ──────────────── latest
 *      window by window (load, hand out)│ straight from the arena
 * ```
 *
 * Each read takes a view of the store and gives it back before it returns. What a window gathered is a copy, so nothing is
 * pinned while the caller thinks; only values in blob files are read when they are handed out. Where such a file was collected
 * meanwhile, the rest of the window is read again from the files of now.
 *
 * Not to be called concurrently.
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import { FLAG_BLOB } from '../base/entry-kind.ts'
import type { CommitTable } from '../base/commit-table.ts'
import { corruption, type VarveError } from '../base/errors.ts'
import { segmentFileName } from '../env/file-names.ts'
import { readFailure } from '../read/read-failure.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { BlobLoader } from './blob-loader.ts'
import { type BatchLimits, ChangeBatchBuilder } from './change-batch.ts'
import { CommitContext, makeEvent } from './change-event.ts'
import type { ChangeFilter } from './change-filter.ts'
import type { ChangeMemtable, ChangeSource, ChangeView } from './change-source.ts'
import { EventBytes } from './event-bytes.ts'
import { EventPage } from './event-page.ts'
import { blobAt, EventWindow, type WindowPart } from './event-window.ts'
import type { ScanTally } from './scan-tally.ts'
import {
  CHUNK_BYTES,
  CHUNK_SHIFT,
  SLOT_COMMIT,
  SLOT_END,
  SLOT_INTS,
  SLOT_KEY_END,
  SLOT_KIND,
  SLOT_RUN,
  SLOT_START,
} from './slot-arena.ts'
import { WindowLoader } from './window-loader.ts'
import { WindowSizer } from './window-sizer.ts'

export interface ChangeReaderOptions {
  readonly source: ChangeSource
  readonly filter: ChangeFilter
  /** First seqno to read. */
  readonly position: number
  readonly memoryBudgetBytes: number
  /** About so many events will be asked for, when the caller knows: a page of seven should not read a thousand. */
  readonly expectedEvents?: number
  /** False: read every block, trust no index. */
  readonly skip: boolean
  readonly tally: ScanTally
  /** Called before each look at the store; throws what must end the reading. */
  readonly guard: (position: number) => void
}

/** What handing out needs of a run: of a window's, or of a page's. */
interface HandedRun {
  readonly meta: SegmentMeta
  readonly events: { readonly commits: CommitTable }
}

export class ChangeReader {
  #position: number
  /** Where the running read began. */
  #readFrom: number
  readonly #source: ChangeSource
  readonly #filter: ChangeFilter
  readonly #guard: (position: number) => void
  readonly #sizer: WindowSizer
  readonly #loader: WindowLoader
  readonly #blobs: BlobLoader
  #window: EventWindow | undefined
  readonly #skip: boolean
  readonly #tally: ScanTally
  /** Where reading from segments began, since the reader was last caught up with them. */
  #segmentsFrom: number | undefined
  readonly #bytes = new EventBytes()
  readonly #commit = new CommitContext()
  /** First seqno of the commit that is being handed out: it may go on where a batch ended inside it. */
  #openCommit = 0

  constructor(options: ChangeReaderOptions) {
    this.#position = options.position
    this.#readFrom = options.position
    this.#source = options.source
    this.#filter = options.filter
    this.#guard = options.guard
    const { expectedEvents = Infinity, filter, position } = options
    this.#sizer = new WindowSizer(
      options.memoryBudgetBytes,
      expectedEvents,
      // Without a filter every seqno is an event.
      filter.isAll ? position + expectedEvents - 1 : Infinity,
    )
    this.#skip = options.skip
    this.#tally = options.tally
    this.#loader = new WindowLoader(options)
    this.#blobs = new BlobLoader(options.tally)
  }

  /** Everything below was handed out or did not pass the filter. */
  get position(): number {
    return this.#position
  }

  /** Bytes that one batch may hand out. */
  get batchBytes(): number {
    return this.#sizer.batchBytes
  }

  /** Goes forward without reading: the caller knows that nothing in between passes the filter. */
  skipTo(position: number): void {
    if (position > this.#position) this.#position = position
  }

  /** The next events. Empty when there is none up to `upTo`: `position` is then upTo + 1 (unless a limit says otherwise). */
  async read(limits: BatchLimits): Promise<ChangeBatchBuilder> {
    const batch = new ChangeBatchBuilder(limits)
    if (this.#filter.isNone) this.skipTo(limits.upTo + 1)
    if (limits.endAfter <= 0) batch.endWith(this.#commit)
    this.#sizer.begin(limits.maxEvents)
    this.#readFrom = this.#position
    while (this.#position <= batch.last && !batch.isFull) {
      this.#guard(this.#position)
      const view = this.#source.view()
      try {
        if (this.#position >= view.memtables[0]!.firstSeqno) {
          this.#window = undefined
          this.#segmentsFrom = undefined
          this.#takeFromMemtables(view, batch)
        } else {
          await this.#takeFromSegments(view, batch)
        }
      } catch (error) {
        throw readFailure(error)
      } finally {
        view.release()
        this.#bytes.detach()
      }
      if (batch.events.length === 0 && limits.isOverdue?.() === true) break
    }
    return batch
  }

  /** Lets go of buffers, also while a read is running; reading may go on and will fill new ones. */
  release(): void {
    this.#window = undefined
    this.#bytes.release()
  }

  // ------------------------------------------------------------------------------------------ memtables

  #takeFromMemtables(view: ChangeView, batch: ChangeBatchBuilder): void {
    for (const memtable of view.memtables) {
      if (batch.isFull || this.#position > batch.last) return
      if (this.#position <= memtable.lastSeqno) this.#takeFromMemtable(memtable, batch)
    }
  }

  #takeFromMemtable(memtable: ChangeMemtable, batch: ChangeBatchBuilder): void {
    const { arena, firstSeqno, commits } = memtable
    const filter = this.#filter
    const { isAll } = filter
    const owned = this.#bytes
    const commit = this.#commit
    const end = Math.min(batch.last, memtable.lastSeqno)
    // Without a filter all that follows will be asked for: one copy serves many events.
    const ahead = isAll ? memtable.valueEnd(end - firstSeqno) : 0
    owned.attach(arena)
    let commitId = -1
    let keyspaceId = -1
    let keyspace = ''
    let isWanted = true
    let seqno = this.#position
    for (; seqno <= end && seqno <= batch.last; seqno++) {
      const ordinal = seqno - firstSeqno
      const keyspaceOf = memtable.keyspaceOf(ordinal)
      if (keyspaceOf !== keyspaceId) {
        keyspaceId = keyspaceOf
        keyspace = this.#source.keyspaceName(keyspaceOf)
        isWanted = filter.acceptsKeyspace(keyspaceOf)
      }
      if (!isWanted) continue
      const kind = memtable.kindOf(ordinal)
      const keyStart = memtable.keyStart(ordinal)
      const keyEnd = memtable.keyEnd(ordinal)
      const valueStart = memtable.valueStart(ordinal)
      const valueEnd = memtable.valueEnd(ordinal)
      if (
        !isAll &&
        !filter.acceptsEntry(kind, arena, keyStart, keyEnd, arena, valueStart, valueEnd)
      ) {
        continue
      }
      const of = memtable.commitOf(ordinal)
      if (of !== commitId) {
        commitId = of
        setCommit(commit, commits, of)
        if (!this.#begin(batch, seqno)) return
      }
      owned.take(keyStart, valueEnd, ahead)
      const key = owned.view(keyStart, keyEnd)
      const value = owned.view(valueStart, valueEnd)
      batch.events.push(makeEvent(kind, keyspace, seqno, commit, key, value))
      batch.bytes += valueEnd - keyStart
      batch.took(commit, seqno)
    }
    this.#position = seqno
  }

  // ------------------------------------------------------------------------------------------- segments

  async #takeFromSegments(view: ChangeView, batch: ChangeBatchBuilder): Promise<void> {
    this.#segmentsFrom ??= this.#position
    let window = this.#window
    if (window === undefined || !covers(window, this.#position, view)) {
      if (this.#takeFromPages(view, batch)) return
      window = await this.#load(view, batch)
    }
    while (window.covers(this.#position) && this.#position <= batch.last && !batch.isFull) {
      this.#handOut(window.part(this.#position), window.arena.bytes, batch, undefined)
    }
    if (batch.blobs.length > 0) await this.#blobs.load(view, batch)
  }

  /** The window, which `release` may have let go of meanwhile. */
  async #load(view: ChangeView, batch: ChangeBatchBuilder): Promise<EventWindow> {
    const window = (this.#window ??= new EventWindow(this.#sizer.arenaBytes))
    const from = this.#position
    const upTo = Math.min(batch.limits.upTo, view.memtables[0]!.firstSeqno - 1)
    const seqnos = upTo - this.#segmentsFrom! + 1
    const pages = this.#skip && this.#filter.isAll ? view.pages : undefined
    const inPages = pages?.welcomes(seqnos) ?? false
    const segments = await this.#loader.load(view, window, { from, upTo, inPages }, this.#sizer)
    if (inPages) pages?.keep(window, { seqnos }, { list: view.listSegments(), segments })
    return window
  }

  /** Hands out what is kept from the position on; false when that is nothing. */
  #takeFromPages(view: ChangeView, batch: ChangeBatchBuilder): boolean {
    const { pages } = view
    if (pages === undefined || !this.#skip) return false
    const filter = this.#filter
    const segments = view.listSegments()
    let hasFound = false
    while (this.#position <= batch.last && !batch.isFull) {
      const from = this.#position
      const page = pages.find(from, segments)
      if (page === undefined) break
      hasFound = true
      this.#handOut(page, page.bytes, batch, filter.isAll ? undefined : filter)
      page.count(this.#tally, filter, { from, upTo: this.#position - 1 })
    }
    return hasFound
  }

  /** `filter`: what is handed out has still to pass it. */
  #handOut(
    window: WindowPart | EventPage,
    bytes: Uint8Array,
    batch: ChangeBatchBuilder,
    filter: ChangeFilter | undefined,
  ): void {
    const { slots, first, lent } = window
    const runs: readonly HandedRun[] = window.runs
    const owned = this.#bytes
    const commit = this.#commit
    const end = Math.min(batch.last, window.last)
    let run = 0
    let isWanted = true
    let commitId = -1
    let commits: CommitTable | undefined
    let keyspace = ''
    // Without a filter all that follows in a page will be asked for: one copy serves many events.
    const ahead =
      window instanceof EventPage && filter === undefined
        ? window.endOf(Math.min(end, this.#position + batch.room - 1))
        : 0
    owned.attach(bytes)
    let seqno = this.#position
    for (; seqno <= end && seqno <= batch.last; seqno++) {
      const slot = (seqno - first) * SLOT_INTS
      const kind = slots[slot + SLOT_KIND]!
      if (kind <= 0) continue
      if (slots[slot + SLOT_RUN] !== run) {
        run = slots[slot + SLOT_RUN]!
        const { meta, events } = runs[run - 1]!
        commits = events.commits
        commitId = -1
        keyspace = this.#source.keyspaceName(meta.keyspaceId)
        isWanted = filter === undefined || filter.acceptsKeyspace(meta.keyspaceId)
      }
      if (!isWanted) continue
      const start = slots[slot + SLOT_START]!
      const keyEnd = slots[slot + SLOT_KEY_END]!
      const valueEnd = slots[slot + SLOT_END]!
      if (
        filter !== undefined &&
        !filter.acceptsEntry(kind, bytes, start, keyEnd, bytes, keyEnd, valueEnd)
      ) {
        continue
      }
      if (slots[slot + SLOT_COMMIT] !== commitId) {
        commitId = slots[slot + SLOT_COMMIT]!
        setCommit(commit, commits!, commitId)
        if (!this.#begin(batch, seqno)) return
      }
      if (seqno < commit.first || seqno > commit.last) throw foreignCommit(runs[run - 1]!, seqno)
      if (lent === undefined) owned.take(start, valueEnd, ahead)
      else owned.lend(lent[start >>> CHUNK_SHIFT]!, start & -CHUNK_BYTES)
      const key = owned.view(start, keyEnd)
      if ((kind & FLAG_BLOB) === 0) {
        const value = owned.view(keyEnd, valueEnd)
        batch.events.push(makeEvent(kind, keyspace, seqno, commit, key, value))
        batch.bytes += valueEnd - start
      } else {
        const event = makeEvent(kind, keyspace, seqno, commit, key, EMPTY_BYTES)
        const reference = owned.view(keyEnd, valueEnd)
        const location = blobAt(reference, 0, reference.length, runs[run - 1]!.meta)
        batch.events.push(event)
        batch.blobs.push({ event, location })
        batch.bytes += keyEnd - start + location.length
      }
      batch.took(commit, seqno)
    }
    this.#position = seqno
  }

  /** False when the batch ends before the commit that `#commit` describes; the position is then where that one begins. */
  #begin(batch: ChangeBatchBuilder, seqno: number): boolean {
    const { first } = this.#commit
    if (first === this.#openCommit) return true
    if (!batch.admits(this.#commit, seqno)) {
      // Events of the commit before `seqno` did not pass this filter; the next reader may have another. They may lie in the
      // window before, so that the position is behind them already.
      this.#position = Math.max(this.#readFrom, first)
      return false
    }
    this.#openCommit = first
    return true
  }
}

function setCommit(context: CommitContext, commits: CommitTable, id: number): void {
  const first = commits.first[id]!
  context.first = first
  context.last = first + commits.size[id]! - 1
  context.timeMs = commits.timeMs[id]!
  context.meta = commits.meta(id)
}

function foreignCommit({ meta }: HandedRun, seqno: number): VarveError {
  return corruption('A change index gives an event a commit that it is not in', {
    file: segmentFileName(meta.number),
    seqno,
  })
}

/** Whether it is loaded, and every blob file that the window's values are in is still part of the store. */
function covers(window: EventWindow, seqno: number, view: ChangeView): boolean {
  if (!window.covers(seqno)) return false
  for (const file of window.blobFiles) if (view.blob(file) === undefined) return false
  return true
}
