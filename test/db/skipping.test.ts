import { expect, test } from 'vitest'
import type { ReadableFile } from '../../src/env/file-system.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { APART, fixture } from './open.ts'

/** Counts what is read of segment files. */
class CountingFileSystem extends MemoryFileSystem {
  segmentsOpened = 0
  segmentReads = 0

  override openRead(path: string): ReadableFile {
    const file = super.openRead(path)
    if (!path.endsWith('.seg')) return file
    this.segmentsOpened++
    const count = (): void => {
      this.segmentReads++
    }
    return {
      path: file.path,
      get size() {
        return file.size
      },
      readSync: (...args) => {
        count()
        return file.readSync(...args)
      },
      read: (...args) => {
        count()
        return file.read(...args)
      },
      refreshSize: () => file.refreshSize(),
      close: () => file.close(),
    }
  }
}

async function tenSegments(fs: CountingFileSystem) {
  const { open } = fixture({}, fs)
  const db = await open({}, APART)
  for (let segment = 0; segment < 10; segment++) {
    for (let i = 0; i < 100; i++) await db.put(`key${segment * 7 + i}`, `value${i}`)
    await db.flush()
  }
  await db.close()
  // Opened anew: no reader knows anything yet.
  const again = await open({}, APART)
  fs.segmentsOpened = 0
  fs.segmentReads = 0
  return again
}

test('a caught-up poll opens no segment and reads no block', async () => {
  const fs = new CountingFileSystem()
  const db = await tenSegments(fs)
  const scan = db.scanSinceSeqno(db.history().latest + 1)
  expect(await scan.nextBatch()).toEqual([])
  expect(scan.stats).toMatchObject({
    segmentsTotal: 10,
    segmentsSkipped: 10,
    blocksRead: 0,
    bytesRead: 0,
  })
  expect(fs.segmentsOpened).toBe(0)
  expect(fs.segmentReads).toBe(0)
  await db.close()
})

test('of ten segments the nine that cannot hold what is asked for are left unopened', async () => {
  const fs = new CountingFileSystem()
  const db = await tenSegments(fs)
  const scan = db.scanSinceSeqno(901)
  const events = await scan.nextBatch(1000)
  expect(events.map(({ seqno }) => seqno)).toEqual(Array.from({ length: 100 }, (_, i) => 901 + i))
  expect(scan.stats).toMatchObject({ segmentsTotal: 10, segmentsSkipped: 9, eventsDelivered: 100 })
  expect(scan.stats.blocksRead).toBeGreaterThan(0)
  expect(fs.segmentsOpened).toBe(1)
  await db.close()
})

test('without skipping every segment is read, and the events are the same', async () => {
  const fs = new CountingFileSystem()
  const db = await tenSegments(fs)
  const skipping = await db.scanSinceSeqno(950).nextBatch(1000)
  const scan = db.scanSinceSeqno(950, { skip: false })
  expect(await scan.nextBatch(1000)).toEqual(skipping)
  expect(scan.stats.segmentsSkipped).toBe(0)
  expect(scan.stats.blocksRead).toBe(scan.stats.blocksTotal)
  expect(fs.segmentsOpened).toBe(10)
  await db.close()
})
