import { expect, test } from 'vitest'
import type { Varve } from '../../src/index.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { fixture, LOCATION } from './open.ts'

const MIB = 2 ** 20

function diskBytes(fs: MemoryFileSystem): number {
  let bytes = 0
  for (const name of fs.list(LOCATION)) bytes += fs.stat(`${LOCATION}/${name}`)!.size
  return bytes
}

test('endless overwriting stays within the history that is kept and two and a half times the live data', {
  timeout: 120_000,
}, async () => {
  const keys = 16_000
  const value = Buffer.alloc(1000, 'v')
  const live = keys * (value.length + 8)
  const historyBytes = 12 * MIB
  const { fs, open } = fixture()
  // Memtables of the default size: by themselves, three of them would be over the bound.
  const db = await open({
    memtableBytes: 64 * MIB,
    segmentBytes: 64 * MIB,
    history: { maxBytes: historyBytes },
  })
  let peak = 0
  for (let generation = 0; generation < 6; generation++) {
    for (let first = 0; first < keys; first += 100) {
      const batch = db.batch()
      for (let i = 0; i < 100; i++) {
        // Steps of a prime: every key once, in another order than that of the keys.
        const key = ((first + i) * 7919 + generation) % keys
        batch.put(String(key).padStart(8, '0'), value)
      }
      await db.write(batch)
      if (generation >= 2) peak = Math.max(peak, diskBytes(fs))
    }
  }
  expect(peak).toBeGreaterThan(live)
  expect(peak / (historyBytes + 2.5 * live)).toBeLessThan(1)
  expect(db.history().retainedBytes).toBeLessThan(1.5 * historyBytes)
  await db.close()
})

test('many keyspaces whose level 0 is small each do not keep a writer waiting for ever', async () => {
  const { open } = fixture()
  const db = await open({ memtableBytes: 32 * 1024, history: { maxBytes: 1 } })
  const keyspaces = await Promise.all(
    Array.from({ length: 12 }, (_, i) => db.keyspace(`keyspace-${i}`)),
  )
  const value = Buffer.alloc(1000, 'v')
  for (let round = 0; round < 20; round++) {
    for (const keyspace of keyspaces) {
      for (let i = 0; i < 4; i++) await keyspace.put(`key-${round}-${i}`, value)
    }
  }
  expect(await countOf(db)).toBe(12 * 20 * 4)
  await db.close()
})

test('a dropped keyspace with a full level 0 does not keep a writer waiting for ever', async () => {
  const { open } = fixture()
  const db = await open({}, { level0Trigger: 1000, level0Slowdown: 1000, level0Stop: 3 })
  const dropped = await db.keyspace('dropped')
  for (let i = 0; i < 3; i++) {
    await dropped.put('key', `value ${i}`)
    await db.flush()
  }
  await db.dropKeyspace('dropped')
  // More than one memtable: without room in level 0 it could not be sealed, and what was dropped would never leave level 0.
  for (let i = 0; i < 100; i++) await db.put(`key ${i}`, Buffer.alloc(1000))
  expect(await countOf(db)).toBe(100)
  await db.close()
})

async function countOf(db: Varve): Promise<number> {
  let count = 0
  for (const name of db.keyspaces()) {
    const keyspace = await db.keyspace(name)
    count += (await keyspace.keys().all()).length
  }
  return count
}
