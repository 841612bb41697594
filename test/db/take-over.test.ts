import { expect, test } from 'vitest'
import type { FileSystem } from '../../src/env/file-system.ts'
import { openStore } from '../../src/db/open.ts'
import type { OpenOptions, Varve } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { ObservedFileSystem } from '../crash/observed-file-system.ts'
import { collect, SILENT } from '../model/driver.ts'
import { codeOf, LOCATION } from './open.ts'

/** Syncs on it wait until they are let through. */
class SlowDisk {
  readonly fs: FileSystem
  #isHeld = false
  #waiting: (() => void)[] = []

  constructor(disk: MemoryFileSystem) {
    this.fs = new ObservedFileSystem(disk, () => undefined, {
      pause: () =>
        this.#isHeld ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(),
    })
  }

  hold(): void {
    this.#isHeld = true
  }

  letThrough(): void {
    this.#isHeld = false
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

function open(fs: FileSystem, options: OpenOptions = {}): Promise<Varve> {
  return openStore(LOCATION, {
    memtableBytes: 64 * 1024,
    syncIntervalMs: 0,
    history: 'all',
    environment: { fs, now: () => 1_000_000, logger: SILENT },
    ...options,
  })
}

async function turns(count = 20): Promise<void> {
  for (; count > 0; count--) await new Promise((resolve) => setImmediate(resolve))
}

/** A store with one event, closed cleanly; some of it in a segment, some in the log. */
async function closedStore(): Promise<MemoryFileSystem> {
  const disk = new MemoryFileSystem()
  const db = await open(disk)
  await db.put('a', '1')
  await db.flush()
  await db.put('b', '2')
  await db.close()
  return disk
}

/** The same with nothing in its log. */
async function flushedStore(): Promise<MemoryFileSystem> {
  const disk = new MemoryFileSystem()
  const db = await open(disk)
  await db.put('a', '1')
  await db.put('b', '2')
  await db.flush()
  await db.close()
  return disk
}

async function epochAfter(disk: MemoryFileSystem): Promise<{ epoch: number; latest: number }> {
  const db = await open(disk)
  const { epoch, latest } = db.history()
  expect(await db.verify()).toMatchObject({ ok: true })
  await db.close()
  return { epoch, latest }
}

test('after a clean close open waits for no sync, and reads go on', async () => {
  const slow = new SlowDisk(await closedStore())
  slow.hold()
  const db = await open(slow.fs)
  await turns()
  expect(db.history()).toMatchObject({ epoch: 1, latest: 2, durable: 2 })
  expect(String(db.getSync('a'))).toBe('1')
  expect(String(await db.get('b'))).toBe('2')
  expect(await collect(db.scanSinceSeqno(1))).toHaveLength(2)
  slow.letThrough()
  await db.close()
})

test('a commit is visible only when a power cut can no longer bring back the clean close', async () => {
  const disk = await closedStore()
  const slow = new SlowDisk(disk)
  slow.hold()
  const db = await open(slow.fs)
  let isAnswered = false
  const written = db.put('c', '3').finally(() => (isAnswered = true))
  await turns()
  expect(isAnswered).toBe(false)
  expect(db.history().latest).toBe(2)
  expect(db.getSync('c')).toBeUndefined()
  expect(await epochAfter(disk.crash('lost'))).toEqual({ epoch: 1, latest: 2 })
  expect(await epochAfter(disk.crash('kept'))).toEqual({ epoch: 2, latest: 2 })
  slow.letThrough()
  expect(await written).toBe(3)
  expect(await epochAfter(disk.crash('lost'))).toEqual({ epoch: 2, latest: 2 })
  expect(await epochAfter(disk.crash('kept'))).toEqual({ epoch: 2, latest: 3 })
  await db.close()
  expect(await epochAfter(disk)).toEqual({ epoch: 1, latest: 3 })
})

test('an ack, a keyspace, a consumer and a flush wait for it too, each durable when it resolves', async () => {
  const disk = await closedStore()
  const before = await open(disk)
  await before.consumer('mail')
  await before.close()
  const slow = new SlowDisk(disk)
  slow.hold()
  const db = await open(slow.fs)
  let answered = 0
  const done = Promise.all(
    [
      db.keyspace('other'),
      db.consumer('mail').then((consumer) => consumer.ack(3)),
      db.consumer('index'),
      db.flush(),
    ].map((call) => Promise.resolve(call).finally(() => answered++)),
  )
  await turns()
  expect(answered).toBe(0)
  slow.letThrough()
  await done
  const found = await open(disk.crash('lost'))
  expect(found.history()).toMatchObject({ epoch: 2, latest: 2 })
  expect(found.keyspaces()).toContain('other')
  expect(found.consumers().map(({ name, position }) => [name, position])).toEqual([
    ['index', 1],
    ['mail', 3],
  ])
  await found.close()
  await db.close()
})

test('a store that is only opened and closed stays as it is', async () => {
  const disk = await closedStore()
  for (let times = 0; times < 3; times++) await (await open(disk)).close()
  expect(disk.list(LOCATION).filter((name) => /\.wal$|MANIFEST|CURRENT/.test(name))).toHaveLength(3)
  expect(disk.openFileCount).toBe(0)
  expect(await epochAfter(disk)).toEqual({ epoch: 1, latest: 2 })
})

test('options that open() stores, and a new epoch, are durable when it resolves', async () => {
  const disk = await closedStore()
  const db = await open(disk, { compression: 'lz4', role: 'replica' })
  const found = await open(disk.crash('lost'))
  expect(found.role).toBe('replica')
  await found.close()
  await db.close()
  const crashed = (await closedStore()).crash('kept')
  const first = await open(crashed)
  await first.put('c', '3')
  const image = crashed.crash('kept')
  const second = await open(image)
  expect(second.history().epoch).toBe(2)
  expect(await epochAfter(image.crash('lost'))).toEqual({ epoch: 3, latest: 3 })
  await second.close()
  await first.close()
})

for (const path of [/\.wal$/, /MANIFEST/, /CURRENT/]) {
  test(`a sync of ${path} that fails behind an open poisons the store`, async () => {
    const disk = await closedStore()
    disk.inject({ operation: 'sync', file: path, effect: 'EIO', times: 1 })
    const db = await open(disk)
    const errors: string[] = []
    db.on('backgroundError', ({ error }) => errors.push(error.code))
    expect(await codeOf(() => db.put('c', '3'))).toBe('VARVE_POISONED')
    expect(errors).toEqual(['VARVE_IO'])
    expect(db.status).toBe('poisoned')
    expect(String(await db.get('b'))).toBe('2')
    await db.close()
    expect(disk.openFileCount).toBe(0)
    expect(await epochAfter(disk)).toEqual({ epoch: 2, latest: 2 })
  })
}

test('a close tells of a sync that failed behind the open', async () => {
  const disk = await closedStore()
  disk.inject({ operation: 'syncDirectory', effect: 'EIO', times: 1 })
  const db = await open(disk)
  expect(await codeOf(() => db.close())).toBe('VARVE_POISONED')
  expect(disk.openFileCount).toBe(0)
  expect(await epochAfter(disk)).toEqual({ epoch: 2, latest: 2 })
})

test('on a full disk writes are refused, and go on in the same process when there is room', async () => {
  const disk = await closedStore()
  disk.inject({ operation: 'write', file: /MANIFEST/, effect: 'ENOSPC', times: Infinity })
  const db = await open(disk)
  const refused = await Promise.all([1, 2].map(() => codeOf(() => db.put('c', '3'))))
  expect(refused).toEqual(['VARVE_NO_SPACE', 'VARVE_NO_SPACE'])
  expect(await codeOf(() => db.put('c', '3'))).toBe('VARVE_NO_SPACE')
  expect(db.status).toBe('open')
  disk.clearFaults()
  expect(await db.put('c', '3', { sync: true })).toBe(3)
  expect(await epochAfter(disk.crash('lost'))).toEqual({ epoch: 2, latest: 3 })
  await db.close()
  expect(await epochAfter(disk)).toEqual({ epoch: 1, latest: 3 })
})

test('a store that is closed before it could be taken over is found whole', async () => {
  const disk = await closedStore()
  disk.inject({ operation: 'write', file: /MANIFEST/, effect: 'ENOSPC', times: Infinity })
  await (await open(disk)).close()
  disk.clearFaults()
  expect(disk.openFileCount).toBe(0)
  expect(await epochAfter(disk)).toEqual({ epoch: 2, latest: 2 })
})

test('files that nobody left on purpose are gone when the store is open', async () => {
  const disk = await closedStore()
  const stray = `${LOCATION}/000999.seg`
  const file = disk.create(stray)
  file.append(Buffer.from('stray'), 0, 5)
  file.close()
  const db = await open(disk)
  expect(disk.stat(stray)).toBeUndefined()
  await db.close()
})

test('a torn end behind the close is gone when the store is open', async () => {
  const disk = await closedStore()
  const manifest = disk.list(LOCATION).find((name) => name.startsWith('MANIFEST'))!
  const path = `${LOCATION}/${manifest}`
  // In the last record, which only says that all before it was synced.
  const at = disk.files().get(path)!.length - 1
  disk.corrupt(path, at, Uint8Array.of(disk.files().get(path)![at]! ^ 1))
  const db = await open(disk)
  expect(await db.verify()).toMatchObject({ ok: true })
  expect(db.history()).toMatchObject({ epoch: 1, latest: 2 })
  await db.close()
})

test('a file that cannot be removed does not refuse the open, and goes with the next one', async () => {
  const disk = await closedStore()
  const stray = `${LOCATION}/000999.seg`
  const file = disk.create(stray)
  file.append(Buffer.from('stray'), 0, 5)
  file.close()
  disk.inject({ operation: 'remove', file: /999/, effect: 'EIO' })
  const db = await open(disk)
  expect(await db.put('c', '3')).toBe(3)
  await db.close()
  expect(disk.stat(stray)).toBeDefined()
  await (await open(disk)).close()
  expect(disk.stat(stray)).toBeUndefined()
})

test('a store with nothing in its log is open before there is a new one', async () => {
  const disk = await flushedStore()
  const names = disk.list(LOCATION)
  disk.inject({ operation: 'read', file: /wal/, effect: 'EIO', times: Infinity })
  const db = await open(disk)
  disk.clearFaults()
  expect(String(db.getSync('b'))).toBe('2')
  expect(disk.list(LOCATION).filter((name) => name !== 'LOCK')).toEqual(names)
  expect(db.stats().wal).toEqual({ files: 0, bytes: 0 })
  // Who dies now was never there.
  expect(await epochAfter(disk.crash('kept'))).toEqual({ epoch: 1, latest: 2 })
  await turns()
  expect(db.stats().wal.files).toBe(1)
  await db.put('c', '3')
  expect(await epochAfter(disk.crash('kept'))).toEqual({ epoch: 2, latest: 3 })
  await db.close()
  expect(await epochAfter(disk)).toEqual({ epoch: 1, latest: 3 })
})

test('a log that cannot be begun behind the open refuses writes until it can', async () => {
  const disk = await flushedStore()
  disk.inject({ operation: 'write', file: /wal/, effect: 'ENOSPC', times: Infinity })
  const db = await open(disk)
  expect(await codeOf(() => db.put('c', '3'))).toBe('VARVE_NO_SPACE')
  expect(await codeOf(() => db.put('c', '3'))).toBe('VARVE_NO_SPACE')
  expect(await db.verify()).toMatchObject({ ok: true })
  disk.clearFaults()
  expect(await db.put('c', '3')).toBe(3)
  await db.close()
  expect(await epochAfter(disk)).toEqual({ epoch: 1, latest: 3 })
})

test('an I/O error of the log that is begun behind the open is final', async () => {
  const disk = await flushedStore()
  disk.inject({ operation: 'write', file: /wal/, effect: 'EIO' })
  const db = await open(disk)
  expect(await codeOf(() => db.put('c', '3'))).toBe('VARVE_POISONED')
  expect(String(db.getSync('b'))).toBe('2')
  await db.close()
  expect(await epochAfter(disk)).toMatchObject({ latest: 2 })
})
