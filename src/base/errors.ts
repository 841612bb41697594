/**
 * The one error class of Varve and the few ways to make one.
 *
 * Codes are grouped by what the caller does next: fix the call, wait, start a consumer over, or stop and restore. A wrong
 * argument *type* is no VarveError but a TypeError with Node's own code, so that it looks like every other API of the platform.
 */

/**
 * What went wrong, grouped by what to do next: fix the call; wait, or look who has it; start the reader over, from a snapshot; stop
 * and restore. The guide says what to do about each.
 */
export type VarveErrorCode =
  // fix the call
  | 'VARVE_INVALID_ARGUMENT'
  | 'VARVE_CLOSED'
  | 'VARVE_READ_ONLY'
  | 'VARVE_NOT_FOUND'
  | 'VARVE_EXISTS'
  | 'VARVE_NO_MERGE_OPERATOR'
  | 'VARVE_MERGE_OPERATOR_MISMATCH'
  | 'VARVE_ABORTED'
  | 'VARVE_BATCH_USED'
  // wait or look who has it
  | 'VARVE_LOCKED'
  | 'VARVE_NO_SPACE'
  | 'VARVE_BUSY'
  // start the consumer over, from a snapshot
  | 'VARVE_HISTORY_TRUNCATED'
  | 'VARVE_CURSOR_AHEAD'
  | 'VARVE_HISTORY_DIVERGED'
  | 'VARVE_WRONG_STORE'
  | 'VARVE_SEQNO_GAP'
  | 'VARVE_CONSUMER_LOST'
  // stop and restore
  | 'VARVE_CORRUPTION'
  | 'VARVE_IO'
  | 'VARVE_POISONED'
  | 'VARVE_UNSUPPORTED_FORMAT'
  | 'VARVE_MERGE_FAILED'

/**
 * Every failure of the store, except a wrong argument *type*, which is a TypeError with code 'ERR_INVALID_ARG_TYPE'.
 *
 * ```ts
 * const db = await Varve.open('./my-store')
 * try {
 *   await db.merge('a', '1')
 * } catch (error) {
 *   if (!hasCode(error, 'VARVE_NO_MERGE_OPERATOR')) throw error
 *   console.log(error.details['keyspace']) // default
 * }
 * await db.close()
 * ```
 */
export class VarveError extends Error {
  /** Stable: programs may depend on it. */
  readonly code: VarveErrorCode
  /** Names files, offsets, bounds; never values. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: VarveErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: { cause?: unknown },
  ) {
    super(message, options)
    this.name = 'VarveError'
    this.code = code
    this.details = details
  }
}

/** True for a VarveError with this code. */
export function hasCode(error: unknown, code: VarveErrorCode): error is VarveError {
  return error instanceof VarveError && error.code === code
}

export function invalidArgument(
  message: string,
  details?: Readonly<Record<string, unknown>>,
): VarveError {
  return new VarveError('VARVE_INVALID_ARGUMENT', message, details)
}

/** For bytes that are not what was written. `file` is the path or name, `offset` in bytes from its start. */
export function corruption(
  message: string,
  details: Readonly<{ file: string; offset?: number; [more: string]: unknown }>,
  cause?: unknown,
): VarveError {
  const where = details.offset === undefined ? details.file : `${details.file} at ${details.offset}`
  return new VarveError('VARVE_CORRUPTION', `${message} (${where})`, details, { cause })
}

/** A TypeError with code ERR_INVALID_ARG_TYPE, as Node's own functions throw. */
export function wrongType(argument: string, expected: string, actual: unknown): TypeError {
  const error = new TypeError(`${argument} must be ${expected}, got ${kindOf(actual)}`)
  Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' })
  return error
}

/** What a message calls a value of the wrong type; never the value itself. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return typeof value
  const { constructor }: { constructor?: unknown } = value
  const isNamed = typeof constructor === 'function' && constructor !== Object
  return isNamed && constructor.name !== '' ? `an instance of ${constructor.name}` : 'an object'
}
