import { expect, test } from 'vitest'
import { liveBytes, spaceBudget } from '../../src/compaction/space-budget.ts'

const MIB = 2 ** 20

test('a policy without maxBytes bounds nothing', () => {
  const budget = spaceBudget({
    keepsHistory: true,
    historyBytes: undefined,
    memtableBytes: 64 * MIB,
    liveBytes: 0,
  })
  expect(budget).toEqual({
    memtableBytes: 64 * MIB,
    level0Bytes: Infinity,
    slowBytes: Infinity,
    youngBytes: Infinity,
  })
})

test('without history, level 0 is compacted from a fifth of the live data on, and from a sixteenth of a memtable', () => {
  const without = { keepsHistory: false, historyBytes: undefined, memtableBytes: 64 * MIB }
  expect(spaceBudget({ ...without, liveBytes: 100 * MIB })).toEqual({
    memtableBytes: 64 * MIB,
    level0Bytes: 20 * MIB,
    slowBytes: Infinity,
    youngBytes: Infinity,
  })
  expect(spaceBudget({ ...without, liveBytes: MIB }).level0Bytes).toBe(4 * MIB)
})

test('the default policy leaves memtables at their default size', () => {
  const budget = spaceBudget({
    keepsHistory: true,
    historyBytes: 1024 * MIB,
    memtableBytes: 64 * MIB,
    liveBytes: 0,
  })
  expect(budget.memtableBytes).toBe(64 * MIB)
})

test('what may be young, with two copies of the live data, fits in the history and two and a half times the live data', () => {
  for (const historyBytes of [16, 64, 256].map((mib) => mib * MIB)) {
    for (const live of [16, 100, 1000].map((mib) => mib * MIB)) {
      const budget = spaceBudget({
        keepsHistory: true,
        historyBytes,
        memtableBytes: 64 * MIB,
        liveBytes: live,
      })
      expect(budget.youngBytes + 2 * live).toBeLessThan(historyBytes + 2.5 * live)
      expect(budget.memtableBytes * 10).toBeLessThanOrEqual(budget.youngBytes)
      expect(budget.slowBytes).toBeLessThan(budget.youngBytes)
    }
  }
})

test('no bound is so small that memtables fall below a mebibyte, or below what the user asked for', () => {
  const tiny = { keepsHistory: true, historyBytes: 0, liveBytes: 0 }
  expect(spaceBudget({ ...tiny, memtableBytes: 64 * MIB }).memtableBytes).toBe(MIB)
  expect(spaceBudget({ ...tiny, memtableBytes: 16 * 1024 }).memtableBytes).toBe(16 * 1024)
})

test('writers are stopped only where level 0 is already worth a compaction', () => {
  for (const historyBytes of [0, 1, 64, 1024].map((mib) => mib * MIB)) {
    for (const memtableBytes of [16 * 1024, 4 * MIB, 64 * MIB, 1024 * MIB]) {
      const budget = spaceBudget({ keepsHistory: true, historyBytes, memtableBytes, liveBytes: 0 })
      // With nothing sealed, writers stop when level 0 and three memtables are over the bound.
      const stopped = budget.youngBytes - 3 * budget.memtableBytes
      expect(budget.level0Bytes).toBeLessThan(stopped)
    }
  }
})

test('live bytes are those of the largest level of each keyspace, and of blobs', () => {
  const keyspaces = new Map([
    [1, { levelBytes: [500, 0, 0, 0, 0, 30, 100] }],
    [2, { levelBytes: [500, 0, 0, 0, 0, 7, 5] }],
  ])
  expect(liveBytes({ keyspaces, blobLiveBytes: new Map([[9, 1000]]) })).toBe(1107)
})
