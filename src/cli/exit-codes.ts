/**
 * How a command ends, as a number that scripts can branch on, and the errors that commands throw of their own.
 */
import { VarveError, type VarveErrorCode } from '../base/errors.ts'

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  locked: 4,
  corruption: 5,
  historyTruncated: 6,
} as const

/** A failure whose message is all there is to say: no stack, no code. */
export class CommandError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = EXIT.failure) {
    super(message)
    this.name = 'CommandError'
    this.exitCode = exitCode
  }
}

export function usageError(message: string): CommandError {
  return new CommandError(message, EXIT.usage)
}

export function notFoundError(message: string): CommandError {
  return new CommandError(message, EXIT.notFound)
}

const BY_CODE: Partial<Record<VarveErrorCode, number>> = {
  VARVE_INVALID_ARGUMENT: EXIT.usage,
  VARVE_NO_MERGE_OPERATOR: EXIT.usage,
  VARVE_NOT_FOUND: EXIT.notFound,
  VARVE_LOCKED: EXIT.locked,
  VARVE_CORRUPTION: EXIT.corruption,
  VARVE_UNSUPPORTED_FORMAT: EXIT.corruption,
  VARVE_HISTORY_TRUNCATED: EXIT.historyTruncated,
  VARVE_HISTORY_DIVERGED: EXIT.historyTruncated,
  VARVE_CONSUMER_LOST: EXIT.historyTruncated,
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return error.exitCode
  if (error instanceof VarveError) return BY_CODE[error.code] ?? EXIT.failure
  const code = (error as { code?: unknown }).code
  if (code === 'ERR_INVALID_ARG_TYPE') return EXIT.usage
  return code === 'ENOENT' ? EXIT.notFound : EXIT.failure
}

/** One line for stderr, with the code where there is one, and what to do about it where we know. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!(error instanceof VarveError)) return error.message
  const hint = HINTS[error.code]
  return `${error.message} [${error.code}]${hint === undefined ? '' : `\n${hint}`}`
}

const HINTS: Partial<Record<VarveErrorCode, string>> = {
  VARVE_LOCKED:
    'Commands that only read (get, scan, changes, stats, verify ...) work beside the writer.',
  VARVE_CORRUPTION: '`varve verify` lists all damage; `varve repair` keeps what is still readable.',
  VARVE_HISTORY_TRUNCATED: '`varve history` shows the floor; --from oldest begins there.',
  VARVE_MERGE_OPERATOR_MISMATCH: 'Custom merge operators are loaded with --operators <module>.',
}
