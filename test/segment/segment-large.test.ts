/** Keys and values of every size: one entry may be larger than a block, a read-ahead buffer, or the cache. */
import { describe, expect, test } from 'vitest'
import { CommitTable } from '../../src/base/commit-table.ts'
import { KEY_BYTES_MAX, KIND_INSERT } from '../../src/base/entry-kind.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { EntryArena } from '../../src/segment/entry-arena.ts'
import { BLOCKED, FOUND, FoundEntry } from '../../src/segment/segment-reader.ts'
import { hashOf, type ModelSegment, openSegment, writeSegment } from './segment-model.ts'

/** Around every bound there is: blocks, direct writes, slots of the cache, read-ahead, write buffer. */
const SIZES = [0, 127, 128, 1000, 5000, 65_500, 65_537, 262_143, 262_144, 1_048_576, 3_000_000]

function largeSegment(keyBytes: number): ModelSegment {
  const commits = new CommitTable()
  const entries = SIZES.flatMap((size, i) =>
    [0, 1, 2].map((n) => {
      const seqno = 100 - (i * 3 + n)
      const key = Buffer.alloc(keyBytes, 'k')
      key.write(`${String.fromCharCode(97 + i)}${n}`, keyBytes - 2)
      const value = Buffer.alloc(n === 1 ? size : 3, `value ${size} `)
      return { key, seqno, kind: KIND_INSERT, value, commitId: commits.add(seqno, 1, 5, undefined) }
    }),
  )
  return { entries, commits }
}

describe.each([
  { keyBytes: 10, compression: 'none', cacheBytes: 2 ** 23 },
  { keyBytes: 10, compression: 'none', cacheBytes: 0 },
  { keyBytes: KEY_BYTES_MAX, compression: 'none', cacheBytes: 2 ** 20 },
  { keyBytes: 300, compression: 'lz4', cacheBytes: 2 ** 20 },
  { keyBytes: 300, compression: 'deflate', cacheBytes: 0 },
] as const)('entries of every size, %j', ({ keyBytes, compression, cacheBytes }) => {
  const segment = largeSegment(keyBytes)
  const written = writeSegment(segment, { compression, blockBytes: 4096 })

  test('are found, from memory or after loading', async () => {
    const reader = openSegment(written, new BlockCache({ capacityBytes: cacheBytes }))
    for (const mayRead of [false, true, false]) {
      for (const { key, seqno, value } of segment.entries) {
        const result = new FoundEntry()
        const hash = hashOf(key)
        let rounds = 0
        let status = reader.find(key, 0, key.length, hash, seqno, mayRead, result)
        while (status === BLOCKED && rounds++ < 5) {
          await reader.loadBlocked()
          status = reader.find(key, 0, key.length, hash, seqno, mayRead, result)
        }
        expect(status).toBe(FOUND)
        expect(value.compare(result.bytes, result.valueStart, result.valueEnd)).toBe(0)
      }
    }
  })

  test.each([true, false])('are walked both ways, reading ahead; may read: %s', async (mayRead) => {
    const iterator = openSegment(written).iterator({ mayRead, readAheadBytes: 100_000 })
    const values: number[] = []
    const settle = async (): Promise<void> => {
      while (iterator.blocked) await iterator.load()
    }
    iterator.seekToFirst()
    for (await settle(); iterator.valid; iterator.next(), await settle()) {
      const { value, key } = segment.entries[iterator.ordinal]!
      values.push(iterator.ordinal)
      expect(value.compare(iterator.valueBytes, iterator.valueStart, iterator.valueEnd)).toBe(0)
      expect(key.compare(iterator.keyBytes, iterator.keyStart, iterator.keyEnd)).toBe(0)
    }
    iterator.seekToLast()
    for (await settle(); iterator.valid; iterator.prev(), await settle()) {
      expect(iterator.ordinal).toBe(values.pop())
      const { value } = segment.entries[iterator.ordinal]!
      expect(value.compare(iterator.valueBytes, iterator.valueStart, iterator.valueEnd)).toBe(0)
    }
    expect(values).toEqual([])
  })

  test('are gathered, at least one at a time', async () => {
    const reader = openSegment(written)
    const arena = new EntryArena({ limitBytes: 1000 })
    const ordinals = Int32Array.from(segment.entries.keys())
    let done = 0
    while (done < ordinals.length) {
      arena.reset()
      const rest = ordinals.subarray(done)
      const { gathered } = await reader.gather(rest, rest.length, arena, true)
      for (let row = 0; row < gathered; row++) {
        const { value } = segment.entries[done + row]!
        expect(value.compare(arena.bytes, arena.valueStart[row], arena.valueEnd[row])).toBe(0)
      }
      done += gathered
      expect(gathered).toBeGreaterThan(0)
    }
  })

  test('are verified without a problem', async () => {
    expect(await openSegment(written).verify()).toEqual([])
  })
})

test('versions of one key that fill many blocks are each found at their snapshot', async () => {
  const commits = new CommitTable()
  const id = commits.add(1, 5000, 5, undefined)
  const entry = (key: string, seqno: number) => ({
    key: Buffer.from(key),
    seqno,
    kind: KIND_INSERT,
    value: Buffer.from(`${key} ${seqno}`),
    commitId: id,
  })
  const hot = Array.from({ length: 2000 }, (_, i) => entry('hot', 4000 - 2 * i))
  const segment = { entries: [entry('a', 9), ...hot, entry('hot!', 3), entry('z', 7)], commits }
  const written = writeSegment(segment, { blockBytes: 512 })
  const reader = openSegment(written, new BlockCache({ capacityBytes: 2 ** 20 }))
  const key = Buffer.from('hot')
  const result = new FoundEntry()
  for (let snapshot = 4003; snapshot >= 2; snapshot--) {
    const status = reader.find(key, 0, 3, hashOf(key), snapshot, true, result)
    const expected = Math.min(4000, snapshot - (snapshot % 2))
    if (status !== FOUND || result.seqno !== expected)
      expect.fail(`at ${snapshot}: ${result.seqno}`)
  }
  expect(reader.find(key, 0, 3, hashOf(key), 1, true, result)).toBe(0)
  const iterator = reader.iterator({ mayRead: true })
  iterator.seek(key, 0, 3)
  expect(iterator.ordinal).toBe(1)
  iterator.seekBefore(Buffer.from('hot!'), 0, 4)
  expect(iterator.ordinal).toBe(2000)
  expect(await reader.verify()).toEqual([])
})
