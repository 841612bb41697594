import { expect, test } from 'vitest'
import {
  FLAG_BLOB,
  FLAG_DROPS_KEYSPACE,
  FLAG_OPEN_END,
  KIND_RANGE_DELETE,
} from '../../src/base/entry-kind.ts'
import { merge, put, remove, removeRange } from '../memtable/commits.ts'
import { NEVER, TinyTree } from './tiny-tree.ts'

const K = 1

test('a flush writes the newest versions to level 0, and what they superseded to history in seqno order', async () => {
  const tree = new TinyTree([{}])
  tree.write([put('b', '1', K), put('a', '1', K)], 'origin')
  tree.write([put('a', '2', K)])
  tree.write([remove('b', K)])
  const result = await tree.flush()
  expect(result.added.map(({ level, meta }) => [level, meta.entries, meta.order])).toEqual([
    [0, 2, 'key'],
    ['history', 2, 'seqno'],
  ])
  expect(tree.entries(result.added[1]!.meta).map(({ seqno }) => seqno)).toEqual([1, 2])
  expect(result.entries).toBe(4)
  await tree.check()
})

test('a flush folds counters: one derived entry is live, every operand is in history', async () => {
  const tree = new TinyTree([{ mergeOperator: 'append' }])
  tree.write([put('k', 'x', K)])
  for (let i = 0; i < 50; i++) tree.write([merge('k', String(i % 10), K), merge('n', 'y', K)])
  const result = await tree.flush()
  const [live, history] = result.added
  expect(live!.meta).toMatchObject({ entries: 2, derivedEntries: 2, events: 0 })
  expect(history!.meta.events).toBe(101)
  await tree.check()
})

test('a range delete goes to history with its bounds, and shadows by fragments', async () => {
  const tree = new TinyTree([{}])
  tree.write([put('a', '1', K), put('c', '1', K), put('e', '1', K)])
  await tree.flush()
  tree.write([removeRange('b', 'd', K), put('bb', '2', K)])
  tree.write([removeRange('x', undefined, K)])
  const { added } = await tree.flush()
  expect(added.map(({ level, meta }) => [level, meta.entries, meta.rangeFragments])).toEqual([
    [0, 1, 2],
    ['history', 2, 0],
  ])
  await tree.check()
  expect([...tree.state(K, NEVER).keys()]).toEqual(['a', 'e', 'bb'])
  await tree.compactAll()
  await tree.check()
  const live = tree.files(K).levels[6]!
  expect(live.map((meta) => [meta.entries, meta.rangeFragments, meta.pointTombstones])).toEqual([
    [3, 0, 0],
  ])
})

test('a memtable with range deletes only becomes a segment of fragments', async () => {
  const tree = new TinyTree([{}])
  tree.write([removeRange('b', 'd', K)])
  const { added } = await tree.flush()
  expect(added.map(({ level, meta }) => [level, meta.entries, meta.rangeFragments])).toEqual([
    [0, 0, 1],
    ['history', 1, 0],
  ])
  await tree.compactAll()
  await tree.check()
  expect(tree.segments.map(({ level }) => level)).toEqual(['history'])
})

test('below the drop floor what is superseded is gone', async () => {
  const tree = new TinyTree([{}])
  for (let i = 0; i < 10; i++) tree.write([put('k', String(i), K)])
  tree.write([removeRange('x', 'y', K)])
  tree.dropFloor = 9
  await tree.flush()
  expect([...(await tree.events()).keys()].sort((a, b) => a - b)).toEqual([9, 10, 11])
  tree.dropFloor = 100
  await tree.compactAll()
  tree.expire()
  expect([...(await tree.events()).keys()]).toEqual([])
  expect(tree.state(K, NEVER)).toEqual(new Map([['k', '9']]))
})

test('a dropped keyspace leaves nothing live: all of it goes to history', async () => {
  const tree = new TinyTree([{}, {}])
  tree.write([put('a', '1', 1), put('a', '1', 2), put('a', '2', 2)])
  await tree.flush()
  tree.write([put('b', '1', 1), put('b', '1', 2)])
  const kind = KIND_RANGE_DELETE | FLAG_OPEN_END | FLAG_DROPS_KEYSPACE
  tree.write([{ kind, keyspaceId: 2, key: Buffer.alloc(0), value: Buffer.alloc(0) }])
  const { added } = await tree.flush()
  expect(added.map(({ keyspaceId, level, meta }) => [keyspaceId, level, meta.events])).toEqual([
    [1, 0, 1],
    [2, 'history', 2],
  ])
  await tree.check()
})

test('large values go to a blob file, from the live tree and from history, folded ones too', async () => {
  const tree = new TinyTree([{ blobThresholdBytes: 100, mergeOperator: 'append' }])
  const large = 'x'.repeat(150)
  tree.write([put('a', large, K), put('b', 'small', K)])
  tree.write([put('a', `${large}2`, K)])
  tree.write([put('c', 'y'.repeat(60), K), merge('c', 'z'.repeat(60), K)])
  tree.write([merge('d', large, K)])
  const { added, blobs } = await tree.flush()
  expect(blobs.length).toBe(1)
  expect(blobs[0]!.frames).toBe(4)
  const flags = tree
    .entries(added[0]!.meta)
    .map(({ key, kind }) => [String(key), (kind & FLAG_BLOB) !== 0])
  expect(flags).toEqual([
    ['a', true],
    ['b', false],
    ['c', true],
    ['d', true],
  ])
  await tree.check()
  await tree.compactAll()
  await tree.check()
})

test('values of a blob file that is mostly garbage are copied to a new one', async () => {
  const tree = new TinyTree([{ blobThresholdBytes: 100 }])
  for (let i = 0; i < 8; i++) tree.write([put(`k${i}`, `${i}`.repeat(200), K)])
  await tree.flush()
  const [first] = tree.blobs.keys()
  for (let i = 0; i < 7; i++) tree.write([put(`k${i}`, 'small', K)])
  await tree.flush()
  tree.dropFloor = tree.latest + 1
  await tree.compactAll()
  tree.expire()
  await tree.check()
  expect([...tree.blobs.keys()]).toEqual([first])
  await tree.compactAll()
  expect([...tree.blobs.keys()]).not.toContain(first)
  expect(tree.blobs.size).toBe(1)
  await tree.check()
})

test('a compaction cuts segments by size, and never between versions of a key', async () => {
  const tree = new TinyTree([{}])
  tree.snapshots = Array.from({ length: 30 }, (_, i) => (i + 1) * 10)
  for (let i = 0; i < 300; i++) tree.write([put(`k${i % 10}`, 'v'.repeat(500), K)])
  await tree.flush()
  await tree.compactAll()
  await tree.check()
  const level = tree.files(K).levels[6]!
  expect(level.length).toBeGreaterThan(3)
  expect(level.length).toBeLessThanOrEqual(10)
  for (const meta of level) expect(meta.heldEntries).toBeGreaterThan(0)
})

test('a compaction cuts segments before they overlap too much of the level below', async () => {
  const tree = new TinyTree([{}])
  for (let i = 0; i < 4000; i++)
    tree.write([put(`k${String(i).padStart(5, '0')}`, 'v'.repeat(100), K)])
  await tree.flush()
  await tree.compactAll()
  const below = tree.files(K).levels[6]!
  expect(below.length).toBeGreaterThan(25)
  for (let i = 0; i < 4000; i += 100) tree.write([put(`k${String(i).padStart(5, '0')}`, 'w', K)])
  tree.write([removeRange('k01000', 'k03500', K)])
  await tree.flush()
  const { levels } = tree.files(K)
  await tree.carryOut({
    type: 'compact',
    keyspaceId: K,
    level: 0,
    outputLevel: 5,
    upper: levels[0]!,
    lower: [],
    reason: 'manual',
  })
  await tree.check()
  const cut = tree.files(K).levels[5]!
  expect(cut.length).toBeGreaterThanOrEqual(3)
  expect(cut.length).toBeLessThanOrEqual(5)
  // Then down, segment by segment, until the fragments are gone.
  for (const meta of cut) {
    const pick = {
      type: 'compact',
      keyspaceId: K,
      level: 5,
      outputLevel: 6,
      upper: [meta],
      reason: 'manual',
    } as const
    const lower = tree.files(K).levels[6]!
    await tree.carryOut({ ...pick, lower })
    await tree.check()
  }
  expect(
    tree
      .files(K)
      .levels.flat()
      .every((meta) => meta.rangeFragments === 0),
  ).toBe(true)
})

test('history is cut at the bands, and small segments of it are merged into one', async () => {
  const tree = new TinyTree([{}])
  tree.bands = [31, 61]
  for (let flush = 0; flush < 5; flush++) {
    for (let i = 0; i < 20; i++) tree.write([put('k', String(i), K)])
    await tree.flush()
  }
  await tree.compactAll()
  const { history } = tree.files(K)
  for (const meta of history) {
    const crosses = tree.bands.some((b) => b > meta.minEventSeqno && b <= meta.maxEventSeqno)
    expect(crosses).toBe(false)
  }
  await tree.carryOut({ type: 'merge-history', keyspaceId: K, inputs: history })
  await tree.check()
  const merged = tree.files(K).history
  expect(merged.map((meta) => [meta.minEventSeqno, meta.maxEventSeqno])).toEqual([
    [1, 30],
    [31, 60],
    [61, 99],
  ])
})

test('merging history leaves behind what is below the drop floor, and what only filled a dropped keyspace', async () => {
  const tree = new TinyTree([{ mergeOperator: 'append' }])
  for (let i = 0; i < 30; i++)
    tree.write([merge(`k${i % 3}`, String(i), K), put('x', String(i), K)])
  await tree.flush()
  for (let i = 0; i < 30; i++)
    tree.write([merge(`k${i % 3}`, String(i), K), put('x', String(i), K)])
  const kind = KIND_RANGE_DELETE | FLAG_OPEN_END | FLAG_DROPS_KEYSPACE
  tree.write([{ kind, keyspaceId: K, key: Buffer.alloc(0), value: Buffer.alloc(0) }])
  await tree.flush()
  await tree.check()
  tree.dropFloor = 41
  const inputs = tree.files(K).history
  expect(inputs.some((meta) => meta.order === 'key')).toBe(true)
  await tree.carryOut({ type: 'merge-history', keyspaceId: K, inputs })
  await tree.check()
  const merged = tree.files(K).history
  expect(merged.map((meta) => [meta.minEventSeqno, meta.maxEventSeqno, meta.entries])).toEqual([
    [41, 121, 81],
  ])
})

test('a snapshot at the very first and just below the very last seqno of the inputs keeps what it sees', async () => {
  for (const isFirst of [true, false]) {
    const tree = new TinyTree([{}])
    tree.write([put('a', '1', K)])
    tree.write([put('a', '2', K)])
    tree.snapshots = isFirst ? [1] : []
    await tree.flush()
    await tree.check()
    tree.write([put('a', '3', K)])
    if (!isFirst) tree.snapshots = [2]
    await tree.flush()
    await tree.compactAll()
    await tree.check()
    expect(tree.files(K).levels[6]![0]!.heldEntries).toBe(1)
  }
})

test('history segments that overlap in seqno are merged window by window, large values or not', async () => {
  const tree = new TinyTree([{}], 1 << 20)
  tree.historyBufferBytes = 1 << 20
  tree.mayTakeOver = false
  for (let round = 0; round < 8; round++) {
    for (let i = 0; i < 20; i++) {
      const large = i === 3 && round === 5 ? 9 << 20 : 50_000
      tree.write([put(`k${i}`, Buffer.alloc(large, round), K), put(`s${i}`, `${round}`, K)])
    }
    await tree.flush()
  }
  await tree.compactAll()
  const inputs = tree.files(K).history
  expect(inputs.length).toBeGreaterThan(5)
  expect(inputs[0]!.maxEventSeqno).toBeGreaterThan(inputs[1]!.minEventSeqno)
  await tree.carryOut({ type: 'merge-history', keyspaceId: K, inputs })
  await tree.check()
  const merged = tree.files(K).history
  for (let i = 1; i < merged.length; i++) {
    expect(merged[i]!.minEventSeqno).toBeGreaterThan(merged[i - 1]!.maxEventSeqno)
  }
})
