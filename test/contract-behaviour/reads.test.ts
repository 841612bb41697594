import { getEventListeners } from 'node:events'
import { MessageChannel } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { RangeOptions } from '../../src/index.ts'
import { any, diskPlace, memoryPlace, places, rejected, text, thrown } from './store.ts'

const b = (...bytes: number[]): Buffer => Buffer.from(bytes)

describe.each(places)('%s', (_where, make) => {
  test('keys of 1 and 65,535 bytes and empty and large values are kept', async () => {
    const place = make()
    let db = await place.open()
    const long = Buffer.alloc(65_535, 0xff)
    const large = Buffer.alloc(300_000, 7)
    await db.put('a', '')
    await db.put(long, large)
    await db.put(b(0), b(0))
    for (let round = 0; round < 3; round++) {
      expect(await db.get('a')).toEqual(Buffer.alloc(0))
      expect(db.getSync('a')).toEqual(Buffer.alloc(0))
      expect(await db.has('a')).toBe(true)
      expect((await db.get(long))!.equals(large)).toBe(true)
      expect(db.getSync(long)!.equals(large)).toBe(true)
      expect(await db.get('b')).toBeUndefined()
      expect(db.getSync('b')).toBeUndefined()
      expect(await db.has('b')).toBe(false)
      const many = await db.getMany(['b', 'a', long, 'a'])
      expect(many.map((value) => value?.length)).toEqual([undefined, 0, 300_000, 0])
      expect((await db.keys().all()).map((key) => key.length)).toEqual([1, 1, 65_535])
      if (round === 0) await db.flush()
      if (round === 1) {
        await db.compact()
        await db.close()
        db = await place.open()
      }
    }
    expect(await db.getMany([])).toEqual([])
  })

  test('ranges with every kind of bound equal a filter over all keys', async () => {
    const db = await make().open()
    const keys = [
      b(0),
      b(0, 0),
      b(1),
      b(0x61),
      b(0x61, 0),
      b(0x61, 0xff),
      b(0x61, 0xff, 0xff),
      b(0x62),
      b(0xfe, 0xff),
      b(0xff),
      b(0xff, 0),
      b(0xff, 0xff),
      b(0xff, 0xff, 1),
    ]
    await Promise.all(keys.map((key, i) => db.put(key, `${i}`)))
    await db.deleteRange(b(1), b(1, 0))
    const left = keys.filter((key) => !key.equals(b(1)))
    const bounds: (Buffer | string | undefined)[] = [
      undefined,
      '',
      b(0),
      b(0x61),
      b(0x61, 0xff),
      b(0x62),
      b(0xff),
      b(0xff, 0xff),
    ]
    for (const flushed of [false, true]) {
      if (flushed) await db.flush()
      for (const lower of bounds)
        for (const upper of bounds)
          for (const [lo, hi] of [
            ['gt', 'lt'],
            ['gte', 'lte'],
            ['gte', 'lt'],
            ['gt', 'lte'],
          ] as const)
            for (const prefix of [undefined, '', b(0x61), b(0xff), b(0xff, 0xff), b(0x61, 0xff)]) {
              const range = { [lo]: lower, [hi]: upper, prefix } as RangeOptions
              const cmp = (k: Buffer, o: Buffer | string): number =>
                Buffer.compare(k, Buffer.from(o as string))
              const expected = left.filter(
                (k) =>
                  (lower === undefined || (lo === 'gt' ? cmp(k, lower) > 0 : cmp(k, lower) >= 0)) &&
                  (upper === undefined || (hi === 'lt' ? cmp(k, upper) < 0 : cmp(k, upper) <= 0)) &&
                  (prefix === undefined ||
                    k
                      .subarray(0, Buffer.from(prefix as string).length)
                      .equals(Buffer.from(prefix as string))),
              )
              const got = [...db.entriesSync(range)].map(([key]) => key)
              expect(got, JSON.stringify(range)).toEqual(expected)
              if (prefix === undefined || lower === undefined) {
                expect(
                  [...db.entriesSync({ ...range, reverse: true, limit: 2 })].map(([key]) => key),
                ).toEqual(expected.toReversed().slice(0, 2))
              }
            }
      expect(await db.keys({ gt: b(0x61), gte: b(0x62), lt: b(0xff), lte: b(0xff) }).all()).toEqual(
        [b(0x62), b(0xfe, 0xff)],
      )
      expect(await db.keys({ gt: b(0x62), gte: b(0x61), lt: b(0xff), lte: b(0xfe) }).all()).toEqual(
        [],
      )
      expect(await db.keys({ gt: 'b', lt: 'a' }).all()).toEqual([])
      expect(await db.keys({ limit: 0 }).all()).toEqual([])
      expect([...db.entriesSync({ limit: 0 })]).toEqual([])
      expect(await db.keys({ limit: 0 }).nextBatch()).toEqual([])
      expect((await db.values({ reverse: true, limit: 1 }).all()).map(text)).toEqual(['12'])
      expect(await db.keys({ lt: '' }).all()).toEqual([])
      expect((await db.keys({ lte: '', gte: '' }).all()).length).toBe(0)
    }
  })

  test('a cursor reads the state of its call, in batches, items and all', async () => {
    const db = await make().open()
    for (let i = 0; i < 2500; i++) void db.put(`k${String(i).padStart(5, '0')}`, `${i}`)
    await db.sync()
    const cursor = db.entries()
    const sync = db.entriesSync({ limit: 3 })
    await db.deleteRange('')
    await db.put('new', 'x')
    await db.flush()
    await db.compact()
    expect(await cursor.nextBatch()).toHaveLength(1000)
    expect(await cursor.nextBatch(1)).toHaveLength(1)
    const { value, done } = await cursor.next()
    expect([text(value![0]), done]).toEqual(['k01001', false])
    expect(await cursor.all()).toHaveLength(2500 - 1002)
    expect(await cursor.nextBatch()).toEqual([])
    expect(await cursor.all()).toEqual([])
    expect(await cursor.next()).toEqual({ done: true, value: undefined })
    expect([...sync].map(([key]) => text(key))).toEqual(['k00000', 'k00001', 'k00002'])
    const closed = db.keys()
    await closed.close()
    await closed.close()
    expect(await closed.nextBatch()).toEqual([])
    expect(await closed.all()).toEqual([])
    expect(await closed.next()).toEqual({ done: true, value: undefined })
    expect((await db.keys().all()).map(text)).toEqual(['new'])
    expect(db.keys()[Symbol.asyncIterator]).toBeTypeOf('function')
    const seen: (string | undefined)[] = []
    for await (const [key] of db.entries()) seen.push(text(key))
    expect(seen).toEqual(['new'])
  })

  test.each(['in memory', 'flushed'])(
    'cursors that are open when the store closes are refused the rest, %s',
    async (where) => {
      const db = await make().open()
      for (let i = 100; i < 130; i++) await db.put(`k${i}`, 'v'.repeat(5000))
      if (where === 'flushed') await db.flush()
      const begun = db.entries()
      const ahead = db.keys()
      const sync = db.entriesSync()
      const all = db.values()
      const atEnd = db.keys({ limit: 1 })
      const syncAtEnd = db.entriesSync({ limit: 1 })
      const left = db.keys()
      expect(await begun.nextBatch(2)).toHaveLength(2)
      expect((await ahead.next()).done).toBe(false)
      expect(sync.next().done).toBe(false)
      expect(await atEnd.nextBatch()).toHaveLength(1)
      expect([...syncAtEnd]).toHaveLength(1)
      await left.close()
      await db.close()
      for (let round = 0; round < 2; round++) {
        expect(await rejected(begun.nextBatch())).toBe('VARVE_CLOSED')
        expect(await rejected(ahead.next())).toBe('VARVE_CLOSED')
        expect(await rejected(all.all())).toBe('VARVE_CLOSED')
        expect(thrown(() => sync.next())).toBe('VARVE_CLOSED')
        expect(await atEnd.nextBatch()).toEqual([])
        expect(await atEnd.next()).toEqual({ done: true, value: undefined })
        expect(syncAtEnd.next()).toEqual({ done: true, value: undefined })
        expect(await left.nextBatch()).toEqual([])
      }
      await begun.close()
      expect(await begun.nextBatch()).toEqual([])
      expect(sync.return!()).toEqual({ done: true, value: undefined })
      expect(sync.next()).toEqual({ done: true, value: undefined })
    },
  )

  test('what is handed out and what is taken in belong to the caller', async () => {
    const db = await make({ mergeOperator: 'append', blobThresholdBytes: 64 }).open()
    const input = Buffer.from('key')
    const value = Buffer.alloc(100, 1)
    const operand = Buffer.from('op')
    const batch = db.batch().put(input, value)
    input.fill(0)
    value.fill(0)
    const written = db.write(batch)
    const merged = db.merge(Buffer.from('m'), operand)
    operand.fill(0)
    await Promise.all([written, merged])
    for (let i = 0; i < 2; i++) {
      const got = (await db.get('key'))!
      expect(got).toEqual(Buffer.alloc(100, 1))
      got.fill(9)
      expect(db.getSync('key')).toEqual(Buffer.alloc(100, 1))
      expect(text(await db.get('m'))).toBe('op')
      ;(await db.get('m'))!.fill(9)
      const entries = await db.entries().all()
      for (const [key, bytes] of entries) {
        expect(Buffer.isBuffer(key) && Buffer.isBuffer(bytes)).toBe(true)
        key.fill(9)
        bytes.fill(9)
      }
      const events = await db.scanSinceSeqno(1).nextBatch()
      for (const event of events) if ('key' in event) event.key.fill(9)
      for (const event of events) if ('value' in event) event.value.fill(9)
      expect((await db.keys().all()).map(text)).toEqual(['key', 'm'])
      expect(
        (await db.scanSinceSeqno(1).nextBatch()).map((event) =>
          'key' in event ? text(event.key) : '',
        ),
      ).toEqual(['key', 'm'])
      expect(await db.get('key')).toEqual(Buffer.alloc(100, 1))
      await db.flush()
    }
    const keys = [Buffer.from('key')]
    const many = db.getMany(keys)
    keys[0]!.fill(0)
    keys.length = 0
    expect((await many)[0]).toEqual(Buffer.alloc(100, 1))
  })
})

test('snapshots see one seqno of every keyspace until closed', async () => {
  const place = memoryPlace()
  const db = await place.open()
  const logs = await db.keyspace('logs')
  await db.put('a', '1')
  await logs.put('b', '1')
  const snapshot = db.snapshot()
  expect(snapshot.seqno).toBe(2)
  expect(db.stats().openSnapshots).toBe(1)
  place.clock.advance(500)
  expect(db.stats().oldestSnapshotAgeMs).toBe(500)
  await db.put('a', '2')
  await logs.deleteRange('')
  await db.flush()
  await db.compact()
  expect(text(await db.get('a', { snapshot }))).toBe('1')
  expect(text(db.getSync('a', { snapshot }))).toBe('1')
  expect(text(await logs.get('b', { snapshot }))).toBe('1')
  expect(await logs.has('b', { snapshot })).toBe(true)
  expect((await logs.getMany(['b'], { snapshot })).map(text)).toEqual(['1'])
  expect((await logs.values({ snapshot }).all()).map(text)).toEqual(['1'])
  expect([...logs.entriesSync({ snapshot })].length).toBe(1)
  const cursor = logs.keys({ snapshot })
  snapshot.close()
  snapshot.close()
  snapshot[Symbol.dispose]()
  expect(await cursor.all()).toHaveLength(1)
  expect(db.stats().openSnapshots).toBe(0)
  expect(db.stats().oldestSnapshotAgeMs).toBe(0)
  expect(await rejected(db.get('a', { snapshot }))).toBe('VARVE_CLOSED')
  expect(thrown(() => db.getSync('a', { snapshot }))).toBe('VARVE_CLOSED')
  const second = await memoryPlace().open()
  expect(await rejected(db.get('a', { snapshot: second.snapshot() }))).toBe(
    'VARVE_INVALID_ARGUMENT',
  )
  const kept = db.snapshot()
  await db.close()
  kept.close()
})

test('a signal that is aborted before or while reading rejects with ABORTED', async () => {
  const db = await memoryPlace().open()
  for (let i = 0; i < 5000; i++) void db.put(`k${i}`, 'v')
  await db.flush()
  const signal = AbortSignal.abort(new Error('why'))
  for (const what of ['entries', 'keys', 'values'] as const) {
    expect(await rejected(db[what]({ signal }).all())).toBe('VARVE_ABORTED')
    expect(await rejected(db[what]({ signal }).next())).toBe('VARVE_ABORTED')
    expect(await rejected(db[what]({ signal }).nextBatch())).toBe('VARVE_ABORTED')
  }
  expect(thrown(() => [...db.entriesSync({ signal })])).toBe('VARVE_ABORTED')
  const controller = new AbortController()
  const cursor = db.keys({ signal: controller.signal })
  const sync = db.entriesSync({ signal: controller.signal })
  await cursor.next()
  sync.next()
  controller.abort()
  expect(await rejected(cursor.next())).toBe('VARVE_ABORTED')
  expect(await rejected(cursor.all())).toBe('VARVE_ABORTED')
  expect(thrown(() => sync.next())).toBe('VARVE_ABORTED')
  const ended = new AbortController()
  const whole = db.entriesSync({ limit: 1, signal: ended.signal })
  expect([...whole].length).toBe(1)
  ended.abort()
  expect(whole.next().done).toBe(true)
})

test('options that are given as undefined are as left out', async () => {
  const db = await memoryPlace().open()
  await db.put('a', '1')
  expect(await db.keys(any({ limit: undefined, signal: undefined })).all()).toHaveLength(1)
})

test('a cursor that is closed or aborted right behind a read gives nothing more, from memory and from files', async () => {
  const db = await memoryPlace().open()
  for (const key of ['a', 'b', 'c']) await db.put(key, key)
  for (let round = 0; round < 2; round++) {
    for (const read of ['next', 'nextBatch', 'all'] as const) {
      const cursor = db.keys()
      const first = cursor[read]()
      const closed = cursor.close()
      const [behind, rest] = [cursor.next(), cursor.all()]
      expect(await first).toEqual(read === 'next' ? { done: true, value: undefined } : [])
      await closed
      expect(await behind).toEqual({ done: true, value: undefined })
      expect(await rest).toEqual([])
      expect(await cursor.nextBatch()).toEqual([])
      expect((await cursor.next()).done).toBe(true)

      const stop = new AbortController()
      const other = db.keys({ signal: stop.signal })
      const more = other.nextBatch(1)
      stop.abort()
      expect(await rejected(more)).toBe('VARVE_ABORTED')
      expect(await rejected(other.next())).toBe('VARVE_ABORTED')
    }
    await db.flush()
  }
})

test('who transfers the memory of a result to another thread takes nothing else along', async () => {
  const place = diskPlace()
  let db = await place.open()
  const port = new MessageChannel().port1
  onTestFinished(() => port.close())
  const give = (bytes: Buffer | undefined): void => {
    try {
      port.postMessage(bytes, [bytes!.buffer as ArrayBuffer])
    } catch (error) {
      // From Node 21 on; until then it is copied.
      expect(error).toMatchObject({ name: 'DataCloneError' })
    }
  }
  for (let i = 0; i < 3000; i++) await db.put(`k${i}`, `value ${i}`)
  const large = Buffer.alloc(20_000, 'large')
  await db.put('large', large)
  await db.put('middle', large.subarray(0, 3000))
  for (let round = 0; round < 3; round++) {
    const kept = [db.getSync('k1'), ...(await db.getMany(['k2', 'k3']))]
    const entries = await db.entries().nextBatch()
    const events = await db.scanSinceSeqno(1).nextBatch()
    give(await db.get('k4'))
    give((await db.getMany(['k5']))[0])
    for (const key of ['large', 'middle']) give(await db.get(key))
    give(entries[7]![0])
    give(entries[900]![1])
    give((await db.entries().nextBatch(2000)).at(-1)![1])
    for (const [key] of db.entriesSync({ limit: 2 })) give(key)
    for (const event of events.slice(-2)) if (event.type === 'Insert') give(event.value)
    for (const event of await db.scanSinceSeqno(3001).nextBatch()) {
      if (event.type !== 'Insert') continue
      give(event.value)
      expect(text(event.key)).toBe(event.seqno === 3001 ? 'large' : 'middle')
    }

    expect(kept.map(text)).toEqual(['value 1', 'value 2', 'value 3'])
    expect(entries.slice(0, 2).flat().map(text)).toEqual(['k0', 'value 0', 'k1', 'value 1'])
    expect(events.map((event) => event.type === 'Insert' && text(event.value))).toEqual(
      events.map(({ seqno }) => `value ${seqno - 1}`),
    )
    expect(text(db.getSync('k4'))).toBe('value 4')
    expect((await db.entries().all()).length).toBe(3002)
    expect((await db.get('large'))!.equals(large)).toBe(true)
    if (round === 0) await db.flush()
    if (round !== 1) continue
    await db.compact()
    await db.close()
    db = await place.open()
  }
})

test('a signal that many cursors, scans and tails share has one listener of them, and none when they have ended', async () => {
  const db = await memoryPlace().open()
  for (let i = 0; i < 100; i++) await db.put(`k${i}`, 'v')
  const controller = new AbortController()
  const { signal } = controller
  const open = (): { return?: () => unknown }[] => [
    db.entries({ signal }),
    db.keys({ signal, limit: 50 }),
    db.entriesSync({ signal }),
    db.scanSinceSeqno(1, { signal }),
  ]
  const ended = Array.from({ length: 8 }, open).flat()
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  for (const reader of ended) await reader.return?.()
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  const cursors = Array.from({ length: 8 }, () => db.entries({ signal }))
  for (const cursor of cursors) await cursor.next()
  const tails = Array.from({ length: 8 }, () => db.tail({ from: 'now', signal }).next())
  await new Promise(setImmediate)
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  controller.abort()
  for (const cursor of cursors) expect(await rejected(cursor.next())).toBe('VARVE_ABORTED')
  for (const tail of tails) expect(await rejected(tail)).toBe('VARVE_ABORTED')
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})
