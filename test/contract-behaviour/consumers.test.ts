import { describe, expect, test } from 'vitest'
import type { StoreEvents, Varve } from '../../src/index.ts'
import { errorOf, memoryPlace, places, rejected } from './store.ts'

const fill = async (db: Varve, count: number, size = 10): Promise<void> => {
  for (let i = 0; i < count; i++) void db.put(`k${i % 100}`, 'x'.repeat(size))
  await db.sync()
}

describe.each(places)('%s', (_where, make) => {
  test('a consumer is durable, holds its history, and goes on where it acked', async () => {
    const place = make({ history: 'none' })
    let db = await place.open()
    await fill(db, 10)
    let consumer = await db.consumer('c')
    expect([consumer.name, consumer.position, consumer.state]).toEqual(['c', 1, 'active'])
    const later = await db.consumer('later', { from: 5 })
    const now = await db.consumer('now', { from: 'now' })
    const zero = await db.consumer('zero', { from: 0 })
    expect([later.position, now.position, zero.position]).toEqual([5, 11, 1])
    expect((await db.consumer('later', { from: 9 })).position).toBe(5)
    await db.flush()
    await db.compact()
    expect(db.history().floor).toBe(1)
    const batches = consumer.batches({ maxBatchEvents: 3 })
    const first = (await batches.next()).value!
    expect(first.next).toBe(4)
    expect(consumer.position).toBe(1)
    await consumer.ack(first.next)
    expect(consumer.position).toBe(4)
    expect(db.consumers().find(({ name }) => name === 'c')).toEqual({
      name: 'c',
      position: 4,
      state: 'active',
      lagEvents: 7,
      heldBytes: expect.any(Number),
      lastAckAt: place.clock.now(),
    })
    expect(db.consumers().find(({ name }) => name === 'now')).toMatchObject({
      lagEvents: 0,
      position: 11,
    })
    await consumer.ack(4)
    expect(await rejected(consumer.ack(3))).toBe('VARVE_INVALID_ARGUMENT')
    expect(await rejected(consumer.ack(12))).toBe('VARVE_INVALID_ARGUMENT')
    expect(await rejected(consumer.ack(0))).toBe('VARVE_INVALID_ARGUMENT')
    expect(await rejected(consumer.ack('5' as never))).toBe('ERR_INVALID_ARG_TYPE')
    expect(await rejected(consumer.ack(4.5))).toBe('VARVE_INVALID_ARGUMENT')
    await batches.close()
    await db.close()
    db = await place.open()
    consumer = await db.consumer('c')
    expect(consumer.position).toBe(4)
    const rest: number[] = []
    for await (const batch of consumer.batches({ stopAtLatest: true })) {
      rest.push(...batch.events.map(({ seqno }) => seqno))
      await consumer.ack(batch.next)
    }
    expect(rest).toEqual([4, 5, 6, 7, 8, 9, 10])
    expect(consumer.position).toBe(11)
    const end = consumer.batches({ stopAtLatest: true })
    expect(await end.next()).toEqual({ done: true, value: undefined })
    await db.dropConsumer('zero')
    await (await db.consumer('later')).ack(11)
    await db.compact()
    expect(db.history().floor).toBe(11)
    expect(await rejected(db.consumer('old', { from: 3 }))).toBe('VARVE_HISTORY_TRUNCATED')
    expect((await db.consumer('oldest', { from: 'oldest' })).position).toBe(11)
  })

  test('an ack is durable with what it acknowledges', async () => {
    const place = make()
    const db = await place.open()
    await db.put('a', '1')
    const consumer = await db.consumer('c')
    await db.put('b', '1')
    await consumer.ack(3)
    expect(db.history().durable).toBe(2)
  })
})

test('a dropped consumer is unknown, and its handles afterwards', async () => {
  const db = await memoryPlace().open()
  await fill(db, 3)
  const consumer = await db.consumer('c')
  await consumer.ack(3)
  const tail = consumer.batches()
  await db.dropConsumer('c')
  expect(db.consumers()).toEqual([])
  expect(await rejected(consumer.ack(4))).toBe('VARVE_NOT_FOUND')
  expect(await rejected(tail.next())).toBe('VARVE_NOT_FOUND')
  expect(await rejected(consumer.batches().next())).toBe('VARVE_NOT_FOUND')
  expect(await rejected(db.dropConsumer('c'))).toBe('VARVE_NOT_FOUND')
  expect(await rejected(db.write(db.batch().put('a', 'b').ack('c', 4)))).toBe('VARVE_NOT_FOUND')
  const again = await db.consumer('c')
  expect(again.position).toBe(1)
  expect(await rejected(consumer.ack(4))).toBe('VARVE_NOT_FOUND')
})

test('batches that wait for something new are told when their consumer is dropped or lost', async () => {
  const db = await memoryPlace({ syncIntervalMs: 0 }).open()
  await fill(db, 3)
  for (const visibility of ['committed', 'durable'] as const) {
    await db.sync()
    const dropped = await db.consumer('dropped')
    const lost = await db.consumer('lost')
    const other = await db.consumer('other', { from: 'now' })
    const follow = { heartbeatMs: 0, visibility }
    const [tailOfDropped, tailOfLost, tailOfOther] = [dropped, lost, other].map((consumer) =>
      consumer.batches(follow),
    )
    expect((await tailOfDropped!.next()).done).toBe(false)
    expect((await tailOfLost!.next()).done).toBe(false)
    const waiting = [tailOfDropped, tailOfLost].map((tail) => rejected(tail!.next()))
    const goesOn = tailOfOther!.next()
    await db.dropConsumer('dropped')
    expect(await waiting[0]).toBe('VARVE_NOT_FOUND')
    await db.truncateHistory(db.history().latest + 1)
    expect(await waiting[1]).toBe('VARVE_CONSUMER_LOST')
    await db.put('new', '1', { sync: true })
    expect((await goesOn).value?.events).toHaveLength(1)
    await db.dropConsumer('lost')
    await db.dropConsumer('other')
  }
})

test('beyond maxHeldBytes a consumer is at risk, then lost, and the floor moves on', async () => {
  const place = memoryPlace({ history: 'none', memtableBytes: 16 * 1024 })
  let db = await place.open()
  const risks: StoreEvents['consumerAtRisk'][] = []
  const floors: StoreEvents['historyFloor'][] = []
  db.on('consumerAtRisk', (info) => risks.push(info))
  db.on('historyFloor', (info) => floors.push(info))
  const consumer = await db.consumer('c', { maxHeldBytes: 10_000 })
  const waiting = consumer.batches()
  for (let i = 0; i < 12; i++) {
    await fill(db, 10, 98)
    await db.flush()
  }
  expect(risks.map(({ consumer: name, lost }) => [name, lost])).toEqual([
    ['c', false],
    ['c', false],
    ['c', true],
  ])
  expect(risks[0]!.usedFraction).toBeGreaterThanOrEqual(0.5)
  expect(risks[1]!.usedFraction).toBeGreaterThanOrEqual(0.8)
  expect(risks[2]!.usedFraction).toBeGreaterThan(1)
  for (const risk of risks)
    expect(Object.keys(risk).toSorted()).toEqual(['consumer', 'lost', 'usedFraction'])
  expect(consumer.state).toBe('lost')
  expect(floors.at(-1)).toEqual({ floor: db.history().floor })
  const error = await errorOf(consumer.ack(2))
  expect(error).toMatchObject({ code: 'VARVE_CONSUMER_LOST' })
  expect(await rejected(waiting.next())).toBe('VARVE_CONSUMER_LOST')
  expect(await rejected(consumer.batches().next())).toBe('VARVE_CONSUMER_LOST')
  expect(await rejected(db.write(db.batch().put('a', 'b').ack('c', 4)))).toBe('VARVE_CONSUMER_LOST')
  expect(db.consumers()[0]).toMatchObject({ name: 'c', state: 'lost', position: 1 })
  await db.close()
  db = await place.open()
  expect((await db.consumer('c')).state).toBe('lost')
  await db.dropConsumer('c')
  expect((await db.consumer('c')).state).toBe('active')
})

test('beyond maxIdleMs a consumer is lost', async () => {
  const place = memoryPlace({ history: 'none' })
  const db = await place.open()
  const risks: StoreEvents['consumerAtRisk'][] = []
  db.on('consumerAtRisk', (info) => risks.push(info))
  await fill(db, 3)
  const consumer = await db.consumer('c', { maxIdleMs: 1000 })
  place.clock.advance(600)
  await db.put('a', '1')
  await db.flush()
  expect(risks).toEqual([{ consumer: 'c', usedFraction: expect.closeTo(0.6), lost: false }])
  await consumer.ack(2)
  place.clock.advance(900)
  await db.put('a', '1')
  await db.flush()
  expect(consumer.state).toBe('active')
  place.clock.advance(200)
  await db.put('a', '1')
  await db.flush()
  expect(consumer.state).toBe('lost')
  expect(risks.at(-1)).toMatchObject({ lost: true })
  await db.compact()
  expect(db.history().floor).toBe(7)
})

test('truncateHistory gives up history and consumers below it', async () => {
  const db = await memoryPlace().open()
  const risks: StoreEvents['consumerAtRisk'][] = []
  const floors: number[] = []
  db.on('consumerAtRisk', (info) => risks.push(info))
  db.on('historyFloor', ({ floor }) => floors.push(floor))
  await db.put('a', '1')
  await fill(db, 20)
  const low = await db.consumer('low')
  const at = await db.consumer('at', { from: 10 })
  const scan = db.scanSinceSeqno(1)
  await db.put('b', '1')
  await db.truncateHistory(10)
  expect(db.history()).toMatchObject({ floor: 10, durable: 22, latest: 22 })
  expect(floors).toEqual([10])
  expect([low.state, at.state]).toEqual(['lost', 'active'])
  expect(risks).toEqual([{ consumer: 'low', usedFraction: expect.any(Number), lost: true }])
  await db.truncateHistory(5)
  await db.truncateHistory(0)
  await db.truncateHistory(10)
  expect(db.history().floor).toBe(10)
  expect(floors).toEqual([10])
  expect((await scan.nextBatch()).length).toBe(21)
  const error = await errorOf(db.scanSinceSeqno(9).next())
  expect(error).toMatchObject({
    code: 'VARVE_HISTORY_TRUNCATED',
    details: { requested: 9, floor: 10 },
  })
  expect((await db.scanSinceSeqno(10).nextBatch()).length).toBe(13)
  expect(await rejected(db.truncateHistory(24))).toBe('VARVE_INVALID_ARGUMENT')
  await db.truncateHistory(23)
  expect(db.history()).toMatchObject({ floor: 23, oldestTimestamp: undefined, retainedBytes: 0 })
  expect(at.state).toBe('lost')
  expect(await db.scanSinceSeqno(23).nextBatch()).toEqual([])
  expect((await db.keys().all()).length).toBe(22)
  await db.flush()
  await db.compact()
  expect((await db.verify()).ok).toBe(true)
})

test('the floor rises by age and by bytes, at once with none and never with all', async () => {
  const byAge = memoryPlace({ history: { maxAgeMs: 1000 } })
  const aged = await byAge.open()
  for (let i = 0; i < 10; i++) {
    await aged.put(`${i}`, 'v')
    byAge.clock.advance(300)
  }
  await aged.flush()
  // written at 0, 300 .. 2700; now 3000: the first at or after 2000 is the eighth
  expect(aged.history().floor).toBe(8)
  const [oldest] = await aged.scanSinceSeqno(8).nextBatch()
  expect(aged.history().oldestTimestamp).toBe(oldest!.timestamp)
  byAge.clock.advance(100_000)
  expect(aged.history().floor).toBe(8)
  await aged.compact()
  expect(aged.history().floor).toBe(11)
  const byBytes = memoryPlace({ history: { maxBytes: 6_400 } })
  const sized = await byBytes.open()
  for (let i = 0; i < 200; i++) await sized.put(String(i).padStart(4, '0'), 'x'.repeat(96))
  await sized.flush()
  const { floor, retainedBytes } = sized.history()
  expect(floor).toBeGreaterThanOrEqual(137)
  expect(floor).toBeLessThanOrEqual(139)
  expect(retainedBytes).toBeLessThanOrEqual(6_400)
  expect(retainedBytes).toBe((201 - floor) * 100)
  const everything = await memoryPlace({ history: 'all' }).open()
  await fill(everything, 100)
  await everything.flush()
  await everything.compact()
  expect(everything.history().floor).toBe(1)
  expect(everything.history().retainedBytes).toBe(10 * 2 + 90 * 3 + 1000)
  const none = await memoryPlace({ history: 'none' }).open()
  await fill(none, 100)
  expect(none.history().floor).toBe(1)
  await none.flush()
  expect(none.history().floor).toBe(101)
  const empty = await memoryPlace({ history: {} }).open()
  await fill(empty, 100)
  await empty.flush()
  await empty.compact()
  expect(empty.history().floor).toBe(1)
})

test('truncateHistory leaves no active consumer below the floor, whenever it acks and whenever the power goes', async () => {
  for (let turns = 0; turns < 40; turns++) {
    const place = memoryPlace()
    const db = await place.open()
    await fill(db, 20)
    await db.consumer('c')
    const truncated = db.truncateHistory(10)
    for (let i = 0; i < turns; i++) await Promise.resolve()
    const written = db.write(db.batch().put('a', '1').ack('c', 15)).catch((error: unknown) => error)
    await truncated
    const image = memoryPlace({}, { fs: place.fs.crash('lost') })
    await written
    const [consumer] = db.consumers()
    expect([consumer!.state, consumer!.position]).toEqual(
      consumer!.position < 10 ? ['lost', 1] : [consumer!.state, 15],
    )
    const after = await image.open()
    const { floor } = after.history()
    for (const { state, position } of after.consumers()) {
      if (state === 'active') expect(position).toBeGreaterThanOrEqual(floor)
    }
  }
})

test('a consumer may have no limits, and says when it was acked last, over a reopen too', async () => {
  const place = memoryPlace()
  let db = await place.open()
  await fill(db, 3)
  await db.consumer('never', { maxHeldBytes: Infinity, maxIdleMs: Infinity })
  const acked = await db.consumer('acked')
  place.clock.advance(10)
  await acked.ack(2)
  const told = db.consumers()
  expect(told.map(({ name, lastAckAt }) => [name, lastAckAt])).toEqual([
    ['acked', 1_000_010],
    ['never', undefined],
  ])
  await db.close()
  place.clock.advance(1e12)
  const reader = await place.open({ readOnly: true })
  expect(reader.consumers()).toEqual(told)
  db = await place.open()
  expect(db.consumers()).toEqual(told)
  await db.flush()
  await db.compact()
  expect((await db.consumer('never')).state).toBe('active')
  await db.close()
  db = await place.open()
  expect(db.consumers()).toEqual(told)
})

test('a clock between two milliseconds, before 1970 or out of order does no harm', async () => {
  for (const now of [() => 1000.75, () => -5, () => NaN, () => Infinity]) {
    const { fs } = memoryPlace()
    const place = memoryPlace({ environment: { fs, now } })
    let db = await place.open()
    await db.put('a', '1')
    await (await db.consumer('c', { maxIdleMs: 1000 })).ack(2)
    expect((await db.verify()).problems).toEqual([])
    await db.close()
    db = await place.open()
    const [event] = await db.scanSinceSeqno(1).nextBatch()
    expect([0, 1000]).toContain(event!.timestamp)
    expect(await db.seqnoAt(event!.timestamp)).toBe(1)
    expect(db.consumers()).toMatchObject([{ position: 2, lastAckAt: event!.timestamp }])
  }
})

test('the floor follows a consumer that moves, by an ack of its own, by one in a batch, and when it is dropped', async () => {
  for (const move of ['ack', 'batch', 'drop'] as const) {
    const db = await memoryPlace({ history: 'none' }).open()
    const consumer = await db.consumer('c')
    await fill(db, 10)
    await db.flush()
    expect(db.history().floor).toBe(1)
    const risen = new Promise<number>((resolve) => {
      db.on('historyFloor', ({ floor }) => resolve(floor))
    })
    if (move === 'ack') await consumer.ack(11)
    else if (move === 'drop') await db.dropConsumer('c')
    else await db.write(db.batch().put('z', '1').ack('c', 11), { sync: true })
    expect(await risen).toBe(11)
  }
})

test('a flush applies the policy also where it has nothing to write', async () => {
  const db = await memoryPlace({ history: 'none' }).open()
  await fill(db, 10)
  const consumer = await db.consumer('c')
  await db.flush()
  expect(db.history().floor).toBe(1)
  await consumer.ack(7)
  await db.flush()
  expect(db.history().floor).toBe(7)
  await db.dropConsumer('c')
  await db.flush()
  expect(db.history().floor).toBe(11)
  await db.close()
})

describe.each(places)('%s', (_, place) => {
  test.each([
    ['left in the log', 20],
    ['flushed by the close', 4_000],
  ])('what a closing store gives to consumers can be acked: %s', async (_what, bytes) => {
    const here = place()
    let store = await here.open()
    const { epoch } = store.history()
    const consumer = await store.consumer('c')
    const behind = await store.consumer('behind')
    let seen = 0
    const reading = (async () => {
      for await (const { events, next } of consumer.batches({ maxBatchEvents: 7 })) {
        seen += events.length
        await consumer.ack(next)
      }
    })()
    const writing: Promise<number>[] = []
    for (let i = 0; i < 200; i++) writing.push(store.put(`k${i}`, Buffer.alloc(bytes)))
    const closing = store.close()
    await Promise.all(writing)
    await reading
    expect(seen).toBe(200)
    expect(consumer.position).toBe(201)
    await closing
    expect(await rejected(behind.ack(2))).toBe('VARVE_CLOSED')

    store = await here.open()
    expect(store.history()).toMatchObject({ epoch, latest: 200, durable: 200 })
    expect(store.consumers().map(({ name, position }) => [name, position])).toEqual([
      ['behind', 1],
      ['c', 201],
    ])
    expect((await store.verify()).problems).toEqual([])
  })
})
