import { expect, test } from 'vitest'
import type { FileSystem, WritableFile } from '../../src/env/file-system.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { codeOf, fixture } from './open.ts'

/** Syncs of files that match wait until they are let through. */
class Held {
  readonly #file: RegExp
  #isHeld = false
  #let: (() => void)[] = []
  #come: (() => void) | undefined

  constructor(file: RegExp) {
    this.#file = file
  }

  /** From now on; resolves when one has come. */
  hold(): Promise<void> {
    this.#isHeld = true
    return new Promise((resolve) => (this.#come = resolve))
  }

  letThrough(): void {
    this.#isHeld = false
    for (const go of this.#let.splice(0)) go()
  }

  async before(path: string): Promise<void> {
    if (!this.#isHeld || !this.#file.test(path)) return
    this.#come?.()
    await new Promise<void>((go) => this.#let.push(go))
  }
}

function holding(fs: FileSystem, held: readonly Held[]): FileSystem {
  const waiting = (file: WritableFile): WritableFile =>
    new Proxy(file, {
      get(target, name) {
        const found: unknown = Reflect.get(target, name, target)
        if (typeof found !== 'function') return found
        if (name !== 'sync') return found.bind(target)
        return async () => {
          for (const one of held) await one.before(target.path)
          await target.sync()
        }
      },
    })
  return new Proxy(fs, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name, target)
      if (typeof found !== 'function') return found
      if (name !== 'create') return found.bind(target)
      return (path: string) => waiting(target.create(path))
    },
  })
}

async function acked(held: readonly Held[]) {
  const disk = new MemoryFileSystem()
  const db = await fixture({ environment: { fs: holding(disk, held) } }).open()
  const consumer = await db.consumer('c', { from: 1 })
  for (let i = 0; i < 60; i++) await db.put(`${i}`, 'value', { sync: true })
  await consumer.ack(50)
  return { disk, db, consumer }
}

async function consumersOn(disk: MemoryFileSystem): Promise<unknown[]> {
  const again = await fixture({}, disk).open()
  const found = again.consumers().map(({ name, position }) => `${name} ${position}`)
  await again.close()
  return found
}

test('what a consumer has acked is kept while it is being dropped, whatever lets go of the log', async () => {
  const logs = new Held(/\.wal$/)
  const segments = new Held(/\.seg$/)
  const { disk, db } = await acked([logs, segments])
  const flushing = segments.hold()
  const flushed = db.flush()
  await flushing
  await db.put('later', 'value')
  const dropping = logs.hold()
  const dropped = db.dropConsumer('c')
  await dropping
  segments.letThrough()
  await flushed
  // The log with the acks is gone, and the edit that drops the consumer waits for the new one.
  for (const kind of ['lost', 'kept'] as const) {
    expect(await consumersOn(disk.crash(kind)), kind).toEqual(['c 50'])
  }
  logs.letThrough()
  await dropped
  expect(await consumersOn(disk.crash('lost'))).toEqual([])
  await db.close()
})

test('a flush behind the edit that drops a consumer does not bring it back', async () => {
  const manifests = new Held(/MANIFEST/)
  const segments = new Held(/\.seg$/)
  const { disk, db } = await acked([manifests, segments])
  const flushing = segments.hold()
  const flushed = db.flush()
  await flushing
  const dropping = manifests.hold()
  const dropped = db.dropConsumer('c')
  await dropping
  segments.letThrough()
  // Until the flush has asked for its edit, which comes behind that one.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  manifests.letThrough()
  await Promise.all([dropped, flushed])
  expect(db.consumers()).toEqual([])
  expect(await consumersOn(disk.crash('lost'))).toEqual([])
  await db.close()
  expect(await consumersOn(disk)).toEqual([])
})

test('an ack that waits while its consumer is dropped is not taken for one of the next by that name', async () => {
  const segments = new Held(/\.seg$/)
  const { disk, db, consumer } = await acked([segments])
  const flushing = segments.hold()
  // More than the memtables take, so that what is written next waits for the flush.
  const large = Buffer.alloc(20_000)
  const filled = Array.from({ length: 14 }, (_, index) => db.put(`large ${index}`, large))
  await flushing
  const late = [
    codeOf(() => consumer.ack(60)),
    codeOf(() => db.write(db.batch().put('key', 'value').ack('c', 60))),
  ]
  await db.dropConsumer('c')
  const made = db.consumer('c', { from: 30 })
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  segments.letThrough()
  expect(await Promise.all(late)).toEqual(['VARVE_NOT_FOUND', 'VARVE_NOT_FOUND'])
  expect((await made).position).toBe(30)
  await Promise.all(filled)
  expect(await db.get('key')).toBeUndefined()
  expect(await consumersOn(disk.crash('lost'))).toEqual(['c 30'])
  await db.close()
})
