/**
 * What reads throw: errors of the operating system in the store's code, everything else as it is.
 */
import { systemCode, translateDiskError } from '../env/disk-errors.ts'

/** For errors that come out of memtables, segments, blob files and merge operators. */
export function readFailure(error: unknown): unknown {
  const code = systemCode(error)
  // 'EIO', 'ENOENT'; but not Node's 'ERR_...', and no assertion of ours, which is a bug and must look like one.
  if (code === undefined || !/^E(?!RR_)[A-Z0-9]+$/.test(code)) return error
  return translateDiskError(error, { operation: 'read' })
}
