import { describe, expect, test } from 'vitest'
import { decodeCounter, encodeCounter, type ChangeEvent, type Varve } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { memoryPlace, places, rejected, text } from './store.ts'

const state = async (db: Varve): Promise<unknown[]> => {
  const found: unknown[] = []
  for (const name of db.keyspaces()) {
    const keyspace = await db.keyspace(name)
    for (const [key, value] of await keyspace.entries().all())
      found.push([name, text(key), text(value)])
  }
  return found
}

const events = (db: Varve): Promise<ChangeEvent[]> =>
  db.scanSinceSeqno(db.history().floor).nextBatch(Infinity)

describe.each(places)('%s', (where, make) => {
  test('after refresh a reader is its writer, whatever was written, flushed, compacted, dropped and reopened', async () => {
    const place = make({
      history: { maxBytes: 20_000 },
      memtableBytes: 16 * 1024,
      mergeOperator: 'counter',
    })
    let writer = await place.open()
    const reader = await place.open({ readOnly: true, memtableBytes: 64 * 2 ** 20 })
    let logs = await writer.keyspace('logs', { mergeOperator: 'append' })
    const consumer = await writer.consumer('c', { maxHeldBytes: 2_000 })
    let random = 7
    const next = (below: number): number => (random = (random * 48_271) % 2_147_483_647) % below
    for (let round = 0; round < (where === 'on disk' ? 15 : 50); round++) {
      const step = next(12)
      for (let i = next(30); i > 0; i--) {
        const key = `k${next(50)}`
        if (step % 3 === 0) await writer.merge('n', encodeCounter(next(100)))
        if (step % 2 === 0) await logs.merge(key, `${round}.`)
        await logs.put(key, 'x'.repeat(next(200)), { meta: `${round}` })
        if (i % 9 === 0) await logs.deleteRange('k1', 'k3')
      }
      if (step === 1) await writer.flush()
      if (step === 2) await writer.compact()
      if (step === 3 && consumer.state === 'active')
        await consumer.ack(writer.history().latest + 1).catch(() => undefined)
      if (step === 4) {
        await writer.dropKeyspace('logs')
        logs = await writer.keyspace('logs', { mergeOperator: 'append' })
      }
      if (step === 5) {
        await writer.close()
        writer = await place.open()
        logs = await writer.keyspace('logs')
      }
      if (step === 6)
        await writer.write(writer.batch().delete('a').ack('d', 1)).catch(() => undefined)
      if (next(3) > 0) continue
      expect(await reader.refresh()).toBe(writer.history().latest)
      expect(await state(reader)).toEqual(await state(writer))
      // The writer's floor may have risen in the background since.
      const seen = await events(reader)
      const { floor } = writer.history()
      expect(seen.filter(({ seqno }) => seqno >= floor)).toEqual(await events(writer))
      const { storeId, epoch, epochs, latest } = writer.history()
      expect(reader.history()).toMatchObject({ storeId, epoch, epochs, latest })
      expect(reader.consumers().map((info) => ({ ...info, heldBytes: 0 }))).toEqual(
        writer.consumers().map((info) => ({ ...info, heldBytes: 0 })),
      )
    }
    expect((await reader.verify()).problems).toEqual([])
  })

  test('snapshots, cursors and scans of a reader keep what they see over a refresh', async () => {
    const place = make({ history: 'none', blobThresholdBytes: 100 })
    const writer = await place.open()
    for (let i = 0; i < 200; i++) void writer.put(`k${i}`, 'x'.repeat(i))
    await writer.sync()
    const reader = await place.open({ readOnly: true })
    const snapshot = reader.snapshot()
    const cursor = reader.entries()
    const scan = reader.scanSinceSeqno(1)
    await cursor.nextBatch(1)
    await scan.nextBatch(1)
    for (let round = 0; round < 3; round++) {
      await writer.deleteRange('')
      for (let i = 0; i < 200; i++) void writer.put(`k${i}`, `${round}`)
      await writer.flush()
      await writer.compact()
      await reader.refresh()
    }
    expect(reader.history().floor).toBeGreaterThan(200)
    expect((await reader.get('k150', { snapshot }))?.length).toBe(150)
    expect(
      (await reader.values({ snapshot }).all()).reduce((sum, { length }) => sum + length, 0),
    ).toBe(19_900)
    expect(text(await reader.get('k150'))).toBe('2')
    expect(await cursor.all()).toHaveLength(199)
    const rest = await scan.nextBatch(Infinity)
    expect(rest.map(({ seqno }) => seqno)).toEqual(Array.from({ length: 199 }, (_, i) => i + 2))
    snapshot.close()
    expect(await rejected(reader.get('k150', { snapshot }))).toBe('VARVE_CLOSED')
    expect(await rejected(reader.scanSinceSeqno(1).next())).toBe('VARVE_HISTORY_TRUNCATED')
  })
})

test('a reader that refreshes while its writer writes, flushes and compacts sees a prefix each time', async () => {
  const place = memoryPlace({ memtableBytes: 16 * 1024, mergeOperator: 'counter' })
  const writer = await place.open()
  const reader = await place.open({ readOnly: true })
  let isDone = false
  const upkeep: Promise<void>[] = []
  const writing = (async () => {
    for (let i = 0; i < 600; i++) {
      const batch = writer
        .batch()
        .merge('n', encodeCounter(1))
        .put(`k${i % 40}`, 'x'.repeat(i % 300))
      await writer.write(batch)
      if (i % 50 === 0) upkeep.push(writer.flush())
      if (i % 150 === 0) upkeep.push(writer.compact())
    }
    await Promise.all(upkeep)
    isDone = true
  })()
  const seen: number[] = []
  while (!isDone) {
    const latest = await reader.refresh()
    seen.push(latest)
    const found = await reader.scanSinceSeqno(1).nextBatch(Infinity)
    expect(found.length).toBe(latest)
    expect(found.every(({ seqno }, i) => seqno === i + 1)).toBe(true)
    expect(decodeCounter(await reader.get('n'))).toBe(BigInt(latest / 2))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await writing
  await reader.refresh()
  expect(new Set(seen).size).toBeGreaterThan(5)
  expect(await events(reader)).toEqual(await events(writer))
})

test('a refresh reads what is new, not the log again', async () => {
  const fs = new MemoryFileSystem()
  let bytesRead = 0
  const counting = new Proxy(fs, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (name !== 'openRead') return value.bind(target) as unknown
      return (path: string) => {
        const file = target.openRead(path)
        const readSync = file.readSync.bind(file)
        // Asynchronous reads go through it, too.
        file.readSync = (...range) => count(readSync(...range))
        return file
      }
    },
  })
  const count = (bytes: number): number => {
    bytesRead += bytes
    return bytes
  }
  const place = memoryPlace({}, { fs })
  const writer = await place.open()
  for (let i = 0; i < 20_000; i++) void writer.put(`k${i}`, 'x'.repeat(100))
  await writer.sync()
  const reader = await place.open({ readOnly: true, environment: { fs: counting } })
  expect(bytesRead).toBeGreaterThan(2_000_000)
  for (let i = 0; i < 5; i++) {
    await writer.put('new', `${i}`)
    bytesRead = 0
    expect(await reader.refresh()).toBe(20_001 + i)
    expect(text(await reader.get('new'))).toBe(`${i}`)
    expect(bytesRead).toBeLessThan(20_000)
  }
  bytesRead = 0
  await reader.refresh()
  expect(bytesRead).toBeLessThan(20_000)
})

test('a reader follows a log that was cut back and written anew', async () => {
  const place = memoryPlace()
  const writer = await place.open()
  const reader = await place.open({ readOnly: true })
  await writer.put('a', '1')
  await reader.refresh()
  for (let i = 0; i < 5; i++) {
    place.fs.inject({ operation: 'write', file: /wal|log/, effect: 'short' })
    const writes = [writer.put(`s${i}`, 'x'.repeat(100)), writer.put(`t${i}`, 'y'.repeat(1000))]
    await Promise.resolve()
    await reader.refresh()
    const results = await Promise.allSettled(writes)
    place.fs.clearFaults()
    await reader.refresh()
    await writer.put(`u${i}`, '1').catch(() => writer.put(`u${i}`, '1'))
    expect(await reader.refresh()).toBe(writer.history().latest)
    expect(await state(reader)).toEqual(await state(writer))
    expect(results.length).toBe(2)
  }
})

test('a reader sees the operator that its writer has added', async () => {
  const place = memoryPlace()
  const writer = await place.open()
  await writer.keyspace('k')
  const reader = await place.open({ readOnly: true })
  const seen = await reader.keyspace('k')
  const keyspace = await writer.keyspace('k', { mergeOperator: 'append' })
  await keyspace.merge('a', '1')
  await keyspace.merge('a', '2')
  await reader.refresh()
  expect(text(await seen.get('a'))).toBe('12')
  expect(await rejected(seen.merge('a', '1'))).toBe('VARVE_READ_ONLY')
})

test('refresh elsewhere resolves to latest; refreshes at once and a close meanwhile do no harm', async () => {
  const place = memoryPlace()
  const writer = await place.open()
  expect(await writer.refresh()).toBe(0)
  await writer.put('a', '1')
  expect(await writer.refresh()).toBe(1)
  const reader = await place.open({ readOnly: true })
  expect(reader.role).toBe('primary')
  await writer.put('b', '1')
  expect(await Promise.all([reader.refresh(), reader.refresh(), reader.refresh()])).toEqual([
    2, 2, 2,
  ])
  const refreshing = rejected(reader.refresh())
  await reader.close()
  expect(await refreshing).toMatch(/VARVE_CLOSED|not rejected/)
  expect(await rejected(reader.refresh())).toBe('VARVE_CLOSED')
})

test('a consumer of a reader reads, and cannot ack', async () => {
  const place = memoryPlace()
  const writer = await place.open()
  const consumer = await writer.consumer('c')
  await writer.put('a', '1')
  await consumer.ack(2)
  await writer.put('b', '1')
  const reader = await place.open({ readOnly: true })
  expect(reader.consumers()).toMatchObject([{ name: 'c', position: 2, lagEvents: 1 }])
  const theirs = await reader.consumer('c')
  const batch = (await theirs.batches().next()).value!
  expect(batch.events.map(({ seqno }: ChangeEvent) => seqno)).toEqual([2])
  expect(await rejected(theirs.ack(3))).toBe('VARVE_READ_ONLY')
  expect(await rejected(reader.consumer('new'))).toBe('VARVE_READ_ONLY')
  expect(await rejected(reader.dropConsumer('c'))).toBe('VARVE_READ_ONLY')
  expect(reader.consumers()).toHaveLength(1)
  await consumer.ack(3)
  await reader.refresh()
  expect(theirs.position).toBe(3)
  for (const [name, call] of Object.entries({
    put: () => reader.put('a', '1'),
    merge: () => reader.delete('a'),
    deleteRange: () => reader.deleteRange('a'),
    write: () => reader.write(reader.batch().put('a', '1')),
    keyspace: () => reader.keyspace('new'),
    dropKeyspace: () => reader.dropKeyspace('x'),
    truncateHistory: () => reader.truncateHistory(1),
    applyChanges: () => reader.applyChanges([]),
    promote: () => reader.promote(),
    flush: () => reader.flush(),
    compact: () => reader.compact(),
  })) {
    expect(await rejected(call()), name).toBe('VARVE_READ_ONLY')
  }
})

test('a reader is refused another operator, and the role of a primary on a replica', async () => {
  const place = memoryPlace({ mergeOperator: 'append' })
  const writer = await place.open()
  await writer.keyspace('k', { mergeOperator: 'max' })
  const other = place.open({ readOnly: true, mergeOperator: 'counter' })
  expect(await rejected(other)).toBe('VARVE_MERGE_OPERATOR_MISMATCH')
  const reader = await place.open({ readOnly: true })
  const changed = reader.keyspace('k', { mergeOperator: 'min' })
  expect(await rejected(changed)).toBe('VARVE_MERGE_OPERATOR_MISMATCH')
  const replica = memoryPlace({ role: 'replica' })
  await replica.open()
  const asPrimary = replica.open({ readOnly: true, role: 'primary' })
  expect(await rejected(asPrimary)).toBe('VARVE_INVALID_ARGUMENT')
  expect((await replica.open({ readOnly: true })).role).toBe('replica')
})
