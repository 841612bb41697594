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
import { BlobLoader } from './blob-loader.ts'
import { type BatchLimits, ChangeBatchBuilder } from './change-batch.ts'
import { CommitContext, makeEvent } from './change-event.ts'
import type { ChangeFilter } from './change-filter.ts'
import type { ChangeMemtable, ChangeSource, ChangeView } from './change-source.ts'
import { EventBytes } from './event-bytes.ts'
import { EventWindow } from './event-window.ts'
import type { ScanTally } from './scan-tally.ts'
import {
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

export class ChangeReader {
  #position: number
  readonly #source: ChangeSource
  readonly #filter: ChangeFilter
  readonly #guard: (position: number) => void
  readonly #sizer: WindowSizer
  readonly #loader: WindowLoader
  readonly #blobs: BlobLoader
  #window: EventWindow | undefined
  readonly #bytes = new EventBytes()
  readonly #commit = new CommitContext()
  /** First seqno of the commit that is being handed out: it may go on where a batch ended inside it. */
  #openCommit = 0

  constructor(options: ChangeReaderOptions) {
    this.#position = options.position
    this.#source = options.source
    this.#filter = options.filter
    this.#guard = options.guard
    this.#sizer = new WindowSizer(options.memoryBudgetBytes, options.expectedEvents)
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
    while (this.#position <= batch.last && !batch.isFull) {
      this.#guard(this.#position)
      const view = this.#source.view()
      try {
        if (this.#position >= view.memtables[0]!.firstSeqno) {
          this.#window = undefined
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

  /** Lets go of buffers; reading may go on and will fill new ones. */
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
    const window = (this.#window ??= new EventWindow(this.#sizer.arenaBytes))
    if (!window.covers(this.#position) || !hasBlobs(view, window)) {
      await this.#loader.load(
        view,
        window,
        {
          from: this.#position,
          upTo: Math.min(batch.limits.upTo, view.memtables[0]!.firstSeqno - 1),
        },
        this.#sizer,
      )
    }
    this.#takeFromWindow(window, batch)
    if (batch.blobs.length > 0) await this.#blobs.load(view, batch)
  }

  #takeFromWindow(window: EventWindow, batch: ChangeBatchBuilder): void {
    const { runs, slots, first } = window
    const owned = this.#bytes
    const commit = this.#commit
    const end = Math.min(batch.last, window.last)
    let run = 0
    let commitId = -1
    let commits: CommitTable | undefined
    let keyspace = ''
    const { bytes } = window.arena
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
      }
      if (slots[slot + SLOT_COMMIT] !== commitId) {
        commitId = slots[slot + SLOT_COMMIT]!
        setCommit(commit, commits!, commitId)
        if (!this.#begin(batch, seqno)) return
      }
      if (seqno < commit.first || seqno > commit.last) throw foreignCommit(window, run, seqno)
      const start = slots[slot + SLOT_START]!
      const keyEnd = slots[slot + SLOT_KEY_END]!
      const valueEnd = slots[slot + SLOT_END]!
      owned.take(start, valueEnd, 0)
      const key = owned.view(start, keyEnd)
      if ((kind & FLAG_BLOB) === 0) {
        const value = owned.view(keyEnd, valueEnd)
        batch.events.push(makeEvent(kind, keyspace, seqno, commit, key, value))
        batch.bytes += valueEnd - start
      } else {
        const event = makeEvent(kind, keyspace, seqno, commit, key, EMPTY_BYTES)
        const location = window.blobAt(keyEnd, valueEnd, run)
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
      // Events of the commit before `seqno` did not pass this filter; the next reader may have another.
      this.#position = Math.max(this.#position, first)
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

function foreignCommit(window: EventWindow, run: number, seqno: number): VarveError {
  return corruption('A change index gives an event a commit that it is not in', {
    file: segmentFileName(window.runs[run - 1]!.meta.number),
    seqno,
  })
}

/** Whether every blob file that the window's values are in is still part of the store. */
function hasBlobs(view: ChangeView, window: EventWindow): boolean {
  for (const file of window.blobFiles) if (view.blob(file) === undefined) return false
  return true
}
