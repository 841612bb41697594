/**
 * Checks one log file up to where it was acknowledged: every record's frame and checksum, and the structure of its commits.
 */
import { corruption } from '../base/errors.ts'
import { checkCommit } from '../batch/commit-decoder.ts'
import type { FileSystem } from '../env/file-system.ts'
import { RECORD_COMMIT } from '../record/record-header.ts'
import { openRecords, withFile } from './wal-chain.ts'
import { WAL_HEADER_SEED } from './wal-header.ts'

export interface LogToVerify {
  readonly fs: FileSystem
  readonly path: string
  readonly number: number
  /** Where the last acknowledged record ends. */
  readonly bytes: number
  readonly logId: string
}

export interface LogProblem {
  readonly offset: number
  readonly message: string
}

/** What is wrong with the log; nothing when it is whole. */
export async function verifyLog(log: LogToVerify): Promise<LogProblem[]> {
  return withFile(log.fs, log.path, async (file) => {
    const reader = openRecords(file, log.number, log.logId)
    let isGood = await reader.next(WAL_HEADER_SEED)
    while (isGood && reader.position < log.bytes) {
      const { bytes, start, end, type, offset } = reader
      if (type === RECORD_COMMIT) {
        checkCommit(bytes, start, end, {
          file: log.path,
          fail: (reason, position) => {
            const at = offset + position - start
            throw corruption(`log: ${reason}`, { file: log.path, offset: at })
          },
        })
      }
      isGood = await reader.next()
    }
    if (reader.position >= log.bytes) return []
    return [{ offset: reader.position, message: 'a record of the log is damaged' }]
  })
}
