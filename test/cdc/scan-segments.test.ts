/**
 * Scans over segment files as they are on a disk.
 */
import { describe, expect, test } from 'vitest'
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { KIND_MASK, KIND_RANGE_DELETE } from '../../src/base/entry-kind.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { scanSinceSeqno } from '../../src/cdc/scan.ts'
import { seqnoAt } from '../../src/cdc/seqno-at.ts'
import { segmentFileName } from '../../src/env/file-names.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { SegmentWriter } from '../../src/segment/segment-writer.ts'
import { merge, put, remove, removeRange } from '../memtable/commits.ts'
import { collect, derived, expected, type FakeEntry, FakeStore, lines } from './fake-store.ts'

class Disk {
  readonly fs = new MemoryFileSystem()
  readonly cache = new BlockCache({ capacityBytes: 2 ** 18 })
  #number = 0

  constructor() {
    this.fs.makeDirectory('/s')
  }

  /** One file of these entries; those without a commit are no events. */
  write(entries: readonly FakeEntry[], order: 'key' | 'seqno'): SegmentReader {
    const number = ++this.#number
    const path = `/s/${segmentFileName(number)}`
    const file = this.fs.create(path)
    const writer = new SegmentWriter(file, {
      number,
      keyspaceId: entries[0]!.keyspaceId,
      order,
      blockBytes: 512,
      compression: number % 2 === 0 ? 'none' : 'deflate',
      bloomBitsPerKey: 10,
    })
    const commits = new CommitTable()
    const sorted = entries.toSorted((a, b) =>
      order === 'seqno' ? a.seqno - b.seqno : a.key.compare(b.key) || b.seqno - a.seqno,
    )
    for (const { key, value, kind, seqno, commit } of sorted) {
      const id =
        commit === undefined
          ? NO_COMMIT
          : commits.add(commit.first, commit.size, commit.timeMs, commit.meta)
      writer.add(key, 0, key.length, seqno, kind, value, 0, value.length, commits, id)
    }
    const meta = writer.finish()
    file.close()
    return new SegmentReader(this.fs.openRead(path), meta, this.cache)
  }
}

/** A store with 400 commits, all of them in files: some keys' newest versions live, the rest in history. */
function stored(disk: Disk): FakeStore {
  const store = new FakeStore()
  for (let i = 0; i < 400; i++) {
    const keyspaceId = 1 + (i % 2)
    const operations = [put(`key ${(i * 37) % 90}`, 'v'.repeat((i * 13) % 200), keyspaceId)]
    if (i % 5 === 0)
      operations.push(merge(`count ${i % 3}`, `+${i}`, 1), remove(`key ${i % 50}`, 2))
    if (i % 31 === 0) operations.push(removeRange('key 1', 'key 3', keyspaceId))
    store.commit(operations, i % 7 === 0 ? { meta: `origin ${i % 4}` } : {})
  }
  const readers: SegmentReader[] = []
  for (const keyspaceId of [1, 2]) {
    const own = store.log.filter((entry) => entry.keyspaceId === keyspaceId)
    const newest = new Map(own.map((entry) => [entry.key.toString(), entry.seqno]))
    const isLive = ({ kind, key, seqno }: FakeEntry): boolean =>
      (kind & KIND_MASK) !== KIND_RANGE_DELETE && newest.get(key.toString()) === seqno
    const live = own.filter(isLive)
    const half = live.length / 2
    const byKey = live.toSorted((a, b) => a.key.compare(b.key))
    // One live entry that was made by folding: it stands for reading only.
    const folded = { ...derived(byKey[0]!), seqno: store.latest }
    readers.push(disk.write([...byKey.slice(0, half), folded], 'key'))
    readers.push(disk.write(byKey.slice(half), 'key'))
    const history = own.filter((entry) => !isLive(entry))
    readers.push(disk.write(history.slice(0, 150), 'seqno'))
    readers.push(disk.write(history.slice(150), 'seqno'))
  }
  store.flush()
  store.replaceSegments([], readers)
  return store
}

describe('a scan over segment files', () => {
  test('yields every event from every start, in windows of any size', async () => {
    const store = stored(new Disk())
    const { latest } = store
    for (const memoryBudgetBytes of [1, 3000, 20_000, 32 * 2 ** 20]) {
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
    expect(store.readers.every(({ isOpen }) => !isOpen)).toBe(true)
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
