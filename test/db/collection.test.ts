import { expect, test } from 'vitest'
import type { ReadableFile } from '../../src/env/file-system.ts'
import type { ChangeEvent, Varve } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { collect } from '../model/driver.ts'
import { fixture, LOCATION } from './open.ts'

const KIB = 1024

function bytesOf(fs: MemoryFileSystem, ending: string): number {
  let bytes = 0
  for (const name of fs.list(LOCATION)) {
    if (name.endsWith(ending)) bytes += fs.stat(`${LOCATION}/${name}`)!.size
  }
  return bytes
}

/** Background work has nothing more to do, and what it let go of is deleted. */
async function settled(db: Varve, isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000 && !isDone(); turn++) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(isDone(), `settled: ${JSON.stringify(db.stats().blobs)}`).toBe(true)
}

const key = (i: number): string => `key${String(i).padStart(4, '0')}`
const blob = (i: number, round: number): Buffer => Buffer.alloc(8 * KIB, `${i} of round ${round}.`)

test('blob files that are mostly garbage are rewritten by themselves, and the bytes come back', async () => {
  const { fs, open } = fixture({
    history: 'none',
    memtableBytes: 256 * KIB,
    segmentBytes: 64 * KIB,
  })
  const db = await open()
  const keys = 200
  for (let i = 0; i < keys; i++) await db.put(key(i), blob(i, 0))
  await db.flush()
  await db.compact()
  const whole = bytesOf(fs, '.blob')
  expect(whole).toBeGreaterThan(keys * 8 * KIB)
  // Three of four go, spread over every file: each is a quarter alive.
  for (let i = 0; i < keys; i++) if (i % 4 !== 0) await db.delete(key(i))
  await db.flush()
  await db.compact()
  const alive = (keys / 4) * 8 * KIB
  await settled(db, () => bytesOf(fs, '.blob') < 1.5 * alive)
  const { blobs } = db.stats()
  expect(blobs.liveBytes).toBeGreaterThanOrEqual(alive)
  expect(blobs.bytes).toBeLessThan(whole / 2)
  for (let i = 0; i < keys; i++) {
    expect(await db.get(key(i))).toEqual(i % 4 === 0 ? blob(i, 0) : undefined)
  }
  expect((await db.verify()).problems).toEqual([])
  await db.close()
})

test('a value that history needs keeps its blob file until history lets go of it', async () => {
  const { fs, open } = fixture({ history: 'all', memtableBytes: 256 * KIB, segmentBytes: 64 * KIB })
  const db = await open()
  const keys = 60
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < keys; i++) await db.put(key(i), blob(i, round))
    await db.flush()
    await db.compact()
  }
  const both = bytesOf(fs, '.blob')
  expect(both).toBeGreaterThan(2 * keys * 8 * KIB)
  const events = await collect(db.scanSinceSeqno(1))
  expect(events.map(valueOf)).toEqual(
    [0, 1].flatMap((round) => Array.from({ length: keys }, (_, i) => blob(i, round))),
  )
  await db.truncateHistory(keys + 1)
  await db.compact()
  await settled(db, () => bytesOf(fs, '.blob') < 0.6 * both)
  const kept = await collect(db.scanSinceSeqno(keys + 1))
  expect(kept.map(valueOf)).toEqual(Array.from({ length: keys }, (_, i) => blob(i, 1)))
  expect((await db.verify()).problems).toEqual([])
  await db.close()
})

function valueOf(event: ChangeEvent): Buffer | undefined {
  return event.type === 'Insert' ? event.value : undefined
}

test('a store full of tombstones compacts itself until they are gone', async () => {
  const { fs, open } = fixture({ history: 'none' })
  const db = await open()
  const keys = 3000
  for (let i = 0; i < keys; i++) await db.put(key(i), Buffer.alloc(100, 'v'))
  await db.flush()
  await settled(db, () => db.stats().pendingCompactionBytes === 0)
  const full = bytesOf(fs, '.seg')
  for (let i = 0; i < keys; i++) if (i % 50 !== 0) await db.delete(key(i))
  await db.flush()
  await settled(db, () => bytesOf(fs, '.seg') < full / 5)
  expect(await db.keys().all()).toHaveLength(keys / 50)
  await db.close()
})

test('a store emptied by a range delete compacts itself until nothing is left', async () => {
  const { fs, open } = fixture({ history: 'none' })
  const db = await open()
  for (let i = 0; i < 3000; i++) await db.put(key(i), Buffer.alloc(100, 'v'))
  await db.flush()
  await settled(db, () => db.stats().pendingCompactionBytes === 0)
  await db.deleteRange('')
  await db.flush()
  await settled(db, () => bytesOf(fs, '.seg') === 0)
  expect(await db.keys().all()).toEqual([])
  await db.close()
})

class CountingFileSystem extends MemoryFileSystem {
  reads = 0

  override openRead(path: string): ReadableFile {
    const file = super.openRead(path)
    if (!path.endsWith('.seg')) return file
    return {
      path: file.path,
      get size() {
        return file.size
      },
      readSync: (...args) => {
        this.reads++
        return file.readSync(...args)
      },
      read: (...args) => {
        this.reads++
        return file.read(...args)
      },
      refreshSize: () => file.refreshSize(),
      close: () => file.close(),
    }
  }
}

test('seqnoAt looks at a few change indexes, however many events there are', async () => {
  const fs = new CountingFileSystem()
  const { clock, open } = fixture({ blockCacheBytes: 64 * KIB }, fs)
  let db = await open()
  const commits = 20_000
  const startMs = clock.now()
  for (let i = 0; i < commits; i++) {
    clock.set(startMs + i * 10)
    // Each in a group of its own: the commits of a group have one time.
    await db.put(key(i % 5000), `value ${i}`)
  }
  await db.flush()
  await db.compact()
  await db.close()
  db = await open()
  const whole = db.scanSinceSeqno(1)
  await collect(whole)
  const blocks = whole.stats.blocksTotal
  for (const at of [1, 137, 9_999, 19_999]) {
    fs.reads = 0
    expect(await db.seqnoAt(startMs + at * 10)).toBe(at + 1)
    expect(await db.seqnoAt(startMs + at * 10 - 5)).toBe(at + 1)
    expect(fs.reads).toBeLessThan(60)
    expect(fs.reads).toBeLessThan(blocks / 4)
  }
  await db.close()
})
