import { expect, test } from 'vitest'
import type { FileSystem, WritableFile } from '../../src/env/file-system.ts'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import type { Varve } from '../../src/index.ts'

/** Tells of each sync of a log when it begins. */
function watched(fs: FileSystem, onSync: () => void): FileSystem {
  const watch = (file: WritableFile): WritableFile =>
    new Proxy(file, {
      get(target, name) {
        if (name === 'sync') onSync()
        const found: unknown = Reflect.get(target, name, target)
        return typeof found === 'function' ? found.bind(target) : found
      },
    })
  return new Proxy(fs, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name, target)
      if (typeof found !== 'function') return found
      if (name !== 'create') return found.bind(target)
      return (path: string) => {
        const file = target.create(path)
        return path.endsWith('.wal') ? watch(file) : file
      }
    },
  })
}

test('synced writes are made visible while the disk is at work on them', async () => {
  let store: Varve | undefined
  const seen: { latest: number; value: Buffer | undefined }[] = []
  const fs = watched(new MemoryFileSystem(), () => {
    if (store === undefined) return
    seen.push({ latest: store.history().latest, value: store.getSync('b') })
  })
  store = await openStore('/store', { environment: { fs }, syncIntervalMs: 0 })
  await store.put('a', '1', { sync: true })
  seen.length = 0
  const puts = ['b', 'c', 'd'].map((key) => store!.put(key, '2', { sync: true }))
  expect(await Promise.all(puts)).toEqual([2, 3, 4])
  expect(seen).toEqual([{ latest: 1, value: undefined }])
  expect(store.stats().durableSeqno).toBe(4)
  await store.close()
})

test('what is written while a sync runs is synced after it', async () => {
  let store: Varve | undefined
  let late: Promise<number> | undefined
  const begun: number[] = []
  const fs = watched(new MemoryFileSystem(), () => {
    if (store === undefined) return
    begun.push(store.history().latest)
    late ??= Promise.resolve().then(() => store!.put('late', '2', { sync: true }))
  })
  const opened = await openStore('/store', { environment: { fs }, syncIntervalMs: 0 })
  await opened.put('a', '1')
  await opened.sync()
  store = opened
  await store.put('b', '1', { sync: true })
  await late
  expect(begun).toEqual([1, 3])
  expect(store.stats().durableSeqno).toBe(3)
  await store.close()
})

test('what a log takes while the one before it is synced is known to be durable with it', async () => {
  let late: Promise<number> | undefined
  let onSync: (() => void) | undefined
  const fs = watched(new MemoryFileSystem(), () => onSync?.())
  const store = await openStore('/store', {
    environment: { fs },
    syncIntervalMs: 0,
    memtableBytes: 16_384,
  })
  await store.put('a', Buffer.alloc(15_000))
  onSync = () => {
    late ??= store.put('late', '2')
  }
  // Seals the first log; its flush syncs both, one after the other.
  const flushed = new Promise((resolve) => store.on('flush', resolve))
  await store.put('b', Buffer.alloc(15_000))
  await flushed
  expect(await late).toBe(3)
  expect(store.stats().durableSeqno).toBe(3)
  await store.sync()
  expect(store.history().durable).toBe(3)
  const events = await store.scanSinceSeqno(1, { visibility: 'durable' }).nextBatch()
  expect(events.map(({ seqno }) => seqno)).toEqual([1, 2, 3])
  await store.close()
})
