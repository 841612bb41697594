/**
 * What the operating system says, in the store's codes.
 */
import { VarveError } from '../base/errors.ts'

/** The `code` of a Node error, if it has one. */
export function systemCode(cause: unknown): string | undefined {
  if (typeof cause !== 'object' || cause === null) return undefined
  const code: unknown = Reflect.get(cause, 'code')
  return typeof code === 'string' ? code : undefined
}

export function isNoSpace(cause: unknown): boolean {
  const code = systemCode(cause)
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'VARVE_NO_SPACE'
}

export function isOutOfDescriptors(cause: unknown): boolean {
  const code = systemCode(cause)
  return code === 'EMFILE' || code === 'ENFILE'
}

/** VARVE_NO_SPACE or VARVE_IO with the cause; a VarveError passes as it is. `file`: or the directory, since a full disk does not say which. */
export function translateDiskError(
  cause: unknown,
  details: Readonly<{ operation: string; file?: string }>,
): VarveError {
  if (cause instanceof VarveError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  const all = { ...details, systemCode: systemCode(cause) }
  if (isNoSpace(cause)) {
    const where = details.file === undefined ? '' : ` in ${details.file}`
    const message = `no space left${where}: ${details.operation}: ${reason}`
    return new VarveError('VARVE_NO_SPACE', message, all, { cause })
  }
  return new VarveError('VARVE_IO', `${details.operation} failed: ${reason}`, all, { cause })
}
