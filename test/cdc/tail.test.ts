import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { ChangeBatch } from '../../src/cdc/streams.ts'
import { openTail, type ChangeTail } from '../../src/cdc/tail.ts'
import { put, removeRange } from '../memtable/commits.ts'
import { FakeStore, turns } from './fake-store.ts'

const seqnos = (batch: ChangeBatch | undefined): number[] =>
  batch === undefined ? [] : batch.events.map(({ seqno }) => seqno)

function tailOf(store: FakeStore, options: object = {}): ChangeTail {
  return openTail(store, store.feed, { from: 1, heartbeatMs: 0, ...options })
}

/** Reads on in the background; what came so far, and how it ended. */
function follow(tail: ChangeTail): {
  batches: ChangeBatch[]
  end: Promise<unknown>
  done: () => boolean
} {
  const batches: ChangeBatch[] = []
  let isDone = false
  const end = (async () => {
    try {
      for await (const batch of tail) batches.push(batch)
      return undefined
    } catch (error) {
      const { code, details } = error as { code: string; details: unknown }
      return { code, details }
    } finally {
      isDone = true
    }
  })()
  return { batches, end, done: () => isDone }
}

describe('a tail', () => {
  test('delivers whole commits as they come', async () => {
    const store = new FakeStore()
    store.commit([put('a', '1', 1)])
    const tail = tailOf(store)
    const first = await tail.next()
    expect(seqnos(first.value)).toEqual([1])
    expect(first.value).toMatchObject({ upTo: 1, next: 2 })
    const waiting = tail.next()
    store.commit([put('b', '2', 1), put('c', '3', 1)])
    expect(seqnos((await waiting).value)).toEqual([2, 3])
    await tail.close()
  })

  test('cuts batches between commits', async () => {
    const store = new FakeStore()
    for (const size of [2, 2, 5, 1]) {
      store.commit(Array.from({ length: size }, (_, i) => put(`k${i}`, 'v', 1)))
    }
    const tail = tailOf(store, { maxBatchEvents: 3 })
    const lengths = []
    for (let i = 0; i < 4; i++) lengths.push(seqnos((await tail.next()).value).length)
    expect(lengths).toEqual([2, 2, 5, 1])
    await tail.close()
  })

  test('from now misses nothing committed after the call and delivers nothing from before', async () => {
    const store = new FakeStore()
    store.commit([put('a', '1', 1)])
    const tail = tailOf(store, { from: 'now' })
    store.commit([put('b', '2', 1)])
    expect(seqnos((await tail.next()).value)).toEqual([2])
    await tail.close()
  })

  test('from oldest begins at the floor, from a token where it says', async () => {
    const store = new FakeStore()
    for (let i = 0; i < 5; i++) store.commit([put('a', '1', 1)])
    store.floor = 3
    const tail = tailOf(store, { from: 'oldest', maxBatchEvents: 1 })
    const batch = (await tail.next()).value!
    expect(seqnos(batch)).toEqual([3])
    const resumed = tailOf(store, { from: batch.token })
    expect(seqnos((await resumed.next()).value)).toEqual([4, 5])
    await tail.close()
    await resumed.close()
  })

  test('falls back to segments when it was slow, and catches up', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { maxBatchEvents: 10 })
    for (let i = 0; i < 95; i++) {
      store.commit([put(`k${i}`, 'v', 1)])
      if (i % 20 === 0) store.flush()
      if (i % 33 === 0) store.compact({ parts: 3 })
    }
    const seen = []
    while (seen.length < 95) seen.push(...seqnos((await tail.next()).value))
    expect(seen).toEqual(Array.from({ length: 95 }, (_, i) => i + 1))
    expect(store.openViews).toBe(0)
    await tail.close()
  })

  test('with visibility durable waits for the sync', async () => {
    const store = new FakeStore()
    store.commit([put('a', '1', 1)])
    store.commit([put('b', '1', 1)])
    const { batches, end } = follow(tailOf(store, { visibility: 'durable' }))
    await turns()
    expect(batches).toEqual([])
    store.durable = 1
    store.feed.synced()
    await turns()
    expect(batches.map(seqnos)).toEqual([[1]])
    store.durable = 2
    store.feed.synced()
    await turns()
    expect(batches.map(seqnos)).toEqual([[1], [2]])
    store.status = 'closing'
    store.feed.end()
    expect(await end).toBeUndefined()
  })

  test('tells a new next in heartbeats when nothing matched for so long', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { keyspaces: ['other'], heartbeatMs: 100 })
    const { batches } = follow(tail)
    store.commit([put('a', '1', 1)])
    await turns()
    expect(batches).toEqual([])
    store.timers.advance(100)
    await turns()
    expect(batches).toMatchObject([{ events: [], upTo: 1, next: 2 }])
    // Nothing new: nothing is told.
    store.timers.advance(100)
    await turns()
    expect(batches.length).toBe(1)
    store.commit([put('a', '1', 1), put('b', '1', 2)])
    await turns()
    expect(batches.length).toBe(2)
    expect(seqnos(batches[1])).toEqual([3])
    await tail.close()
    expect(store.timers.pending).toBe(0)
  })

  test('tells heartbeats of later periods too, and none that says nothing new', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { keyspaces: ['other'], heartbeatMs: 100 })
    const { batches } = follow(tail)
    await turns()
    store.timers.advance(100)
    await turns()
    expect(batches).toEqual([])
    store.commit([put('a', '1', 1)])
    await turns()
    store.timers.advance(100)
    await turns()
    expect(batches).toMatchObject([{ events: [], next: 2 }])
    await tail.close()
    // Asked again when a period is over already.
    const late = tailOf(store, { heartbeatMs: 100 })
    expect(seqnos((await late.next()).value)).toEqual([1])
    store.timers.advance(250)
    const { batches: none, done } = follow(late)
    await turns()
    expect(none).toEqual([])
    expect(done()).toBe(false)
    await late.close()
  })

  test('tells heartbeats also while it reads a long stretch of which nothing matches', async () => {
    const store = new FakeStore()
    for (let i = 0; i < 30; i++) {
      store.commit(Array.from({ length: 1000 }, (_, k) => put(`k${k}`, '1', 1)))
    }
    store.flush()
    const tail = tailOf(store, { types: ['PointTombstone'], heartbeatMs: 100 })
    // Time passes with every look at the clock.
    store.timers.monotonicMs = () => (store.timers.nowMs += 60)
    const { value } = await tail.next()
    expect(value!.events).toEqual([])
    expect(value!.next).toBeLessThan(store.latest)
    await tail.close()
  })

  test('tells heartbeats between commits only, also inside of large ones', async () => {
    const store = new FakeStore()
    const commit = (): number =>
      store.commit(Array.from({ length: 7000 }, (_, k) => put(`k${k}`, '1', 1)))
    store.commit([put('a', '1', 1)])
    for (let i = 0; i < 9; i++) commit()
    store.flush()
    commit()
    const tail = tailOf(store, { types: ['PointTombstone'], heartbeatMs: 100 })
    // Time passes with every look at the clock.
    store.timers.monotonicMs = () => (store.timers.nowMs += 60)
    const told: number[] = []
    while (told.at(-1) !== store.latest + 1) told.push((await tail.next()).value!.next)
    expect(told.length).toBeGreaterThan(1)
    // Behind the small commit and whole large ones, and never twice.
    expect(told.filter((next) => (next - 2) % 7000 !== 0)).toEqual([])
    expect(new Set(told).size).toBe(told.length)
    expect(store.openViews).toBe(0)
    await tail.close()
  })

  test('tells no heartbeat where the file that would say so cannot be read', async () => {
    const store = new FakeStore()
    store.commit(Array.from({ length: 7000 }, (_, k) => put(`k${k}`, '1', 1)))
    store.flush()
    store.commit([put('b', '1', 2)])
    store.segments[0]!.openForChanges = () => Promise.reject(new Error('damaged'))
    const tail = tailOf(store, { keyspaces: ['other'], heartbeatMs: 100 })
    store.timers.monotonicMs = () => (store.timers.nowMs += 60)
    expect((await tail.next()).value).toMatchObject({ events: [], next: 7001 })
    expect(seqnos((await tail.next()).value)).toEqual([7001])
    await tail.close()
  })

  test('wakes for what passes its filter only, at the beginning of that commit', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { range: { prefix: 'x' } })
    const { batches } = follow(tail)
    await turns()
    const before = store.views
    for (let i = 0; i < 10; i++) {
      store.commit([put('a', '1', 1)])
      await turns()
    }
    // One look for all who wait, none by the tail itself.
    expect(store.views - before).toBe(10)
    store.commit([put('a', '1', 1), put('x', '1', 1)])
    await turns()
    expect(batches.map(seqnos)).toEqual([[12]])
    await tail.close()
  })

  test('also when what it waited for was flushed before it was told', async () => {
    const store = new FakeStore()
    const { batches } = follow(tailOf(store, { range: { prefix: 'x' } }))
    await turns()
    store.commit([put('x', '1', 1)])
    store.flush()
    await turns()
    expect(batches.map(seqnos)).toEqual([[1]])
  })

  test('fails when the floor overtakes it', async () => {
    const store = new FakeStore()
    for (let i = 0; i < 5; i++) store.commit([put('a', '1', 1)])
    const tail = tailOf(store, { maxBatchEvents: 1 })
    await tail.next()
    store.floor = 4
    const { end } = follow(tail)
    expect(await end).toEqual({
      code: 'VARVE_HISTORY_TRUNCATED',
      details: { requested: 2, floor: 4 },
    })
  })

  test('holds nothing', async () => {
    const store = new FakeStore()
    store.commit([put('a', '1', 1)])
    const tail = tailOf(store)
    await tail.next()
    expect(store.holds).toEqual([])
    await tail.close()
  })

  test('refuses a wrong start on the first read and a wrong argument at the call', async () => {
    const store = new FakeStore()
    store.commit([put('a', '1', 1)])
    expect(await follow(tailOf(store, { from: 9 })).end).toEqual({
      code: 'VARVE_CURSOR_AHEAD',
      details: { requested: 9, latest: 1 },
    })
    const other = new FakeStore()
    other.storeId = 'store-2'
    other.commit([put('a', '1', 1)])
    const { token } = (await tailOf(other).next()).value!
    expect(await follow(tailOf(store, { from: token })).end).toEqual({
      code: 'VARVE_WRONG_STORE',
      details: { expected: 'store-1', found: 'store-2' },
    })
    store.floor = 2
    expect(await follow(tailOf(store, { from: 1 })).end).toMatchObject({
      code: 'VARVE_HISTORY_TRUNCATED',
    })
    expect(() => tailOf(store, { from: 'later' })).toThrow(/malformed/)
    expect(() => tailOf(store, { form: 1 })).toThrow(/unknown/)
    expect(() => openTail(store, store.feed, {})).toThrow(TypeError)
    expect(() => openTail(store, store.feed, undefined)).toThrow(TypeError)
  })

  test('ends on abort with ABORTED, also while it waits', async () => {
    const store = new FakeStore()
    const controller = new AbortController()
    const { end } = follow(tailOf(store, { signal: controller.signal }))
    await turns()
    controller.abort()
    expect(await end).toMatchObject({ code: 'VARVE_ABORTED' })
  })

  test('leaves nothing behind with its signal and the store when a wait is over', async () => {
    const store = new FakeStore()
    const { signal } = new AbortController()
    const tail = tailOf(store, { signal, keyspaces: ['other'], heartbeatMs: 100 })
    const { batches } = follow(tail)
    for (let i = 1; i <= 3; i++) {
      await turns()
      expect(getEventListeners(signal, 'abort')).toHaveLength(1)
      store.commit([put('a', '1', 1)])
      await turns()
      store.timers.advance(100)
    }
    await turns()
    expect(batches).toHaveLength(3)
    await tail.close()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(store.timers.pending).toBe(0)
    const before = store.views
    store.commit([put('b', '1', 2)])
    await turns()
    expect(store.views).toBe(before)
  })

  test('ends on close, also while it waits', async () => {
    const store = new FakeStore()
    const tail = tailOf(store)
    const { end } = follow(tail)
    await turns()
    await tail.close()
    expect(await end).toBeUndefined()
    expect(await tail.next()).toEqual({ done: true, value: undefined })
  })

  test('calls that are not awaited take their turns', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { maxBatchEvents: 1 })
    const all = Promise.all([tail.next(), tail.next(), tail.next()])
    for (let i = 0; i < 3; i++) store.commit([put('a', '1', 1)])
    expect((await all).map(({ value }) => seqnos(value))).toEqual([[1], [2], [3]])
    await tail.close()
  })
})

describe('the end of the store', () => {
  test('comes after the tails that are read have got what is committed', async () => {
    const store = new FakeStore()
    const reading = follow(tailOf(store, { maxBatchEvents: 1 }))
    const unread = tailOf(store)
    for (let i = 0; i < 50; i++) store.commit([put('a', '1', 1)])
    store.status = 'closing'
    await store.feed.drain()
    expect(reading.done()).toBe(true)
    expect(reading.batches.length).toBe(50)
    store.status = 'closed'
    store.feed.end()
    // Nobody read it: it says that there was more rather than end as if there was not.
    expect(await follow(unread).end).toMatchObject({ code: 'VARVE_CLOSED' })
  })

  test('waits for who reads on, whatever else that does between two reads', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { maxBatchEvents: 1 })
    for (let i = 0; i < 100; i++) store.commit([put('a', '1', 1)])
    let read = 0
    const reading = (async () => {
      for await (const { events } of tail) {
        read += events.length
        await turns(1)
      }
    })()
    await turns(2)
    store.status = 'closing'
    await store.feed.drain()
    expect(read).toBe(100)
    await reading
  })

  test('waits for who works on a batch for long, and for up to a second', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { maxBatchEvents: 1 })
    for (let i = 0; i < 5; i++) store.commit([put('a', '1', 1)])
    let read = 0
    const reading = (async () => {
      for await (const { events } of tail) {
        read += events.length
        await turns(200)
      }
    })()
    await turns(2)
    store.status = 'closing'
    await store.feed.drain()
    expect(read).toBe(5)
    await reading
  })

  test('waits no longer than a second for who does not come back', async () => {
    const store = new FakeStore()
    const tail = tailOf(store, { maxBatchEvents: 1 })
    for (let i = 0; i < 5; i++) store.commit([put('a', '1', 1)])
    await tail.next()
    store.status = 'closing'
    const from = store.timers.nowMs
    await store.feed.drain()
    expect(store.timers.nowMs - from).toBe(1000)
    store.status = 'closed'
    await expect(tail.next()).rejects.toMatchObject({ code: 'VARVE_CLOSED' })
  })

  test('waits for nobody who has everything, or has closed', async () => {
    const store = new FakeStore()
    const [whole, ended] = [tailOf(store), tailOf(store, { maxBatchEvents: 1 })]
    for (let i = 0; i < 5; i++) store.commit([put('a', '1', 1)])
    await whole.next()
    await ended.next()
    await ended.close()
    store.status = 'closing'
    const from = store.timers.nowMs
    await store.feed.drain()
    expect(store.timers.nowMs).toBe(from)
    store.status = 'closed'
    expect(await whole.next()).toEqual({ done: true, value: undefined })
  })

  test('ends a tail that has everything without an error, also afterwards', async () => {
    const store = new FakeStore()
    store.commit([put('a', '1', 1)])
    const tail = tailOf(store)
    await tail.next()
    store.status = 'closed'
    expect(await tail.next()).toEqual({ done: true, value: undefined })
  })

  test('waits for nobody where there are no tails, or none any more', async () => {
    const store = new FakeStore()
    const aborted = new AbortController()
    const tails = [tailOf(store), tailOf(store, { signal: aborted.signal }), tailOf(store)]
    const { end } = follow(tails[1]!)
    await turns()
    aborted.abort()
    expect(await end).toMatchObject({ code: 'VARVE_ABORTED' })
    await tails[0]!.close()
    await tails[0]!.close()
    await tails[2]!.return()
    store.status = 'closing'
    let waited = 0
    store.timers.nextTurn = () => {
      waited++
      return Promise.resolve()
    }
    await store.feed.drain()
    expect(waited).toBe(0)
  })
})

describe('many tails', () => {
  test('are looked after once a turn, not once a commit', async () => {
    const store = new FakeStore()
    const tails = Array.from({ length: 100 }, () => tailOf(store, { keyspaces: ['other'] }))
    const readers = tails.map(follow)
    await turns()
    const before = store.views
    for (let i = 0; i < 500; i++) store.commit([put('a', '1', 1)])
    await turns()
    expect(store.views - before).toBe(1)
    store.commit([put('b', '1', 2)])
    await turns()
    expect(readers.every(({ batches }) => batches.length === 1)).toBe(true)
    await Promise.all(tails.map((tail) => tail.close()))
  })
})

describe('what waiting tails are woken for', () => {
  test('is what reading would have found, for every filter', async () => {
    const filters: object[] = [
      { range: { prefix: 'ab' } },
      { range: { gte: 'abc', lt: 'abcz' } },
      { range: { gt: 'abca' } },
      { range: { lte: 'a' } },
      { range: { gte: 'abcd', lt: 'abcd' } },
      { types: ['RangeTombstone'] },
      { keyspaces: ['other'], range: { prefix: 'b' } },
    ]
    const operations = [
      put('a', '', 1),
      put('ab', '', 1),
      put('abca', '', 2),
      put('abcab', '', 1),
      put('b', '', 2),
      put('\u00ff', '', 1),
      removeRange('a', 'ac', 1),
      removeRange('0', undefined, 2),
      removeRange('', 'a', 1),
      put('b', '', 1),
    ]
    for (const filter of filters) {
      const store = new FakeStore()
      const { batches } = follow(tailOf(store, filter))
      await turns()
      for (const operation of operations) {
        store.commit([put('zzz', '', 3), operation])
        await turns()
      }
      const all = openTail(store, store.feed, { from: 1, ...filter, heartbeatMs: 1 })
      const whole = await Promise.race([all.next(), turns(6)])
      const found = whole === undefined ? [] : seqnos(whole.value)
      expect(batches.flatMap(seqnos), JSON.stringify(filter)).toEqual(found)
      await all.close()
    }
  })
})
