import { describe, expect, test } from 'vitest'
import {
  bandBoundaries,
  bytesBetween,
  type FloorConsumer,
  type FloorInput,
  isOverheld,
  planFloor,
} from '../../src/cdc/history-policy.ts'
import { extendSeries, SeriesRecorder, thin } from '../../src/cdc/history-series.ts'
import type { SeriesPoint } from '../../src/version/store-state.ts'

/** A point each 10 seqnos, 100 bytes, 1,000 ms. */
const series: SeriesPoint[] = Array.from({ length: 10 }, (_, i) => ({
  seqno: 10 * (i + 1),
  timeMs: 1000 * (i + 1),
  userBytes: 100 * (i + 1),
}))

const base: FloorInput = {
  policy: 'all',
  series,
  totalBytes: 1100,
  latest: 110,
  durable: 110,
  flushed: 100,
  floor: 1,
  now: 11_000,
  consumers: [],
}

function consumer(durablePosition: number, limits: Partial<FloorConsumer> = {}): FloorConsumer {
  return {
    name: `at ${durablePosition}`,
    durablePosition,
    maxHeldBytes: undefined,
    maxIdleMs: undefined,
    createdAt: 0,
    lastAckAt: undefined,
    ...limits,
  }
}

describe('the floor that a policy asks for', () => {
  const cases: [string, Partial<FloorInput>, number][] = [
    ['all never raises it', { policy: 'all' }, 1],
    ['all leaves it where it is', { policy: 'all', floor: 40 }, 40],
    ['none follows what is flushed', { policy: 'none' }, 101],
    ['none stays below what is not durable', { policy: 'none', durable: 70 }, 71],
    ['bytes keep at most the bound', { policy: { maxBytes: 400 } }, 71],
    ['bytes between two points give up the whole granule', { policy: { maxBytes: 450 } }, 71],
    ['bytes with room left raise nothing', { policy: { maxBytes: 1100 } }, 1],
    ['bytes of 0 give up all that is flushed', { policy: { maxBytes: 0 } }, 101],
    ['age gives up only what is older', { policy: { maxAgeMs: 5000 } }, 51],
    ['age between two points keeps the granule', { policy: { maxAgeMs: 5500 } }, 51],
    ['age with nothing old enough raises nothing', { policy: { maxAgeMs: 50_000 } }, 1],
    ['age of a clock set back raises nothing', { policy: { maxAgeMs: 5000 }, now: 3000 }, 1],
    ['whichever comes first', { policy: { maxAgeMs: 5000, maxBytes: 400 } }, 71],
    ['no bound is no policy', { policy: {} }, 1],
    ['it never falls', { policy: { maxBytes: 400 }, floor: 90 }, 90],
    ['it stays at durable + 1', { policy: { maxBytes: 100 }, durable: 50 }, 51],
    ['an empty series raises nothing', { policy: { maxBytes: 1 }, series: [] }, 1],
  ]
  test.each(cases)('%s', (_, input, floor) => {
    expect(planFloor({ ...base, ...input }).floor).toBe(floor)
  })
})

describe('consumers and the floor', () => {
  const policy = { maxBytes: 400 }
  const plan = (consumers: FloorConsumer[], input: Partial<FloorInput> = {}) =>
    planFloor({ ...base, policy, consumers, ...input })

  test('it never passes an active consumer', () => {
    expect(plan([consumer(31), consumer(55)]).floor).toBe(31)
    expect(plan([consumer(95)]).floor).toBe(71)
  })

  test('a consumer below the floor does not pull it down', () => {
    expect(plan([consumer(5)], { floor: 20 }).floor).toBe(20)
  })

  test('what a consumer holds is counted from its position to where the policy would be', () => {
    const { verdicts } = plan([consumer(31, { maxHeldBytes: 800 }), consumer(71)])
    expect(verdicts).toEqual([
      { name: 'at 31', heldBytes: 400, usedFraction: 0.5, isLost: false },
      { name: 'at 71', heldBytes: 0, usedFraction: 0, isLost: false },
    ])
  })

  test('past its bytes it is lost and the floor moves on to the next one', () => {
    const { floor, verdicts } = plan([consumer(31, { maxHeldBytes: 399 }), consumer(51)])
    expect(verdicts[0]).toMatchObject({ isLost: true })
    expect(floor).toBe(51)
  })

  test('at exactly its bytes it is not', () => {
    expect(plan([consumer(31, { maxHeldBytes: 400 })]).verdicts[0]!.isLost).toBe(false)
  })

  test('maxHeldBytes 0 holds nothing beyond the policy', () => {
    expect(plan([consumer(70, { maxHeldBytes: 0 })]).floor).toBe(71)
    expect(plan([consumer(71, { maxHeldBytes: 0 })]).verdicts[0]!.isLost).toBe(false)
  })

  test('idle time counts from the last ack, or from the creation', () => {
    const at = (limits: Partial<FloorConsumer>) => plan([consumer(90, limits)]).verdicts[0]!
    expect(at({ maxIdleMs: 10_000, createdAt: 6000 })).toMatchObject({ usedFraction: 0.5 })
    expect(at({ maxIdleMs: 10_000, createdAt: 0, lastAckAt: 9000 })).toMatchObject({
      usedFraction: 0.2,
      isLost: false,
    })
    expect(at({ maxIdleMs: 10_000, createdAt: 1000 })).toMatchObject({ isLost: true })
    expect(at({ maxIdleMs: 10_000, createdAt: 99_000 })).toMatchObject({ usedFraction: 0 })
  })

  test('under "all" a consumer holds nothing', () => {
    expect(plan([consumer(1, { maxHeldBytes: 0 })], { policy: 'all' }).verdicts[0]).toMatchObject({
      heldBytes: 0,
      isLost: false,
    })
  })
})

describe('bytes by seqno', () => {
  test('are interpolated between points, and to the latest behind the last one', () => {
    expect(bytesBetween(base, { from: 1, to: 111 })).toBe(1100)
    expect(bytesBetween(base, { from: 1, to: 6 })).toBe(50)
    expect(bytesBetween(base, { from: 11, to: 21 })).toBe(100)
    expect(bytesBetween(base, { from: 101, to: 106 })).toBe(50)
    expect(bytesBetween(base, { from: 50, to: 50 })).toBe(0)
    expect(bytesBetween(base, { from: 60, to: 50 })).toBe(0)
    expect(bytesBetween({ series: [], latest: 0, totalBytes: 0 }, { from: 1, to: 1 })).toBe(0)
  })

  test('a scan is cut off beyond 10 GiB of given-up history', () => {
    const large = series.map((point) => ({ ...point, userBytes: point.userBytes * 2 ** 30 }))
    const scale = { ...base, series: large, totalBytes: 1100 * 2 ** 30 }
    expect(isOverheld(scale, 50, 51)).toBe(false)
    expect(isOverheld(scale, 50, 52)).toBe(true)
    expect(isOverheld(scale, 60, 52)).toBe(false)
  })
})

describe('the series', () => {
  test('gets a point per granule of bytes and before each jump in time', () => {
    const recorder = new SeriesRecorder({ maxBytes: 6400, maxAgeMs: 64_000 }, undefined)
    for (let i = 1; i <= 10; i++) recorder.note(i, 1000, 30)
    recorder.note(11, 1500, 30)
    recorder.note(12, 9000, 30)
    expect(recorder.pending).toEqual([
      { seqno: 4, timeMs: 1000, userBytes: 120 },
      { seqno: 8, timeMs: 1000, userBytes: 240 },
      { seqno: 11, timeMs: 1500, userBytes: 330 },
    ])
    recorder.seal()
    expect(recorder.pending.at(-1)).toEqual({ seqno: 12, timeMs: 9000, userBytes: 360 })
    expect(recorder.totalBytes).toBe(360)
    recorder.settle(8)
    expect(recorder.pending.map(({ seqno }) => seqno)).toEqual([11, 12])
    recorder.seal()
    expect(recorder.pending.length).toBe(2)
  })

  test('goes on where the persisted points end', () => {
    const recorder = new SeriesRecorder('all', { seqno: 5, timeMs: 1, userBytes: 50 })
    recorder.note(6, 2, 10)
    recorder.seal()
    expect(recorder.pending).toEqual([{ seqno: 6, timeMs: 2, userBytes: 60 }])
  })

  test('takes in what was flushed and lets go of what lies below the floor, but for the last point', () => {
    const more = [110, 120].map((seqno) => ({ seqno, timeMs: seqno * 100, userBytes: seqno * 10 }))
    const extended = extendSeries(series, more, { floor: 45, flushed: 110 })
    expect(extended.map(({ seqno }) => seqno)).toEqual([40, 50, 60, 70, 80, 90, 100, 110])
  })

  test('stays sparse however long the store lives, and keeps its ends', () => {
    const long = Array.from({ length: 100_000 }, (_, i) => ({
      seqno: i + 1,
      timeMs: i * 10,
      userBytes: i < 50_000 ? i : 50_000 + (i - 50_000) * 1000,
    }))
    const thinned = thin(long)
    expect(thinned.length).toBeLessThanOrEqual(514)
    expect(thinned[0]).toEqual(long[0])
    expect(thinned.at(-1)).toEqual(long.at(-1))
    const whole = long.at(-1)!.userBytes
    for (let i = 1; i < thinned.length; i++) {
      expect(thinned[i]!.userBytes - thinned[i - 1]!.userBytes).toBeLessThanOrEqual(
        whole / 256 + 1000,
      )
    }
  })
})

describe('bands of history', () => {
  const scale = (points: number, bytes: number) => ({
    series: Array.from({ length: points }, (_, i) => ({
      seqno: (i + 1) * 10,
      timeMs: i,
      userBytes: (i + 1) * bytes,
    })),
    latest: points * 10,
    totalBytes: points * bytes,
  })

  test('are at most an eighth of what is retained', () => {
    const bands = bandBoundaries(scale(64, 2 ** 20), { policy: { maxBytes: 2 ** 26 }, floor: 1 })
    expect(bands.length).toBeGreaterThanOrEqual(7)
    expect(bands.length).toBeLessThanOrEqual(16)
  })

  test('stay where they are while history grows and the floor rises', () => {
    const options = { policy: { maxBytes: 2 ** 26 }, floor: 1 }
    const before = bandBoundaries(scale(64, 2 ** 20), options)
    const after = bandBoundaries(scale(80, 2 ** 20), { ...options, floor: 161 })
    expect(before.filter((seqno) => seqno > 161)).toEqual(
      after.filter((seqno) => seqno <= before.at(-1)!),
    )
  })

  test('of a small history are none', () => {
    expect(bandBoundaries(scale(5, 100), { policy: 'none', floor: 1 })).toEqual([])
  })
})
