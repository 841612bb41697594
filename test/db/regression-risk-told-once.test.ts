import { expect, test } from 'vitest'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { ObservedFileSystem } from '../crash/observed-file-system.ts'

/** More turns of the event loop than an ack takes, and the look at the floor that follows it. */
const TURNS = 300

test('a look at the floor while a flush is on its way tells no risk a second time', async () => {
  const disk = new MemoryFileSystem()
  let turns = 0
  let isSlow = false
  const fs = new ObservedFileSystem(
    disk,
    (what) => {
      // The flush has told the risk by then, and its edit is still to come.
      if (!isSlow || !what.startsWith('sync ') || !what.endsWith('.seg')) return
      turns = TURNS
      isSlow = false
    },
    {
      pause: async () => {
        const own = turns
        turns = 0
        for (let i = 0; i < own; i++) await new Promise((resolve) => setImmediate(resolve))
      },
    },
  )
  const store = await openStore(
    '/store',
    { environment: { fs }, history: 'none', syncIntervalMs: 0, backgroundWorkers: 0 },
    {},
  )
  const told: number[] = []
  store.on('consumerAtRisk', ({ usedFraction }) => told.push(usedFraction))
  await store.consumer('c', { maxHeldBytes: 10_000 })
  const other = await store.consumer('other')
  const fill = async (from: number): Promise<void> => {
    for (let i = from; i < from + 25; i++) await store.put(`key${i}`, 'v'.repeat(100))
  }
  await fill(10)
  await store.flush()
  await fill(40)
  isSlow = true
  const flushed = store.flush()
  while (isSlow) await new Promise((resolve) => setImmediate(resolve))
  await other.ack(20)
  await flushed
  await store.put('more', 'value')
  await store.flush()
  expect(told).toHaveLength(1)
  await store.close()
})
