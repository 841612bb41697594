import { describe, expect, test } from 'vitest'
import {
  commitOf,
  createLog,
  DIRECTORY,
  logPath,
  newDisk,
  replay,
  writeCommits,
} from './wal-samples.ts'

describe('a write-ahead log', () => {
  test('gives back the commits that were written to it', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1), commitOf(2, 3)])
    writeCommits(wal, [commitOf(5, 1)])
    const replayed = await replay(fs)
    expect(replayed.seqnos).toEqual([
      [1, 1],
      [2, 3],
      [5, 1],
    ])
    expect(replayed).toMatchObject({ lastSeqno: 5, torn: undefined, logs: [1], droppedLogs: [] })
    expect(replayed.end).toEqual(wal.end)
    expect(replayed.keys).toEqual(['key-1', 'key-2', 'key-3', 'key-4', 'key-5'])
  })

  test('counts nothing as durable before its directory is synced', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1)])
    expect(wal.syncedSize).toBe(0)
    fs.inject({ operation: 'syncDirectory', effect: 'EIO' })
    await expect(wal.sync()).rejects.toMatchObject({ code: 'EIO' })
    expect(wal.syncedSize).toBe(0)
  })

  test('survives a power cut whole once it was synced', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 2)])
    await wal.sync()
    expect(wal.syncedSize).toBe(wal.size)
    expect((await replay(fs.crash('lost'))).lastSeqno).toBe(2)
  })

  test('shares one sync among all who wait while another runs', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    await wal.sync()
    writeCommits(wal, [commitOf(1, 1)])
    const before = fs.operationCount
    const first = wal.sync()
    writeCommits(wal, [commitOf(2, 1)])
    const others = [wal.sync(), wal.sync(), wal.sync()]
    await first
    await Promise.all(others)
    expect(wal.isDurable).toBe(true)
    // One write and two syncs.
    expect(fs.operationCount - before).toBe(3)
  })

  test('is never synced again after a sync failed', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    await wal.sync()
    writeCommits(wal, [commitOf(1, 1)])
    fs.inject({ operation: 'sync', effect: 'EIO' })
    await expect(wal.sync()).rejects.toMatchObject({ code: 'EIO' })
    const before = fs.operationCount
    await expect(wal.sync()).rejects.toMatchObject({ code: 'EIO' })
    expect(fs.operationCount).toBe(before)
    expect(wal.failure).toMatchObject({ code: 'EIO' })
    expect(() => writeCommits(wal, [commitOf(2, 1)])).toThrow('a log whose sync failed')
  })

  test('tells everyone who waits that a sync failed', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1)])
    fs.inject({ operation: 'sync', effect: 'EIO' })
    const all = [wal.sync(), wal.sync(), wal.sync()]
    for (const result of await Promise.allSettled(all)) expect(result.status).toBe('rejected')
  })

  test('goes on after a short write once it was cut back, and the rejected bytes never come back', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1)])
    fs.inject({ operation: 'write', effect: 'short' })
    fs.inject({ operation: 'write', effect: 'ENOSPC' })
    expect(() => writeCommits(wal, [commitOf(2, 1), commitOf(3, 1)])).toThrow()
    expect(wal.isBroken).toBe(true)
    expect(() => writeCommits(wal, [commitOf(2, 1)])).toThrow('broken')
    fs.clearFaults()
    await wal.cutBack()
    writeCommits(wal, [commitOf(2, 5)])
    expect((await replay(fs)).seqnos).toEqual([
      [1, 1],
      [2, 5],
    ])
    await wal.sync()
    expect((await replay(fs.crash('lost'))).seqnos).toEqual([
      [1, 1],
      [2, 5],
    ])
  })

  test('stays broken when it cannot be cut back', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    fs.inject({ operation: 'write', effect: 'ENOSPC' })
    expect(() => writeCommits(wal, [commitOf(1, 1)])).toThrow('ENOSPC')
    fs.inject({ operation: 'sync', effect: 'EIO' })
    await expect(wal.cutBack()).rejects.toMatchObject({ code: 'EIO' })
    expect(wal.isBroken).toBe(true)
  })

  test('leaves no file when its header cannot be written', () => {
    const fs = newDisk()
    fs.inject({ operation: 'write', effect: 'ENOSPC' })
    expect(() => createLog(fs, 1)).toThrow('ENOSPC')
    expect(fs.stat(logPath(1))).toBeUndefined()
  })

  test('makes the log before it durable with its own first sync', async () => {
    const fs = newDisk()
    const first = createLog(fs, 1)
    await first.sync()
    writeCommits(first, [commitOf(1, 1)])
    const second = createLog(fs, 2, first)
    writeCommits(second, [commitOf(2, 1)])
    await second.sync()
    expect(first.isDurable).toBe(true)
    expect((await replay(fs.crash('lost'))).lastSeqno).toBe(2)
  })

  test('takes no commits after another one continues it', () => {
    const fs = newDisk()
    const first = createLog(fs, 1)
    createLog(fs, 2, first)
    expect(() => writeCommits(first, [commitOf(1, 1)])).toThrow('ended')
  })

  test('waits with closing for a running sync', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1)])
    const syncing = wal.sync()
    await wal.close()
    await syncing
    expect(fs.openFileCount).toBe(0)
    expect(fs.list(DIRECTORY)).toEqual(['000001.wal'])
  })

  test('marks a quiet end as durable, once', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1)])
    wal.markSynced()
    const before = wal.size
    await wal.sync()
    wal.markSynced()
    wal.markSynced()
    await wal.sync()
    wal.markSynced()
    expect(wal.size).toBe(before + 24)
    const rotten = fs.crash('lost')
    rotten.corrupt(logPath(1), before - 1, Buffer.from([0xff]))
    await expect(replay(rotten)).rejects.toMatchObject({ code: 'VARVE_CORRUPTION' })
  })
})
