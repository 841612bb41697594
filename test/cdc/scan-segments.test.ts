/**
 * Scans over segment files as they are on a disk.
 */
import { describe, expect, test } from 'vitest'
import { scanSinceSeqno } from '../../src/cdc/scan.ts'
import { seqnoAt } from '../../src/cdc/seqno-at.ts'
import { collect, expected, lines } from './fake-store.ts'
import { Disk, stored } from './segment-files.ts'

describe('a scan over segment files', () => {
  test('yields every event from every start, in windows of any size', async () => {
    const store = stored(new Disk())
    const { latest } = store
    for (const memoryBudgetBytes of [1, 3000, 20_000, 32 * 2 ** 20, Number.MAX_SAFE_INTEGER]) {
      const starts = memoryBudgetBytes < 3000 ? [latest - 20] : [1, 2, 77, latest - 100, latest]
      for (const from of starts) {
        const scan = scanSinceSeqno(store, from, { memoryBudgetBytes })
        expect(lines(await collect(scan)), `${from} ${memoryBudgetBytes}`).toEqual(
          expected(store, from, latest),
        )
        expect(scan.stats.eventsDelivered).toBe(latest - from + 1)
        expect(scan.stats.blocksRead).toBeLessThanOrEqual(scan.stats.blocksTotal)
      }
    }
  })

  test('reads fewer blocks for fewer events, and every one with skip: false', async () => {
    const store = stored(new Disk())
    const { latest } = store
    const few = scanSinceSeqno(store, latest - 3)
    expect(lines(await collect(few))).toEqual(expected(store, latest - 3, latest))
    expect(few.stats.blocksRead).toBeLessThanOrEqual(8)
    expect(few.stats.segmentsSkipped).toBeGreaterThanOrEqual(2)
    const all = scanSinceSeqno(store, latest - 3, { skip: false })
    expect(lines(await collect(all))).toEqual(expected(store, latest - 3, latest))
    expect(all.stats.segmentsSkipped).toBe(0)
    expect(all.stats.blocksRead).toBe(all.stats.blocksTotal)
    expect(all.stats.blocksTotal).toBe(
      store.readers.reduce((sum, { blockCount }) => sum + blockCount, 0),
    )
  })

  test('reads no file for a caught-up poll', async () => {
    const disk = new Disk()
    const store = stored(disk)
    const scan = scanSinceSeqno(store, store.latest + 1)
    expect(await scan.nextBatch()).toEqual([])
    expect(store.readers.every(({ isOpenForChanges }) => !isOpenForChanges)).toBe(true)
  })

  test('refuses a block that rotted, with file and offset', async () => {
    const disk = new Disk()
    const store = stored(disk)
    disk.fs.corrupt('/s/000002.seg', 700, Uint8Array.of(0xff, 0x01, 0x7e))
    await expect(collect(scanSinceSeqno(store, 1))).rejects.toMatchObject({
      code: 'VARVE_CORRUPTION',
      details: { file: '/s/000002.seg' },
    })
    expect(store.openViews).toBe(0)
    expect(store.held).toEqual([])
  })

  test('knows the times of events in files', async () => {
    const store = stored(new Disk())
    for (const entry of store.log.filter((_, i) => i % 29 === 0)) {
      expect(await seqnoAt(store, entry.commit!.timeMs)).toBe(entry.commit!.first)
    }
  })
})
