import { expect, test } from 'vitest'
import { commitFirstSeqno, commitOperations } from '../../src/batch/commit-decoder.ts'
import type { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { salvageWal, type WalSalvageOptions } from '../../src/wal/wal-salvage.ts'
import {
  commitOf,
  createLog,
  DIRECTORY,
  LOG_ID,
  logPath,
  newDisk,
  writeCommits,
} from './wal-samples.ts'

/** What is found: log, first seqno, operations, and whether it is in segments. */
async function salvage(
  fs: MemoryFileSystem,
  options: Partial<WalSalvageOptions> = {},
): Promise<[number, number, number, boolean][]> {
  const found: [number, number, number, boolean][] = []
  const all = { fs, directory: DIRECTORY, logId: LOG_ID, walNumber: 1, lastFlushedSeqno: 0 }
  await salvageWal({ ...all, ...options }, ({ number, bytes, start, isFlushed }) => {
    found.push([number, commitFirstSeqno(bytes, start), commitOperations(bytes, start), isFlushed])
  })
  return found
}

const ack = (next: number): Buffer =>
  commitOf(next, 0, { fields: { acks: [{ consumer: 'c', next }] } })

test('every good commit is found once, by seqno, whatever is damaged before it', async () => {
  const fs = newDisk()
  const first = createLog(fs, 1)
  const begin = first.size
  writeCommits(first, [commitOf(1, 2), commitOf(3, 1)])
  const second = createLog(fs, 2, first)
  writeCommits(second, [commitOf(4, 1)])
  // What a recovery that did not finish has copied.
  writeCommits(createLog(fs, 3), [commitOf(1, 2), commitOf(3, 1)])
  expect(await salvage(fs)).toEqual([
    [1, 1, 2, false],
    [1, 3, 1, false],
    [2, 4, 1, false],
  ])
  fs.corrupt(logPath(1), begin + 60, Buffer.from('x'))
  expect(await salvage(fs)).toEqual([
    [3, 1, 2, false],
    [1, 3, 1, false],
    [2, 4, 1, false],
  ])
})

test('a commit that is in segments is told as such; one of which half is there is left out', async () => {
  const fs = newDisk()
  writeCommits(createLog(fs, 1), [commitOf(1, 2), commitOf(3, 3), commitOf(6, 1)])
  expect(await salvage(fs, { lastFlushedSeqno: 4 })).toEqual([
    [1, 1, 2, true],
    [1, 6, 1, false],
  ])
  expect(await salvage(fs, { lastFlushedSeqno: 5 })).toEqual([
    [1, 1, 2, true],
    [1, 3, 3, true],
    [1, 6, 1, false],
  ])
})

test('an ack stands before the operation that takes its seqno, and counts though segments hold what is before', async () => {
  const fs = newDisk()
  writeCommits(createLog(fs, 1), [commitOf(1, 1), ack(2), commitOf(2, 1)])
  writeCommits(createLog(fs, 2), [commitOf(1, 1), ack(2)])
  expect(await salvage(fs, { lastFlushedSeqno: 1 })).toEqual([
    [1, 1, 1, true],
    [1, 2, 0, false],
    [2, 2, 0, false],
    [1, 2, 1, false],
  ])
})

test('logs below the first that is needed, and those of another store, are not looked at', async () => {
  const fs = newDisk()
  writeCommits(createLog(fs, 1), [commitOf(1, 1)])
  writeCommits(createLog(fs, 2), [commitOf(2, 1)])
  expect(await salvage(fs, { walNumber: 2 })).toEqual([[2, 2, 1, false]])
  expect(await salvage(fs, { logId: 'fedcba98' })).toEqual([])
})

test('a commit that is not sound is not believed, though its checksum holds', async () => {
  const fs = newDisk()
  const unsound = commitOf(1, 2)
  unsound[unsound.length - 30] = 0xff
  unsound.writeUInt32LE(3, 36)
  writeCommits(createLog(fs, 1), [unsound, commitOf(3, 1)])
  expect(await salvage(fs)).toEqual([[1, 3, 1, false]])
})
