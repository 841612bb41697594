import { CommitEncoder, encodeFields, type CommitFields } from '../../src/batch/commit-encoder.ts'
import { COMMIT_FIRST_SEQNO_AT, COMMIT_TIME_AT } from '../../src/batch/commit-record.ts'
import {
  commitFirstSeqno,
  commitOperations,
  OperationCursor,
} from '../../src/batch/commit-decoder.ts'
import { writeU48 } from '../../src/base/bytes.ts'
import { joinPath, walFileName } from '../../src/env/file-names.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { type WalReplay, type WalReplayOptions, replayWal } from '../../src/wal/wal-reader.ts'
import { type WalOptions, WalWriter } from '../../src/wal/wal-writer.ts'

export const DIRECTORY = '/db'
export const LOG_ID = '0123456789abcdef'

export function newDisk(): MemoryFileSystem {
  const fs = new MemoryFileSystem()
  fs.makeDirectory(DIRECTORY)
  return fs
}

export function logPath(number: number): string {
  return joinPath(DIRECTORY, walFileName(number))
}

export function createLog(
  fs: MemoryFileSystem,
  number: number,
  previous?: WalOptions['previous'],
): WalWriter {
  return WalWriter.create(fs, DIRECTORY, number, { logId: LOG_ID, previous })
}

/** An encoded commit of `operations` puts of `valueBytes` each. */
export function commitOf(
  first: number,
  operations: number,
  options: { valueBytes?: number; fields?: CommitFields } = {},
): Buffer {
  const encoder = new CommitEncoder()
  for (let i = 0; i < operations; i++) {
    const key = Buffer.from(`key-${first + i}`)
    encoder.add(1, 1, key, Buffer.alloc(options.valueBytes ?? 20, 0x30 + ((first + i) % 10)))
  }
  const record = encoder.finish(encodeFields(options.fields ?? {}))
  writeU48(record, COMMIT_FIRST_SEQNO_AT, first)
  writeU48(record, COMMIT_TIME_AT, 1_700_000_000_000 + first)
  return record
}

/** Seals and writes commits in one write. */
export function writeCommits(wal: WalWriter, commits: readonly Buffer[]): void {
  const arena = Buffer.concat(commits)
  let at = 0
  for (const commit of commits) {
    wal.seal(arena, at)
    at += commit.length
  }
  wal.write(arena, 0, arena.length)
}

export interface Replayed extends WalReplay {
  /** First seqno and number of operations of each commit. */
  readonly seqnos: [first: number, operations: number][]
  readonly keys: string[]
}

export async function replay(
  fs: MemoryFileSystem,
  options: Partial<WalReplayOptions> = {},
): Promise<Replayed> {
  const seqnos: [number, number][] = []
  const keys: string[] = []
  const cursor = new OperationCursor()
  const result = await replayWal(
    { fs, directory: DIRECTORY, logId: LOG_ID, walNumber: 1, lastFlushedSeqno: 0, ...options },
    (commit) => {
      seqnos.push([
        commitFirstSeqno(commit.bytes, commit.start),
        commitOperations(commit.bytes, commit.start),
      ])
      cursor.open(commit.bytes, commit.start)
      while (cursor.next()) {
        keys.push(Buffer.from(commit.bytes.subarray(cursor.keyStart, cursor.keyEnd)).toString())
      }
    },
  )
  return { ...result, seqnos, keys }
}
