/**
 * The commit that a single event is part of: for times, and for ends of batches where no event was read.
 */
import { corruption } from '../base/errors.ts'
import type { ChangeView } from './change-source.ts'
import { SegmentCatalog } from './segment-catalog.ts'

export interface FoundCommit {
  /** Seqno of its first operation. */
  readonly first: number
  readonly timeMs: number
}

/** That of an event which stands in a segment: one look into a change index. CORRUPTION where none has it. */
export async function commitInSegments(view: ChangeView, seqno: number): Promise<FoundCommit> {
  for (const meta of new SegmentCatalog(view.listSegments()).within({ from: seqno, upTo: seqno })) {
    const segment = view.segment(meta)
    if (!segment.isOpenForChanges) await segment.openForChanges()
    const { count, commitIds, commits } = await segment.events(seqno, seqno, 1)
    if (count === 0) continue
    const id = commitIds[0]!
    return { first: commits.first[id]!, timeMs: commits.timeMs[id]! }
  }
  throw corruption(`Event ${seqno} is in no segment`, { file: 'no segment', seqno })
}

/** Where the commit begins that `seqno`, a published one, is part of. */
export async function commitStart(view: ChangeView, seqno: number): Promise<number> {
  for (const memtable of view.memtables) {
    const { firstSeqno, lastSeqno, commits } = memtable
    if (seqno < firstSeqno || seqno > lastSeqno) continue
    return commits.first[memtable.commitOf(seqno - firstSeqno)]!
  }
  return (await commitInSegments(view, seqno)).first
}
