import { describe, expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { any, memoryPlace, rejected, text, thrown } from './store.ts'

test('a clock moves only when told, and may be set back', () => {
  const clock = new ManualClock()
  expect(clock.now()).toBe(0)
  clock.advance(5)
  clock.advance(0.5)
  expect(clock.now()).toBe(5.5)
  clock.set(3)
  expect(clock.now()).toBe(3)
  clock.advance(-2)
  expect(clock.now()).toBe(1)
  expect(new ManualClock(7).now()).toBe(7)
  const { now } = new ManualClock(9)
  expect(now()).toBe(9)
})

test('what is misspelt is refused, rather than a test passing without its fault', () => {
  const fs = new MemoryFileSystem()
  const fault = { operation: 'write', effect: 'EIO' } as const
  for (const wrong of [undefined, null, {}, 1, { operation: 'write' }, { effect: 'EIO' }]) {
    expect(thrown(() => fs.inject(any(wrong)))).toBe('ERR_INVALID_ARG_TYPE')
  }
  expect(thrown(() => fs.inject({ ...fault, file: any('a') }))).toBe('ERR_INVALID_ARG_TYPE')
  for (const wrong of [
    { operation: 'writes' },
    { effect: 'EOI' },
    { after: -1 },
    { times: 0.5 },
    { time: 1 },
    { operation: 'sync', effect: 'short' },
  ]) {
    expect(thrown(() => fs.inject(any({ ...fault, ...wrong })))).toBe('VARVE_INVALID_ARGUMENT')
  }
  for (const wrong of ['all', { seed: Number.NaN }]) {
    expect(thrown(() => fs.crash(any(wrong)))).toBe('VARVE_INVALID_ARGUMENT')
  }
  for (const wrong of [undefined, null, 7, {}, { seed: '1' }]) {
    expect(thrown(() => fs.crash(any(wrong)))).toBe('ERR_INVALID_ARG_TYPE')
  }
  for (const wrong of [0, -1, 1.5, Number.NaN]) {
    expect(thrown(() => fs.dieAtOperation(wrong))).toBe('VARVE_INVALID_ARGUMENT')
  }
  expect(thrown(() => fs.dieAtOperation(any('1')))).toBe('ERR_INVALID_ARG_TYPE')
  expect(thrown(() => fs.dieAtOperation(any(undefined)))).toBe('ERR_INVALID_ARG_TYPE')
  const one = Uint8Array.of(1)
  for (const [path, offset, bytes] of [
    [undefined, 0, one],
    ['/a', undefined, one],
    ['/a', '0', one],
    ['/a', 0, undefined],
    ['/a', 0, 'x'],
    ['/a', 0, [1]],
  ]) {
    const call = (): void => fs.corrupt(any(path), any(offset), any(bytes))
    expect(thrown(call)).toBe('ERR_INVALID_ARG_TYPE')
  }
  for (const offset of [-1, 0.5, Number.NaN]) {
    expect(thrown(() => fs.corrupt('/a', offset, one))).toBe('VARVE_INVALID_ARGUMENT')
  }
  expect(thrown(() => new ManualClock(Number.NaN))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => new ManualClock().advance(any('5')))).toBe('ERR_INVALID_ARG_TYPE')
  fs.inject({ ...fault, times: Infinity, after: 0, file: /a/g })
  fs.crash({ seed: -0.5 })
})

test('operations are counted when they begin, reads are not', async () => {
  const place = memoryPlace()
  const { fs } = place
  expect(fs.kind).toBe('memory')
  expect(fs.operationCount).toBe(0)
  const db = await place.open()
  await db.put('a', '1')
  const before = fs.operationCount
  expect(before).toBeGreaterThan(3)
  await db.get('a')
  await db.scanSinceSeqno(1).nextBatch()
  expect(fs.operationCount).toBe(before)
  await db.put('a', '2')
  expect(fs.operationCount).toBe(before + 1)
  await db.sync()
  expect(fs.operationCount).toBe(before + 2)
  expect(fs.files().size).toBeGreaterThan(2)
  fs.inject({ operation: 'write', effect: 'EIO' })
  await rejected(db.put('b', '1'))
  expect(fs.operationCount).toBeGreaterThanOrEqual(before + 3)
})

test('the same calls make the same disk', async () => {
  const run = async (): Promise<string> => {
    const place = memoryPlace({ memtableBytes: 16 * 1024 })
    const db = await place.open()
    for (let i = 0; i < 300; i++) void db.put(`k${i}`, 'x'.repeat(100))
    await db.flush()
    await db.compact()
    const { operationCount } = place.fs
    const image = place.fs.crash({ seed: 5 })
    return JSON.stringify([
      operationCount,
      [...image.files()].map(([path, bytes]) => [path, bytes.length]),
    ])
  }
  expect(await run()).toBe(await run())
})

describe('power cuts', () => {
  test('lost keeps what was synced, kept everything, a seed a part; the file system itself goes on', async () => {
    const place = memoryPlace()
    const db = await place.open()
    await db.put('a', '1', { sync: true })
    for (let i = 0; i < 50; i++) await db.put(`b${i}`, 'x'.repeat(100))
    const counts = new Set<number>()
    const look = async (fs: MemoryFileSystem): Promise<number> => {
      const store = await memoryPlace({}, { fs }).open()
      const keys = (await store.keys().all()).map(text)
      expect(keys).toContain('a')
      await store.close()
      return keys.length
    }
    expect(await look(place.fs.crash('lost'))).toBe(1)
    expect(await look(place.fs.crash('kept'))).toBe(51)
    for (let seed = 0; seed < 40; seed++) {
      const image = place.fs.crash({ seed })
      expect(image.files()).toEqual(place.fs.crash({ seed }).files())
      expect(image.operationCount).toBe(0)
      counts.add(await look(image))
    }
    expect(counts.size).toBeGreaterThan(3)
    await db.put('c', '1')
    expect(text(await db.get('c'))).toBe('1')
    // A disk after a power cut crashes again, with everything it had as synced.
    const twice = place.fs.crash('kept').crash('lost')
    expect(await look(twice)).toBe(52)
  })
})

test('from the n-th operation on everything fails as if the process had died, reads too', async () => {
  const dry = memoryPlace()
  const first = await dry.open()
  await first.put('a', '1', { sync: true })
  const total = dry.fs.operationCount
  for (let n = 1; n <= total; n++) {
    const place = memoryPlace()
    place.fs.dieAtOperation(n)
    const failed = await Varve.open(place.location, {
      environment: { fs: place.fs },
      syncIntervalMs: 0,
    }).then(
      async (db) => rejected(db.put('a', '1', { sync: true })),
      () => 'died while opening',
    )
    expect(failed).not.toBe('not rejected')
    expect(place.fs.operationCount).toBeGreaterThanOrEqual(n)
    const files = place.fs.files()
    expect(await rejected(Varve.open(place.location, { environment: { fs: place.fs } }))).not.toBe(
      'not rejected',
    )
    expect(place.fs.files()).toEqual(files)
    const after = memoryPlace({}, { fs: place.fs.crash('kept') })
    const db = await after.open()
    await db.put('b', '1')
    await db.close()
  }
  const now = memoryPlace()
  const db = await now.open()
  now.fs.dieAtOperation(1)
  expect(await rejected(db.put('a', '1'))).not.toBe('not rejected')
  expect(thrown(() => now.fs.dieAtOperation(0))).not.toBe('not thrown')
})

describe('faults', () => {
  test('strike so many matching operations after so many, until cleared', async () => {
    const place = memoryPlace()
    const db = await place.open()
    place.fs.inject({ operation: 'write', file: /wal/, after: 2, times: 2, effect: 'ENOSPC' })
    expect(await db.put('a', '1')).toBe(1)
    expect(await db.put('a', '1')).toBe(2)
    expect(await rejected(db.put('a', '1'))).toBe('VARVE_NO_SPACE')
    place.fs.clearFaults()
    expect((await db.keys().all()).map(text)).toEqual(['a'])
    expect(db.history().latest).toBe(2)
  })

  test('EIO of a sync poisons the store: reads go on, writes are refused until it is reopened', async () => {
    const place = memoryPlace()
    const db = await place.open()
    const errors: unknown[] = []
    db.on('backgroundError', (info) => errors.push(info))
    await db.put('a', '1', { sync: true })
    const consumer = await db.consumer('c')
    place.fs.inject({ operation: 'sync', effect: 'EIO' })
    expect(await rejected(db.put('b', '1', { sync: true }))).toMatch(/VARVE_(POISONED|IO)/)
    expect(db.status).toBe('poisoned')
    expect(await rejected(db.put('c', '1'))).toBe('VARVE_POISONED')
    expect(await rejected(db.sync())).toBe('VARVE_POISONED')
    expect(await rejected(db.flush())).toBe('VARVE_POISONED')
    expect(await rejected(consumer.ack(2))).toBe('VARVE_POISONED')
    expect(await rejected(db.dropConsumer('c'))).toBe('VARVE_POISONED')
    expect(await rejected(db.consumer('c', { maxIdleMs: 1 }))).toBe('VARVE_POISONED')
    expect(await rejected(db.keyspace('k'))).toBe('VARVE_POISONED')
    expect(db.consumers().map(({ name }) => name)).toEqual(['c'])
    expect(text(await db.get('a'))).toBe('1')
    expect(db.history().durable).toBe(1)
    expect(errors).toMatchObject([{ error: { code: expect.stringMatching(/^VARVE_/) } }])
    await db.close()
    const again = await place.open()
    expect(text(await again.get('a'))).toBe('1')
    await again.put('d', '1')
  })

  test('a short write, an EMFILE and an EIO of a read lose nothing', async () => {
    const place = memoryPlace()
    const db = await place.open()
    await db.put('a', 'x'.repeat(5000))
    await db.flush()
    place.fs.inject({ operation: 'read', file: /seg|blob/, effect: 'EIO', times: 1 })
    expect(await rejected(db.get('a'))).toMatch(/VARVE_IO|not rejected/)
    place.fs.clearFaults()
    expect((await db.get('a'))?.length).toBe(5000)
    place.fs.inject({ operation: 'write', file: /wal/, effect: 'short', times: 1 })
    const written = await db
      .put('b', '1')
      .catch((error: unknown) => Reflect.get(Object(error), 'code') as string)
    expect([2, 'VARVE_NO_SPACE']).toContain(written)
    expect(thrown(() => place.fs.inject({ operation: 'sync', effect: 'short' }))).not.toBe(
      'not thrown',
    )
  })

  test('a fault hits only files that match', async () => {
    const place = memoryPlace()
    const db = await place.open()
    place.fs.inject({ operation: 'create', file: /\.seg$/, effect: 'EIO', times: Infinity })
    await db.put('a', '1')
    expect(await rejected(db.flush())).toMatch(/VARVE_(IO|POISONED)/)
    place.fs.clearFaults()
    const fresh = memoryPlace()
    const other = await fresh.open()
    fresh.fs.inject({ operation: 'remove', file: /nothing/, effect: 'EIO', times: Infinity })
    await other.put('a', '1')
    await other.flush()
  })
})

test('files are what a reader sees now; corrupt replaces bytes in place, uncounted', async () => {
  const place = memoryPlace()
  const db = await place.open()
  await db.put('needle', 'haystack')
  const [path, bytes] = [...place.fs.files()].find(([, content]) =>
    Buffer.from(content).includes('haystack'),
  )!
  expect(path.startsWith('/data/store/')).toBe(true)
  const at = Buffer.from(bytes).indexOf('haystack')
  const { operationCount } = place.fs
  place.fs.inject({ operation: 'write', effect: 'EIO', times: Infinity })
  place.fs.corrupt(path, at, Buffer.from('HAY'))
  place.fs.clearFaults()
  expect(place.fs.operationCount).toBe(operationCount)
  expect(Buffer.from(place.fs.files().get(path)!).includes('HAYstack')).toBe(true)
  expect(Buffer.from(bytes).includes('haystack')).toBe(true)
  expect(place.fs.files().get(path)!.length).toBe(bytes.length)
  expect(Buffer.from(place.fs.crash('kept').files().get(path)!).includes('HAYstack')).toBe(true)
  place.fs.corrupt(path, bytes.length - 1, Buffer.alloc(100))
  expect(place.fs.files().get(path)!.length).toBe(bytes.length)
})

test('two stores in one file system are apart', async () => {
  const fs = new MemoryFileSystem()
  const one = await memoryPlace({}, { fs, location: '/one' }).open()
  const two = await memoryPlace({}, { fs, location: '/two/deep' }).open()
  await one.put('a', '1')
  expect(await two.get('a')).toBeUndefined()
  expect(await rejected(Varve.open('/one/', { environment: { fs } }))).toBe('VARVE_LOCKED')
  await one.close()
  await Varve.destroy('/one', { environment: { fs } })
  expect([...fs.files().keys()].every((path) => path.startsWith('/two/deep/'))).toBe(true)
})
