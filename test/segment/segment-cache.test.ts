import { describe, expect, test } from 'vitest'
import { BlobReader } from '../../src/blob/blob-reader.ts'
import { BlobWriter } from '../../src/blob/blob-writer.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { FileCache } from '../../src/env/file-cache.ts'
import { SegmentCache } from '../../src/segment/segment-cache.ts'
import { FOUND, FoundEntry } from '../../src/segment/segment-reader.ts'
import { hashOf, makeSegment, writeSegment } from './segment-model.ts'

const SEGMENT = makeSegment(6, { entries: 500, keys: 200, valueBytesMax: 40 })

function setUp(residentBytesMax?: number): {
  readers: SegmentCache
  files: FileCache
  meta: ReturnType<typeof writeSegment>['meta']
} {
  const { fs, meta } = writeSegment(SEGMENT)
  const file = fs.create('/store/000009.blob')
  const writer = new BlobWriter(file, 9)
  writer.append(1, Buffer.from('a value'), 0, 7)
  writer.finish()
  file.close()
  const files = new FileCache(fs, { openFilesMax: 4 })
  const openBlob = (...args: ConstructorParameters<typeof BlobReader>): BlobReader =>
    new BlobReader(...args)
  const options = residentBytesMax === undefined ? { openBlob } : { openBlob, residentBytesMax }
  const cache = new BlockCache({ capacityBytes: 2 ** 20 })
  return { readers: new SegmentCache(files, '/store', cache, options), files, meta }
}

describe('the segment cache', () => {
  test('gives one reader a file and opens nothing by itself', () => {
    const { readers, files, meta } = setUp()
    expect(readers.reader(meta)).toBe(readers.reader(meta))
    expect(readers.blob(9)).toBe(readers.blob(9))
    expect(files.openFileCount).toBe(0)
    expect(readers.blob(9).readSync({ file: 9, offset: 20, length: 7 }).toString()).toBe('a value')
  })

  test('lets go of a file that is forgotten, and of its blocks', () => {
    const { readers, files, meta } = setUp()
    readers.reader(meta).openSync()
    readers.blob(9).readSync({ file: 9, offset: 20, length: 7 })
    expect(files.openFileCount).toBe(2)
    readers.forget(meta.number)
    readers.forget(9)
    readers.forget(12345)
    expect(files.openFileCount).toBe(0)
    expect(readers.residentBytes).toBe(0)
  })

  test('iterators that have ended pass on the buffer that they read into, but not while it is read into', async () => {
    const { readers, meta } = setUp()
    const { spares } = readers.blocks
    const reader = readers.reader(meta)
    reader.openSync()
    const walk = reader.iterator({ mayRead: true })
    walk.seekToFirst()
    expect(walk.valid).toBe(true)
    const used = walk.valueBytes
    walk.close()
    walk.close()
    expect(spares.take(100)).toBe(used)
    expect(spares.take(100)).not.toBe(used)
    spares.give(used)

    const late = reader.iterator({ mayRead: false })
    late.seekToFirst()
    expect(late.blocked).toBe(true)
    const loading = late.load()
    late.close()
    const another = spares.take(100)
    another.fill(7)
    await loading
    expect(another.every((byte) => byte === 7)).toBe(true)
    spares.give(another)
    const last = reader.iterator({ mayRead: true })
    last.seekToFirst()
    expect(last.valueBytes).toBe(another)
  })

  test('takes memory back from readers that were not asked for lately; they open again', () => {
    const { readers, meta } = setUp(0)
    const reader = readers.reader(meta)
    reader.openSync()
    expect(readers.residentBytes).toBeGreaterThan(0)
    readers.releaseUnused()
    expect(reader.isOpen).toBe(true)
    readers.releaseUnused()
    expect(reader.isOpen).toBe(false)
    const { key, seqno } = SEGMENT.entries[3]!
    const status = reader.find(key, 0, key.length, hashOf(key), seqno, true, new FoundEntry())
    expect(status).toBe(FOUND)
  })

  test('an iterator outlives the release of its reader', () => {
    const { readers, meta } = setUp()
    const reader = readers.reader(meta)
    const iterator = reader.iterator({ mayRead: true, readAheadBytes: 2048 })
    iterator.seekToFirst()
    reader.release()
    let entries = 0
    for (; iterator.valid; iterator.next()) entries++
    expect(entries).toBe(SEGMENT.entries.length)
  })
})
