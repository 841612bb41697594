import { expect, test } from 'vitest'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'

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
