import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type MergeOperator, mergeOperators } from '../../src/base/merge-operators.ts'
import { type Cursor, type CursorHooks, type EntryItem, openCursor } from '../../src/read/cursor.ts'
import { type DecodedRange, type KeyBounds, keyRange } from '../../src/read/key-range.ts'
import { openSyncIterator } from '../../src/read/sync-iterator.ts'
import { commit, removeRange } from '../memtable/commits.ts'
import { histories, keys } from './histories.ts'
import { BLOB_MIN, KEYSPACE, naiveState, type Step, type Stretch, TestView } from './test-view.ts'

const keyspace = { id: KEYSPACE, name: 'test', operator: mergeOperators.append }
const everything: DecodedRange = {
  lower: undefined,
  upper: undefined,
  reverse: false,
  limit: Number.POSITIVE_INFINITY,
}

function entries(
  view: TestView,
  range: Partial<DecodedRange> = {},
  hooks: CursorHooks = {},
): Cursor<EntryItem> {
  const whole = { ...everything, ...range }
  return openCursor(view, keyspace, whole, view.latest, 'entries', hooks)
}

const text = ([key, value]: EntryItem): [string, string] => [key.toString(), value.toString()]
const name = (i: number): string => `k${String(i).padStart(5, '0')}`

function puts(count: number, value = 'v'): Step[] {
  return [...Array(count).keys()].map((i) => ({ type: 'put', key: name(i), value: value + i }))
}

function active(steps: readonly Step[]): TestView {
  return new TestView([{ place: 'active', steps }])
}

function level(steps: readonly Step[]): TestView {
  return new TestView([{ place: 5, steps }], { cacheBytes: 1 })
}

function bytesOf(bounds: Record<string, string | undefined>): KeyBounds {
  const given = Object.entries(bounds).filter(([, bound]) => bound !== undefined)
  return Object.fromEntries(given.map(([side, bound]) => [side, Buffer.from(bound!)]))
}

describe('a cursor', () => {
  test('reads what a naive model says: any history, range, direction, limit, batch size and disk', async () => {
    const bound = fc.option(keys, { nil: undefined })
    const ranges = fc.record({ gt: bound, gte: bound, lt: bound, lte: bound, prefix: bound })
    const shapes = fc.record({
      reverse: fc.boolean(),
      limit: fc.constantFrom(0, 1, 3, 10, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
      content: fc.constantFrom('entries' as const, 'keys' as const, 'values' as const),
      batch: fc.constantFrom(1, 2, 7, 1000),
      isDiskFast: fc.boolean(),
      back: fc.nat(20),
      bounded: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(histories, ranges, shapes, async (history, bounds, shape) => {
        const total = history.reduce((sum, { steps }) => sum + steps.length, 0)
        const snapshot = Math.max(0, total - shape.back)
        const view = new TestView(history, { openSnapshots: [snapshot], cacheBytes: 1 })
        view.files.isDiskFast = shape.isDiskFast
        const given = shape.bounded ? bounds : {}
        const range = {
          ...keyRange(bytesOf(given)),
          reverse: shape.reverse,
          limit: shape.limit,
        }
        const { gt, gte, lt, lte, prefix } = given as Record<string, string | undefined>
        let expected = naiveState(history, snapshot).filter(
          ([k]) =>
            (gt === undefined || k > gt) &&
            (gte === undefined || k >= gte) &&
            (lt === undefined || k < lt) &&
            (lte === undefined || k <= lte) &&
            (prefix === undefined || k.startsWith(prefix)),
        )
        if (shape.reverse) expected.reverse()
        expected = expected.slice(0, shape.limit)
        const wanted = expected.map(([k, v]) =>
          shape.content === 'keys' ? k : shape.content === 'values' ? v : `${k}=${v}`,
        )
        const show = (item: Buffer | EntryItem): string =>
          Buffer.isBuffer(item) ? item.toString() : text(item).join('=')
        const open = (): Cursor<EntryItem> | Cursor<Buffer> =>
          openCursor(view, keyspace, range, snapshot, shape.content)

        const cursor = open() as Cursor<Buffer>
        const seen: string[] = []
        for (;;) {
          const batch = await cursor.nextBatch(shape.batch)
          expect(batch.length).toBeLessThanOrEqual(shape.batch)
          if (batch.length === 0) break
          seen.push(...batch.map(show))
        }
        expect(seen).toEqual(wanted)
        expect((await (open() as Cursor<Buffer>).all()).map(show)).toEqual(wanted)
        const one: string[] = []
        for await (const item of open() as Cursor<Buffer>) one.push(show(item))
        expect(one).toEqual(wanted)
        if (shape.content === 'entries') {
          const sync = [...openSyncIterator(view, keyspace, range, snapshot)]
          expect(sync.map(show)).toEqual(wanted)
        }
        expect(view.pins).toBe(0)
      }),
      { numRuns: 120 },
    )
  })

  test('reads on undisturbed when its caller writes over every item', async () => {
    const older = puts(3000, 'a value of some bytes ').filter((_, i) => i % 2 === 0)
    // Blocks as large as this one are held against their checksums one by one, whenever they are entered.
    older.push({ type: 'put', key: 'z'.repeat(17_000), value: 'v' })
    // Many versions of a key make a cursor seek, in all segments: one of them goes back by a block for it.
    const newer: Step[] = []
    for (let i = 1; i < 3000; i += 26) {
      for (let version = 0; version < 40; version++) {
        newer.push({ type: 'put', key: name(i), value: `version ${version}` })
      }
    }
    const history: Stretch[] = [
      { place: 'L0', steps: older },
      { place: 'L0', steps: newer },
    ]
    const view = new TestView(history, { cacheBytes: 1 })
    const seen: [string, string][] = []
    const cursor = entries(view)
    for (;;) {
      const items = await cursor.nextBatch(1)
      if (items.length === 0) break
      seen.push(text(items[0]!))
      for (const bytes of items[0]!) bytes.fill(0xff)
    }
    expect(seen).toEqual(naiveState(history, view.latest))
  })

  test('gives values that stay as they are, whatever else is read', async () => {
    const steps = puts(4000, 'a value of some bytes ')
    const view = new TestView([{ place: 'L0', steps }], { cacheBytes: 1 })
    const kept = await entries(view).all()
    for (let i = 0; i < 3; i++) await entries(view).all()
    expect(kept.map(text)).toEqual(steps.map(({ key, value }) => [key, value]))
    // Who keeps one value keeps no more than a chunk with it.
    for (const [, value] of kept) expect(value.buffer.byteLength).toBeLessThanOrEqual(67_584)
  })

  test('reads the state of its creation while the memtable is written', async () => {
    const view = active(puts(50))
    const cursor = entries(view)
    const first = await cursor.nextBatch(10)
    commit(view.memtables[0]!, [removeRange('', undefined, KEYSPACE)])
    const rest = await cursor.all()
    expect([...first, ...rest].map(text)).toEqual(puts(50).map((s) => [s.key, s.value]))
  })

  test('of long chains is not disturbed by range deletes of later commits', async () => {
    const operands = [...Array(80).keys()].map((i) => ({
      type: 'merge' as const,
      key: 'm',
      value: `${i}.`,
    }))
    const [before, after] = [operands.slice(0, 40), operands.slice(40)]
    const steps: Step[] = [...before, { type: 'deleteRange', key: 'm', value: 'n' }, ...after]
    for (const reverse of [false, true]) {
      const view = active(steps)
      const cursor = entries(view, { reverse })
      // Enough of them that the memtable merges its tombstones, and tells the older ones apart no more.
      for (let i = 0; i < 300; i++) commit(view.memtables[0]!, [removeRange('a', 'z', KEYSPACE)])
      const expected = after.map((s) => s.value).join('')
      expect((await cursor.all()).map(text)).toEqual([['m', expected]])
    }
  })

  test('gives a thousand items a batch when nothing is said', async () => {
    const cursor = entries(active(puts(1500)))
    expect(await cursor.nextBatch()).toHaveLength(1000)
    expect(await cursor.nextBatch()).toHaveLength(500)
    expect(await cursor.nextBatch()).toEqual([])
  })

  test('refuses a batch of less than one item, and goes on', async () => {
    const cursor = entries(active(puts(3)))
    for (const max of [0, -1, 1.5, Number.NaN]) {
      await expect(cursor.nextBatch(max)).rejects.toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' })
    }
    await expect(cursor.nextBatch('3' as never)).rejects.toThrow(TypeError)
    expect(await cursor.all()).toHaveLength(3)
  })

  test('mixes next, nextBatch and all in the order of the calls, awaited or not', async () => {
    for (const view of [active(puts(100)), level(puts(100))]) {
      view.files.isDiskFast = false
      const cursor = entries(view)
      const calls = [
        cursor.next().then((r) => [r.value as EntryItem]),
        cursor.next().then((r) => [r.value as EntryItem]),
        cursor.nextBatch(5),
        cursor.next().then((r) => [r.value as EntryItem]),
        cursor.nextBatch(30),
        cursor.all(),
        cursor.next().then((r) => (r.done === true ? [] : [r.value])),
      ]
      const items = (await Promise.all(calls)).flat().map((item) => item[0].toString())
      expect(items).toEqual(puts(100).map((s) => s.key))
    }
  })

  test('bounds a batch in bytes, but gives all of everything', async () => {
    const megabyte = 'x'.repeat(1 << 20)
    const view = active(
      [...Array(40).keys()].map((i) => ({ type: 'put', key: name(i), value: megabyte })),
    )
    const cursor = entries(view)
    const batch = await cursor.nextBatch(1e6)
    expect(batch.length).toBe(16)
    expect(await cursor.all()).toHaveLength(24)
    const large = active([{ type: 'put', key: 'a', value: 'x'.repeat(17 << 20) }, ...puts(1)])
    expect(await entries(large).nextBatch(2)).toHaveLength(1)
  })

  test('counts blobs into the bytes of a batch before it reads them', async () => {
    const value = 'x'.repeat(9 << 20)
    const steps = [0, 1, 2, 3].map((i) => ({ type: 'put' as const, key: name(i), value }))
    const view = new TestView([{ place: 5, steps }])
    const cursor = entries(view)
    expect(await cursor.nextBatch()).toHaveLength(2)
    expect(view.blobReads).toBe(2)
    await cursor.close()
  })

  describe('lets go of its pins', () => {
    test('at the end, without being closed', async () => {
      const view = level(puts(20))
      const cursor = entries(view)
      expect(view.pins).toBe(1)
      await cursor.nextBatch(20)
      expect(await cursor.nextBatch()).toEqual([])
      expect(view.pins).toBe(0)
    })

    test('as soon as the limit is reached, or the range is empty', async () => {
      const view = level(puts(20))
      const cursor = entries(view, { limit: 5 })
      expect(await cursor.nextBatch(5)).toHaveLength(5)
      expect(view.pins).toBe(0)
      const none = entries(view, { limit: 0 })
      const empty = entries(view, { lower: Buffer.from('b'), upper: Buffer.from('a') })
      expect(view.pins).toBe(0)
      expect(await none.all()).toEqual([])
      expect(await empty.next()).toEqual({ done: true, value: undefined })
    })

    test('by close, return and a loop that is left', async () => {
      const view = level(puts(200))
      const cursor = entries(view)
      await cursor.next()
      await cursor.close()
      await cursor.close()
      expect(view.pins).toBe(0)
      expect(await cursor.nextBatch()).toEqual([])
      expect(await cursor.all()).toEqual([])
      expect(await cursor.next()).toEqual({ done: true, value: undefined })
      for await (const item of entries(view)) if (item[0].toString() === name(3)) break
      expect(view.pins).toBe(0)
      {
        await using disposed = entries(view)
        await disposed.next()
        expect(view.pins).toBe(1)
      }
      expect(view.pins).toBe(0)
    })

    test('of a synchronous iterator by a loop that is left, and at its end', () => {
      const view = level(puts(200))
      for (const item of openSyncIterator(view, keyspace, everything, view.latest)) {
        if (item[0].toString() === name(3)) break
      }
      expect(view.pins).toBe(0)
      expect([...openSyncIterator(view, keyspace, everything, view.latest)]).toHaveLength(200)
      expect(view.pins).toBe(0)
    })
  })

  test('closed while a read is in flight answers it as closed, and holds its pins until then', async () => {
    const view = level(puts(200))
    view.files.isDiskFast = false
    const cursor = entries(view)
    const read = cursor.nextBatch(100)
    const closed = cursor.close()
    expect(view.pins).toBe(1)
    expect(await read).toEqual([])
    await closed
    expect(view.pins).toBe(0)
  })

  describe('with a signal', () => {
    test('that aborted before rejects every read and holds nothing', async () => {
      const view = level(puts(20))
      const cursor = entries(view, {}, { signal: AbortSignal.abort('why') })
      expect(view.pins).toBe(0)
      await expect(cursor.next()).rejects.toMatchObject({ code: 'VARVE_ABORTED', cause: 'why' })
      await expect(cursor.nextBatch()).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
      await cursor.close()
      expect(await cursor.all()).toEqual([])
    })

    test('that aborts between batches lets go at once and rejects what comes', async () => {
      const view = level(puts(200))
      const controller = new AbortController()
      const cursor = entries(view, {}, { signal: controller.signal })
      await cursor.nextBatch(10)
      controller.abort()
      expect(view.pins).toBe(0)
      await expect(cursor.nextBatch(10)).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
      await expect(cursor.all()).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
    })

    test('that aborts during a read rejects it', async () => {
      const view = level(puts(200))
      view.files.isDiskFast = false
      const controller = new AbortController()
      const cursor = entries(view, {}, { signal: controller.signal })
      const read = cursor.nextBatch(100)
      controller.abort()
      await expect(read).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
      expect(view.pins).toBe(0)
    })

    test('that aborts a loop does so also among items read ahead', async () => {
      const view = active(puts(10))
      const controller = new AbortController()
      const seen: string[] = []
      const loop = async (): Promise<void> => {
        for await (const [key] of entries(view, {}, { signal: controller.signal })) {
          seen.push(key.toString())
          if (seen.length === 3) controller.abort()
        }
      }
      await expect(loop()).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
      expect(seen).toHaveLength(3)
    })
  })

  describe('that meets a failure', () => {
    const broken: MergeOperator = {
      name: 'broken',
      merge: () => {
        throw new Error('no')
      },
    }
    const failing = { id: KEYSPACE, name: 'test', operator: broken }
    const steps: Step[] = [...puts(5), { type: 'merge', key: 'm', value: 'x' }]

    test('rejects the batch and every later read, and lets go of its pins', async () => {
      const view = active(steps)
      const cursor = openCursor(view, failing, everything, view.latest, 'entries')
      await expect(cursor.nextBatch()).rejects.toMatchObject({ code: 'VARVE_MERGE_FAILED' })
      expect(view.pins).toBe(0)
      await expect(cursor.all()).rejects.toMatchObject({ code: 'VARVE_MERGE_FAILED' })
      await cursor.close()
      expect(await cursor.nextBatch()).toEqual([])
    })

    test('item by item delivers what came before', async () => {
      const view = active(steps)
      const cursor = openCursor(view, failing, everything, view.latest, 'entries')
      const seen: string[] = []
      const loop = async (): Promise<void> => {
        for await (const [key] of cursor) seen.push(key.toString())
      }
      await expect(loop()).rejects.toMatchObject({ code: 'VARVE_MERGE_FAILED' })
      expect(seen).toEqual(puts(5).map((s) => s.key))
      const sync = openSyncIterator(view, failing, everything, view.latest)
      const seenSync: string[] = []
      expect(() => {
        for (const [key] of sync) seenSync.push(key.toString())
      }).toThrow("merge operator 'broken' threw")
      expect(seenSync).toEqual(seen)
      expect(view.pins).toBe(0)
    })

    test('in a blob file rejects too', async () => {
      const blobs = puts(4, 'b'.repeat(BLOB_MIN))
      const view = new TestView([{ place: 5, steps: [...puts(2, 'small'), ...blobs.slice(2)] }])
      view.blobError = new Error('EIO')
      await expect(entries(view).nextBatch()).rejects.toThrow('EIO')
      const cursor = entries(view)
      expect((await cursor.next()).value?.[0].toString()).toBe(name(0))
      expect((await cursor.next()).value?.[0].toString()).toBe(name(1))
      await expect(cursor.next()).rejects.toThrow('EIO')
      expect(view.pins).toBe(0)
    })

    test('in the disk rejects too, read on this thread or not', async () => {
      for (const isDiskFast of [true, false]) {
        const view = level(puts(50))
        view.files.isDiskFast = isDiskFast
        const cursor = entries(view)
        await cursor.next()
        view.fs.inject({ operation: 'read', times: Number.POSITIVE_INFINITY, effect: 'EIO' })
        await expect(cursor.all()).rejects.toMatchObject({ code: 'VARVE_IO' })
        expect(view.pins).toBe(0)
      }
    })
  })

  test('that is forgotten lets go of its pins when it is garbage, also while its signal lives on', async () => {
    setFlagsFromString('--expose_gc')
    const collect = runInNewContext('gc') as () => void
    const view = level(puts(200))
    const { signal } = new AbortController()
    const forgotten: string[] = []
    const open = new Set<unknown>()
    const watch = {
      opened: () => {
        const pin = {}
        open.add(pin)
        return pin
      },
      closed: (pin: unknown) => void open.delete(pin),
      abandoned: (what: string) => void forgotten.push(what),
    }
    await (async () => {
      await entries(view, {}, { signal, watch }).next()
      openSyncIterator(view, keyspace, everything, view.latest, { watch }).next()
    })()
    expect(view.pins).toBe(2)
    expect(open.size).toBe(2)
    for (let turn = 0; turn < 100 && view.pins > 0; turn++) {
      collect()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(view.pins).toBe(0)
    expect(forgotten).toHaveLength(2)
    expect(open.size).toBe(0)
    expect(signal.aborted).toBe(false)
  })

  test('hands out items that never change', async () => {
    const view = level(puts(3000))
    const items = await entries(view).all()
    expect(items.map(text)).toEqual(puts(3000).map((s) => [s.key, s.value]))
    expect(items.every(([k, v]) => Object.getPrototypeOf(k) === Object.getPrototypeOf(v))).toBe(
      true,
    )
  })

  test('gives way to the event loop when it reads much from memory', async () => {
    let turns = 0
    const view = active(puts(40_000))
    const nextTurn = async (): Promise<void> => {
      turns++
    }
    let items = 0
    for await (const item of entries(view, {}, { nextTurn })) items += item.length / 2
    expect(items).toBe(40_000)
    expect(turns).toBe(2)
    await entries(view, {}, { nextTurn }).all()
    expect(turns).toBe(4)
  })
})
