import { describe, expect, test } from 'vitest'
import { NO_COMMIT } from '../../src/base/commit-table.ts'
import type { EntryIterator } from '../../src/base/entry-iterator.ts'
import { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { EntryArena } from '../../src/segment/entry-arena.ts'
import { ABSENT, BLOCKED, FOUND, FoundEntry } from '../../src/segment/segment-reader.ts'
import {
  hashOf,
  makeSegment,
  type ModelEntry,
  type ModelShape,
  modelFind,
  openSegment,
  randomFrom,
  writeSegment,
} from './segment-model.ts'

const SMALL: ModelShape = {
  entries: 2500,
  keys: 700,
  valueBytesMax: 60,
  derivedPercent: 10,
  withMetas: true,
}

function isAt(iterator: EntryIterator, entry: ModelEntry, ordinal: number): boolean {
  const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = iterator
  return (
    entry.key.compare(keyBytes, keyStart, keyEnd) === 0 &&
    entry.value.compare(valueBytes, valueStart, valueEnd) === 0 &&
    iterator.seqno === entry.seqno &&
    iterator.kind === entry.kind &&
    iterator.ordinal === ordinal
  )
}

const VARIANTS = [
  { blockBytes: 512, compression: 'none' },
  { blockBytes: 4096, compression: 'none' },
  { blockBytes: 200_000, compression: 'none' },
  { blockBytes: 2048, compression: 'deflate' },
  { blockBytes: 16_384, compression: 'lz4' },
] as const

describe.each(VARIANTS)('a segment with %j', (options) => {
  const segment = makeSegment(11, SMALL)
  const written = writeSegment(segment, options)

  test.each([
    ['no cache', undefined],
    ['a large cache', 2 ** 22],
    ['a tiny cache', 1],
  ])('finds every version that a snapshot sees, with %s', (_, capacityBytes) => {
    const cache = capacityBytes === undefined ? undefined : new BlockCache({ capacityBytes })
    const reader = openSegment(written, cache)
    const result = new FoundEntry()
    const random = randomFrom(5)
    for (let i = 0; i < 1200; i++) {
      const { key, seqno } = segment.entries[random(segment.entries.length)]!
      const snapshot = seqno + random(60) - 20
      const expected = modelFind(segment, key, snapshot)
      const status = reader.find(key, 0, key.length, hashOf(key), snapshot, true, result)
      const value = Buffer.from(result.bytes.subarray(result.valueStart, result.valueEnd))
      const isRight =
        expected === undefined
          ? status === ABSENT
          : status === FOUND &&
            result.seqno === expected.seqno &&
            result.kind === expected.kind &&
            value.equals(expected.value)
      if (!isRight) expect.fail(`${key.toString('hex')} at ${snapshot}: status ${status}`)
    }
  })

  test('finds no key that is not there', () => {
    const reader = openSegment(written, new BlockCache({ capacityBytes: 2 ** 22 }))
    const result = new FoundEntry()
    for (const { key } of segment.entries.slice(0, 800)) {
      for (const other of [Buffer.concat([key, Buffer.from([0])]), key.subarray(0, -1)]) {
        if (modelFind(segment, other, Infinity) !== undefined) continue
        const status = reader.find(other, 0, other.length, hashOf(other), 1e9, true, result)
        if (status !== ABSENT) expect.fail(`${other.toString('hex')} was found`)
      }
    }
  })

  test('is walked in order, both ways', () => {
    const iterator = openSegment(written, undefined).iterator({ mayRead: true })
    let ordinal = 0
    for (iterator.seekToFirst(); iterator.valid; iterator.next(), ordinal++) {
      if (!isAt(iterator, segment.entries[ordinal]!, ordinal)) expect.fail(`not entry ${ordinal}`)
    }
    expect(ordinal).toBe(segment.entries.length)
    for (iterator.seekToLast(); iterator.valid; iterator.prev()) {
      ordinal--
      if (!isAt(iterator, segment.entries[ordinal]!, ordinal)) expect.fail(`not entry ${ordinal}`)
    }
    expect(ordinal).toBe(0)
  })

  test.each([
    ['reads on the calling thread', true, undefined],
    ['blocks and loads', false, undefined],
    ['blocks and loads beside a cache', false, 2 ** 16],
  ])('is sought and walked from anywhere; the iterator %s', async (_, mayRead, capacityBytes) => {
    const cache = capacityBytes === undefined ? undefined : new BlockCache({ capacityBytes })
    const reader = openSegment(written, cache)
    const iterator = reader.iterator({ mayRead, readAheadBytes: 4096 })
    const { entries } = segment
    const random = randomFrom(99)
    const arrive = async (): Promise<number> => {
      while (iterator.blocked) await iterator.load()
      return iterator.valid ? iterator.ordinal : -1
    }
    for (let i = 0; i < 250; i++) {
      let key = entries[random(entries.length)]!.key
      if (random(2) === 0) key = Buffer.concat([key, Buffer.from([random(256)])])
      if (random(9) === 0) key = Buffer.from([random(256)])
      const lower = entries.findIndex((entry) => Buffer.compare(entry.key, key) >= 0)
      const position = lower < 0 ? entries.length : lower
      let expected: number
      if (random(2) === 0) {
        iterator.seek(key, 0, key.length)
        expected = lower
      } else {
        iterator.seekBefore(key, 0, key.length)
        expected = position - 1
      }
      expect(await arrive()).toBe(expected)
      for (let step = 0; step < 12 && iterator.valid; step++) {
        if (!isAt(iterator, entries[expected]!, expected)) expect.fail(`not entry ${expected}`)
        const forward = random(2) === 0
        if (forward) iterator.next()
        else iterator.prev()
        expected += forward ? 1 : -1
        if (expected === entries.length) expected = -1
        const arrived = await arrive()
        if (arrived !== expected) expect.fail(`at ${arrived} instead of ${expected}`)
      }
      if (random(50) === 0)
        reader.find(key, 0, key.length, hashOf(key), 1e9, true, new FoundEntry())
    }
  })

  test('gives the events of any window of seqnos', async () => {
    const reader = openSegment(written, undefined)
    const events = segment.entries
      .map((entry, ordinal) => ({ ...entry, ordinal }))
      .filter(({ commitId }) => commitId !== NO_COMMIT)
      .sort((a, b) => a.seqno - b.seqno)
    const last = events.at(-1)!.seqno
    const random = randomFrom(3)
    for (let i = 0; i < 60; i++) {
      const from = i === 0 ? 0 : random(last + 5)
      const upTo = i === 0 ? last : from + random(last)
      const limit = i % 3 === 0 ? Infinity : 1 + random(500)
      const wanted = events.filter(({ seqno }) => seqno >= from && seqno <= upTo)
      const run =
        i % 2 === 0 ? reader.eventsSync(from, upTo, limit) : await reader.events(from, upTo, limit)
      expect(run.count).toBeLessThanOrEqual(limit)
      const got = wanted.slice(0, run.count)
      expect([...run.seqnos]).toEqual(got.map(({ seqno }) => seqno))
      expect([...run.ordinals]).toEqual(got.map(({ ordinal }) => ordinal))
      for (let k = 0; k < run.count; k++) {
        const id = run.commitIds[k]!
        const commit = got[k]!.commitId
        const isRight =
          run.commits.first[id] === segment.commits.first[commit] &&
          run.commits.size[id] === segment.commits.size[commit] &&
          run.commits.timeMs[id] === segment.commits.timeMs[commit] &&
          String(run.commits.meta(id)) === String(segment.commits.meta(commit))
        if (!isRight) expect.fail(`event ${run.seqnos[k]} has another commit`)
      }
      // Nothing is left out below `next`.
      const beyond = wanted[run.count]
      if (beyond !== undefined) expect(run.next).toBeLessThanOrEqual(beyond.seqno)
      else expect(run.next).toBe(upTo + 1)
      if (run.count < limit && beyond !== undefined) expect(run.count).toBeGreaterThan(0)
    }
  })

  test.each([true, false])(
    'gathers entries by ordinal until the arena is full',
    async (mayRead) => {
      const reader = openSegment(written, undefined)
      const random = randomFrom(17)
      const arena = new EntryArena({ limitBytes: 20_000, readBytes: 8192 })
      for (const every of [1, 3, 50, 700]) {
        const wanted: number[] = []
        for (let o = random(every); o < segment.entries.length; o += 1 + random(every))
          wanted.push(o)
        const ordinals = Int32Array.from(wanted)
        let done = 0
        while (done < wanted.length) {
          arena.reset()
          const rest = ordinals.subarray(done)
          const { gathered, blocksRead } = await reader.gather(rest, rest.length, arena, mayRead)
          expect(gathered).toBeGreaterThan(0)
          expect(gathered).toBe(arena.count)
          expect(blocksRead).toBeGreaterThan(0)
          for (let row = 0; row < arena.count; row++) {
            const { key, value, kind, seqno } = segment.entries[rest[row]!]!
            const { bytes, keyStart, keyEnd, valueStart, valueEnd } = arena
            const isRight =
              key.compare(bytes, keyStart[row], keyEnd[row]) === 0 &&
              value.compare(bytes, valueStart[row], valueEnd[row]) === 0 &&
              arena.kind[row] === kind &&
              arena.seqno[row] === seqno
            if (!isRight) expect.fail(`row ${row} is not entry ${rest[row]}`)
          }
          done += gathered
        }
      }
    },
  )

  test('tells the commit of every entry by ordinal', () => {
    const { commits, commitOf } = openSegment(written, undefined).commitsByOrdinal()
    segment.entries.forEach(({ commitId }, ordinal) => {
      const id = commitOf[ordinal]!
      if (commitId === NO_COMMIT) expect(id).toBe(NO_COMMIT)
      else expect(commits.first[id]).toBe(segment.commits.first[commitId])
    })
  })
})

test('a lookup that may not read says so, and finds after loading', async () => {
  const segment = makeSegment(2, SMALL)
  const reader = openSegment(writeSegment(segment), new BlockCache({ capacityBytes: 2 ** 20 }))
  const result = new FoundEntry()
  const { key, seqno } = segment.entries[1234]!
  let rounds = 0
  while (reader.find(key, 0, key.length, hashOf(key), seqno, false, result) === BLOCKED) {
    rounds++
    await reader.loadBlocked()
  }
  // Once for the segment, once for the block.
  expect(rounds).toBe(2)
  expect(result.seqno).toBe(seqno)
})

test('range fragments come back and cover', () => {
  const segment = makeSegment(4, { entries: 10, keys: 10, valueBytesMax: 5 })
  const tombstones = [
    { start: Buffer.from('b'), end: Buffer.from('d'), seqno: 90 },
    { start: Buffer.from('c'), end: undefined, seqno: 95 },
  ]
  const ranges = FragmentedRanges.build(tombstones, [])
  const written = writeSegment(segment, {}, ranges)
  const reader = openSegment(written, undefined)
  expect(reader.coveringSeqno(Buffer.from('bb'), 0, 2, 100)).toBe(90)
  expect(reader.coveringSeqno(Buffer.from('z'), 0, 1, 100)).toBe(95)
  expect(reader.coveringSeqno(Buffer.from('z'), 0, 1, 94)).toBe(0)
  expect(written.meta.coverStart).toEqual(Buffer.from('b'))
  expect(written.meta.coverEnd).toBeUndefined()
  expect(written.meta.maxSeqno).toBe(95)
})

test('a segment of nothing but range fragments has no blocks', () => {
  const ranges = FragmentedRanges.build(
    [{ start: Buffer.from('a'), end: Buffer.from('b'), seqno: 4 }],
    [],
  )
  const written = writeSegment({ entries: [], commits: makeSegment(1, SMALL).commits }, {}, ranges)
  const reader = openSegment(written, undefined)
  const key = Buffer.from('a')
  expect(reader.find(key, 0, 1, hashOf(key), 9, true, new FoundEntry())).toBe(ABSENT)
  const iterator = reader.iterator({ mayRead: true })
  iterator.seekToFirst()
  expect(iterator.valid).toBe(false)
  expect(reader.coveringSeqno(key, 0, 1, 9)).toBe(4)
  expect(reader.eventsSync(1, 100, 10)).toMatchObject({ count: 0, next: 101 })
})
