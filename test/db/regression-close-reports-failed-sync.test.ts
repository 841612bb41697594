import { expect, test } from 'vitest'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { codeOf } from './open.ts'

test('a close whose sync fails says so, and gives everything back', async () => {
  const fs = new MemoryFileSystem()
  const store = await openStore('/store', { environment: { fs }, syncIntervalMs: 0 })
  await store.put('key', 'acknowledged, not synced')
  fs.inject({ operation: 'sync', file: /\.wal$/, effect: 'EIO' })
  await expect(store.close()).rejects.toMatchObject({ code: 'VARVE_IO' })
  expect(store.status).toBe('closed')
  expect(fs.openFileCount).toBe(0)
  const again = await openStore('/store', { environment: { fs } })
  await again.close()
})

test('closing a store that was poisoned before says nothing new', async () => {
  const fs = new MemoryFileSystem()
  const store = await openStore('/store', { environment: { fs }, syncIntervalMs: 0 })
  fs.inject({ operation: 'sync', file: /\.wal$/, effect: 'EIO' })
  await expect(store.put('key', 'value', { sync: true })).rejects.toMatchObject({
    code: 'VARVE_IO',
  })
  expect(store.status).toBe('poisoned')
  await store.close()
  expect(fs.openFileCount).toBe(0)
})

test.each([
  ['a put', /\.wal$/],
  ['an ack', /\.wal$/],
  ['a new keyspace', /MANIFEST/],
] as const)(
  'a close beside %s that poisons the store says so: what was acknowledged before is not synced',
  async (what, file) => {
    const fs = new MemoryFileSystem()
    const store = await openStore('/store', { environment: { fs }, syncIntervalMs: 0 })
    const consumer = await store.consumer('c')
    await store.put('key', 'acknowledged, not synced')
    fs.inject({ operation: 'write', file, effect: 'EIO' })
    const calls = {
      'a put': () => store.put('other', 'value'),
      'an ack': () => consumer.ack(2),
      'a new keyspace': () => store.keyspace('new'),
    }
    const failing = codeOf(calls[what])
    await expect(store.close()).rejects.toMatchObject({ code: 'VARVE_POISONED' })
    expect(await failing).toBe('VARVE_IO')
    expect(store.status).toBe('closed')
    expect(fs.openFileCount).toBe(0)
    const again = await openStore('/store', { environment: { fs } })
    expect(String(await again.get('key'))).toBe('acknowledged, not synced')
    await again.close()
  },
)
