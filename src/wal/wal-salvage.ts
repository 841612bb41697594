/**
 * Every commit that can still be read from damaged logs, also what stands behind the damage. For repair only: recovery keeps
 * a prefix and nothing else.
 *
 * ```
 * all logs from the first that is needed ─> their good commits ─> by seqno, each once ─> handed out in order, holes between
 * ```
 *
 * A recovery that did not finish has left copies of commits in logs of its own; they count where the original is damaged. A
 * record is believed when its checksum, seeded with the store's log id and its place, holds and its structure is sound.
 */
import { hasCode } from '../base/errors.ts'
import { joinPath, walFileName } from '../env/file-names.ts'
import type { FileSystem, ReadableFile } from '../env/file-system.ts'
import { checkCommit, commitFirstSeqno, commitOperations } from '../batch/commit-decoder.ts'
import { readFully } from '../block/read-fully.ts'
import { recordPrevious } from '../record/record-frame.ts'
import { RECORD_COMMIT, RECORD_HEADER_BYTES, RECORD_WAL_HEADER } from '../record/record-header.ts'
import type { RecordReader } from '../record/record-reader.ts'
import { listLogs, openRecords, withFile, type WalChainOptions } from './wal-chain.ts'
import { decodeWalHeader, WAL_HEADER_SEED } from './wal-header.ts'
import type { WalCommit } from './wal-reader.ts'

export interface WalSalvageOptions extends WalChainOptions {
  /** Commits up to here are in segments: only their fields count. */
  readonly lastFlushedSeqno: number
}

/** Where a good commit stands. */
interface FoundCommit {
  readonly log: number
  readonly offset: number
  readonly length: number
  readonly first: number
  readonly operations: number
}

/** Visits what was found, by seqno. Between two commits seqnos may be missing. */
export async function salvageWal(
  options: WalSalvageOptions,
  visit: (commit: WalCommit) => void,
): Promise<void> {
  const { fs, directory, logId, walNumber, lastFlushedSeqno } = options
  const found: FoundCommit[] = []
  for (const log of listLogs(fs, directory)) {
    if (log < walNumber) continue
    const path = joinPath(directory, walFileName(log))
    await withFile(fs, path, (file) => collect(file, log, logId, found))
  }
  found.sort(inOrder)
  let next = 0
  for (const commit of found) {
    const end = commit.first + commit.operations
    const isFlushed = commit.operations > 0 && end <= lastFlushedSeqno + 1
    // A copy, or half of it is in segments already: nothing of it is missing elsewhere, and it must not stand twice.
    const isHalf = commit.operations > 0 && !isFlushed && commit.first <= lastFlushedSeqno
    if (commit.first < next || isHalf) continue
    next = Math.max(next, end)
    const path = joinPath(directory, walFileName(commit.log))
    const bytes = Buffer.allocUnsafeSlow(commit.length)
    await withFile(fs, path, (file) => readFully(file, bytes, 0, commit.length, commit.offset))
    visit({
      number: commit.log,
      bytes,
      start: 0,
      end: commit.length,
      file: path,
      offset: commit.offset,
      isFlushed,
    })
  }
}

/** By seqno. What takes none, as an ack, stands before the operation that takes it, also where one of them is a copy. */
function inOrder(a: FoundCommit, b: FoundCommit): number {
  const isEmpty = ({ operations }: FoundCommit): number => (operations === 0 ? 0 : 1)
  return a.first - b.first || isEmpty(a) - isEmpty(b) || a.log - b.log || a.offset - b.offset
}

/** The log id that the headers of the logs in the directory name, from the oldest log on the first that can be read. */
export async function findLogId(fs: FileSystem, directory: string): Promise<string | undefined> {
  for (const number of listLogs(fs, directory)) {
    const path = joinPath(directory, walFileName(number))
    try {
      const logId = await withFile(fs, path, async (file) => {
        // The header has a seed of its own.
        const reader = openRecords(file, number, '')
        if (!(await reader.next(WAL_HEADER_SEED)) || reader.type !== RECORD_WAL_HEADER) return
        const start = reader.start + RECORD_HEADER_BYTES
        return decodeWalHeader(reader.bytes, start, reader.end, path).logId
      })
      if (logId !== undefined) return logId
    } catch (error) {
      if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    }
  }
  return undefined
}

async function collect(
  file: ReadableFile,
  log: number,
  logId: string,
  found: FoundCommit[],
): Promise<void> {
  const reader = openRecords(file, log, logId)
  for (let isFirst = true; ; isFirst = false) {
    const isGood = await nextOrFalse(reader, isFirst ? WAL_HEADER_SEED : undefined)
    if (!isGood && !(await skipDamage(file, reader))) return
    if (!isGood || reader.type !== RECORD_COMMIT) continue
    const { bytes, start, end, offset } = reader
    if (!isSound(bytes, start, end)) continue
    found.push({
      log,
      offset,
      length: end - start,
      first: commitFirstSeqno(bytes, start),
      operations: commitOperations(bytes, start),
    })
  }
}

/** A record that follows nothing that is there is damage like any other. */
async function nextOrFalse(reader: RecordReader, seed: number | undefined): Promise<boolean> {
  try {
    return await reader.next(seed)
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return false
  }
}

/** Moves the reader to the next good record behind the damage, whatever that follows; false at the end. */
async function skipDamage(file: ReadableFile, reader: RecordReader): Promise<boolean> {
  if (reader.isAtEnd) return false
  const behind = await reader.findBehind()
  if (behind === undefined) return false
  const header = Buffer.allocUnsafeSlow(RECORD_HEADER_BYTES)
  await readFully(file, header, 0, header.length, behind.first)
  reader.resume(behind.first, recordPrevious(header, 0))
  return true
}

function isSound(bytes: Uint8Array, start: number, end: number): boolean {
  try {
    checkCommit(bytes, start, end, {
      file: '',
      fail: (reason) => {
        throw new UnsoundCommit(reason)
      },
    })
    return true
  } catch (error) {
    if (error instanceof UnsoundCommit) return false
    throw error
  }
}

class UnsoundCommit extends Error {}
