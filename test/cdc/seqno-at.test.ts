import { expect, test } from 'vitest'
import { seqnoAt } from '../../src/cdc/seqno-at.ts'
import { put } from '../memtable/commits.ts'
import { FakeStore } from './fake-store.ts'

/** Commits of 1 to 3 operations; times rise by 0 to 20. */
function filled(): FakeStore {
  const store = new FakeStore()
  let timeMs = 10_000
  for (let i = 0; i < 200; i++) {
    timeMs += (i * 7) % 21
    const operations = Array.from({ length: 1 + (i % 3) }, (_, k) =>
      put(`k${i}/${k}`, 'v', 1 + (i % 2)),
    )
    store.commit(operations, { timeMs })
    if (i % 40 === 39 && i < 160) store.flush({ parts: 2 })
  }
  return store
}

function byWalking(store: FakeStore, timestampMs: number): number {
  const found = store.log.find(
    ({ seqno, commit }) => seqno >= store.floor && commit!.timeMs >= timestampMs,
  )
  return found?.seqno ?? store.latest + 1
}

test('equals a walk over all events, with and without a series, whatever the floor', async () => {
  const store = filled()
  const times = new Set<number>([0, 1e15, -1, Infinity, -Infinity])
  for (const { commit } of store.log) {
    for (const d of [-1, 0, 0.5, 1]) times.add(commit!.timeMs + d)
  }
  const series = store.log
    .filter(({ seqno, commit }) => seqno === commit!.first + commit!.size - 1)
    .filter((_, i) => i % 13 === 0)
    .map(({ seqno, commit }) => ({ seqno, timeMs: commit!.timeMs, userBytes: seqno }))
  for (const floor of [1, 57, store.latest + 1]) {
    for (const points of [[], series]) {
      store.floor = floor
      store.series = points
      for (const time of times) {
        expect(await seqnoAt(store, time), `${time} floor ${floor}`).toBe(byWalking(store, time))
      }
    }
  }
  expect(store.openViews).toBe(0)
})

test('of an empty store is 1', async () => {
  expect(await seqnoAt(new FakeStore(), 5)).toBe(1)
})

test('refuses what is no time', async () => {
  const store = new FakeStore()
  await expect(seqnoAt(store, 'now')).rejects.toThrow(TypeError)
  await expect(seqnoAt(store, Number.NaN)).rejects.toThrow(/NaN/)
})
