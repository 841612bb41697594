/** Change capture: what writing costs when every change must be read back, and what reading changes costs. */
import { FILL_SEED, fixtureEvents, fixtureOrder } from '../harness/fixture-order.ts'
import type { Fixture, Metrics } from '../harness/job.ts'
import type { BenchStore, ChangeLog } from '../peers/store.ts'
import { median } from './median.ts'
import { milliseconds } from './clock.ts'
import { Dataset, keyIndex } from './dataset.ts'
import { checkSome, VALUE_BYTES } from './fill.ts'
import { createRandom, shuffled } from './random.ts'
import { measureFor, startStopwatch } from './stopwatch.ts'
import { EVENTS, onLogged, onVarve, OPERATIONS, type Workload } from './workload.ts'
import { writeBatches } from './write-batches.ts'

export const CHANGES_FRESH: Fixture = {
  keys: 'random',
  valueBytes: VALUE_BYTES,
  changeLog: true,
  state: 'fresh',
}
const CHANGES_COMPACTED: Fixture = { ...CHANGES_FRESH, state: 'compacted' }

export const changeFill: Workload = {
  name: 'cdcfill',
  title: 'change-logged fillrandom (peers keep a log by hand; sqlite by triggers)',
  group: 'changes',
  metric: OPERATIONS,
  runsOn: onLogged,
  async run(context) {
    const order = shuffled(context.job.entries, FILL_SEED)
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open({ changeLog: true })
    const stopwatch = startStopwatch()
    await writeBatches(store, data, { count: order.length, indexOf: (i) => order[i] as number })
    const metrics = stopwatch.stop(order.length)
    await checkSome(store, data, { count: order.length })
    const latest = await changesOf(store).latest()
    if (latest !== order.length) throw new Error(`the log ends at ${latest}`)
    await store.close()
    return metrics
  },
}

/** The last hundredth is written by the process that then asks for it, as a follower would. */
export const changeScanJustWritten: Workload = {
  name: 'cdcscan-1%-written',
  title: 'last 1 % of the changes, just written',
  group: 'changes',
  metric: EVENTS,
  fixture: { ...CHANGES_FRESH, scale: 0.99 },
  changesFixture: true,
  runsOn: onLogged,
  async run(context) {
    const before = Math.round(context.job.entries * 0.99)
    const count = context.job.entries - before
    const random = createRandom(9)
    const order = Uint32Array.from({ length: count }, () => random.below(before))
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open({ changeLog: true })
    const indexOf = (i: number): number => order[i] as number
    await writeBatches(store, data, { count, indexOf, generation: 1 })
    const metrics = await scanRepeatedly(changesOf(store), context.job.seconds, {
      from: before + 1,
      count,
      check: checkOf(data, (seqno) => indexOf(seqno - before - 1), 1),
    })
    await store.close()
    return metrics
  },
}

/** Again and again in one process, as consumers that follow a store read its newest changes one after the other. */
export const changeScanLast: Workload = changeScan({
  name: 'cdcscan-1%-compacted',
  title: 'last 1 % of the changes, random keys, after full compaction',
  fixture: CHANGES_COMPACTED,
  fraction: 0.01,
})

/** The same as if each time were the first: what the engine read before it has forgotten, the file system has not. */
export const changeScanLastFirst: Workload = {
  ...changeScan({
    name: 'cdcscan-1%-compacted-first',
    title: 'last 1 % of the changes, random keys, after full compaction, read for the first time',
    fixture: CHANGES_COMPACTED,
    fraction: 0.01,
    forgets: true,
  }),
  runsOn: onVarve,
}

export const changeScanAll: Workload = changeScan({
  name: 'cdcscan-all-compacted',
  title: 'all changes, random keys, after full compaction',
  fixture: CHANGES_COMPACTED,
  fraction: 1,
})

export const changeScanAllFresh: Workload = changeScan({
  name: 'cdcscan-all',
  title: 'all changes, random keys, as written',
  fixture: CHANGES_FRESH,
  fraction: 1,
})

export const changePoll: Workload = {
  name: 'cdcpoll',
  title: 'caught-up poll',
  group: 'changes',
  metric: OPERATIONS,
  fixture: CHANGES_FRESH,
  runsOn: onLogged,
  async run(context) {
    const store = await context.open({ changeLog: true })
    const metrics = await pollRepeatedly(changesOf(store), context.job.seconds)
    await store.close()
    return metrics
  },
}

export async function pollRepeatedly(changes: ChangeLog, seconds: number): Promise<Metrics> {
  const next = (await changes.latest()) + 1
  const expectNone = (found: number): void => {
    if (found !== 0) throw new Error(`a caught-up poll found ${found} changes`)
  }
  return measureFor(seconds, 16, () => {
    const found = changes.poll(next)
    return typeof found === 'number' ? expectNone(found) : found.then(expectNone)
  })
}

export function changesOf(store: BenchStore): ChangeLog {
  if (store.changes === undefined) throw new Error('the store was opened without a change log')
  return store.changes
}

function changeScan(scan: {
  name: string
  title: string
  fixture: Fixture
  fraction: number
  forgets?: boolean
}): Workload {
  return {
    name: scan.name,
    title: scan.title,
    group: 'changes',
    metric: EVENTS,
    fixture: scan.fixture,
    runsOn: onLogged,
    async run(context) {
      const events = fixtureEvents(scan.fixture, context.job.entries)
      const count = Math.max(1, Math.round(events * scan.fraction))
      const indexOf = fixtureOrder(scan.fixture, events)
      const data = new Dataset(scan.fixture.valueBytes)
      const store = await context.open({ changeLog: true, forgets: scan.forgets ?? false })
      const metrics = await scanRepeatedly(changesOf(store), context.job.seconds, {
        from: events - count + 1,
        count,
        check: checkOf(data, (seqno) => indexOf(seqno - 1)),
      })
      await store.close()
      return metrics
    },
  }
}

export interface ExpectedChanges {
  readonly from: number
  readonly count: number
  check(seqno: number, key: Uint8Array, value: Uint8Array): void
}

/** Each value is checked; the digits of a key, which cost as much as the event, in one of 16. */
export function checkOf(
  data: Dataset,
  indexOf: (seqno: number) => number,
  generation = 0,
): ExpectedChanges['check'] {
  return (seqno, key, value) => {
    const index = indexOf(seqno)
    if ((seqno & 15) === 0 && keyIndex(key) !== index) throw new Error(`wrong key at ${seqno}`)
    data.check(index, value, generation)
  }
}

/** Rate is that of the median pass; the first one, with everything cold, is reported beside it. */
async function scanRepeatedly(
  changes: ChangeLog,
  seconds: number,
  expected: ExpectedChanges,
): Promise<Metrics> {
  const passes: number[] = []
  const cpu = process.cpuUsage()
  const end = milliseconds() + seconds * 1000
  do {
    const start = milliseconds()
    await readExpected(changes, expected)
    passes.push(milliseconds() - start)
  } while (milliseconds() < end || passes.length < 4)
  const used = process.cpuUsage(cpu)
  const passMs = median(passes.slice(1))
  return {
    rate: (expected.count / passMs) * 1000,
    operations: expected.count,
    passMs,
    firstPassMs: passes[0] as number,
    cpuSeconds: (used.user + used.system) / 1e6 / passes.length,
  }
}

/** Reads and checks that every seqno from `from` on comes once, in order. */
export async function readExpected(
  changes: Pick<ChangeLog, 'read'>,
  expected: ExpectedChanges,
): Promise<void> {
  let next = expected.from
  await changes.read(expected.from, (seqno, key, value) => {
    if (seqno !== next) throw new Error(`change ${seqno} came where ${next} was due`)
    expected.check(seqno, key, value)
    next++
  })
  if (next - expected.from !== expected.count) {
    throw new Error(`${next - expected.from} changes read of ${expected.count}`)
  }
}
