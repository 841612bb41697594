/**
 * The events of one stretch of seqnos, read from segments: gathered in file order, handed out in seqno order. See SlotArena for
 * how they lie in memory.
 *
 * Loading a window proves it: every entry that the indexes name was found under its seqno, none twice, and without a filter
 * every slot is taken (invariant I1). What does not add up is VARVE_CORRUPTION; a window never holds less.
 */
import type { CommitTable } from '../base/commit-table.ts'
import { corruption } from '../base/errors.ts'
import { FLAG_BLOB } from '../base/entry-kind.ts'
import { type BlobLocation, decodeBlobReference } from '../block/blob-reference.ts'
import { segmentFileName } from '../env/file-names.ts'
import type { EventRun } from '../segment/change-reader.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilter } from './change-filter.ts'
import { SlotArena } from './slot-arena.ts'

/** Events of one segment that fall in the window. */
export interface WindowRun {
  readonly meta: SegmentMeta
  readonly events: { readonly commits: CommitTable }
  /** All that the index says of them; kept only where the window may be cut into pages. */
  readonly located: EventRun | undefined
}

interface Bounds {
  readonly first: number
  readonly last: number
}

/** Slots of neighbouring seqnos, as they are handed out; borrowed until the next part is asked for. */
export interface WindowPart {
  readonly first: number
  readonly last: number
  readonly slots: Int32Array
  readonly runs: readonly WindowRun[]
  /** Memory for the bytes of these slots that may be handed out as it is; see SlotArena.lent. */
  readonly lent: readonly ArrayBuffer[] | undefined
}

export class EventWindow {
  /** Of what is loaded; empty while last < first. */
  first = 1
  last = 0
  readonly arena: SlotArena
  runs: WindowRun[] = []
  /** Blob files that values in it are in. */
  readonly blobFiles: Set<number> = new Set<number>()
  /** `arenaBytes`: bound on the keys and values in it; one entry always fits. */
  constructor(arenaBytes: number) {
    this.arena = new SlotArena({ limitBytes: arenaBytes })
  }

  covers(seqno: number): boolean {
    return seqno >= this.first && seqno <= this.last
  }

  /** The part of what is loaded that begins at or before `seqno` and goes on from there. */
  part(seqno: number): WindowPart {
    const { arena, runs } = this
    arena.lend(seqno)
    const { slots, slotsFirst, slotsLast, lent } = arena
    return { slots, first: slotsFirst, last: Math.min(slotsLast, this.last), runs, lent }
  }

  /** Forgets what it holds; the memory is kept for the next window. */
  clear(): void {
    this.first = 1
    this.last = 0
    this.runs = []
    this.blobFiles.clear()
    this.arena.reset()
  }

  /** Begins a window, of which nothing is marked yet; `expectedBytes`: about so much will be gathered. */
  begin(bounds: Bounds, expectedBytes = 0): void {
    this.clear()
    this.arena.expect(expectedBytes)
    this.arena.begin(bounds.first, bounds.last - bounds.first + 1)
  }

  /** Takes the run of a segment and marks its events; `isKept`: with all that the index says of them. */
  mark(meta: SegmentMeta, events: EventRun, bounds: Bounds, isKept: boolean): void {
    const { count, seqnos, commitIds, commits } = events
    const { first, last } = bounds
    const { arena } = this
    const number = this.runs.length + 1
    const marked = arena.mark(seqnos, commitIds, count, number)
    if (marked < count) {
      const seqno = seqnos[marked]!
      const isTwice = seqno >= first && seqno <= last
      throw corruption(
        isTwice
          ? `Event ${seqno} stands twice`
          : `A change index gives ${seqno} for a window from ${first} to ${last}`,
        { file: segmentFileName(meta.number), seqno },
      )
    }
    this.runs.push({ meta, events: { commits }, located: isKept ? events : undefined })
  }

  /** Without a filter every seqno of the window must be there: `found` of them were marked. */
  checkWhole(bounds: Bounds, found: number): void {
    const span = bounds.last - bounds.first + 1
    if (found === span) return
    throw corruption(`The events ${bounds.first} to ${bounds.last} are not all there`, {
      file: fileOf(this.runs),
      expected: span,
      found,
      firstMissing: this.arena.firstUnmarked,
    })
  }

  /** All entries are in the arena: leaves out those that do not pass the filter, notes the blob files of the others. */
  settle(filter: ChangeFilter): void {
    const { arena } = this
    const { looksAtEntries } = filter
    if (!looksAtEntries && !arena.hasBlobs) return
    const { bytes } = arena
    arena.sift((kind, start, keyEnd, end, run) => {
      if (looksAtEntries && !filter.acceptsEntry(kind, bytes, start, keyEnd, bytes, keyEnd, end)) {
        return false
      }
      if ((kind & FLAG_BLOB) !== 0) {
        this.blobFiles.add(blobAt(bytes, keyEnd, end, this.runs[run - 1]!.meta).file)
      }
      return true
    })
  }

  /** The window is whole and may be handed out. */
  finish(bounds: Bounds): void {
    this.first = bounds.first
    this.last = bounds.last
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
