/** One thing that is wrong with a file, as verify reports it. */
import { VarveError, type VarveErrorCode } from '../base/errors.ts'

export interface FileProblem {
  /** In the file; undefined when it concerns all of it. */
  readonly offset: number | undefined
  readonly code: VarveErrorCode
  readonly message: string
}

/** The problem that an error of a decoder stands for; anything else, a failing disk above all, is thrown on. */
export function problemOf(error: unknown): FileProblem {
  if (!(error instanceof VarveError)) throw error
  const { offset } = error.details
  const { code, message } = error
  return { offset: typeof offset === 'number' ? offset : undefined, code, message }
}

export function corruptAt(offset: number | undefined, message: string): FileProblem {
  return { offset, code: 'VARVE_CORRUPTION', message }
}
