import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ALL_TYPES_TEXT } from './scan-cases.ts'
import { scanSinceSeqno } from '../../src/cdc/scan.ts'
import { merge, put, remove, removeRange, type TestOperation } from '../memtable/commits.ts'
import { collect, derived, expected, FakeSegment, FakeStore, lines } from './fake-store.ts'

function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

function randomOperation(next: () => number): TestOperation {
  const key = `k${Math.floor(next() * 50)}`
  const keyspaceId = next() < 0.7 ? 1 : 2
  const pick = next()
  if (pick < 0.6) return put(key, 'v'.repeat(Math.floor(next() * 40)), keyspaceId)
  if (pick < 0.75) return merge(key, `m${Math.floor(next() * 9)}`, keyspaceId)
  if (pick < 0.9) return remove(key, keyspaceId)
  return removeRange(`k1`, next() < 0.5 ? `k3` : undefined, keyspaceId)
}

function fill(store: FakeStore, commits: number, seed = 1): void {
  const next = random(seed)
  for (let i = 0; i < commits; i++) {
    const size = next() < 0.8 ? 1 : 1 + Math.floor(next() * 9)
    const operations = Array.from({ length: size }, () => randomOperation(next))
    store.commit(operations, next() < 0.1 ? { meta: `trace ${i % 3}` } : {})
  }
}

describe('a scan over memtables and segments', () => {
  test('yields every kind of event with the bounds, time and meta of its commit', async () => {
    const store = new FakeStore()
    store.commit([put('a', '1', 1)])
    store.commit([merge('b', '+1', 1), remove('a', 2), removeRange('a', 'c', 1)], {
      meta: 'origin',
    })
    store.commit([removeRange('x', undefined, 1)])
    expect(lines(await collect(scanSinceSeqno(store, 1)))).toEqual(ALL_TYPES_TEXT)
    store.flush({ parts: 2 })
    expect(lines(await collect(scanSinceSeqno(store, 1)))).toEqual(ALL_TYPES_TEXT)
  })

  test('is the same for every from, whatever was flushed and compacted', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const store = new FakeStore()
      fill(store, 30, seed)
      store.flush({
        parts: 1 + (seed % 3),
        order: seed % 2 === 0 ? 'key' : 'seqno',
        blobThreshold: 20,
      })
      fill(store, 30, seed + 100)
      store.seal()
      fill(store, 10, seed + 200)
      for (let round = 0; round < 3; round++) {
        for (const from of [1, 2, 17, store.latest - 3, store.latest, store.latest + 1]) {
          const events = await collect(scanSinceSeqno(store, from))
          expect(lines(events), `seed ${seed} from ${from}`).toEqual(
            expected(store, from, store.latest),
          )
        }
        if (round === 0) store.flush({ parts: 3 })
        else store.compact({ parts: 4, order: 'key', blobThreshold: 10 })
      }
      expect(store.openViews).toBe(0)
      expect(store.held).toEqual([])
    }
  })

  test('with skip: false reads every block and yields the same', async () => {
    const store = new FakeStore()
    fill(store, 10)
    store.flush()
    fill(store, 50, 3)
    store.flush({ parts: 3 })
    store.place([store.log[0]!, store.log[3]!].map(derived), {})
    fill(store, 20, 2)
    expect(store.segments.some(({ meta }) => meta.events > 0 && meta.maxEventSeqno < 40)).toBe(true)
    const scan = scanSinceSeqno(store, 40, { skip: false })
    expect(lines(await collect(scan))).toEqual(expected(store, 40, store.latest))
    const withEvents = store.segments.filter(({ meta }) => meta.events > 0)
    const blocks = withEvents.reduce((sum, { blockCount }) => sum + blockCount, 0)
    expect(scan.stats.blocksTotal).toBe(blocks)
    expect(scan.stats.segmentsSkipped).toBe(0)
  })

  test('delivers a window fixed at the call while everything moves', async () => {
    const store = new FakeStore()
    fill(store, 100)
    store.flush({ parts: 2, blobThreshold: 10 })
    fill(store, 100, 2)
    const latest = store.latest
    const scan = scanSinceSeqno(store, 5, { memoryBudgetBytes: 4096 })
    const events = []
    for (let i = 0; ; i++) {
      const batch = await scan.nextBatch(7)
      if (batch.length === 0) break
      events.push(...batch)
      expect(store.openViews).toBe(0)
      fill(store, 2, i)
      if (i % 3 === 0) store.flush({ blobThreshold: 5 + (i % 7) })
      if (i % 5 === 0) store.compact({ parts: 1 + (i % 4), blobThreshold: 5 + (i % 9) })
    }
    expect(scan.upTo).toBe(latest)
    expect(scan.position).toBe(latest + 1)
    expect(lines(events)).toEqual(expected(store, 5, latest))
  })

  test('keeps its memory budget by taking smaller windows, and takes a single large event anyway', async () => {
    const store = new FakeStore()
    for (let i = 0; i < 50; i++) store.commit([put(`k${i}`, 'v'.repeat(1000), 1)])
    store.commit([put('big', 'v'.repeat(100_000), 1)])
    store.flush({ parts: 3 })
    const scan = scanSinceSeqno(store, 1, { memoryBudgetBytes: 8192 })
    expect(lines(await collect(scan))).toEqual(expected(store, 1, store.latest))
    const gathers = store.segments.reduce((sum, segment) => sum + segment.gathers, 0)
    expect(gathers).toBeGreaterThan(15)
  })

  test('reads for a small page about what the page needs', async () => {
    const store = new FakeStore()
    for (let i = 0; i < 2000; i++) store.commit([put(`k${i % 97}`, 'v'.repeat(100), 1)])
    store.flush({ parts: 3 })
    const scan = scanSinceSeqno(store, 500, { limit: 7 })
    expect((await collect(scan)).length).toBe(7)
    expect(scan.stats.bytesRead).toBeLessThan(20 * 110)
  })

  test('opens no segment and reads nothing when it is caught up', async () => {
    const store = new FakeStore()
    fill(store, 50)
    store.flush({ parts: 4 })
    const scan = scanSinceSeqno(store, store.latest + 1)
    expect(await scan.nextBatch()).toEqual([])
    expect(scan.position).toBe(store.latest + 1)
    expect(store.segments.every(({ opens }) => opens === 0)).toBe(true)
    expect(scan.stats).toEqual({
      segmentsTotal: store.segments.length,
      segmentsSkipped: store.segments.length,
      blocksTotal: 0,
      blocksRead: 0,
      bytesRead: 0,
      eventsDelivered: 0,
    })
    expect(store.held).toEqual([])
  })

  test('skips segments that end before from', async () => {
    const store = new FakeStore()
    for (let i = 0; i < 10; i++) {
      store.commit([put(`k${i}`, 'v', 1), put(`l${i}`, 'v', 1)])
      store.flush()
    }
    const scan = scanSinceSeqno(store, 19)
    expect((await scan.nextBatch()).length).toBe(2)
    expect(scan.stats.segmentsTotal).toBe(10)
    expect(scan.stats.segmentsSkipped).toBe(9)
    expect(store.segments.filter(({ opens }) => opens > 0).length).toBe(1)
  })
})

describe('position, limit and batches', () => {
  test('nextBatch delivers whole commits, at least one', async () => {
    const store = new FakeStore()
    const sizes = [3, 1, 5, 2, 2]
    for (const size of sizes) {
      store.commit(Array.from({ length: size }, (_, i) => put(`k${i}`, 'v', 1)))
    }
    for (const flushed of [false, true]) {
      if (flushed) store.flush({ parts: 2 })
      const scan = scanSinceSeqno(store, 1)
      const lengths = []
      for (;;) {
        const batch = await scan.nextBatch(4)
        if (batch.length === 0) break
        lengths.push(batch.length)
        expect(scan.position).toBe(batch.at(-1)!.seqno + 1)
      }
      expect(lengths).toEqual([4, 5, 4])
    }
  })

  test('limit ends after the first whole commit that reaches it', async () => {
    const store = new FakeStore()
    for (const size of [2, 3, 2]) {
      store.commit(Array.from({ length: size }, (_, i) => put(`k${i}`, 'v', 1)))
    }
    for (const [limit, count] of [
      [1, 2],
      [2, 2],
      [3, 5],
      [5, 5],
      [6, 7],
      [100, 7],
    ] as const) {
      const one = scanSinceSeqno(store, 1, { limit })
      expect((await collect(one)).length, `limit ${limit}`).toBe(count)
      expect(one.position).toBe(count + 1)
      const batches = scanSinceSeqno(store, 1, { limit })
      let found = 0
      for (;;) {
        const batch = await batches.nextBatch(1)
        if (batch.length === 0) break
        found += batch.length
      }
      expect(found).toBe(count)
    }
  })

  test('after limit under a filter the position is the end of the last commit', async () => {
    const store = new FakeStore()
    store.commit([put('a', 'v', 1), put('b', 'v', 2), put('c', 'v', 2)])
    store.commit([put('d', 'v', 1)])
    for (const flushed of [false, true]) {
      if (flushed) store.flush()
      const scan = scanSinceSeqno(store, 1, { limit: 1, keyspaces: ['default'] })
      expect((await collect(scan)).map(({ seqno }) => seqno)).toEqual([1])
      expect(scan.position).toBe(4)
    }
  })

  test('a page that ends by limit says so with its last event: what the filter left out is behind it', async () => {
    const store = new FakeStore()
    store.commit([put('a', 'v', 1), put('b', 'v', 2), put('c', 'v', 1), put('d', 'v', 2)])
    store.commit([put('e', 'v', 2), put('f', 'v', 1)])
    for (const flushed of [false, true]) {
      if (flushed) store.flush()
      const page = { limit: 1, keyspaces: ['default'] }
      const batches = scanSinceSeqno(store, 1, page)
      expect((await batches.nextBatch()).map(({ seqno }) => seqno)).toEqual([1, 3])
      expect(batches.position).toBe(5)
      const items = scanSinceSeqno(store, 1, page)
      await items.next()
      expect(items.position).toBe(2)
      await items.next()
      expect(items.position).toBe(5)
      const mixed = scanSinceSeqno(store, 1, page)
      await mixed.next()
      expect((await mixed.nextBatch()).map(({ seqno }) => seqno)).toEqual([3])
      expect(mixed.position).toBe(5)
      // A window that ends inside of the commit ends there.
      const cut = scanSinceSeqno(store, 1, { ...page, upTo: 2 })
      expect(await cut.nextBatch()).toHaveLength(1)
      expect(cut.position).toBe(3)
    }
  })

  test('limit under a filter does not look beyond the commit that reached it', async () => {
    const store = new FakeStore()
    store.commit([put('a', 'v', 1)])
    store.flush()
    store.commit([put('z', 'v', 1)])
    store.flush()
    const scan = scanSinceSeqno(store, 1, { limit: 1, range: { lt: 'b' } })
    await collect(scan)
    expect(store.segments.map(({ opens }) => opens)).toEqual([1, 0])
  })

  test('position follows single events, also inside a commit, and nextBatch then finishes the commit', async () => {
    const store = new FakeStore()
    store.commit(Array.from({ length: 6 }, (_, i) => put(`k${i}`, 'v', 1)))
    store.commit([put('x', 'v', 1)])
    const scan = scanSinceSeqno(store, 1)
    expect(scan.position).toBe(1)
    await scan.next()
    await scan.next()
    expect(scan.position).toBe(3)
    expect((await scan.nextBatch(2)).map(({ seqno }) => seqno)).toEqual([3, 4, 5, 6])
    expect((await scan.nextBatch(2)).map(({ seqno }) => seqno)).toEqual([7])
    expect(await scan.nextBatch(2)).toEqual([])
  })

  test('nextBatch finishes a commit of which only a part was made ahead', async () => {
    const store = new FakeStore()
    store.commit(Array.from({ length: 600 }, (_, i) => put(`k${i}`, 'v', 1)))
    store.commit([put('x', 'v', 1)])
    const scan = scanSinceSeqno(store, 1)
    await scan.next()
    expect((await scan.nextBatch(10)).length).toBe(599)
    expect((await scan.nextBatch(10)).length).toBe(1)
  })

  test('nextBatch leaves a commit that was made ahead in part to the next batch where it is too much', async () => {
    const store = new FakeStore()
    for (const size of [250, 3, 10]) {
      store.commit(Array.from({ length: size }, (_, i) => put(`k${i}`, 'v', 1)))
    }
    const scan = scanSinceSeqno(store, 1)
    for (let i = 0; i < 250; i++) await scan.next()
    expect((await scan.nextBatch(8)).map(({ seqno }) => seqno)).toEqual([251, 252, 253])
    expect(scan.position).toBe(254)
    expect((await scan.next()).value?.seqno).toBe(254)
    expect((await scan.nextBatch(8)).length).toBe(9)
    expect(await scan.nextBatch(8)).toEqual([])
  })

  test('nextBatch takes as many as were asked for of what was made ahead', async () => {
    const store = new FakeStore()
    for (let i = 0; i < 8; i++) store.commit([put(`k${i}`, 'v', 1)])
    const scan = scanSinceSeqno(store, 1)
    await scan.next()
    expect((await scan.nextBatch(3)).map(({ seqno }) => seqno)).toEqual([2, 3, 4])
    expect((await scan.nextBatch(9)).map(({ seqno }) => seqno)).toEqual([5, 6, 7, 8])
    expect(scan.stats.eventsDelivered).toBe(8)
    const batches = scanSinceSeqno(store, 1)
    await batches.nextBatch(5)
    expect(batches.stats.eventsDelivered).toBe(5)
  })

  test('calls that are not awaited take their turns', async () => {
    const store = new FakeStore()
    fill(store, 20)
    const scan = scanSinceSeqno(store, 1)
    const results = await Promise.all(Array.from({ length: store.latest + 2 }, () => scan.next()))
    const events = results.flatMap(({ value }) => (value === undefined ? [] : [value]))
    expect(lines(events)).toEqual(expected(store, 1, store.latest))
  })

  test('at the end the position is upTo + 1, also when a filter let nothing through', async () => {
    const store = new FakeStore()
    fill(store, 30)
    store.flush()
    fill(store, 30)
    const scan = scanSinceSeqno(store, 3, { keyspaces: ['nobody'], upTo: 40 })
    expect(await collect(scan)).toEqual([])
    expect(scan.position).toBe(41)
    expect(store.segments.every(({ opens }) => opens === 0)).toBe(true)
  })

  test('upTo below from is empty and stays there', async () => {
    const store = new FakeStore()
    fill(store, 30)
    const scan = scanSinceSeqno(store, 10, { upTo: 5 })
    expect(await collect(scan)).toEqual([])
    expect(scan.position).toBe(10)
    expect(scan.upTo).toBe(5)
  })

  test('visibility durable ends at what is durable', async () => {
    const store = new FakeStore()
    fill(store, 30)
    store.durable = 12
    const scan = scanSinceSeqno(store, 1, { visibility: 'durable' })
    expect(lines(await collect(scan))).toEqual(expected(store, 1, 12))
    const beyond = scanSinceSeqno(store, 20, { visibility: 'durable' })
    expect(await collect(beyond)).toEqual([])
    expect(beyond.position).toBe(20)
  })

  test('from 0 means 1', async () => {
    const store = new FakeStore()
    fill(store, 3)
    expect((await scanSinceSeqno(store, 0).nextBatch())[0]!.seqno).toBe(1)
  })

  test('a token resumes where the scan stood', async () => {
    const store = new FakeStore()
    fill(store, 30)
    const scan = scanSinceSeqno(store, 1)
    for (let i = 0; i < 11; i++) await scan.next()
    const { token } = scan
    await scan.close()
    expect(lines(await collect(scanSinceSeqno(store, token)))).toEqual(
      expected(store, 12, store.latest),
    )
  })
})

describe('filters', () => {
  test('equal the stream with everything else left out', async () => {
    const filters: [object, (line: string) => boolean][] = [
      [{ keyspaces: ['other'] }, (line) => line.includes(' other ')],
      [{ keyspaces: ['other', 'default'] }, () => true],
      [{ types: ['MergeOperand'] }, (line) => line.includes(' MergeOperand ')],
      [{ types: [] }, () => false],
      [
        { range: { gte: 'k2', lt: 'k3' } },
        (line) => {
          if (/RangeTombstone \w+ k1\.\.( |$)/.test(line)) return true
          if (/RangeTombstone \w+ k1\.\.k3/.test(line)) return true
          return / \w+ k2\d?[=+ @]/.test(line) && !line.includes('RangeTombstone')
        },
      ],
    ]
    for (let seed = 1; seed <= 5; seed++) {
      const store = new FakeStore()
      fill(store, 80, seed)
      for (let round = 0; round < 3; round++) {
        for (const [filter, keeps] of filters) {
          for (const memoryBudgetBytes of [2000, 32 * 2 ** 20]) {
            const events = await collect(scanSinceSeqno(store, 4, { ...filter, memoryBudgetBytes }))
            expect(lines(events), `seed ${seed} ${JSON.stringify(filter)}`).toEqual(
              expected(store, 4, store.latest).filter(keeps),
            )
          }
        }
        if (round === 0) store.flush({ parts: 2, order: 'seqno' })
        else store.compact({ parts: 3, blobThreshold: 15 })
      }
    }
  })

  test('hold at the very bounds, wherever an event stands', async () => {
    const range = { gte: 'b', lt: 'd' }
    const store = new FakeStore()
    for (const key of ['a', 'b', 'c', 'd']) {
      store.commit([put(key, 'v', 1)])
      store.flush()
    }
    for (const [start, end] of [
      ['a', 'b'],
      ['a', 'b\0'],
      ['c', 'd'],
      ['d', undefined],
      ['a', undefined],
    ] as const) {
      store.commit([removeRange(start, end, 1)])
    }
    for (const key of ['a', 'b', 'c', 'd']) store.commit([put(key, 'v', 1)])
    const found = await collect(scanSinceSeqno(store, 1, { range }))
    expect(found.map(({ seqno }) => seqno)).toEqual([2, 3, 6, 7, 9, 11, 12])
    expect(store.segments.map(({ opens }) => opens)).toEqual([0, 1, 1, 0])
  })

  test('leave segments of other keyspaces unopened', async () => {
    const store = new FakeStore()
    store.commit([put('a', 'v', 1), put('a', 'v', 2)])
    store.flush()
    await collect(scanSinceSeqno(store, 1, { keyspaces: ['other'] }))
    const opened = store.segments.filter(({ opens }) => opens > 0)
    expect(opened.map(({ meta }) => meta.keyspaceId)).toEqual([2])
  })

  test('do not cut a commit where the position says a batch ended', async () => {
    const store = new FakeStore()
    store.commit([put('a', 'v', 1)])
    store.commit([put('x', 'v', 2), put('b', 'v', 1)])
    const scan = scanSinceSeqno(store, 1, { keyspaces: ['default'] })
    await scan.nextBatch(1)
    expect(scan.position).toBe(2)
    expect((await scan.nextBatch(1)).map(({ seqno }) => seqno)).toEqual([3])
  })
})

describe('what a scan refuses', () => {
  const codeOf = async (run: () => Promise<unknown>): Promise<unknown> => {
    try {
      await run()
    } catch (error) {
      const { code, details } = error as { code: string; details: unknown }
      return { code, details }
    }
    return undefined
  }

  test('wrong arguments throw at the call, all problems at once', () => {
    const store = new FakeStore()
    const thrown = (from: unknown, options?: unknown): unknown => {
      try {
        scanSinceSeqno(store, from, options)
      } catch (error) {
        return (error as { code: string }).code
      }
      return undefined
    }
    expect(thrown(-1)).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1.5)).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(undefined)).toBe('ERR_INVALID_ARG_TYPE')
    expect(thrown('not a token')).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown('now')).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1, { limit: 0 })).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1, { limits: 1 })).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1, { range: { from: 'a' } })).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1, { range: { gt: '\ud800' } })).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1, { types: ['Put'] })).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1, { visibility: 'all' })).toBe('VARVE_INVALID_ARGUMENT')
    expect(thrown(1, { skip: 1 })).toBe('ERR_INVALID_ARG_TYPE')
    expect(thrown(1, { keyspaces: 'default' })).toBe('ERR_INVALID_ARG_TYPE')
    expect(thrown(1, null)).toBe('ERR_INVALID_ARG_TYPE')
    expect(thrown(1, { signal: {} })).toBe('ERR_INVALID_ARG_TYPE')
    expect(() => scanSinceSeqno(store, 1, { limit: 0, x: 1 })).toThrow(/limit.*x is unknown/)
  })

  test('a start below the floor or ahead of the latest rejects the first read, and every later one', async () => {
    const store = new FakeStore()
    fill(store, 20)
    store.floor = 6
    const below = scanSinceSeqno(store, 5)
    const truncated = { code: 'VARVE_HISTORY_TRUNCATED', details: { requested: 5, floor: 6 } }
    expect(await codeOf(() => below.next())).toEqual(truncated)
    expect(await codeOf(() => below.nextBatch())).toEqual(truncated)
    const ahead = scanSinceSeqno(store, store.latest + 2)
    expect(await codeOf(() => ahead.next())).toEqual({
      code: 'VARVE_CURSOR_AHEAD',
      details: { requested: store.latest + 2, latest: store.latest },
    })
    expect(store.held).toEqual([])
  })

  test('a floor that rises during the scan changes nothing, unless its hold is taken away', async () => {
    const store = new FakeStore()
    fill(store, 50)
    store.flush()
    const scan = scanSinceSeqno(store, 1, { memoryBudgetBytes: 2048 })
    await scan.nextBatch(5)
    store.floor = 40
    expect((await scan.nextBatch(5)).length).toBeGreaterThan(0)
    store.holds[0]!.isCutOff = true
    expect(await codeOf(() => scan.nextBatch(5))).toMatchObject({ code: 'VARVE_HISTORY_TRUNCATED' })
    expect(store.held).toEqual([])
  })

  test('an aborted scan rejects, and releases its hold at once', async () => {
    const store = new FakeStore()
    fill(store, 600)
    const controller = new AbortController()
    const scan = scanSinceSeqno(store, 1, { signal: controller.signal })
    await scan.next()
    expect(store.held).toHaveLength(1)
    controller.abort(new Error('enough'))
    expect(store.held).toEqual([])
    expect(await codeOf(() => scan.next())).toEqual({ code: 'VARVE_ABORTED', details: {} })
  })

  test('what was told to be at its end stays there when its signal aborts', async () => {
    const store = new FakeStore()
    fill(store, 5)
    const controller = new AbortController()
    const scan = scanSinceSeqno(store, 1, { signal: controller.signal })
    await collect(scan)
    const { position } = scan
    controller.abort()
    expect(await scan.next()).toEqual({ done: true, value: undefined })
    expect(await scan.nextBatch()).toEqual([])
    expect(scan.position).toBe(position)
  })

  test('a closed store rejects', async () => {
    const store = new FakeStore()
    fill(store, 2000)
    const scan = scanSinceSeqno(store, 1)
    await scan.nextBatch(5)
    store.status = 'closed'
    expect(await codeOf(() => scan.nextBatch())).toMatchObject({ code: 'VARVE_CLOSED' })
    expect(await codeOf(() => scanSinceSeqno(store, 1).next())).toMatchObject({
      code: 'VARVE_CLOSED',
    })
  })

  test('one that was closed is at its end, whatever becomes of store, history and signal', async () => {
    const store = new FakeStore()
    fill(store, 600)
    const controller = new AbortController()
    const scan = scanSinceSeqno(store, 1, { signal: controller.signal })
    await scan.close()
    controller.abort()
    store.status = 'closed'
    expect(await scan.next()).toEqual({ done: true, value: undefined })
    expect(await scan.nextBatch()).toEqual([])
    expect(scan.stats.eventsDelivered).toBe(0)
  })

  test('a missing, doubled or foreign event is corruption, never a shorter stream', async () => {
    const store = new FakeStore()
    fill(store, 30)
    const latest = store.latest
    store.flush({ parts: 2 })
    const whole = store.segments
    const all = whole.flatMap(({ entries }) => [...entries])
    store.replaceSegments(
      [1, 2].map(
        (id) =>
          new FakeSegment(
            90 + id,
            all.filter(({ keyspaceId, seqno }) => keyspaceId === id && seqno !== 9),
            'key',
          ),
      ),
    )
    expect(await codeOf(() => collect(scanSinceSeqno(store, 1)))).toMatchObject({
      code: 'VARVE_CORRUPTION',
      details: { expected: latest, found: latest - 1, firstMissing: 9 },
    })
    store.replaceSegments([...whole, new FakeSegment(99, [all[3]!], 'key')])
    expect(await codeOf(() => collect(scanSinceSeqno(store, 1)))).toMatchObject({
      code: 'VARVE_CORRUPTION',
    })
    expect(store.openViews).toBe(0)
  })

  test('close ends it: reads find nothing more, the hold is gone, the position stays', async () => {
    const store = new FakeStore()
    fill(store, 50)
    store.flush()
    const scan = scanSinceSeqno(store, 1)
    await scan.nextBatch(3)
    const { position } = scan
    const pending = scan.nextBatch(3)
    await scan.close()
    expect(await pending).toEqual([])
    expect(await scan.nextBatch()).toEqual([])
    expect(await scan.next()).toEqual({ done: true, value: undefined })
    expect(scan.position).toBe(position)
    expect(store.held).toEqual([])
    expect(store.openViews).toBe(0)
  })

  test('breaking out of the loop closes it', async () => {
    const store = new FakeStore()
    fill(store, 50)
    const scan = scanSinceSeqno(store, 1)
    for await (const event of scan) if (event.seqno === 4) break
    expect(scan.position).toBe(5)
    expect(store.held).toEqual([])
  })
})

describe('what a scan holds', () => {
  test('moves on with what was read, and is let go with the last of it', async () => {
    const store = new FakeStore()
    fill(store, 60)
    store.flush()
    fill(store, 60, 2)
    const scan = scanSinceSeqno(store, 1)
    for (;;) {
      expect((await scan.nextBatch(20)).length).toBeGreaterThan(0)
      if (scan.position > scan.upTo) break
      expect(store.held).toEqual([scan.position])
    }
    // The end was not asked for yet.
    expect(store.held).toEqual([])
  })

  test('is no listener of its signal any more once it has ended, was closed or has failed', async () => {
    const store = new FakeStore()
    fill(store, 600)
    // A signal each: one that they share has one listener for all of them.
    const signals = Array.from({ length: 3 }, () => new AbortController().signal)
    const listeners = (): number[] =>
      signals.map((signal) => getEventListeners(signal, 'abort').length)
    const scans = signals.map((signal) => scanSinceSeqno(store, 1, { signal }))
    const [read, closed, failed] = [scans[0]!, scans[1]!, scans[2]!]
    expect(listeners()).toEqual([1, 1, 1])
    await collect(read)
    expect(listeners()).toEqual([0, 1, 1])
    await closed.close()
    expect(listeners()).toEqual([0, 0, 1])
    store.holds.at(-1)!.isCutOff = true
    await expect(failed.nextBatch()).rejects.toMatchObject({ code: 'VARVE_HISTORY_TRUNCATED' })
    expect(listeners()).toEqual([0, 0, 0])
  })
})
