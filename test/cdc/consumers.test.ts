import { beforeEach, describe, expect, test } from 'vitest'
import { type ConsumerEntry, ConsumerLedger } from '../../src/cdc/consumer-ledger.ts'
import { Consumers } from '../../src/cdc/consumers.ts'
import { planFloor } from '../../src/cdc/history-policy.ts'
import type { ConsumerRecord, ConsumerStore } from '../../src/cdc/change-source.ts'
import { put } from '../memtable/commits.ts'
import { FakeStore, turns } from './fake-store.ts'

/** What the store does for consumers: a log of acks and a manifest, either of which may fail. */
class Records implements ConsumerStore {
  readonly store: FakeStore
  ledger: ConsumerLedger
  nowMs = 5000
  moved = 0
  log: { name: string; next: number }[] = []
  manifest: ConsumerRecord[] = []
  failure: Error | undefined
  /** A floor on its way up. */
  raising: Promise<void> | undefined

  constructor(store: FakeStore, ledger: ConsumerLedger) {
    this.store = store
    this.ledger = ledger
  }
  async writeAck(entry: ConsumerEntry, next: number): Promise<void> {
    await turns(1)
    if (this.failure !== undefined) throw this.failure
    const { name } = entry
    this.ledger.checkAck(entry, next, this.store.latest, this.store.floor)
    this.log.push({ name, next })
    this.ledger.applyAck(name, next, { commitLast: undefined, timeMs: this.nowMs })
    this.store.durable = this.store.latest
  }
  async saveConsumers(): Promise<void> {
    await turns(1)
    if (this.failure !== undefined) throw this.failure
    this.store.durable = this.store.latest
    this.manifest = this.ledger.records()
  }
  running<T>(call: () => Promise<T>): Promise<T> {
    return call()
  }
  async whileFloorStands<T>(run: () => T | Promise<T>): Promise<T> {
    await this.raising
    return run()
  }

  consumersMoved(): void {
    this.moved++
  }
  now(): number {
    return this.nowMs
  }
}

let store: FakeStore
let ledger: ConsumerLedger
let records: Records
let consumers: Consumers

function start(stored: readonly ConsumerRecord[] = []): void {
  ledger = new ConsumerLedger(stored)
  records = new Records(store, ledger)
  consumers = new Consumers({ source: store, feed: store.feed, store: records, ledger })
}

beforeEach(() => {
  store = new FakeStore()
  for (let i = 0; i < 20; i++) store.commit([put(`k${i}`, 'v', 1)])
  start()
})

const codeOf = async (run: () => unknown): Promise<unknown> => {
  try {
    await run()
  } catch (error) {
    const { code, details } = error as { code: string; details: unknown }
    return { code, details }
  }
  return undefined
}

describe('opening a consumer', () => {
  test('creates it where it was told to begin, and from counts only then', async () => {
    store.floor = 4
    expect((await consumers.open('oldest')).position).toBe(4)
    expect((await consumers.open('now', { from: 'now' })).position).toBe(21)
    expect((await consumers.open('at', { from: 7 })).position).toBe(7)
    expect((await consumers.open('at', { from: 9 })).position).toBe(7)
    expect(records.manifest.map(({ name, position }) => [name, position])).toEqual([
      ['at', 7],
      ['now', 21],
      ['oldest', 4],
    ])
  })

  test('outside of history is refused', async () => {
    store.floor = 4
    expect(await codeOf(() => consumers.open('a', { from: 3 }))).toEqual({
      code: 'VARVE_HISTORY_TRUNCATED',
      details: { requested: 3, floor: 4 },
    })
    expect(await codeOf(() => consumers.open('a', { from: 22 }))).toEqual({
      code: 'VARVE_CURSOR_AHEAD',
      details: { requested: 22, latest: 20 },
    })
    expect(consumers.list({ series: [], latest: 20, totalBytes: 0 }, 4)).toEqual([])
  })

  test('refuses wrong names and options', async () => {
    for (const name of ['', 'x'.repeat(256), '\ud800']) {
      expect(await codeOf(() => consumers.open(name))).toMatchObject({
        code: 'VARVE_INVALID_ARGUMENT',
      })
    }
    expect(await codeOf(() => consumers.open(7))).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(await codeOf(() => consumers.open('a', { form: 1 }))).toMatchObject({
      code: 'VARVE_INVALID_ARGUMENT',
    })
    expect(await codeOf(() => consumers.open('a', { maxIdleMs: 0 }))).toMatchObject({
      code: 'VARVE_INVALID_ARGUMENT',
    })
  })

  test('that fails leaves nothing behind', async () => {
    records.failure = new Error('disk')
    await expect(consumers.open('a')).rejects.toThrow('disk')
    records.failure = undefined
    expect(ledger.floorConsumers()).toEqual([])
    expect((await consumers.open('a', { from: 'now' })).position).toBe(21)
  })

  test('shows in the list once it is stored', async () => {
    const scale = { series: [], latest: 20, totalBytes: 0 }
    const opening = consumers.open('a')
    await turns(1)
    expect(ledger.floorConsumers()).toHaveLength(1)
    expect(consumers.list(scale, 1)).toEqual([])
    await opening
    expect(consumers.list(scale, 1)).toMatchObject([{ name: 'a', lagEvents: 20 }])
  })

  test('counts for the floor while it is being stored, and begins above one that was already rising', async () => {
    records.raising = turns(2).then(() => {
      store.floor = 10
    })
    const opening = consumers.open('a')
    await turns(3)
    expect(ledger.floorConsumers().map(({ durablePosition }) => durablePosition)).toEqual([10])
    expect((await opening).position).toBe(10)
    records.raising = turns(2).then(() => {
      store.floor = 15
    })
    expect(await codeOf(() => consumers.open('b', { from: 12 }))).toMatchObject({
      code: 'VARVE_HISTORY_TRUNCATED',
    })
    expect(records.manifest.map(({ name }) => name)).toEqual(['a'])
  })

  test('two calls at once give two handles of one consumer', async () => {
    const [a, b] = await Promise.all([consumers.open('a'), consumers.open('a')])
    await a.ack(5)
    expect(b.position).toBe(5)
  })
})

describe('an ack', () => {
  test('moves the position, durably, and tells the store', async () => {
    const consumer = await consumers.open('a')
    await consumer.ack(8)
    expect(consumer.position).toBe(8)
    expect(ledger.records()[0]).toMatchObject({ position: 8, lastAckAt: 5000 })
    expect(records.moved).toBe(1)
    await consumer.ack(8)
    await consumer.ack(21)
    expect(consumer.position).toBe(21)
  })

  test('backwards or beyond the next seqno is refused', async () => {
    const consumer = await consumers.open('a')
    await consumer.ack(8)
    expect(await codeOf(() => consumer.ack(7))).toEqual({
      code: 'VARVE_INVALID_ARGUMENT',
      details: { consumer: 'a', next: 7, position: 8, latest: 20 },
    })
    expect(await codeOf(() => consumer.ack(22))).toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' })
    expect(await codeOf(() => consumer.ack(1.5))).toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' })
    expect(await codeOf(() => consumer.ack('8' as never))).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    })
    expect(consumer.position).toBe(8)
  })

  test('inside a batch may cover the batch itself, and nothing beyond', async () => {
    await consumers.open('a')
    const check = (name: string, next: number): void =>
      ledger.checkAck(ledger.acking(name), next, 23, 1)
    expect(() => check('a', 24)).not.toThrow()
    expect(() => check('a', 25)).toThrow(/beyond/)
    expect(() => check('b', 24)).toThrow(/no consumer/)
  })

  test('inside a batch counts for the floor once the batch is durable', async () => {
    const consumer = await consumers.open('a')
    store.commit([put('x', '1', 1)])
    ledger.applyAck('a', 22, { commitLast: 21, timeMs: 6000 })
    store.commit([put('x', '1', 1)])
    ledger.applyAck('a', 23, { commitLast: 22, timeMs: 6001 })
    ledger.applyAck('a', 23, { commitLast: 22, timeMs: 6002 })
    expect(consumer.position).toBe(23)
    const durable = (): number => ledger.floorConsumers()[0]!.durablePosition
    expect(durable()).toBe(1)
    expect(ledger.records()[0]!.position).toBe(1)
    ledger.settle(21)
    expect(durable()).toBe(22)
    ledger.settle(22)
    expect(durable()).toBe(23)
    expect(ledger.records()[0]).toMatchObject({ position: 23, lastAckAt: 6002 })
  })

  test('of its own makes those before it durable, whatever seqno is', async () => {
    const consumer = await consumers.open('a')
    store.commit([put('x', '1', 1)])
    ledger.applyAck('a', 10, { commitLast: 21, timeMs: 6000 })
    await consumer.ack(12)
    expect(ledger.floorConsumers()[0]!.durablePosition).toBe(12)
  })

  test('before a sealed memtable is recorded by its flush and from then on, one after it is not', async () => {
    await consumers.open('a')
    ledger.applyAck('a', 8, { commitLast: undefined, timeMs: 5500 })
    ledger.applyAck('a', 10, { commitLast: 21, timeMs: 6000 })
    const marks = ledger.capture()
    ledger.applyAck('a', 15, { commitLast: 25, timeMs: 6500 })
    expect(ledger.records()[0]).toMatchObject({ position: 1 })
    ledger.settleMarks(marks)
    expect(ledger.records()[0]).toMatchObject({ position: 10, lastAckAt: 6000 })
    ledger.settle(24)
    expect(ledger.records()[0]).toMatchObject({ position: 10, lastAckAt: 6000 })
    ledger.settle(25)
    expect(ledger.records()[0]).toMatchObject({ position: 15, lastAckAt: 6500 })
  })

  test('between two that wait is durable itself, not only the one before it', async () => {
    await consumers.open('a')
    const entry = ledger.get('a')!
    for (const next of [5, 9, 12]) {
      ledger.applyAck('a', next, { commitLast: undefined, timeMs: 6000 + next })
    }
    entry.synced(5)
    expect(entry.durablePosition).toBe(5)
    ledger.applyAck('a', 15, { commitLast: 25, timeMs: 6500 })
    entry.synced(9)
    entry.synced(12)
    expect(entry.durablePosition).toBe(12)
    ledger.settle(25)
    expect(entry.durablePosition).toBe(15)
  })

  test('inside a durable batch counts, whatever own one before it is not known to be synced', async () => {
    await consumers.open('a')
    ledger.applyAck('a', 8, { commitLast: undefined, timeMs: 5500 })
    ledger.applyAck('a', 10, { commitLast: 21, timeMs: 6000 })
    expect(ledger.settle(21)).toBe(true)
    expect(ledger.records()[0]).toMatchObject({ position: 10, lastAckAt: 6000 })
  })
})

describe('after a restart', () => {
  const stored: ConsumerRecord = {
    name: 'a',
    position: 3,
    state: 'active',
    maxHeldBytes: 100,
    maxIdleMs: undefined,
    createdAt: 1,
    lastAckAt: undefined,
  }

  test('the last ack in the log counts', () => {
    start([stored])
    ledger.applyAck('a', 5, { commitLast: 4, timeMs: 10 })
    ledger.applyAck('a', 9, { commitLast: undefined, timeMs: 11 })
    ledger.applyAck('gone', 9, { commitLast: 8, timeMs: 11 })
    ledger.settleAll()
    expect(ledger.records()).toEqual([{ ...stored, position: 9, lastAckAt: 11 }])
  })

  test('acks of a dropped consumer of the same name do not move the new one', async () => {
    const before = await consumers.open('a')
    await before.ack(15)
    await consumers.drop('a')
    const after = await consumers.open('a', { from: 2 })
    expect(after.position).toBe(2)
    const { log, manifest } = records
    start(manifest)
    for (const { name, next } of log) {
      ledger.applyAck(name, next, { commitLast: undefined, timeMs: 1 })
    }
    ledger.settleAll()
    expect(ledger.get('a')!.position).toBe(2)
  })
})

describe('batches', () => {
  test('begin at the position and end when caught up, if asked', async () => {
    const consumer = await consumers.open('a', { from: 5 })
    const seen = []
    for await (const { events, next } of consumer.batches({
      stopAtLatest: true,
      maxBatchEvents: 6,
    })) {
      seen.push(...events.map(({ seqno }) => seqno))
      await consumer.ack(next)
    }
    expect(seen).toEqual(Array.from({ length: 16 }, (_, i) => i + 5))
    expect(consumer.position).toBe(21)
  })

  test('take no from', async () => {
    const consumer = await consumers.open('a')
    expect(() => consumer.batches({ from: 3 })).toThrow(/unknown/)
  })
})

describe('a ledger that is loaded anew', () => {
  const record: ConsumerRecord = {
    name: 'a',
    position: 3,
    state: 'active',
    maxHeldBytes: 100,
    maxIdleMs: undefined,
    createdAt: 1,
    lastAckAt: 7,
  }

  test('goes on with its consumers as they are recorded, and forgets acks that are not', () => {
    start([record])
    const entry = ledger.get('a')!
    ledger.applyAck('a', 9, { commitLast: 20, timeMs: 8 })
    ledger.reload([{ ...record, maxHeldBytes: 200 }])
    expect(ledger.get('a')).toBe(entry)
    ledger.settle(20)
    expect(ledger.records()).toEqual([{ ...record, maxHeldBytes: 200 }])
    ledger.applyAck('a', 5, { commitLast: undefined, timeMs: 9 })
    ledger.settleAll()
    expect(ledger.records()[0]).toMatchObject({ position: 5, lastAckAt: 9 })
  })

  test('tells a consumer that was dropped and created again from the one before', () => {
    start([record, { ...record, name: 'b' }])
    const entries = [ledger.get('a')!, ledger.get('b')!]
    ledger.reload([{ ...record, createdAt: 2, position: 4 }])
    expect(entries.map(({ isDropped }) => isDropped)).toEqual([true, true])
    expect(ledger.get('a')).toMatchObject({ isDropped: false, position: 4 })
    expect(ledger.get('b')).toBeUndefined()
  })
})

describe('limits', () => {
  const judge = (policyFloor: number): ReturnType<Consumers['settle']> => {
    const series = Array.from({ length: 20 }, (_, i) => ({
      seqno: i + 1,
      timeMs: i,
      userBytes: (i + 1) * 100,
    }))
    const plan = planFloor({
      policy: { maxBytes: 2000 - (policyFloor - 1) * 100 },
      series,
      totalBytes: 2000,
      latest: 20,
      durable: 20,
      flushed: 20,
      floor: store.floor,
      now: records.nowMs,
      consumers: ledger.floorConsumers(),
    })
    const risks = consumers.settle(plan.verdicts)
    store.floor = plan.floor
    return risks
  }

  test('are warned of at 50 % and 80 %, once each, and cut it off beyond', async () => {
    const consumer = await consumers.open('a', { maxHeldBytes: 1000 })
    expect(judge(3)).toEqual([])
    expect(judge(6)).toEqual([{ consumer: 'a', usedFraction: 0.5, lost: false }])
    expect(judge(7)).toEqual([])
    expect(judge(9)).toEqual([{ consumer: 'a', usedFraction: 0.8, lost: false }])
    expect(judge(11)).toEqual([])
    expect(store.floor).toBe(1)
    expect(judge(12)).toEqual([{ consumer: 'a', usedFraction: 1.1, lost: true }])
    expect(consumer.state).toBe('lost')
    expect(store.floor).toBe(12)
    expect(judge(12)).toEqual([])
  })

  test('are warned of again after it had caught up', async () => {
    const consumer = await consumers.open('a', { maxHeldBytes: 1000 })
    expect(judge(6).length).toBe(1)
    await consumer.ack(6)
    expect(judge(6)).toEqual([])
    expect(judge(11)).toEqual([{ consumer: 'a', usedFraction: 0.5, lost: false }])
  })

  test('of idle time count too', async () => {
    await consumers.open('a', { maxIdleMs: 1000, from: 'now' })
    records.nowMs += 800
    expect(judge(2)).toEqual([{ consumer: 'a', usedFraction: 0.8, lost: false }])
    records.nowMs += 200
    expect(judge(2)).toEqual([{ consumer: 'a', usedFraction: 1, lost: true }])
  })

  test('can be changed by opening it again', async () => {
    await consumers.open('a', { maxHeldBytes: 1000 })
    await consumers.open('a', { maxHeldBytes: 5000 })
    expect(judge(6)).toEqual([])
    expect(records.manifest[0]).toMatchObject({ maxHeldBytes: 5000 })
  })

  test('stay as they were where changing them failed', async () => {
    await consumers.open('a', { maxHeldBytes: 1000 })
    records.failure = new Error('disk')
    await expect(consumers.open('a', { maxHeldBytes: 5000, maxIdleMs: 1 })).rejects.toThrow('disk')
    records.failure = undefined
    expect(ledger.records()[0]).toMatchObject({ maxHeldBytes: 1000, maxIdleMs: undefined })
    expect(judge(6)).toEqual([{ consumer: 'a', usedFraction: 0.5, lost: false }])
  })

  test('what is acked and may be lost with the power keeps no consumer from being lost', async () => {
    await consumers.open('a')
    ledger.applyAck('a', 9, { commitLast: 20, timeMs: records.nowMs })
    expect(consumers.loseBelow(5)).toEqual([{ consumer: 'a', usedFraction: 1, lost: true }])
    await consumers.open('b', { from: 3 })
    ledger.applyAck('b', 9, { commitLast: 20, timeMs: records.nowMs })
    ledger.settle(20)
    expect(consumers.loseBelow(9)).toEqual([])
  })

  test('hold nothing for a lost consumer, which no ack on its way moves any more', async () => {
    await consumers.open('a')
    consumers.loseBelow(9)
    ledger.applyAck('a', 7, { commitLast: undefined, timeMs: records.nowMs })
    ledger.settleAll()
    const series = [{ seqno: 20, timeMs: 1, userBytes: 2000 }]
    expect(consumers.list({ series, latest: 20, totalBytes: 2000 }, 9)).toMatchObject([
      { position: 1, state: 'lost', heldBytes: 0, lastAckAt: undefined },
    ])
    expect(ledger.records()[0]).toMatchObject({ position: 1, state: 'lost' })
  })

  test('leave a lost consumer with CONSUMER_LOST for reads and acks, until it is dropped', async () => {
    const consumer = await consumers.open('a')
    const tail = consumer.batches({ maxBatchEvents: 1 })
    await tail.next()
    expect(consumers.loseBelow(5)).toEqual([{ consumer: 'a', usedFraction: 1, lost: true }])
    store.floor = 5
    const lost = { code: 'VARVE_CONSUMER_LOST', details: { consumer: 'a', position: 1, floor: 5 } }
    expect(await codeOf(() => tail.next())).toEqual(lost)
    expect(await codeOf(() => consumer.batches().next())).toEqual(lost)
    expect(await codeOf(() => consumer.ack(9))).toEqual(lost)
    expect(await codeOf(() => ledger.checkAck(ledger.acking('a'), 9, 20, 5))).toEqual(lost)
    expect((await consumers.open('a')).state).toBe('lost')
    await consumers.drop('a')
    expect((await consumers.open('a')).position).toBe(5)
  })

  test('show in the list', async () => {
    await consumers.open('a', { from: 3 })
    const scale = {
      series: [{ seqno: 20, timeMs: 1, userBytes: 2000 }],
      latest: 20,
      totalBytes: 2000,
    }
    expect(consumers.list(scale, 8)).toEqual([
      {
        name: 'a',
        position: 3,
        state: 'active',
        lagEvents: 18,
        heldBytes: 500,
        lastAckAt: undefined,
      },
    ])
  })
})

describe('a dropped consumer', () => {
  test('is unknown to its handles', async () => {
    const consumer = await consumers.open('a')
    await consumers.drop('a')
    const notFound = { code: 'VARVE_NOT_FOUND', details: { consumer: 'a' } }
    expect(await codeOf(() => consumer.ack(3))).toEqual(notFound)
    expect(await codeOf(() => consumer.batches().next())).toEqual(notFound)
    expect(await codeOf(() => consumers.drop('a'))).toEqual(notFound)
    expect(records.manifest).toEqual([])
  })

  test('is still there when dropping failed', async () => {
    const consumer = await consumers.open('a')
    records.failure = new Error('disk')
    await expect(consumers.drop('a')).rejects.toThrow('disk')
    records.failure = undefined
    await consumer.ack(3)
    expect(consumer.position).toBe(3)
  })
})
