/**
 * The errors that tell a reader of the stream that it cannot go on from where it stands.
 */
import { VarveError } from '../base/errors.ts'

/** `requested` is beyond the next seqno that will be given out. */
export function cursorAhead(requested: number, latest: number): VarveError {
  return new VarveError(
    'VARVE_CURSOR_AHEAD',
    `Seqno ${requested} is ahead of the latest, ${latest}`,
    { requested, latest },
  )
}

/** What was asked for is not kept any more: start over from a snapshot. */
export function historyTruncated(requested: number, floor: number): VarveError {
  return new VarveError(
    'VARVE_HISTORY_TRUNCATED',
    `Seqno ${requested} is below the history floor, ${floor}`,
    { requested, floor },
  )
}

export function consumerLost(consumer: string, position: number, floor: number): VarveError {
  return new VarveError(
    'VARVE_CONSUMER_LOST',
    `Consumer ${consumer} held more history than it may and was cut off at ${position}`,
    { consumer, position, floor },
  )
}

export function aborted(signal: AbortSignal): VarveError {
  return new VarveError('VARVE_ABORTED', 'The operation was aborted', {}, { cause: signal.reason })
}
