/**
 * What is committed before a close of the source reaches the replica, whatever the replica was at: the close took it for a tail that
 * nobody reads, and waits for those only for so many turns of the event loop.
 */
import { afterEach, expect, test, vi } from 'vitest'
import { FileCache } from '../../src/env/file-cache.ts'
import type { FileSystem } from '../../src/env/file-system.ts'
import { replicate, type Varve } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { fixture } from './open.ts'

/** More than a close waits for who does nothing. */
const SLOW_TURNS = 100

afterEach(() => {
  vi.restoreAllMocks()
})

interface Slowness {
  /** How files are opened, which of them, and what takes many turns of the event loop then. */
  readonly opening: 'create' | 'openRead'
  readonly file: RegExp
  readonly step: 'sync' | 'read'
  readonly onStep: () => void
}

function slow(fs: FileSystem, { opening, file, step, onStep }: Slowness): FileSystem {
  const slowed = <T extends object>(opened: T): T =>
    replaced(opened, step, async (...args) => {
      onStep()
      for (let i = 0; i < SLOW_TURNS; i++) await new Promise((done) => setImmediate(done))
      return call(opened, step, args)
    })
  return replaced(fs, opening, (...args) => {
    const opened = call(fs, opening, args) as object
    return file.test(String(args[0])) ? slowed(opened) : opened
  })
}

/** The same object, but for one method. */
function replaced<T extends object>(
  object: T,
  method: string,
  by: (...args: unknown[]) => unknown,
): T {
  return new Proxy(object, {
    get(target, name) {
      if (name === method) return by
      const found: unknown = Reflect.get(target, name, target)
      return typeof found === 'function' ? found.bind(target) : found
    },
  })
}

function call(target: object, method: string, args: readonly unknown[]): unknown {
  return Reflect.apply(Reflect.get(target, method) as () => unknown, target, args)
}

test('a source that closes while its replica makes keyspaces lets what is committed through', async () => {
  const source = await fixture().open()
  await source.put('a', '1')
  for (const name of ['x', 'y', 'z']) await source.keyspace(name)
  await source.sync()
  let closed: Promise<unknown> | undefined
  let replica: Varve | undefined
  const onStep = (): void => {
    // It has caught up: what it does now is make keyspaces.
    if (closed !== undefined || replica?.history().latest !== 1) return
    closed = Promise.all([source.put('b', '2'), source.close()])
  }
  const slowness = { opening: 'create', file: /MANIFEST/, step: 'sync', onStep } as const
  const environment = { fs: slow(new MemoryFileSystem(), slowness) }
  replica = await fixture({ role: 'replica', environment }).open()
  expect(await replicate(source, replica)).toEqual({ latest: 2 })
  await closed
  await replica.close()
})

test('a source that closes while its replica catches up from a slow disk lets everything through', async () => {
  let closed: Promise<unknown> | undefined
  let close: (() => Promise<unknown>) | undefined
  const onStep = (): void => {
    closed ??= close?.()
  }
  const slowness = { opening: 'openRead', file: /\.seg$/, step: 'read', onStep } as const
  const source = await fixture({
    environment: { fs: slow(new MemoryFileSystem(), slowness) },
  }).open()
  for (let i = 1; i <= 20; i++) await source.put(`${i}`, 'value')
  await source.flush()
  vi.spyOn(FileCache.prototype, 'isDiskFast', 'get').mockReturnValue(false)
  const replica = await fixture({ role: 'replica' }).open()
  close = () => source.close()
  expect(await replicate(source, replica)).toEqual({ latest: 20 })
  expect(closed).toBeDefined()
  await closed
  await replica.close()
})
