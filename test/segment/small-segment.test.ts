/** A store may be of thousands of small segments: what each takes beside its entries must be as small as it is. */
import { afterEach, expect, test, vi } from 'vitest'
import { ChecksumRun } from '../../src/base/checksum-run.ts'
import { CommitTable } from '../../src/base/commit-table.ts'
import { KIND_INSERT } from '../../src/base/entry-kind.ts'
import { HistorySorter } from '../../src/compaction/history-sorter.ts'
import type { HistoryWriter } from '../../src/compaction/history-writer.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { SegmentWriter } from '../../src/segment/segment-writer.ts'
import { PLAIN } from './segment-model.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Writes entries of about 1,000 bytes; how large the memory was that each of its writes came from. */
function write(entries: number, order: 'key' | 'seqno' = 'key') {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/store')
  const path = '/store/000007.seg'
  const file = fs.create(path)
  const writes: { memory: number; bytes: number }[] = []
  const append = file.append.bind(file)
  file.append = (source, offset, length) => {
    writes.push({ memory: source.buffer.byteLength, bytes: length })
    return append(source, offset, length)
  }
  const commits = new CommitTable()
  const writer = new SegmentWriter(file, { ...PLAIN, order, blockBytes: 4096 })
  for (let i = 0; i < entries; i++) {
    const key = Buffer.from(`key ${String(i).padStart(8, '0')}`)
    const value = Buffer.alloc(950 + (i % 61), i)
    const id = commits.add(i + 1, 1, 5, undefined)
    writer.add(key, 0, key.length, i + 1, KIND_INSERT, value, 0, value.length, commits, id)
  }
  const meta = writer.finish()
  file.close()
  return { writes, reader: () => new SegmentReader(fs.openRead(path), meta, undefined) }
}

test.each(['key', 'seqno'] as const)(
  'a small segment is written from little memory: %s',
  (order) => {
    const { writes } = write(16, order)
    expect(Math.max(...writes.map(({ memory }) => memory))).toBeLessThanOrEqual(2 ** 16)
  },
)

/** Bytes of typed arrays that each of so many things takes while it is held. */
function memoryOfEach<T>(make: () => T): number {
  const count = 200
  const before = process.memoryUsage().arrayBuffers
  const held = Array.from({ length: count }, make)
  const { arrayBuffers } = process.memoryUsage()
  expect(held.length).toBe(count)
  return (arrayBuffers - before) / count
}

test.each(['key', 'seqno'] as const)('nothing else of its writer is large: %s', (order) => {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/store')
  const file = fs.create('/store/000007.seg')
  const options = { ...PLAIN, order, blockBytes: 512 }
  expect(memoryOfEach(() => new SegmentWriter(file, options))).toBeLessThan(2 ** 16)
})

test('a compaction that supersedes nothing sets no memory aside for it', () => {
  const unused = {} as HistoryWriter
  expect(memoryOfEach(() => new HistorySorter(unused, 2 ** 25))).toBeLessThan(2 ** 13)
})

test('the events of a history segment are all there, however its columns grew', () => {
  for (const entries of [256, 257, 8192, 8193, 20_000]) {
    const reader = write(entries, 'seqno').reader()
    reader.openSync()
    const { seqnos, count } = reader.eventsSync(0, 1e9, 1e9)
    expect(count).toBe(entries)
    expect(seqnos.subarray(0, count).every((seqno, i) => seqno === i + 1)).toBe(true)
  }
})

test('the buffer of a large segment becomes as large as a write, by few steps', () => {
  const { writes } = write(16_000)
  const large = writes.filter(({ bytes }) => bytes > 2 ** 19)
  expect(large.length).toBe(15)
  expect(Math.min(...large.map(({ bytes }) => bytes))).toBeGreaterThanOrEqual(2 ** 20)
  expect(new Set(large.map(({ memory }) => memory))).toEqual(new Set([2 ** 20 + 2 * 4096]))
})

test('blocks are summed together only where they are many', async () => {
  const begin = vi.spyOn(ChecksumRun.prototype, 'begin')
  for (const [entries, isSummed] of [
    [16, false],
    [200, false],
    [2000, true],
  ] as const) {
    begin.mockClear()
    const reader = write(entries).reader()
    await reader.open()
    const iterator = reader.iterator({ mayRead: true })
    let seen = 0
    for (iterator.seekToFirst(); iterator.valid; iterator.next()) seen++
    iterator.close()
    expect(seen).toBe(entries)
    expect(begin.mock.calls.length > 0).toBe(isSummed)
  }
})
