/**
 * What readers of segments leave in memory for the next ones.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockCache } from '../../src/block/block-cache.ts'
import type { ChangeEvent } from '../../src/cdc/change-event.ts'
import type { ScanOptions } from '../../src/cdc/change-options.ts'
import { EventPages } from '../../src/cdc/event-pages.ts'
import { type ChangeScan, scanSinceSeqno } from '../../src/cdc/scan.ts'
import { openTail } from '../../src/cdc/tail.ts'
import { put } from '../memtable/commits.ts'
import { collect, expected, FakeStore, lines } from './fake-store.ts'
import { Disk, stored, writeAll } from './segment-files.ts'

const CACHE_BYTES = 4 * 2 ** 20

function remembering(cacheBytes = CACHE_BYTES): {
  store: FakeStore
  disk: Disk
  cache: BlockCache
} {
  const disk = new Disk()
  const store = stored(disk)
  const cache = new BlockCache({ capacityBytes: cacheBytes })
  store.pages = new EventPages(cache)
  return { store, disk, cache }
}

async function read(scan: ChangeScan, batch: number): Promise<ChangeEvent[]> {
  if (batch === 0) return await collect(scan)
  const events: ChangeEvent[] = []
  for (;;) {
    const next = await scan.nextBatch(batch)
    if (next.length === 0) return events
    events.push(...next)
  }
}

/** What a scan of everything would have counted, but for bytes. */
function counted({ stats }: ChangeScan): object {
  return { ...stats, bytesRead: 0 }
}

describe('the second scan of the same events', () => {
  test('reads no byte of a file, yields the same and counts the same blocks', async () => {
    const { store } = remembering()
    const { latest } = store
    for (const from of [1, 2, 255, 256, 257, latest - 40, latest]) {
      store.pages = new EventPages(new BlockCache({ capacityBytes: CACHE_BYTES }))
      const first = scanSinceSeqno(store, from)
      expect(lines(await collect(first))).toEqual(expected(store, from, latest))
      expect(first.stats.bytesRead).toBeGreaterThan(0)
      const second = scanSinceSeqno(store, from)
      expect(lines(await collect(second)), `from ${from}`).toEqual(expected(store, from, latest))
      expect(second.stats.bytesRead, `from ${from}`).toBe(0)
      expect(counted(second)).toEqual(counted(first))
    }
  })

  test('opens no segment', async () => {
    const { store, disk } = remembering()
    await collect(scanSinceSeqno(store, 300))
    for (const reader of store.readers) reader.release()
    disk.fs.corrupt('/s/000002.seg', 700, Uint8Array.of(0xff, 0x01, 0x7e))
    expect(lines(await collect(scanSinceSeqno(store, 300)))).toEqual(
      expected(store, 300, store.latest),
    )
    expect(store.readers.every(({ isOpen }) => !isOpen)).toBe(true)
    expect(store.openViews).toBe(0)
  })

  test('gives what no caller has written to', async () => {
    const { store } = remembering()
    for (let pass = 0; pass < 3; pass++) {
      const events = await collect(scanSinceSeqno(store, 200))
      expect(lines(events)).toEqual(expected(store, 200, store.latest))
      for (const event of events) {
        event.commitMeta?.fill(0)
        if ('key' in event) event.key.fill(0)
        if ('value' in event) event.value.fill(0)
        if ('startKey' in event) event.startKey.fill(0)
      }
    }
  })

  test('with any window, limit and filter yields what the log says', async () => {
    const { store } = remembering()
    const plain = stored(new Disk())
    const { latest } = store
    const seqno = fc.integer({ min: 1, max: latest })
    const scans = fc.record({
      from: seqno,
      upTo: fc.option(seqno, { nil: undefined }),
      limit: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
      batch: fc.constantFrom(0, 1, 7, 100, 1000),
      filter: fc.constantFrom<Pick<ScanOptions, 'keyspaces' | 'types' | 'range'>>(
        {},
        {},
        { keyspaces: ['other'] },
        { types: ['MergeOperand', 'RangeTombstone'] },
        { range: { gte: 'key 2', lt: 'key 4' } },
      ),
      memoryBudgetBytes: fc.constantFrom(1, 3000, 32 * 2 ** 20),
    })
    await fc.assert(
      fc.asyncProperty(scans, async ({ from, upTo, limit, batch, filter, memoryBudgetBytes }) => {
        const options = {
          ...filter,
          ...(upTo !== undefined && { upTo }),
          ...(limit !== undefined && { limit }),
          memoryBudgetBytes,
        }
        const scan = scanSinceSeqno(store, from, options)
        const other = scanSinceSeqno(plain, from, options)
        const [events, same] = [await read(scan, batch), await read(other, batch)]
        expect(lines(events)).toEqual(lines(same))
        expect(scan.position).toBe(other.position)
        expect(scan.stats.blocksRead).toBeLessThanOrEqual(scan.stats.blocksTotal)
      }),
      { numRuns: 300 },
    )
  })
})

describe('nothing is kept', () => {
  test('of what files no longer hold as they did: a compaction makes the next scan read again', async () => {
    const { store, disk } = remembering()
    await collect(scanSinceSeqno(store, 100))
    store.replaceSegments([], writeAll(disk, store))
    const scan = scanSinceSeqno(store, 100)
    expect(lines(await collect(scan))).toEqual(expected(store, 100, store.latest))
    expect(scan.stats.bytesRead).toBeGreaterThan(0)
    const again = scanSinceSeqno(store, 100)
    await collect(again)
    expect(again.stats.bytesRead).toBe(0)
  })

  test('with skip: false, nor taken', async () => {
    const { store } = remembering()
    for (const skip of [false, true, false]) {
      const scan = scanSinceSeqno(store, 100, { skip })
      expect(lines(await collect(scan))).toEqual(expected(store, 100, store.latest))
      expect(scan.stats.bytesRead).toBeGreaterThan(0)
      if (!skip) expect(scan.stats.blocksRead).toBe(scan.stats.blocksTotal)
    }
  })

  test('of a filtered scan', async () => {
    const { store, cache } = remembering()
    await collect(scanSinceSeqno(store, 1, { types: ['Insert'] }))
    expect(cache.stats.bytes).toBe(0)
  })

  test('of a scan that would fill more than a quarter of the cache', async () => {
    const { store, cache } = remembering(2 ** 18)
    await collect(scanSinceSeqno(store, 1))
    expect(cache.stats.bytes).toBe(0)
    await collect(scanSinceSeqno(store, store.latest - 100))
    expect(cache.stats.bytes).toBeGreaterThan(0)
  })

  test('without a cache', async () => {
    const { store, cache } = remembering(0)
    for (let pass = 0; pass < 3; pass++) {
      expect(lines(await collect(scanSinceSeqno(store, 500)))).toEqual(
        expected(store, 500, store.latest),
      )
    }
    expect(cache.stats.bytes).toBe(0)
  })

  test('of values in blob files, which may be collected', async () => {
    const store = new FakeStore()
    store.pages = new EventPages(new BlockCache({ capacityBytes: CACHE_BYTES }))
    for (let i = 0; i < 300; i++) store.commit([put(`key ${i}`, 'v'.repeat(i < 256 ? 10 : 200), 1)])
    store.flush({ blobThreshold: 100 })
    const passes: number[] = []
    for (let pass = 0; pass < 2; pass++) {
      const before = store.segments[0]!.gathers
      expect(lines(await collect(scanSinceSeqno(store, 1)))).toEqual(expected(store, 1, 300))
      passes.push(store.segments[0]!.gathers - before)
    }
    expect(passes).toEqual([1, 1])
    store.compact({ blobThreshold: 100 })
    expect(lines(await collect(scanSinceSeqno(store, 1)))).toEqual(expected(store, 1, 300))
  })
})

test('in a full cache a page is kept when it is asked for the second time', async () => {
  const { store, cache } = remembering(2 ** 20)
  const other = cache.open(1000)
  for (let block = 0; block < 1000; block++) cache.reserve(other, block, 2048)
  expect(cache.hasRoom(2 ** 14)).toBe(false)
  const bytesRead: number[] = []
  for (let pass = 0; pass < 3; pass++) {
    const scan = scanSinceSeqno(store, store.latest - 150)
    await collect(scan)
    bytesRead.push(scan.stats.bytesRead)
  }
  expect(bytesRead[0]).toBeGreaterThan(0)
  expect(bytesRead.slice(1)).toEqual([bytesRead[0], 0])
  expect(cache.stats.bytes).toBeLessThanOrEqual(2 ** 20)
})

test('a tail hands out what a scan has read before', async () => {
  const { store } = remembering()
  await collect(scanSinceSeqno(store, 100))
  for (const reader of store.readers) reader.release()
  const tail = openTail(store, store.feed, { from: 100 })
  const events: ChangeEvent[] = []
  for await (const batch of tail) {
    events.push(...batch.events)
    if (batch.next > store.latest) break
  }
  expect(lines(events)).toEqual(expected(store, 100, store.latest))
  expect(store.readers.every(({ isOpen }) => !isOpen)).toBe(true)
  expect(store.openViews).toBe(0)
})
