/** Following a store: how soon a tail hears of a commit, how fast one that fell behind catches up, what asking costs. Varve alone. */
import { setImmediate } from 'node:timers/promises'
import { fixtureOrder } from '../harness/fixture-order.ts'
import type { Fixture, Metrics } from '../harness/job.ts'
import { openVarve } from '../peers/varve.ts'
import { changesOf, checkOf, pollRepeatedly, readExpected } from './change-capture.ts'
import { milliseconds } from './clock.ts'
import { createKey, Dataset, writeKey } from './dataset.ts'
import { VALUE_BYTES } from './fill.ts'
import { createRandom } from './random.ts'
import { Latencies, measureFor, startStopwatch } from './stopwatch.ts'
import { EVENTS, onVarve, OPERATIONS, type Workload } from './workload.ts'

const COMMITS_PER_SECOND = 20_000

/** Single puts at a fixed pace; from the moment a put is acknowledged to the moment the tail has its event. */
export const tailLatency: Workload = {
  name: 'cdctail',
  title: 'cdctail: commit acknowledged to event delivered, 20,000 commits/s',
  group: 'changes',
  metric: { name: 'p99Ms', unit: 'ms', better: 'lower' },
  runsOn: onVarve,
  async run(context) {
    const data = new Dataset(VALUE_BYTES)
    const total = Math.ceil(COMMITS_PER_SECOND * context.job.seconds * 2)
    const acknowledgedAt = new Float64Array(total + 1)
    const latencies = new Latencies()
    const store = await openVarve({ ...context.job, sync: false })
    const tail = store.tail({ from: 'now' })
    // The first tenth warms the compiler up.
    const measuredFrom = total / 10
    const following = follow()
    const metrics = await writeAtPace()
    await following
    await tail.close()
    await store.close()
    return { ...latencies.metrics(), commitsPerSecond: metrics['rate'] as number }

    async function follow(): Promise<void> {
      let next = 1
      for await (const { events } of tail) {
        for (const { seqno } of events) {
          if (seqno !== next++) throw new Error(`the tail gave ${seqno} where ${next - 1} was due`)
          const acknowledged = acknowledgedAt[seqno] as number
          // An event may be delivered in the same turn, before the writer hears of it: no time at all.
          if (seqno >= measuredFrom) latencies.since(acknowledged || performance.now())
        }
        if (next > total) return
      }
    }

    async function writeAtPace(): Promise<Metrics> {
      const random = createRandom(15)
      const key = createKey()
      const stopwatch = startStopwatch()
      const start = performance.now()
      const note = (seqno: number): void => {
        acknowledgedAt[seqno] = performance.now()
      }
      const puts: Promise<void>[] = []
      for (let sent = 0; sent < total; ) {
        const due = Math.min(total, ((performance.now() - start) / 1000) * COMMITS_PER_SECOND)
        for (; sent < due; sent++) {
          const index = random.below(1_000_000)
          puts.push(store.put(writeKey(key, index), data.value(index)).then(note))
        }
        await setImmediate()
      }
      await Promise.all(puts)
      return stopwatch.stop(total)
    }
  },
}

const IDLE_TAILS = 1000

/** What a commit costs while many wait for something else: for a keyspace, and for a range of keys, that nobody writes. */
export const idleTails: Workload = {
  name: 'cdctail-idle',
  title: 'single puts, awaited, beside 1,000 tails that wait for other keys',
  group: 'engine',
  metric: { name: 'slowdown', unit: 'x', better: 'lower' },
  runsOn: onVarve,
  async run(context) {
    const data = new Dataset(VALUE_BYTES)
    const store = await openVarve({ ...context.job, sync: false })
    await store.keyspace('quiet')
    const random = createRandom(16)
    const key = createKey()
    const measurePuts = async (): Promise<number> => {
      const metrics = await measureFor(context.job.seconds / 2, 64, () => {
        const index = random.below(1_000_000)
        return store.put(writeKey(key, index), data.value(index))
      })
      return metrics['rate'] as number
    }
    const rateAlone = await measurePuts()
    const before = process.memoryUsage()
    const found: Metrics = {}
    for (const [name, filter] of Object.entries({
      byKeyspace: { keyspaces: ['quiet'] },
      byKey: { range: { prefix: 'x' } },
    })) {
      const tails = Array.from({ length: IDLE_TAILS }, () =>
        store.tail({ from: 'now', heartbeatMs: 0, ...filter }),
      )
      const ended = tails.map(async (tail) => {
        for await (const { events } of tail) {
          if (events.length > 0) throw new Error('a tail got what it did not ask for')
        }
      })
      found[`${name}Rate`] = await measurePuts()
      const now = process.memoryUsage()
      const growth = now.heapUsed + now.external - before.heapUsed - before.external
      found[`${name}TailBytes`] = Math.max(0, growth) / IDLE_TAILS
      await Promise.all(tails.map((tail) => tail.close()))
      await Promise.all(ended)
    }
    await store.close()
    const slowest = Math.min(found['byKeyspaceRate'] as number, found['byKeyRate'] as number)
    return { rate: slowest, rateAlone, slowdown: rateAlone / slowest, ...found }
  },
}

const COMPACTED: Fixture = {
  keys: 'random',
  valueBytes: VALUE_BYTES,
  changeLog: true,
  state: 'compacted',
}

/** A tail from the beginning over segments, until it has caught up. */
export const tailCatchUp: Workload = {
  name: 'cdctail-catchup',
  title: 'cdctail: catching up from segments',
  group: 'changes',
  metric: EVENTS,
  fixture: COMPACTED,
  runsOn: onVarve,
  async run(context) {
    const events = context.job.entries
    const store = await openVarve({ ...context.job, sync: false })
    const passes: Metrics[] = []
    for (let pass = 0; pass < 4; pass++) {
      const tail = store.tail({ from: 'oldest' })
      const stopwatch = startStopwatch()
      let next = 1
      for await (const batch of tail) {
        next += batch.events.length
        if (next > events) break
      }
      passes.push(stopwatch.stop(next - 1))
      await tail.close()
    }
    await store.close()
    return passes
      .slice(1)
      .toSorted((a, b) => (a['rate'] as number) - (b['rate'] as number))[1] as Metrics
  },
}

export const polls: readonly Workload[] = [
  poll('100k', 100_000, false),
  poll('10M', 10_000_000, true),
]

function poll(label: string, events: number, isHeavy: boolean): Workload {
  return {
    name: `cdcpoll-${label}`,
    title: `caught-up poll of a store with ${label} events`,
    group: 'engine',
    metric: OPERATIONS,
    // At rest: compaction that goes on from the fill is no cost of asking.
    fixture: { ...COMPACTED, events },
    isHeavy,
    runsOn: onVarve,
    async run(context) {
      const store = await context.open()
      const metrics = await pollRepeatedly(changesOf(store), context.job.seconds)
      await store.close()
      return metrics
    },
  }
}

const MEMORY_FIXTURE: Fixture = { ...COMPACTED, valueBytes: 200, scale: 2 }

/** A scan of everything: what the process grows by, and how soon the first event comes. */
export const scanMemory: Workload = {
  name: 'cdcscan-memory',
  title: 'scan of 2 M events with 200-byte values, compacted',
  group: 'engine',
  metric: { name: 'growthBytes', unit: 'bytes', better: 'lower' },
  fixture: MEMORY_FIXTURE,
  runsOn: onVarve,
  async run(context) {
    const count = context.job.entries * 2
    const data = new Dataset(MEMORY_FIXTURE.valueBytes)
    const indexOf = fixtureOrder(MEMORY_FIXTURE, count)
    const store = await context.open()
    globalThis.gc?.()
    const before = process.memoryUsage()
    const start = milliseconds()
    const found = { firstEventMs: 0, growthBytes: 0, rssGrowthBytes: 0 }
    const check = checkOf(data, (seqno) => indexOf(seqno - 1))
    await readExpected(changesOf(store), {
      from: 1,
      count,
      check(seqno, key, value) {
        if (seqno === 1) found.firstEventMs = milliseconds() - start
        if ((seqno & 0x3fff) === 0) noteMemory()
        check(seqno, key, value)
      },
    })
    const seconds = (milliseconds() - start) / 1000
    await store.close()
    return { ...found, rate: count / seconds, seconds }

    function noteMemory(): void {
      const now = process.memoryUsage()
      const growth = now.heapUsed + now.external - before.heapUsed - before.external
      found.growthBytes = Math.max(found.growthBytes, growth)
      found.rssGrowthBytes = Math.max(found.rssGrowthBytes, now.rss - before.rss)
    }
  },
}
