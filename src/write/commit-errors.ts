/**
 * What a commit is refused with by the pipeline itself.
 */
import { VarveError } from '../base/errors.ts'

/** A replica's commit whose turn it is not. */
export function seqnoGap(next: number, found: number): VarveError {
  return new VarveError(
    'VARVE_SEQNO_GAP',
    `the next seqno is ${next}, the commit begins with ${found}`,
    {
      expected: next,
      found,
    },
  )
}

/** A record that could not be taken back after all: it may be found at the next open. */
export function inDoubt(cause: VarveError): VarveError {
  return new VarveError(
    'VARVE_IO',
    'the write failed, and what reached the log could not be cut off; it may be found at the next open',
    cause.details,
    { cause },
  )
}
