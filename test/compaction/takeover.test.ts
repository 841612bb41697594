/** Inputs of a compaction that become history as they stand: see src/compaction/takeover.ts. */
import { expect, test } from 'vitest'
import { checksum } from '../../src/base/checksum.ts'
import { FLAG_DERIVED, KIND_DELETE, KIND_INSERT, KIND_MERGE } from '../../src/base/entry-kind.ts'
import { SeedChange } from '../../src/base/seed-change.ts'
import { pickCompaction } from '../../src/compaction/picker.ts'
import type { CompactJob, JobResult } from '../../src/compaction/job.ts'
import { mayBecomeHistory } from '../../src/compaction/takeover-choice.ts'
import { startJob } from '../../src/compaction/run-job.ts'
import { segmentFileName } from '../../src/env/file-names.ts'
import { readSegmentFooter } from '../../src/segment/opened-segment.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { verifySegment } from '../../src/segment/segment-verify.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { merge, put, remove, removeRange } from '../memtable/commits.ts'
import { TinyTree } from './tiny-tree.ts'

const K = 1
const SMALL = 4096

function takenOver({ added }: JobResult): SegmentMeta[] {
  return added.flatMap(({ level, meta }) =>
    level === 'history' && meta.order === 'key' ? [meta] : [],
  )
}

function key(i: number): string {
  return `key${String(i).padStart(4, '0')}`
}

/** Each round writes keys [0, count) anew, in a segment of its own. */
async function overwritten(tree: TinyTree, rounds: number, count: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < count; i++) tree.write([put(key(i), `value ${round}`, K)])
    await tree.flush()
  }
}

function compactJob(tree: TinyTree): CompactJob {
  const { levels } = tree.files(K)
  const plan = { keyspaceId: K, level: 0, outputLevel: 6, reason: 'manual' } as const
  const job = tree.compactJob({ ...plan, type: 'compact', upper: levels[0]!, lower: levels[6]! })
  return job as CompactJob
}

test('what newer inputs supersede becomes history as it stands, all but the newest', async () => {
  const tree = new TinyTree([{}], SMALL)
  await overwritten(tree, 4, 100)
  const inputs = tree.files(K).levels[0]!
  const result = (await tree.compactAll())!
  const copies = takenOver(result).sort((a, b) => a.minEventSeqno - b.minEventSeqno)
  expect(copies.map(({ minEventSeqno, maxEventSeqno }) => [minEventSeqno, maxEventSeqno])).toEqual([
    [1, 100],
    [101, 200],
    [201, 300],
  ])
  expect(result.added.filter(({ level }) => level === 'history')).toHaveLength(3)
  const inputBytes = inputs.reduce((sum, { bytes }) => sum + bytes, 0)
  expect(result.bytesRead).toBe(inputBytes + inputBytes - inputs[0]!.bytes)
  const written = result.added.reduce((sum, { meta }) => sum + meta.bytes, 0)
  expect(result.bytesWritten).toBe(written)
  expect(tree.files(K).levels[6]).toMatchObject([{ entries: 100, events: 100, derivedEntries: 0 }])
  for (const meta of copies) {
    const file = tree.fs.openRead(`/store/${segmentFileName(meta.number)}`)
    expect(await verifySegment(file, meta)).toEqual([])
    const { parts, origin } = readSegmentFooter(file)
    expect(parts.bloomBytes).toBe(0)
    expect(origin).toEqual({
      isHistory: true,
      closing: copies[2]!.number,
      inputs: inputs.map(({ number }) => number),
    })
    file.close()
  }
  await tree.check()
})

test('what survives of it goes on as derived entries: values, tombstones, operands', async () => {
  const tree = new TinyTree([{ mergeOperator: 'append' }], SMALL)
  // In the last level, so that tombstones and operands above have something to meet.
  for (const name of ['put', 'deleted', 'merged']) tree.write([put(name, 'base', K)])
  await tree.flush()
  await tree.compactAll()
  for (let i = 0; i < 100; i++) tree.write([put(key(i), 'old', K)])
  tree.write([put('put', 'once', K), remove('deleted', K), merge('merged', '+', K)])
  await tree.flush()
  for (let i = 0; i < 100; i++) tree.write([put(key(i), 'new', K)])
  await tree.flush()
  const { levels } = tree.files(K)
  const plan = { keyspaceId: K, level: 0, outputLevel: 3, reason: 'manual' } as const
  const upper = levels[0]!
  const result = (await tree.carryOut({ ...plan, type: 'compact', upper, lower: [] }))!
  expect(takenOver(result)).toMatchObject([{ events: 103, entries: 103 }])
  const kinds = new Map(
    tree.entries(tree.files(K).levels[3]![0]!).map((one) => [one.key.toString(), one.kind]),
  )
  expect(kinds.get('put')).toBe(KIND_INSERT | FLAG_DERIVED)
  expect(kinds.get('deleted')).toBe(KIND_DELETE | FLAG_DERIVED)
  expect(kinds.get('merged')).toBe(KIND_MERGE | FLAG_DERIVED)
  expect(kinds.get(key(0))).toBe(KIND_INSERT)
  await tree.check()

  tree.write([merge('merged', '-', K)])
  await tree.flush()
  await tree.check()
  const down = tree.files(K).levels
  const all = { keyspaceId: K, type: 'compact', reason: 'manual' } as const
  await tree.carryOut({ ...all, level: 3, outputLevel: 6, upper: down[3]!, lower: down[6]! })
  await tree.check()
  await tree.compactAll()
  await tree.check()
  expect(tree.state(K, tree.latest).get('merged')).toBe('base+-')
  expect(tree.state(K, tree.latest).has('deleted')).toBe(false)
})

test('a range delete in a newer input hides what it covers, and an older one stays as it is', async () => {
  const tree = new TinyTree([{}], SMALL)
  await overwritten(tree, 1, 100)
  tree.write([removeRange(key(5), key(8), K)])
  for (let i = 0; i < 100; i++) if (i < 5 || i >= 8) tree.write([put(key(i), 'new', K)])
  await tree.flush()
  const result = (await tree.compactAll())!
  expect(takenOver(result)).toHaveLength(1)
  await tree.check()
  expect(tree.state(K, tree.latest).has(key(6))).toBe(false)
})

const conditions: [string, (tree: TinyTree) => void | Promise<void>][] = [
  ['a snapshot lies in the job', (tree) => void (tree.snapshots = [150])],
  ['some of its events are below the drop floor', (tree) => void (tree.dropFloor = 2)],
  ['it crosses a band', (tree) => void (tree.bands = [50])],
  ['the job is not to', (tree) => void (tree.mayTakeOver = false)],
]
for (const [what, arrange] of conditions) {
  test(`nothing is taken over where ${what}`, async () => {
    const tree = new TinyTree([{}], SMALL)
    await overwritten(tree, 2, 100)
    await arrange(tree)
    expect(takenOver((await tree.compactAll())!)).toEqual([])
    await tree.check()
  })
}

test('a band that ends where the segment does is no hindrance, nor is a snapshot of all or nothing', async () => {
  const tree = new TinyTree([{}], SMALL)
  await overwritten(tree, 2, 100)
  tree.bands = [101]
  tree.snapshots = [200]
  expect(takenOver((await tree.compactAll())!)).toHaveLength(1)
  await tree.check()
})

test('a keyspace without filters takes nothing over', async () => {
  const tree = new TinyTree([{ bloomBitsPerKey: 0 }], SMALL)
  await overwritten(tree, 3, 100)
  expect(takenOver((await tree.compactAll())!)).toEqual([])
  await tree.check()
})

test('what a segment has to be to become history', async () => {
  const tree = new TinyTree([{}], SMALL)
  await overwritten(tree, 2, 100)
  const job = compactJob(tree)
  const meta = job.upper[1]!
  const may = (changes: Partial<SegmentMeta>): boolean =>
    mayBecomeHistory(job, { ...meta, ...changes })
  expect(may({})).toBe(true)
  expect(may({ events: 0, entries: 0 })).toBe(false)
  expect(may({ events: 99 })).toBe(false)
  expect(may({ events: 88, derivedEntries: 12 })).toBe(true)
  expect(may({ events: 87, derivedEntries: 13 })).toBe(false)
  expect(may({ rangeFragments: 1 })).toBe(false)
  expect(may({ blobReferences: [{ file: 1, bytes: 1 }] })).toBe(false)
  expect(may({ bytes: SMALL / 8 })).toBe(true)
  expect(may({ bytes: SMALL / 8 - 1 })).toBe(false)
})

for (const surviving of [8, 9]) {
  const isTaken = surviving === 8
  test(`of 64 keys ${surviving} survive: ${isTaken ? 'taken over' : 'sorted into history'}`, async () => {
    const tree = new TinyTree([{}], SMALL)
    // One entry a block: the sample is all of them.
    for (let i = 0; i < 64; i++) tree.write([put(key(i), 'o'.repeat(400), K)])
    await tree.flush()
    for (let i = surviving; i < 64; i++) tree.write([put(key(i), 'n'.repeat(400), K)])
    await tree.flush()
    const result = (await tree.compactAll())!
    expect(takenOver(result)).toHaveLength(isTaken ? 1 : 0)
    const derived = tree.files(K).levels[6]!.reduce((sum, meta) => sum + meta.derivedEntries, 0)
    expect(derived).toBe(isTaken ? surviving : 0)
    await tree.check()
  })
}

test('compressed blocks, dropped entries of older inputs and expiry: the copy is history like any other', async () => {
  const tree = new TinyTree([{ compression: 'lz4' }], SMALL)
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 200; i++) tree.write([put(key(i), 'v'.repeat(100) + round, K)])
    await tree.flush()
  }
  expect(takenOver((await tree.compactAll())!)).toHaveLength(2)
  await tree.check()
  tree.dropFloor = 200
  tree.expire()
  expect(tree.files(K).history).toHaveLength(2)
  tree.dropFloor = 201
  tree.expire()
  expect(tree.files(K).history).toMatchObject([{ minEventSeqno: 201 }])
  await tree.check()
})

/** Positions of a byte in a data block, in a chunk of the change index, in each section. */
test('a damaged byte of an input, wherever it is, ends the job and nothing is left of it', async () => {
  const tree = new TinyTree([{}], SMALL)
  await overwritten(tree, 3, 100)
  const meta = tree.files(K).levels[0]![1]!
  const path = `/store/${segmentFileName(meta.number)}`
  const file = tree.fs.openRead(path)
  const { parts } = readSegmentFooter(file)
  file.close()
  const before = tree.fs.list('/store')
  const places = [10, parts.dataBytes - 1, parts.dataBytes + 3]
  places.push(parts.dataBytes + parts.changeBytes + 1, meta.bytes - 3)
  for (const at of places) {
    const byte = tree.fs.files().get(path)![at]!
    tree.fs.corrupt(path, at, Uint8Array.of(byte ^ 0x40))
    await expect(tree.compactAll()).rejects.toMatchObject({ code: 'VARVE_CORRUPTION' })
    expect(tree.fs.list('/store')).toEqual(before)
    tree.fs.corrupt(path, at, Uint8Array.of(byte))
  }
  await tree.compactAll()
  await tree.check()
})

test('wherever the job is ended, nothing is left of it', async () => {
  const tree = new TinyTree([{}], SMALL)
  await overwritten(tree, 3, 100)
  const before = tree.fs.list('/store')
  for (let stop = 0; ; stop++) {
    const running = startJob(compactJob(tree), {
      fs: tree.fs,
      operators: tree.operators,
      historyBufferBytes: 4096,
      readAheadBytes: 4096,
    })
    let step = running.next()
    for (let i = 0; i < stop && step.done !== true; i++) {
      await step.value
      step = running.next()
    }
    if (step.done === true) {
      expect(stop).toBeGreaterThan(5)
      tree.apply(step.value)
      break
    }
    await step.value
    running.return(undefined as never)
    expect(tree.fs.list('/store')).toEqual(before)
    expect(tree.fs.openFileCount).toBe(0)
  }
  await tree.check()
})

test('the file that closes the job is ended when everything else is on the disk', async () => {
  const tree = new TinyTree([{}], SMALL)
  await overwritten(tree, 4, 100)
  const job = compactJob(tree)
  const running = startJob(job, {
    fs: tree.fs,
    operators: tree.operators,
    historyBufferBytes: 4096,
    readAheadBytes: 4096,
  })
  const isWhole = (fs: MemoryFileSystem, name: string): boolean => {
    const file = fs.openRead(`/store/${name}`)
    try {
      readSegmentFooter(file)
      return true
    } catch {
      return false
    } finally {
      file.close()
    }
  }
  const closing = segmentFileName(job.firstFileNumber)
  let others: string[] = []
  for (let step = running.next(); step.done !== true; step = running.next()) {
    await step.value
    if (tree.fs.list('/store').includes(closing) && isWhole(tree.fs, closing)) continue
    const disk = tree.fs.crash('lost')
    others = disk.list('/store').filter((name) => isWhole(disk, name))
  }
  // Four inputs, the live output and the two other copies were whole before.
  expect(others).toHaveLength(4 + 1 + 2)
  expect(isWhole(tree.fs, closing)).toBe(true)
})

test('a checksum under another seed follows from the one under the seed before', () => {
  for (const [from, to] of [
    [1, 2],
    [0, 0xffffffff],
    [123456, 0x80000001],
  ] as const) {
    const change = new SeedChange({ from, to })
    for (const length of [1, 4, 63, 350, 4091, 70_000, 4091]) {
      const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 31 + length) % 251))
      expect(change.apply(checksum(bytes, 0, length, from), length)).toBe(
        checksum(bytes, 0, length, to),
      )
    }
  }
})

test('random overwrites, deletes and operands: nothing is lost and nothing reads differently', async () => {
  let takeovers = 0
  for (let seed = 1; seed <= 12; seed++) {
    let state = seed * 7919
    const random = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    const tree = new TinyTree(
      [{ mergeOperator: 'append', compression: seed % 2 === 0 ? 'lz4' : 'none' }],
      2048,
    )
    for (let round = 0; round < 12; round++) {
      const from = random(3) === 0 ? random(20) : 0
      for (let i = from; i < 60; i++) {
        const name = key(random(40) === 0 ? 100 + random(40) : i)
        const kind = random(10)
        if (kind === 0) tree.write([remove(name, K)])
        else if (kind === 1) tree.write([merge(name, `${round}`, K)])
        else
          tree.write(
            [put(name, `${round}`.repeat(1 + random(20)), K)],
            kind === 2 ? 'm' : undefined,
          )
      }
      if (random(10) === 0) tree.write([removeRange(key(10), key(20 + random(30)), K)])
      await tree.flush()
      if (random(4) === 0) tree.snapshots = [tree.latest]
      else if (random(2) === 0) tree.snapshots = []
      if (random(4) === 0) tree.bands = [...tree.bands, tree.latest + 1]
      if (random(5) === 0) tree.dropFloor = Math.max(tree.dropFloor, random(tree.latest))
      tree.expire()
      const pick = random(3) === 0 ? pickCompaction(tree.pickerInput()) : undefined
      const result =
        pick !== undefined
          ? await tree.carryOut(pick)
          : random(3) === 0
            ? await tree.compactAll()
            : undefined
      takeovers += result === undefined ? 0 : takenOver(result).length
      await tree.check()
    }
  }
  expect(takeovers).toBeGreaterThan(20)
})
