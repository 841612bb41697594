/**
 * The range of `compact()`, checked.
 */
import { type BytesLike, checkName, toBound } from './arguments.ts'
import { type Checks, checkOptions, isBytesLike } from '../base/option-check.ts'

/** Default: every keyspace, every key. `start` inclusive, `end` exclusive. */
export interface CompactRange {
  /** Default: all of them. */
  keyspace?: string
  /** Inclusive. Default: from the first key. */
  start?: BytesLike
  /** Exclusive. Default: to the last key. */
  end?: BytesLike
}

const CHECKS: Checks = {
  keyspace: (value) =>
    typeof value === 'string' ? undefined : { message: 'must be a string', isType: true },
  start: isBytesLike,
  end: isBytesLike,
}

export interface DecodedCompactRange {
  readonly keyspace: string | undefined
  readonly lower: Uint8Array | undefined
  readonly upper: Uint8Array | undefined
}

export function decodeCompactRange(range: CompactRange | undefined): DecodedCompactRange {
  checkOptions(range, CHECKS)
  if (range?.keyspace !== undefined) checkName(range.keyspace, 'keyspace')
  return {
    keyspace: range?.keyspace,
    lower: range?.start === undefined ? undefined : Buffer.from(toBound(range.start, 'start')),
    upper: range?.end === undefined ? undefined : Buffer.from(toBound(range.end, 'end')),
  }
}
