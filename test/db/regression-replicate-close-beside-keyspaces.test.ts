import { expect, test } from 'vitest'
import type { FileSystem, WritableFile } from '../../src/env/file-system.ts'
import { replicate, type Varve } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { fixture } from './open.ts'

/** A close waits for tails that nobody reads only for so many turns of the event loop, and fewer. */
const SLOW_TURNS = 100

/** A file system whose manifests take many turns of the event loop to sync. */
function slow(fs: FileSystem, onSync: () => void): FileSystem {
  const slowed = (file: WritableFile): WritableFile =>
    new Proxy(file, {
      get(target, name) {
        const found: unknown = Reflect.get(target, name, target)
        if (typeof found !== 'function') return found
        if (name !== 'sync') return found.bind(target)
        return async () => {
          onSync()
          for (let i = 0; i < SLOW_TURNS; i++) await new Promise((done) => setImmediate(done))
          await target.sync()
        }
      },
    })
  return new Proxy(fs, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name, target)
      if (typeof found !== 'function') return found
      if (name !== 'create') return found.bind(target)
      return (path: string) => {
        const file = target.create(path)
        return path.includes('MANIFEST') ? slowed(file) : file
      }
    },
  })
}

test('a source that closes while its replica makes keyspaces lets what is committed through', async () => {
  const source = await fixture().open()
  await source.put('a', '1')
  for (const name of ['x', 'y', 'z']) await source.keyspace(name)
  await source.sync()
  let closed: Promise<unknown> | undefined
  let replica: Varve | undefined
  const fs = slow(new MemoryFileSystem(), () => {
    // It has caught up: what it does now is make keyspaces.
    if (closed !== undefined || replica?.history().latest !== 1) return
    closed = Promise.all([source.put('b', '2'), source.close()])
  })
  replica = await fixture({ role: 'replica', environment: { fs } }).open()
  expect(await replicate(source, replica)).toEqual({ latest: 2 })
  await closed
  await replica.close()
})
