import { describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import type { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { frameRecord, sealRecord } from '../../src/record/record-frame.ts'
import { encodeWalHeader } from '../../src/wal/wal-header.ts'
import { WalWriter } from '../../src/wal/wal-writer.ts'
import { randomOf } from '../record/record-samples.ts'
import { replayWal } from '../../src/wal/wal-reader.ts'
import {
  commitOf,
  createLog,
  DIRECTORY,
  LOG_ID,
  logPath,
  newDisk,
  replay,
  writeCommits,
} from './wal-samples.ts'

function truncate(fs: MemoryFileSystem, number: number, size: number): void {
  const bytes = fs.files().get(logPath(number))!
  fs.remove(logPath(number))
  const file = fs.create(logPath(number))
  file.append(bytes, 0, size)
  file.close()
}

/** Logs 1, 2 and 3 with two commits each; `sync` says which of them are synced, in order. */
async function threeLogs(
  sync: readonly number[] = [],
): Promise<{ fs: MemoryFileSystem; logs: WalWriter[] }> {
  const fs = newDisk()
  const logs: WalWriter[] = []
  let seqno = 1
  for (const number of [1, 2, 3]) {
    const wal = createLog(fs, number, logs.at(-1))
    logs.push(wal)
    if (number === 1) await wal.sync()
    writeCommits(wal, [commitOf(seqno, 1)])
    if (sync.includes(number)) await wal.sync()
    writeCommits(wal, [commitOf(seqno + 1, 1)])
    seqno += 2
  }
  return { fs, logs }
}

const CORRUPTION = { code: 'VARVE_CORRUPTION' }

describe('recovery of a chain of logs', () => {
  test('replays them in order', async () => {
    const { fs } = await threeLogs()
    const replayed = await replay(fs)
    expect(replayed.seqnos.map(([first]) => first)).toEqual([1, 2, 3, 4, 5, 6])
    expect(replayed).toMatchObject({ logs: [1, 2, 3], droppedLogs: [], lastSeqno: 6 })
  })

  test('drops later logs when an earlier one is torn', async () => {
    const { fs, logs } = await threeLogs()
    truncate(fs, 1, logs[0]!.size - 1)
    const replayed = await replay(fs)
    expect(replayed.seqnos).toEqual([[1, 1]])
    expect(replayed.torn?.file).toBe(logPath(1))
    expect(replayed).toMatchObject({ logs: [1], droppedLogs: [2, 3], lastSeqno: 1 })
  })

  test('drops later logs when an earlier one ends early at a whole record', async () => {
    const { fs, logs } = await threeLogs()
    truncate(fs, 1, logs[0]!.size - commitOf(2, 1).length)
    expect((await replay(fs)).seqnos).toEqual([[1, 1]])
  })

  test('is corruption when a later log proves that the torn one was durable', async () => {
    const { fs, logs } = await threeLogs([3])
    truncate(fs, 1, logs[0]!.size - 1)
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(1) } })
  })

  test('is corruption when the header of the next log calls the torn one durable', async () => {
    const fs = newDisk()
    const first = createLog(fs, 1)
    writeCommits(first, [commitOf(1, 1)])
    await first.sync()
    createLog(fs, 2, first)
    truncate(fs, 1, first.size - 1)
    await expect(replay(fs)).rejects.toMatchObject(CORRUPTION)
  })

  test('drops later logs when one in between is missing that was never durable', async () => {
    const { fs } = await threeLogs()
    fs.remove(logPath(2))
    const replayed = await replay(fs)
    expect(replayed.seqnos.map(([first]) => first)).toEqual([1, 2])
    expect(replayed.droppedLogs).toEqual([3])
  })

  test('is corruption when a log is missing that a later one proves durable', async () => {
    const { fs } = await threeLogs([3])
    fs.remove(logPath(2))
    await expect(replay(fs)).rejects.toMatchObject(CORRUPTION)
  })

  test('is corruption when the log that the manifest names is missing or empty', async () => {
    const { fs } = await threeLogs()
    truncate(fs, 1, 0)
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(1) } })
    fs.remove(logPath(1))
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(1) } })
  })

  test('ends before a log whose header was never written whole', async () => {
    const { fs } = await threeLogs()
    truncate(fs, 2, 10)
    expect((await replay(fs)).lastSeqno).toBe(2)
  })

  test('is corruption when a header is damaged before records that were durable', async () => {
    const { fs } = await threeLogs([2])
    fs.corrupt(logPath(2), 30, Buffer.from('x'))
    await expect(replay(fs)).rejects.toMatchObject({
      ...CORRUPTION,
      details: { file: logPath(2), offset: 0 },
    })
  })

  test('leaves out the beginning of a chain that the manifest does not name', async () => {
    const { fs } = await threeLogs()
    const copy = createLog(fs, 4)
    writeCommits(copy, [commitOf(1, 6)])
    await copy.sync()
    const replayed = await replay(fs)
    expect(replayed.lastSeqno).toBe(6)
    expect(replayed).toMatchObject({ logs: [1, 2, 3], droppedLogs: [4] })
    expect((await replay(fs, { walNumber: 4 })).seqnos).toEqual([[1, 6]])
  })

  test('leaves out a chain that a recovery had only begun, however durable, and takes it for no proof', async () => {
    const { fs, logs } = await threeLogs()
    const copy = createLog(fs, 4)
    await copy.sync()
    writeCommits(copy, [commitOf(1, 6)])
    const second = createLog(fs, 5, copy)
    await second.sync()
    writeCommits(second, [commitOf(7, 1)])
    await second.sync()
    expect((await replay(fs)).droppedLogs).toEqual([4, 5])
    truncate(fs, 1, logs[0]!.size - 1)
    expect((await replay(fs)).lastSeqno).toBe(1)
    fs.remove(logPath(4))
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(4) } })
  })

  test('ends a log where the next one says that it ends', async () => {
    const fs = newDisk()
    const first = createLog(fs, 1)
    writeCommits(first, [commitOf(1, 1)])
    await first.sync()
    const link = { ...first.end, isDurable: true }
    writeCommits(first, [commitOf(2, 9)])
    writeCommits(createLog(fs, 2, link), [commitOf(2, 1)])
    expect((await replay(fs)).seqnos).toEqual([
      [1, 1],
      [2, 1],
    ])
    fs.remove(logPath(2))
    createLog(fs, 2, { ...link, bytes: link.bytes + 1 })
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(1) } })
    fs.remove(logPath(2))
    createLog(fs, 2, { ...link, checksum: link.checksum + 1 })
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(1) } })
  })

  test('takes a log that goes on where its end is said to be, within a record, for no torn one', async () => {
    const fs = newDisk()
    const first = createLog(fs, 1)
    writeCommits(first, [commitOf(1, 1)])
    const bytes = first.size + 1
    writeCommits(first, [commitOf(2, 1)])
    const previous = { ...first.end, bytes, isDurable: false }
    const header = encodeWalHeader({ logId: LOG_ID, previous })
    sealRecord(header, 0, { fileNumber: 2, previous: 0, durableBytes: 0, seed: 0 })
    const file = fs.create(logPath(2))
    file.append(header, 0, header.length)
    file.close()
    await expect(replay(fs)).rejects.toMatchObject({
      ...CORRUPTION,
      details: { file: logPath(1), offset: bytes },
    })
  })

  test('is corruption when two logs with commits continue the same one', async () => {
    const fs = newDisk()
    const first = createLog(fs, 1)
    writeCommits(first, [commitOf(1, 1)])
    await first.sync()
    const link = { ...first.end, isDurable: true }
    const attempt = createLog(fs, 2, link)
    writeCommits(createLog(fs, 3, link), [commitOf(2, 1)])
    // One that nothing was written to is an attempt that came to nothing.
    expect(await replay(fs)).toMatchObject({ logs: [1, 3], droppedLogs: [2], lastSeqno: 2 })
    writeCommits(attempt, [commitOf(2, 1)])
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(2) } })
  })

  test('takes no log of another store for one of its own', async () => {
    const { fs, logs } = await threeLogs([1, 2])
    const link = { ...logs[1]!.end, isDurable: true }
    await logs[1]!.sync()
    const foreign = WalWriter.create(fs, DIRECTORY, 4, { logId: 'fedcba98', previous: link })
    writeCommits(foreign, [commitOf(5, 1)])
    await foreign.sync()
    expect(await replay(fs)).toMatchObject({ logs: [1, 2, 3], droppedLogs: [4], lastSeqno: 6 })
  })

  test('is proven by what a later log counts as durable, also behind damage in it', async () => {
    const { fs, logs } = await threeLogs([3])
    truncate(fs, 1, logs[0]!.size - 1)
    const header = encodeWalHeader({
      logId: LOG_ID,
      previous: { ...logs[1]!.end, isDurable: false },
    })
    fs.corrupt(logPath(3), header.length + 60, Buffer.from('x'))
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(1) } })
  })

  test('is corruption when a log is missing that one further on proves durable', async () => {
    const { fs, logs } = await threeLogs()
    const fourth = createLog(fs, 4, logs[2])
    writeCommits(fourth, [commitOf(7, 1)])
    await fourth.sync()
    writeCommits(fourth, [commitOf(8, 1)])
    expect((await replay(fs)).lastSeqno).toBe(8)
    fs.remove(logPath(2))
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(2) } })
  })

  test('asks for no log below the one that the manifest names', async () => {
    const { fs, logs } = await threeLogs([1])
    await logs[0]!.sync()
    writeCommits(createLog(fs, 5), [commitOf(7, 1)])
    createLog(fs, 6, { ...logs[0]!.end, isDurable: true })
    for (const number of [1, 2, 3]) fs.remove(logPath(number))
    expect(await replay(fs, { walNumber: 5, lastFlushedSeqno: 6 })).toMatchObject({
      logs: [5],
      droppedLogs: [6],
      lastSeqno: 7,
    })
  })

  test('is corruption when half of a commit is in segments', async () => {
    const fs = newDisk()
    writeCommits(createLog(fs, 1), [commitOf(1, 3)])
    expect((await replay(fs, { lastFlushedSeqno: 3 })).lastSeqno).toBe(3)
    await expect(replay(fs, { lastFlushedSeqno: 2 })).rejects.toMatchObject(CORRUPTION)
  })

  test('says of commits with operations that they are in segments, of no others', async () => {
    const fs = newDisk()
    const ack = commitOf(2, 0, { fields: { acks: [{ consumer: 'c', next: 2 }] } })
    const later = commitOf(3, 0, { fields: { acks: [{ consumer: 'c', next: 3 }] } })
    writeCommits(createLog(fs, 1), [commitOf(1, 1), ack, commitOf(2, 1), later])
    const flushed: boolean[] = []
    const { lastSeqno, lastTimeMs } = await replayWal(
      { fs, directory: DIRECTORY, logId: LOG_ID, walNumber: 1, lastFlushedSeqno: 1 },
      ({ isFlushed }) => void flushed.push(isFlushed),
    )
    expect(flushed).toEqual([true, false, false, false])
    // Times are those of events.
    expect({ lastSeqno, lastTimeMs }).toEqual({ lastSeqno: 2, lastTimeMs: 1_700_000_000_002 })
  })

  test('accepts a hole below the floor, and none at it', async () => {
    const fs = newDisk()
    writeCommits(createLog(fs, 1), [commitOf(1, 1), commitOf(5, 1)])
    expect((await replay(fs, { floor: 5 })).seqnos.map(([first]) => first)).toEqual([1, 5])
    await expect(replay(fs, { floor: 4 })).rejects.toMatchObject(CORRUPTION)
    writeCommits(createLog(fs, 2), [commitOf(5, 1)])
    const behind = { walNumber: 2, lastFlushedSeqno: 2 }
    expect((await replay(fs, { ...behind, floor: 5 })).lastSeqno).toBe(5)
    await expect(replay(fs, { ...behind, floor: 4 })).rejects.toMatchObject(CORRUPTION)
  })

  test('skips what is in segments, and says so', async () => {
    const { fs } = await threeLogs()
    const replayed = await replay(fs, { walNumber: 2, lastFlushedSeqno: 2 })
    expect(replayed.seqnos.map(([first]) => first)).toEqual([3, 4, 5, 6])
    await expect(replay(fs, { walNumber: 2, lastFlushedSeqno: 1 })).rejects.toMatchObject(
      CORRUPTION,
    )
  })

  test('is corruption when a seqno is missing', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1), commitOf(3, 1)])
    await expect(replay(fs)).rejects.toMatchObject({ ...CORRUPTION, details: { file: logPath(1) } })
  })

  test('is corruption when a commit is malformed under a checksum that holds', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    const commit = commitOf(1, 2)
    commit[commit.length - 30] = 0xff
    commit.writeUInt32LE(3, 36)
    writeCommits(wal, [commit])
    await expect(replay(fs)).rejects.toMatchObject(CORRUPTION)
  })

  test('replays commits without operations', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [
      commitOf(1, 1),
      commitOf(2, 0, { fields: { acks: [{ consumer: 'c', next: 2 }] } }),
      commitOf(2, 1),
    ])
    expect((await replay(fs)).seqnos).toEqual([
      [1, 1],
      [2, 0],
      [2, 1],
    ])
  })

  test('goes on from where an earlier replay ended', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [commitOf(1, 1)])
    const first = await replay(fs)
    writeCommits(wal, [commitOf(2, 1)])
    const next = createLog(fs, 2, wal)
    writeCommits(next, [commitOf(3, 1)])
    const resume = { end: first.end, lastSeqno: first.lastSeqno }
    const second = await replay(fs, { resume })
    expect(second.seqnos.map(([seqno]) => seqno)).toEqual([2, 3])
    expect((await replay(fs, { resume: { end: second.end, lastSeqno: 3 } })).seqnos).toEqual([])
  })
})

describe('recovery after a clean close', () => {
  test('takes nothing for torn', async () => {
    const { fs, logs } = await threeLogs()
    const cleanEnd = { number: 3, bytes: logs[2]!.size }
    expect((await replay(fs, { cleanEnd })).lastSeqno).toBe(6)
    truncate(fs, 3, logs[2]!.size - 1)
    await expect(replay(fs, { cleanEnd })).rejects.toMatchObject(CORRUPTION)
    fs.remove(logPath(3))
    await expect(replay(fs, { cleanEnd })).rejects.toMatchObject(CORRUPTION)
  })

  test('leaves out an empty log that an open left behind, but no commits', async () => {
    const { fs, logs } = await threeLogs()
    const cleanEnd = { number: 3, bytes: logs[2]!.size }
    await logs[2]!.sync()
    const next = createLog(fs, 4, logs[2])
    const replayed = await replay(fs, { cleanEnd })
    expect(replayed).toMatchObject({ lastSeqno: 6, droppedLogs: [4] })
    expect(replayed.end.number).toBe(3)
    writeCommits(next, [commitOf(7, 1), commitOf(8, 1)])
    await expect(replay(fs, { cleanEnd })).rejects.toMatchObject(CORRUPTION)
    // The first of them is damaged: the other one is no less a commit.
    fs.corrupt(logPath(4), next.size - 2 * commitOf(7, 1).length + 60, Buffer.from('x'))
    await expect(replay(fs, { cleanEnd })).rejects.toMatchObject({
      ...CORRUPTION,
      details: { file: logPath(4) },
    })
  })
})

describe('a log of a newer version', () => {
  function putLog(header: Buffer): MemoryFileSystem {
    const fs = newDisk()
    sealRecord(header, 0, { fileNumber: 1, previous: 0, durableBytes: 0, seed: 0 })
    const file = fs.create(logPath(1))
    file.append(header, 0, header.length)
    file.close()
    return fs
  }

  test('is refused with both versions', async () => {
    const header = encodeWalHeader({ logId: LOG_ID, previous: undefined })
    header.writeUInt32LE(2, 32)
    await expect(replay(putLog(header))).rejects.toMatchObject({
      code: 'VARVE_UNSUPPORTED_FORMAT',
      details: { file: logPath(1), found: 2, supported: 1 },
    })
  })

  test('is refused for an unknown field, unless that may be ignored', async () => {
    const header = encodeWalHeader({ logId: LOG_ID, previous: undefined })
    const withField = (tag: number): Buffer =>
      frameRecord(1, Buffer.concat([header.subarray(24), Buffer.from([tag, 1, 0])]))
    await expect(replay(putLog(withField(50)))).rejects.toMatchObject({
      code: 'VARVE_UNSUPPORTED_FORMAT',
    })
    expect((await replay(putLog(withField(51)))).lastSeqno).toBe(0)
  })

  test('is refused for an unknown commit field', async () => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    writeCommits(wal, [
      commitOf(1, 1, { fields: { more: [{ tag: 100, bytes: Buffer.from('x') }] } }),
    ])
    await expect(replay(fs)).rejects.toMatchObject({
      code: 'VARVE_UNSUPPORTED_FORMAT',
      details: { file: logPath(1) },
    })
  })
})

describe('a power cut', () => {
  test('at any time leaves a prefix that holds all that was synced', async () => {
    const seed = Number(process.env['SEED'] ?? 1)
    console.log(`seed ${seed}`)
    for (let round = 0; round < 150; round++) {
      const random = randomOf(seed * 1_000_003 + round)
      const fs = newDisk()
      const { written, durable } = await writeRandomly(fs, random)
      const image = fs.crash({ seed: round })
      const replayed = await replay(image)
      const message = `seed ${seed}, round ${round}`
      expect(replayed.lastSeqno, message).toBeGreaterThanOrEqual(durable)
      expect(replayed.lastSeqno, message).toBeLessThanOrEqual(written)
      expect(replayed.keys, message).toEqual(
        Array.from({ length: replayed.lastSeqno }, (_, i) => `key-${i + 1}`),
      )
    }
  })
})

describe('mutated logs', () => {
  test('yield a prefix of the commits, or an error that names a file', async () => {
    const seed = Number(process.env['SEED'] ?? 1)
    console.log(`seed ${seed}`)
    for (let round = 0; round < 200; round++) {
      const random = randomOf(seed * 7_000_003 + round)
      const fs = newDisk()
      const { written } = await writeRandomly(fs, random)
      const paths = [...fs.files().keys()]
      for (let i = Math.floor(random() * 3); i >= 0; i--) {
        const path = paths[Math.floor(random() * paths.length)]!
        const { length } = fs.files().get(path)!
        const at = Math.floor(random() * length)
        const bytes = Buffer.alloc(1 + Math.floor(random() * 700), Math.floor(random() * 256))
        fs.corrupt(path, at, random() < 0.5 ? bytes.subarray(0, 1) : bytes)
      }
      const message = `seed ${seed}, round ${round}`
      try {
        const { lastSeqno, keys } = await replay(fs)
        expect(lastSeqno, message).toBeLessThanOrEqual(written)
        expect(keys, message).toEqual(Array.from({ length: lastSeqno }, (_, i) => `key-${i + 1}`))
      } catch (error) {
        if (!(error instanceof VarveError)) throw new Error(message, { cause: error })
        expect(error.code, message).toMatch(/CORRUPTION|UNSUPPORTED_FORMAT/)
        expect(paths, message).toContain(error.details['file'])
      }
    }
  })
})

/** Commits over several logs with syncs, failed writes and rotations in between; ends at an arbitrary point. */
async function writeRandomly(
  fs: MemoryFileSystem,
  random: () => number,
): Promise<{ written: number; durable: number }> {
  const pick = (n: number): number => Math.floor(random() * n)
  let wal = createLog(fs, 1)
  await wal.sync()
  let seqno = 1
  let durable = 0
  const steps = pick(25)
  for (let i = 0; i < steps; i++) {
    const choice = random()
    if (choice < 0.6) {
      const commits = Array.from({ length: 1 + pick(3) }, () => {
        const commit = commitOf(seqno, 1 + pick(3), { valueBytes: pick(600) })
        seqno += commit.readUInt32LE(36)
        return commit
      })
      writeCommits(wal, commits)
    } else if (choice < 0.75) {
      const syncing = wal.sync()
      const upTo = seqno - 1
      // Sometimes the power goes while it runs.
      if (random() < 0.9) {
        await syncing
        durable = upTo
      }
    } else if (choice < 0.9) {
      wal = createLog(fs, wal.number + 1, wal)
    } else {
      fs.inject({ operation: 'write', effect: 'short' })
      fs.inject({ operation: 'write', effect: 'ENOSPC' })
      const rejected = [commitOf(seqno, 1, { valueBytes: 700 }), commitOf(seqno + 1, 1)]
      expect(() => writeCommits(wal, rejected)).toThrow()
      fs.clearFaults()
      await wal.cutBack()
      durable = seqno - 1
    }
  }
  return { written: seqno - 1, durable }
}
