/**
 * The events of one stretch of seqnos, read from segments: gathered in file order, handed out in seqno order. See SlotArena for
 * how they lie in memory.
 *
 * Loading a window proves it: every entry that the indexes name was found under its seqno, none twice, and without a filter
 * every slot is taken (invariant I1). What does not add up is VARVE_CORRUPTION; a window never holds less.
 */
import { corruption } from '../base/errors.ts'
import { FLAG_BLOB } from '../base/entry-kind.ts'
import { type BlobLocation, decodeBlobReference } from '../block/blob-reference.ts'
import { segmentFileName } from '../env/file-names.ts'
import type { EventRun } from '../segment/change-reader.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilter } from './change-filter.ts'
import {
  FILTERED,
  SLOT_COMMIT,
  SLOT_END,
  SLOT_INTS,
  SLOT_KEY_END,
  SLOT_KIND,
  SLOT_RUN,
  SLOT_START,
  SlotArena,
} from './slot-arena.ts'

/** Events of one segment that fall in the window. */
export interface WindowRun {
  readonly meta: SegmentMeta
  readonly events: EventRun
}

export class EventWindow {
  /** Of what is loaded; empty while last < first. */
  first = 1
  last = 0
  readonly arena: SlotArena
  runs: readonly WindowRun[] = []
  /** Blob files that values in it are in. */
  readonly blobFiles: Set<number> = new Set<number>()
  /** `arenaBytes`: bound on the keys and values in it; one entry always fits. */
  constructor(arenaBytes: number) {
    this.arena = new SlotArena({ limitBytes: arenaBytes })
  }

  /** SLOT_INTS a seqno: see slot-arena.ts. */
  get slots(): Int32Array {
    return this.arena.slots
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
    this.arena.begin(bounds.first, span)
    let events = 0
    for (let r = 0; r < runs.length; r++) {
      this.#mark(runs[r]!, r + 1, bounds)
      events += runs[r]!.events.count
    }
    if (isWhole && events !== span) {
      const missing = this.#firstFree(span)
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
    const { slots } = this
    for (let i = 0; i < count; i++) {
      const seqno = seqnos[i]!
      const slot = (seqno - first) * SLOT_INTS
      if (slot < 0 || seqno > last) {
        throw corruption(`A change index gives ${seqno} for a window from ${first} to ${last}`, {
          file: segmentFileName(run.meta.number),
          seqno,
        })
      }
      if (slots[slot + SLOT_RUN] !== 0) {
        throw corruption(`Event ${seqno} stands twice`, {
          file: segmentFileName(run.meta.number),
          seqno,
        })
      }
      slots[slot + SLOT_RUN] = number
      slots[slot + SLOT_COMMIT] = commitIds[i]!
    }
  }

  /** All entries of run `index` are in the arena: marks those that the filter leaves out, notes the blob files of the others. */
  settle(index: number, bounds: { readonly first: number }, filter: ChangeFilter): void {
    const { looksAtEntries } = filter
    const { count, seqnos } = this.runs[index]!.events
    const { slots } = this
    for (let i = 0; i < count; i++) {
      const slot = (seqnos[i]! - bounds.first) * SLOT_INTS
      const kind = slots[slot + SLOT_KIND]!
      if (looksAtEntries && !this.#accepts(slot, kind, filter)) {
        slots[slot + SLOT_KIND] = FILTERED
      } else if ((kind & FLAG_BLOB) !== 0) {
        const valueStart = slots[slot + SLOT_KEY_END]!
        const { bytes } = this.arena
        const { meta } = this.runs[index]!
        this.blobFiles.add(blobAt(bytes, valueStart, slots[slot + SLOT_END]!, meta).file)
      }
    }
  }

  /** The window is whole and may be handed out. */
  finish(bounds: { readonly first: number; readonly last: number }): void {
    this.first = bounds.first
    this.last = bounds.last
  }

  #firstFree(span: number): number {
    let slot = 0
    while (slot < span && this.slots[slot * SLOT_INTS + SLOT_RUN] !== 0) slot++
    return slot
  }

  #accepts(slot: number, kind: number, filter: ChangeFilter): boolean {
    const { bytes, slots } = this.arena
    const keyEnd = slots[slot + SLOT_KEY_END]!
    const valueEnd = slots[slot + SLOT_END]!
    return filter.acceptsEntry(
      kind,
      bytes,
      slots[slot + SLOT_START]!,
      keyEnd,
      bytes,
      keyEnd,
      valueEnd,
    )
  }
}

/** Where the value is whose reference is bytes[start, end), an entry's of segment `meta`. */
export function blobAt(
  bytes: Uint8Array,
  start: number,
  end: number,
  meta: SegmentMeta,
): BlobLocation {
  const location = decodeBlobReference(bytes, start, end)
  if (location !== undefined) return location
  throw corruption('A blob reference is malformed', { file: segmentFileName(meta.number) })
}

function fileOf(runs: readonly WindowRun[]): string {
  if (runs.length === 0) return 'no segment'
  return runs.map(({ meta }) => segmentFileName(meta.number)).join(', ')
}
