import { describe, expect, test } from 'vitest'
import type { ChangeEvent, ChangeScan, Varve } from '../../src/index.ts'
import { errorOf, memoryPlace, places, rejected, text, thrown } from './store.ts'

const seqnos = (events: readonly ChangeEvent[]): number[] => events.map(({ seqno }) => seqno)

async function all(scan: ChangeScan): Promise<number[]> {
  const found: number[] = []
  for await (const { seqno } of scan) found.push(seqno)
  return found
}

/** Commits [1..3], [4], [5..504], [505], [506..507]. */
async function sample(db: Varve): Promise<void> {
  const other = await db.keyspace('other')
  await db.write(db.batch().put('a', '1').delete('b').deleteRange('c', 'd'))
  await db.put('a', '2')
  const large = db.batch()
  for (let i = 0; i < 500; i++) large.put(`k${i}`, 'v')
  await db.write(large)
  await other.put('x', '1')
  await db.write(db.batch().deleteRange('').put('z', '1', other))
}

describe.each(places)('%s', (_where, make) => {
  test('a scan keeps to its bounds, limits and whole commits, and says where it stands', async () => {
    const db = await make().open()
    await sample(db)
    for (let round = 0; round < 3; round++) {
      if (round === 1) await db.flush()
      if (round === 2) await db.compact()
      for (const from of [0, 1]) {
        const scan = db.scanSinceSeqno(from)
        expect(scan.upTo).toBe(507)
        expect(scan.position).toBe(1)
        expect(await all(scan)).toHaveLength(507)
        expect(scan.position).toBe(508)
        expect(scan.stats.eventsDelivered).toBe(507)
        expect(Object.keys(scan.stats).toSorted()).toEqual([
          'blocksRead',
          'blocksTotal',
          'bytesRead',
          'eventsDelivered',
          'segmentsSkipped',
          'segmentsTotal',
        ])
      }
      const atEnd = db.scanSinceSeqno(508)
      expect([atEnd.upTo, atEnd.position]).toEqual([507, 508])
      expect(await atEnd.next()).toEqual({ done: true, value: undefined })
      expect(await atEnd.nextBatch()).toEqual([])
      expect(atEnd.position).toBe(508)
      const ahead = db.scanSinceSeqno(509)
      const error = await errorOf(ahead.next())
      expect(error).toMatchObject({
        code: 'VARVE_CURSOR_AHEAD',
        details: { requested: 509, latest: 507 },
      })
      expect(await rejected(ahead.nextBatch())).toBe('VARVE_CURSOR_AHEAD')
      await ahead.close()
      const below = db.scanSinceSeqno(10, { upTo: 9 })
      expect(await below.nextBatch()).toEqual([])
      expect(below.position).toBe(10)
      const none = db.scanSinceSeqno(10, { upTo: 0 })
      expect(await all(none)).toEqual([])
      expect(none.position).toBe(10)
      const inside = db.scanSinceSeqno(2, { upTo: 3 })
      expect(seqnos(await inside.nextBatch(1))).toEqual([2, 3])
      expect(inside.position).toBe(4)
      const cut = db.scanSinceSeqno(2, { upTo: 100 })
      expect(await all(cut)).toHaveLength(99)
      expect(cut.position).toBe(101)
      expect(db.scanSinceSeqno(1, { upTo: 10_000 }).upTo).toBe(507)
      // batches
      const batches = db.scanSinceSeqno(1)
      expect(seqnos(await batches.nextBatch(1))).toEqual([1, 2, 3])
      expect(batches.position).toBe(4)
      expect(seqnos(await batches.nextBatch(1))).toEqual([4])
      expect(await batches.nextBatch(1)).toHaveLength(500)
      expect(batches.position).toBe(505)
      expect(seqnos(await batches.nextBatch(2))).toEqual([505])
      expect(seqnos(await batches.nextBatch(2))).toEqual([506, 507])
      expect(await batches.nextBatch()).toEqual([])
      expect(batches.position).toBe(508)
      const thousand = db.scanSinceSeqno(1)
      expect(await thousand.nextBatch(503)).toHaveLength(4)
      expect(await thousand.nextBatch(500)).toHaveLength(500)
      // limit
      for (const [limit, count, position] of [
        [1, 3, 4],
        [3, 3, 4],
        [4, 4, 5],
        [5, 504, 505],
        [504, 504, 505],
        [505, 505, 506],
        [506, 507, 508],
        [9999, 507, 508],
      ] as const) {
        const scan = db.scanSinceSeqno(1, { limit })
        expect(await all(scan)).toHaveLength(count)
        expect(scan.position).toBe(position)
        const batchwise = db.scanSinceSeqno(1, { limit })
        let got = 0
        for (
          let events = await batchwise.nextBatch(2);
          events.length > 0;
          events = await batchwise.nextBatch(2)
        )
          got += events.length
        expect(got).toBe(count)
        expect(batchwise.position).toBe(position)
      }
      const midLimit = db.scanSinceSeqno(2, { limit: 1 })
      expect(await all(midLimit)).toEqual([2, 3])
      const filtered = db.scanSinceSeqno(1, { limit: 1, types: ['PointTombstone'] })
      expect(await all(filtered)).toEqual([2])
      expect(filtered.position).toBe(4)
      const nothing = db.scanSinceSeqno(1, { keyspaces: ['nope'] })
      expect(await all(nothing)).toEqual([])
      expect(nothing.position).toBe(508)
      // items
      const items = db.scanSinceSeqno(1)
      await items.next()
      expect(items.position).toBe(2)
      const token = items.token
      expect(token).toMatch(/^[A-Za-z0-9_-]+$/)
      expect(await all(db.scanSinceSeqno(token))).toHaveLength(506)
      expect(seqnos(await items.nextBatch(1))).toEqual([2, 3])
      await items.close()
      await items.close()
      expect(await items.next()).toEqual({ done: true, value: undefined })
      expect(await items.nextBatch()).toEqual([])
      expect(items.position).toBe(4)
      // filters
      expect(await all(db.scanSinceSeqno(1, { types: [] }))).toEqual([])
      expect(await all(db.scanSinceSeqno(1, { types: ['RangeTombstone'] }))).toEqual([3, 506])
      expect(await all(db.scanSinceSeqno(1, { keyspaces: ['other', 'nope'] }))).toEqual([505, 507])
      expect(await all(db.scanSinceSeqno(1, { range: { prefix: 'c' } }))).toEqual([3, 506])
      expect(await all(db.scanSinceSeqno(1, { range: { gte: 'd', lt: 'e' } }))).toEqual([506])
      expect(await all(db.scanSinceSeqno(1, { range: { gt: 'c', lt: 'ca' } }))).toEqual([3, 506])
      expect(await all(db.scanSinceSeqno(1, { range: { lt: 'c', gte: 'b' } }))).toEqual([2, 506])
      expect(await all(db.scanSinceSeqno(1, { range: { gt: 'b', lt: 'a' } }))).toEqual([])
      expect(await all(db.scanSinceSeqno(1, { range: {} }))).toHaveLength(507)
      expect(await all(db.scanSinceSeqno(1, { range: { prefix: Buffer.from([0xff]) } }))).toEqual([
        506,
      ])
      const bounds = await db.scanSinceSeqno(1, { range: { prefix: 'c5' } }).nextBatch()
      expect(bounds[0]).toMatchObject({ startKey: Buffer.from('c'), endKey: Buffer.from('d') })
      // skip false, tiny budget
      const slow = db.scanSinceSeqno(500, { skip: false, memoryBudgetBytes: 1 })
      expect(await all(slow)).toEqual([500, 501, 502, 503, 504, 505, 506, 507])
      expect(slow.stats.blocksRead).toBe(slow.stats.blocksTotal)
      expect(slow.stats.segmentsSkipped).toBe(0)
      const skipping = db.scanSinceSeqno(508)
      expect(skipping.stats.segmentsSkipped).toBe(skipping.stats.segmentsTotal)
      expect(skipping.stats.blocksTotal).toBe(0)
      // un-awaited
      const parallel = db.scanSinceSeqno(1)
      const got = await Promise.all([
        parallel.next(),
        parallel.next(),
        parallel.nextBatch(1),
        parallel.next(),
      ])
      expect([
        got[0].value!.seqno,
        got[1].value!.seqno,
        got[2][0]!.seqno,
        got[3].value!.seqno,
      ]).toEqual([1, 2, 3, 4])
      await parallel.close()
    }
  })

  test('a window is fixed and held at the call', async () => {
    const place = make({
      history: 'none',
      memtableBytes: 16 * 1024,
      segmentBytes: 16 * 1024,
      blobThresholdBytes: 100,
    })
    const db = await place.open()
    for (let i = 0; i < 300; i++)
      await db.put(`k${i % 10}`, `${i}`.padEnd(i % 7 === 0 ? 200 : 10, '.'))
    const first = db.history().floor
    const scan = db.scanSinceSeqno(first)
    const upTo = scan.upTo
    for (let i = 0; i < 300; i++) await db.put(`k${i % 10}`, 'x'.repeat(300))
    await db.flush()
    await db.compact()
    await db.compact()
    expect(db.history().floor).toBeGreaterThan(first)
    const found = await all(scan)
    expect(found).toEqual(Array.from({ length: upTo - first + 1 }, (_, i) => first + i))
    const error = await errorOf(db.scanSinceSeqno(first).nextBatch())
    expect(error).toMatchObject({
      code: 'VARVE_HISTORY_TRUNCATED',
      details: { requested: first, floor: db.history().floor },
    })
  })
})

test('visibility durable ends at what is durable', async () => {
  const db = await memoryPlace().open()
  await db.put('a', '1', { sync: true })
  await db.put('a', '2')
  const scan = db.scanSinceSeqno(1, { visibility: 'durable' })
  expect(scan.upTo).toBe(1)
  expect(await all(scan)).toEqual([1])
  expect(scan.position).toBe(2)
  for (const from of [2, 3]) {
    const beyond = db.scanSinceSeqno(from, { visibility: 'durable' })
    expect(await beyond.nextBatch()).toEqual([])
    expect(beyond.position).toBe(from)
  }
  expect(await rejected(db.scanSinceSeqno(4, { visibility: 'durable' }).next())).toBe(
    'VARVE_CURSOR_AHEAD',
  )
  expect(await all(db.scanSinceSeqno(1))).toEqual([1, 2])
})

test('a scan stops with ABORTED, before and between reads, and INVALID_ARGUMENT is thrown by the call', async () => {
  const db = await memoryPlace().open()
  await sample(db)
  expect(await rejected(db.scanSinceSeqno(1, { signal: AbortSignal.abort() }).next())).toBe(
    'VARVE_ABORTED',
  )
  const controller = new AbortController()
  const scan = db.scanSinceSeqno(1, { signal: controller.signal })
  await scan.next()
  controller.abort()
  expect(await rejected(scan.next())).toBe('VARVE_ABORTED')
  expect(await rejected(scan.nextBatch())).toBe('VARVE_ABORTED')
  expect(scan.position).toBe(2)
  await scan.close()
  expect(await rejected(scan.next())).toBe('VARVE_ABORTED')
  const token = db.scanSinceSeqno(1).token
  for (const bad of [
    `${token}A`,
    token.slice(1),
    token.toUpperCase(),
    'a'.repeat(5000),
    'é',
    token.replace(/.$/, '!'),
  ]) {
    expect(thrown(() => db.scanSinceSeqno(bad))).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(() => db.tail({ from: bad }))).toBe('VARVE_INVALID_ARGUMENT')
  }
})

test('seqnoAt is exact, and timestamps never decrease', async () => {
  const place = memoryPlace()
  let db = await place.open()
  expect(await db.seqnoAt(0)).toBe(1)
  expect(await db.seqnoAt(Infinity)).toBe(1)
  expect(db.history().oldestTimestamp).toBeUndefined()
  const times: number[] = []
  const put = async (): Promise<void> => {
    await db.put('a', '1')
    times.push(place.clock.now())
  }
  for (const step of [0, 0, 10, 1000, 5, 0, 7_000_000, 1]) {
    place.clock.advance(step)
    await put()
  }
  place.clock.set(5)
  await db.put('back', '1')
  times.push(times.at(-1)!)
  for (let round = 0; round < 4; round++) {
    if (round === 1) await db.flush()
    if (round === 2) await db.compact()
    if (round === 3) {
      await db.close()
      db = await place.open()
    }
    const events = await db.scanSinceSeqno(1).nextBatch()
    expect(events.map(({ timestamp }) => timestamp)).toEqual(times)
    for (const time of times.flatMap((t) => [t - 1, t, t + 1])) {
      const expected = times.findIndex((t) => t >= time) + 1 || times.length + 1
      expect(await db.seqnoAt(time)).toBe(expected)
    }
    expect(db.history().oldestTimestamp).toBe(times[0])
    expect(await db.seqnoAt(-Infinity)).toBe(1)
    expect(await db.seqnoAt(1_000_000.5)).toBe(3)
  }
  for (const floor of [3, 5, 6, 9]) {
    await db.truncateHistory(floor)
    expect(await db.seqnoAt(0)).toBe(floor)
    expect(db.history().oldestTimestamp).toBe(times[floor - 1])
    await db.close()
    db = await place.open()
    expect(db.history().oldestTimestamp).toBe(times[floor - 1])
    const reader = await place.open({ readOnly: true })
    expect(reader.history().oldestTimestamp).toBe(times[floor - 1])
  }
  await db.truncateHistory(10)
  expect(db.history().oldestTimestamp).toBeUndefined()
  place.clock.set(9_000_000)
  await db.put('a', '1')
  place.clock.advance(1)
  await db.put('a', '1')
  expect(db.history().oldestTimestamp).toBe(9_000_000)
  await db.flush()
  expect(db.history().oldestTimestamp).toBe(9_000_000)
})

test('a tail delivers whole commits as they come, until it is closed, aborted or the store closes', async () => {
  const db = await memoryPlace().open()
  await sample(db)
  const oldest = db.tail({ from: 'oldest', maxBatchEvents: 10 })
  const first = (await oldest.next()).value!
  expect(seqnos(first.events)).toEqual([1, 2, 3, 4])
  expect([first.upTo, first.next]).toEqual([4, 5])
  expect(Object.keys(first).toSorted()).toEqual(['events', 'next', 'token', 'upTo'])
  expect(await all(db.scanSinceSeqno(first.token))).toHaveLength(503)
  expect((await oldest.next()).value!.events).toHaveLength(500)
  expect(seqnos((await oldest.next()).value!.events)).toEqual([505, 506, 507])
  const waiting = oldest.next()
  const now = db.tail({ from: 'now' })
  const nowWaiting = now.next()
  await db.put('n', '1')
  expect(seqnos((await waiting).value!.events)).toEqual([508])
  expect(seqnos((await nowWaiting).value!.events)).toEqual([508])
  const lateRead = db.tail({ from: 'now' })
  await db.put('m', '1')
  expect(seqnos((await lateRead.next()).value!.events)).toEqual([509])
  const closed = oldest.next().then((r) => r.done)
  await now.next()
  await oldest.close().catch(() => undefined)
  void closed
  expect(await now.return!()).toEqual({ done: true, value: undefined })
  expect(await now.next()).toEqual({ done: true, value: undefined })
  expect(await rejected(db.tail({ from: 600 }).next())).toBe('VARVE_CURSOR_AHEAD')
  const zero = db.tail({ from: 0 })
  expect((await zero.next()).value!.events[0]!.seqno).toBe(1)
  // close during a wait
  const parked = db.tail({ from: 'now' })
  const parkedNext = parked.next()
  await parked.close()
  expect(await parkedNext).toEqual({ done: true, value: undefined })
  // abort during a wait
  const controller = new AbortController()
  const aborted = db.tail({ from: 'now', signal: controller.signal })
  const abortedNext = aborted.next()
  controller.abort()
  expect(await rejected(abortedNext)).toBe('VARVE_ABORTED')
  expect(await rejected(aborted.next())).toBe('VARVE_ABORTED')
  expect(await rejected(db.tail({ from: 1, signal: controller.signal }).next())).toBe(
    'VARVE_ABORTED',
  )
  // durable
  const durable = db.tail({ from: 'oldest', visibility: 'durable' })
  const durableNext = durable.next()
  await db.sync()
  expect((await durableNext).value!.events.length).toBeGreaterThan(0)
  // filters and heartbeat
  const beating = db.tail({ from: 'oldest', keyspaces: ['nope'], heartbeatMs: 1 })
  const beat = (await beating.next()).value!
  expect([beat.events.length, beat.next, beat.upTo]).toEqual([0, 510, 509])
  await beating.close()
  // store close ends tails
  const ending = db.tail({ from: 'now' })
  const endingNext = ending.next()
  await db.put('last', '1')
  await db.close()
  expect(seqnos((await endingNext).value!.events)).toEqual([510])
  expect(
    (await ending.next().catch((error: Error) => ({ done: Reflect.get(error, 'code') }))).done,
  ).toBe(true)
})

test('a tail that the floor overtakes fails', async () => {
  const db = await memoryPlace().open()
  await sample(db)
  const tail = db.tail({ from: 1 })
  await db.truncateHistory(100)
  const error = await errorOf(tail.next())
  expect(error).toMatchObject({
    code: 'VARVE_HISTORY_TRUNCATED',
    details: { requested: 1, floor: 100 },
  })
  expect(await rejected(db.tail({ from: 99 }).next())).toBe('VARVE_HISTORY_TRUNCATED')
  expect((await db.tail({ from: 'oldest' }).next()).value!.events[0]!.seqno).toBe(100)
})

test('values in blob files come whole', async () => {
  const place = memoryPlace({ blobThresholdBytes: 0 })
  const db = await place.open()
  await db.put('a', '')
  await db.put('b', 'x'.repeat(100_000))
  await db.put('b', 'y')
  await db.flush()
  await db.compact()
  expect(db.stats().blobs.files).toBeGreaterThan(0)
  const events = await db.scanSinceSeqno(1).nextBatch()
  expect(events.map((event) => ('value' in event ? event.value.length : -1))).toEqual([
    0, 100_000, 1,
  ])
  expect(text(await db.get('a'))).toBe('')
  const never = await memoryPlace({ blobThresholdBytes: false }).open()
  await never.put('b', 'x'.repeat(100_000))
  await never.flush()
  expect(never.stats().blobs).toEqual({ files: 0, bytes: 0, liveBytes: 0 })
})

test('a close delivers what was called before it, to tails of both visibilities, before it ends them', async () => {
  for (const visibility of ['committed', 'durable'] as const) {
    const db = await memoryPlace().open()
    const tail = db.tail({ from: 'now', visibility })
    const found: number[] = []
    const reading = (async () => {
      for await (const batch of tail) found.push(...seqnos(batch.events))
    })()
    await Promise.resolve()
    const written = Promise.all([db.put('a', '1'), db.put('b', '1')])
    await db.close()
    await written
    await reading
    expect(found).toEqual([1, 2])
  }
})

describe.each(places)('%s', (_, place) => {
  test('a scan or a tail that is closed while it reads ends, and is not disturbed until then', async () => {
    // Without a cache each of them reads the segments.
    const db = await place({ history: 'none', blobThresholdBytes: 500, blockCacheBytes: 0 }).open()
    const held = await db.consumer('held')
    for (let i = 0; i < 3000; i++) void db.put(`k${i % 500}`, 'x'.repeat(i % 600))
    await db.flush()
    for (const read of ['next', 'nextBatch'] as const) {
      const scan = db.scanSinceSeqno(1)
      const reading = [scan[read](), scan[read]()]
      await scan.close()
      const ended = read === 'next' ? { done: true, value: undefined } : []
      expect(await Promise.all(reading)).toEqual([ended, ended])
      expect(await scan[read]()).toEqual(ended)
      expect(scan.position).toBe(1)
    }
    for (const tail of [db.tail({ from: 1 }), held.batches({ maxBatchEvents: 10 })]) {
      const reading = [tail.next(), tail.next()]
      await tail.close()
      const ended = { done: true, value: undefined }
      expect(await Promise.all(reading)).toEqual([ended, ended])
    }
    await db.dropConsumer('held')
    await db.flush()
    expect(db.history().floor).toBe(3001)
  })
})

test('bounds may be Infinity, and a heartbeat later than any timer', async () => {
  const db = await memoryPlace().open()
  for (let i = 0; i < 1500; i++) void db.put(`k${i}`, 'v')
  await db.sync()
  const scan = db.scanSinceSeqno(1, { limit: Infinity, upTo: Infinity })
  expect(scan.upTo).toBe(1500)
  expect(await scan.nextBatch(Infinity)).toHaveLength(1500)
  const whole = db.tail({ from: 1, maxBatchEvents: Infinity })
  expect((await whole.next()).value?.events).toHaveLength(1500)
  await whole.close()
  const warnings: unknown[] = []
  const warned = (warning: unknown): void => void warnings.push(warning)
  process.on('warning', warned)
  for (const heartbeatMs of [2 ** 31, Number.MAX_SAFE_INTEGER, Infinity]) {
    const tail = db.tail({ from: 'now', keyspaces: ['none'], heartbeatMs })
    const first = tail.next()
    await db.put('k', 'v')
    // Long enough for a timer of 1 ms, which is what Node makes of more than it can wait.
    for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve))
    await tail.close()
    expect((await first).done).toBe(true)
  }
  process.off('warning', warned)
  expect(warnings).toEqual([])
})
