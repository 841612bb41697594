/**
 * `seqnoAt`: the first seqno that was committed at or after a time.
 *
 * Times never decrease with seqno, so each step is a binary search: the memtables' commit tables (exact), then the persisted
 * series (brackets the answer between two points), then the change indexes between them, one event per probe.
 */
import { invalidArgument, wrongType } from '../base/errors.ts'
import { readFailure } from '../read/read-failure.ts'
import type { ChangeMemtable, ChangeSource, ChangeView } from './change-source.ts'
import { commitInSegments } from './commit-lookup.ts'
import { partition } from './history-policy.ts'

/** The floor when everything retained is younger; latest + 1 when everything is older. */
export async function seqnoAt(source: ChangeSource, timestampMs: unknown): Promise<number> {
  if (typeof timestampMs !== 'number') throw wrongType('timestampMs', 'a number', timestampMs)
  if (Number.isNaN(timestampMs)) {
    throw invalidArgument('timestampMs must not be NaN', { argument: 'timestampMs' })
  }
  if (source.status === 'closed') throw source.closedError()
  const view = source.view()
  try {
    const { floor, series, latest } = source
    const first = view.memtables[0]!.firstSeqno
    const inMemory = firstInMemtables(view.memtables, timestampMs) ?? latest + 1
    if (inMemory > first || first <= floor) return Math.max(inMemory, floor)
    // Nothing in memory is older: the answer may lie in segments, which end before `first`.
    const index = partition(series, (point) => point.timeMs < timestampMs)
    const lower = Math.max(floor, (series[index - 1]?.seqno ?? 0) + 1)
    const upper = Math.min(series[index]?.seqno ?? first, inMemory)
    return await bisect(view, { lower, upper }, timestampMs)
  } catch (error) {
    throw readFailure(error)
  } finally {
    view.release()
  }
}

function firstInMemtables(
  memtables: readonly ChangeMemtable[],
  timestampMs: number,
): number | undefined {
  for (const memtable of memtables) {
    const { commits, lastSeqno, firstSeqno } = memtable
    if (lastSeqno < firstSeqno) continue
    let lower = 0
    let upper = commits.count
    while (lower < upper) {
      const middle = (lower + upper) >>> 1
      if (commits.timeMs[middle]! < timestampMs) lower = middle + 1
      else upper = middle
    }
    // A record without operations stands at the seqno that the next operation got.
    if (lower < commits.count && commits.first[lower]! <= lastSeqno) return commits.first[lower]!
  }
  return undefined
}

/** Smallest seqno in [lower, upper) whose time is not before `timestampMs`; upper when there is none. */
async function bisect(
  view: ChangeView,
  bounds: { lower: number; upper: number },
  timestampMs: number,
): Promise<number> {
  let { lower, upper } = bounds
  while (lower < upper) {
    const middle = lower + Math.floor((upper - lower) / 2)
    if ((await commitInSegments(view, middle)).timeMs < timestampMs) lower = middle + 1
    else upper = middle
  }
  return lower
}
