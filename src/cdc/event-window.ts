/**
 * The events of one stretch of seqnos, read from segments: gathered in file order, handed out in seqno order.
 *
 * ```
 *   slots, one a seqno of [first, last]        arena: entries in the order they were read
 *   ┌────┬────┬────┬────┐
 *   │ 3  │ 1  │ -  │ 2  │ ──entry number──>    1 │ 2 │ 3     (0: no event here, or filtered out)
 *   └────┴────┴────┴────┘
 *     run of the change index, and the commit id in it, stand beside each slot
 * ```
 *
 * Loading a window proves it: every entry that the indexes name was found under its seqno, none twice, and without a filter on
 * keyspaces every slot is taken (invariant I1). What does not add up is VARVE_CORRUPTION; a window never holds less.
 */
import { corruption } from '../base/errors.ts'
import { FLAG_BLOB, FLAG_DERIVED } from '../base/entry-kind.ts'
import { type BlobLocation, decodeBlobReference } from '../block/blob-reference.ts'
import { segmentFileName } from '../env/file-names.ts'
import type { EventRun } from '../segment/change-reader.ts'
import { EntryArena } from '../segment/entry-arena.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilter } from './change-filter.ts'

/** Events of one segment that fall in the window. */
export interface WindowRun {
  readonly meta: SegmentMeta
  readonly events: EventRun
}

export class EventWindow {
  /** Of what is loaded; empty while last < first. */
  first = 1
  last = 0
  readonly arena: EntryArena
  runs: readonly WindowRun[] = []
  /** Blob files that values in it are in. */
  readonly blobFiles: Set<number> = new Set<number>()
  /** Entry number + 1 by slot. */
  entryOf: Int32Array = new Int32Array(0)
  /** Number of the run + 1 by slot. */
  runOf: Int32Array = new Int32Array(0)
  commitOf: Int32Array = new Int32Array(0)

  /** `arenaBytes`: bound on the keys and values in it; one entry always fits. */
  constructor(arenaBytes: number) {
    this.arena = new EntryArena({ limitBytes: arenaBytes })
  }

  covers(seqno: number): boolean {
    return seqno >= this.first && seqno <= this.last
  }

  /** Forgets what it holds; the memory is kept for the next window. */
  clear(): void {
    this.first = 1
    this.last = 0
    this.runs = []
    this.blobFiles.clear()
    this.arena.reset()
  }

  /** Begins a window: takes the runs and marks their slots. `isWhole`: all keyspaces, so every seqno must be there. */
  begin(
    bounds: { readonly first: number; readonly last: number },
    runs: readonly WindowRun[],
    isWhole: boolean,
  ): void {
    this.clear()
    const span = bounds.last - bounds.first + 1
    if (this.entryOf.length < span) {
      this.entryOf = new Int32Array(span)
      this.runOf = new Int32Array(span)
      this.commitOf = new Int32Array(span)
    } else {
      this.entryOf.fill(0, 0, span)
      this.runOf.fill(0, 0, span)
    }
    let events = 0
    for (let r = 0; r < runs.length; r++) {
      this.#mark(runs[r]!, r + 1, bounds)
      events += runs[r]!.events.count
    }
    if (isWhole && events !== span) {
      const missing = this.runOf.subarray(0, span).indexOf(0)
      throw corruption(`The events ${bounds.first} to ${bounds.last} are not all there`, {
        file: fileOf(runs),
        expected: span,
        found: events,
        firstMissing: bounds.first + missing,
      })
    }
    this.runs = runs
  }

  #mark(
    run: WindowRun,
    number: number,
    bounds: { readonly first: number; readonly last: number },
  ): void {
    const { count, seqnos, commitIds } = run.events
    const { first, last } = bounds
    const { runOf, commitOf } = this
    for (let i = 0; i < count; i++) {
      const seqno = seqnos[i]!
      const slot = seqno - first
      if (slot < 0 || seqno > last) {
        throw corruption(`A change index gives ${seqno} for a window from ${first} to ${last}`, {
          file: segmentFileName(run.meta.number),
          seqno,
        })
      }
      if (runOf[slot] !== 0) {
        throw corruption(`Event ${seqno} stands twice`, {
          file: segmentFileName(run.meta.number),
          seqno,
        })
      }
      runOf[slot] = number
      commitOf[slot] = commitIds[i]!
    }
  }

  /** Takes in the arena's entries from `start` on, which were gathered for run `index`. */
  place(
    index: number,
    start: number,
    bounds: { readonly first: number; readonly last: number },
    filter: ChangeFilter,
  ): void {
    const { arena, runOf, entryOf } = this
    const number = index + 1
    const { looksAtEntries } = filter
    const span = bounds.last - bounds.first + 1
    for (let entry = start; entry < arena.count; entry++) {
      const kind = arena.kind[entry]!
      const slot = arena.seqno[entry]! - bounds.first
      // The entry at the place the index gives must be the event the index says, and come once.
      if (
        slot < 0 ||
        slot >= span ||
        runOf[slot] !== number ||
        entryOf[slot] !== 0 ||
        (kind & FLAG_DERIVED) !== 0
      ) {
        throw corruption('The change index and the entries do not agree', {
          file: segmentFileName(this.runs[index]!.meta.number),
          seqno: arena.seqno[entry]!,
        })
      }
      if (looksAtEntries && !this.#accepts(entry, kind, filter)) {
        entryOf[slot] = FILTERED
        continue
      }
      entryOf[slot] = entry + 1
      if ((kind & FLAG_BLOB) !== 0) this.blobFiles.add(this.blobOf(entry).file)
    }
  }

  /** Where the value of an entry with FLAG_BLOB is. */
  blobOf(entry: number): BlobLocation {
    const { arena, runOf } = this
    const location = decodeBlobReference(
      arena.bytes,
      arena.valueStart[entry]!,
      arena.valueEnd[entry]!,
    )
    if (location !== undefined) return location
    const run = this.runs[runOf[arena.seqno[entry]! - this.first]! - 1]
    throw corruption('A blob reference is malformed', {
      file: run === undefined ? 'segment' : segmentFileName(run.meta.number),
      seqno: arena.seqno[entry]!,
    })
  }

  /** The window is whole and may be handed out. */
  finish(bounds: { readonly first: number; readonly last: number }): void {
    this.first = bounds.first
    this.last = bounds.last
  }

  #accepts(entry: number, kind: number, filter: ChangeFilter): boolean {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = this.arena
    return filter.acceptsEntry(
      kind,
      bytes,
      keyStart[entry]!,
      keyEnd[entry]!,
      bytes,
      valueStart[entry]!,
      valueEnd[entry]!,
    )
  }
}

/** In `entryOf`: the event is there and did not pass the filter. */
export const FILTERED = -1

function fileOf(runs: readonly WindowRun[]): string {
  if (runs.length === 0) return 'no segment'
  return runs.map(({ meta }) => segmentFileName(meta.number)).join(', ')
}
