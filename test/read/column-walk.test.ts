import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mergeOperators } from '../../src/base/merge-operators.ts'
import { type Cursor, type EntryItem, openCursor } from '../../src/read/cursor.ts'
import type { DecodedRange } from '../../src/read/key-range.ts'
import { openSyncIterator } from '../../src/read/sync-iterator.ts'
import { BLOB_MIN, KEYSPACE, type Place, type Step, type Stretch, TestView } from './test-view.ts'

const keyspace = { id: KEYSPACE, name: 'test', operator: mergeOperators.append }
/** Batches below this are read the general way. */
const WALKED_ITEMS_MIN = 32

const LAYOUTS: readonly (readonly Place[])[] = [
  ['L0'],
  ['L0', 'L0', 'L0'],
  [6, 1],
  [5, 'L0', 'L0'],
  [6, 5, 1, 'L0', 'L0', 'L0', 'L0', 'L0', 'L0'],
]

type Random = (below: number) => number

function random(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 4294967296) * below)
  }
}

/** Keys that share much, little and nothing, that are the beginning of others, that are long, that end in zeros. */
function keyOf(n: number): string {
  const digits = String(n * 7).padStart(4, '0')
  if (n % 301 === 300) return `${digits}${'long'.repeat(n % 2 === 0 ? 100 : 4300)}`
  if (n % 11 === 0) return '\0'.repeat(1 + (n % 13))
  if (n % 7 === 0) return `k${'x'.repeat(n % 40)}`
  if (n % 5 === 0) return `user/${digits}\0\0`
  return `user/${n % 3 === 0 ? '' : 'account/0000'}${digits}`
}

interface Shape {
  readonly keys: number
  readonly places: readonly Place[]
  /** Of a hundred steps. */
  readonly deletes: number
  readonly merges: number
  readonly blobs: number
  /** One key of so many is written most of the time. */
  readonly hot: number
}

function historyOf(shape: Shape, next: Random): Stretch[] {
  return shape.places.map((place) => {
    const count = 1 + next(400)
    const steps: Step[] = []
    for (let i = 0; i < count; i++) {
      const isHot = shape.hot > 0 && next(3) > 0
      const key = keyOf(isHot ? next(1 + Math.floor(shape.keys / shape.hot)) : next(shape.keys))
      const what = next(100)
      const value = `${place}-${i}`.padEnd(next(30), '.')
      if (what < shape.deletes) steps.push({ type: 'delete', key })
      else if (what < shape.deletes + shape.merges) steps.push({ type: 'merge', key, value })
      else {
        const isBlob = next(100) < shape.blobs
        const isEmpty = next(20) === 0
        const own = isBlob ? value.padEnd(BLOB_MIN + 3, '*') : isEmpty ? '' : value
        steps.push({ type: 'put', key, value: own })
      }
    }
    return { place, steps }
  })
}

/** Shows an item, then writes over it, as its owner may. */
function take(item: Buffer | EntryItem): string {
  const parts = Buffer.isBuffer(item) ? [item] : item
  const text = parts.map((bytes) => bytes.toString('latin1')).join('=')
  for (const bytes of parts) bytes.fill(0xff)
  return text
}

async function read(cursor: Cursor<Buffer>, batch: () => number): Promise<string[]> {
  const seen: string[] = []
  for (;;) {
    const items = await cursor.nextBatch(batch())
    if (items.length === 0) return seen
    seen.push(...items.map(take))
  }
}

/** What is read by column walks from now on. */
function countWalks({ scratch }: TestView): { walks: number; items: number } {
  const counts = { walks: 0, items: 0 }
  const { columnWalk } = scratch
  const run = columnWalk.run.bind(columnWalk)
  columnWalk.run = (options, target, limits) => {
    const before = target.length
    const bytes = run(options, target, limits)
    counts.walks++
    counts.items += target.length - before
    return bytes
  }
  return counts
}

test('reads what the general way reads: any sources, versions, bounds, limits and disk', async () => {
  const percent = fc.constantFrom(0, 0, 0, 0, 1, 30)
  const shapes = fc.record({
    keys: fc.constantFrom(1, 40, 300, 1000, 2000),
    places: fc.constantFrom(...LAYOUTS),
    deletes: fc.constantFrom(0, 0, 10, 90),
    merges: percent,
    blobs: percent,
    hot: fc.constantFrom(0, 0, 10, 1000),
  })
  const none = fc.constant(undefined)
  const bound = fc.oneof(none, fc.nat(300))
  const readings = fc.record({
    content: fc.constantFrom('entries' as const, 'keys' as const, 'values' as const),
    limit: fc.constantFrom(31, 32, 33, 100, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
    lower: bound,
    upper: bound,
    isOfOld: fc.boolean(),
    isDiskFast: fc.boolean(),
    cacheBytes: fc.constantFrom(1, 1 << 20),
  })
  let walked = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(), shapes, readings, async (seed, shape, reading) => {
      const next = random(seed)
      const history = historyOf(shape, next)
      const total = history.reduce((sum, { steps }) => sum + steps.length, 0)
      const snapshot = reading.isOfOld ? next(total + 1) : total
      const view = new TestView(history, {
        openSnapshots: [snapshot],
        cacheBytes: reading.cacheBytes,
      })
      view.files.isDiskFast = reading.isDiskFast
      const counts = countWalks(view)
      const range: DecodedRange = {
        lower: reading.lower === undefined ? undefined : Buffer.from(keyOf(reading.lower)),
        upper: reading.upper === undefined ? undefined : Buffer.from(keyOf(reading.upper)),
        reverse: false,
        limit: reading.limit,
      }
      const open = (): Cursor<Buffer> =>
        openCursor(view, keyspace, range, snapshot, reading.content) as Cursor<Buffer>

      const expected = await read(open(), () => 1 + next(WALKED_ITEMS_MIN - 1))
      expect(counts.walks).toBe(0)
      expect(await read(open(), () => Number.POSITIVE_INFINITY)).toEqual(expected)
      expect(await read(open(), () => 1 + next(60))).toEqual(expected)
      const one: string[] = []
      for await (const item of open()) one.push(take(item))
      expect(one).toEqual(expected)
      if (reading.content === 'entries') {
        const sync = openSyncIterator(view, keyspace, range, snapshot)
        expect([...sync].map(take)).toEqual(expected)
      }
      expect(view.pins).toBe(0)
      walked += counts.items
    }),
    { numRuns: 150 },
  )
  expect(walked).toBeGreaterThan(1000)
})

test('takes nearly all of a usual range', async () => {
  const next = random(1)
  const places: Place[] = [6, 'L0', 'L0', 'L0']
  const shape = { keys: 2000, places, deletes: 5, merges: 0, blobs: 0, hot: 0 }
  const view = new TestView(historyOf(shape, next))
  const counts = countWalks(view)
  const range = { lower: undefined, upper: undefined, reverse: false, limit: 1000 }
  const items = await openCursor(view, keyspace, range, view.latest, 'entries').all()
  expect(counts.walks).toBe(1)
  expect(counts.items).toBe(items.length)
  expect(items.length).toBeGreaterThan(300)
})

test('stops before its bound, whichever key that is', async () => {
  const places: Place[] = ['L0', 'L0', 'L0']
  const shape = { keys: 300, places, deletes: 5, merges: 0, blobs: 0, hot: 0 }
  const view = new TestView(historyOf(shape, random(2)))
  for (let n = 0; n < 300; n++) {
    const upper = Buffer.from(keyOf(n))
    const range = { lower: undefined, upper, reverse: false, limit: Number.POSITIVE_INFINITY }
    const open = (): Cursor<Buffer> => openCursor(view, keyspace, range, view.latest, 'keys')
    const walked = (await open().all()).map(take)
    expect(walked).toEqual(await read(open(), () => WALKED_ITEMS_MIN - 1))
  }
})
