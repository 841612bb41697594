/** db_bench's writing workloads: an empty store is filled, or a filled one overwritten, in batches of 1,000, unsynced. */
import { FILL_SEED } from '../harness/fixture-order.ts'
import type { Fixture, Metrics } from '../harness/job.ts'
import type { BenchStore } from '../peers/store.ts'
import { createKey, createKeys, Dataset, writeKey } from './dataset.ts'
import { createRandom, shuffled } from './random.ts'
import { startStopwatch } from './stopwatch.ts'
import { type Context, onEvery, OPERATIONS, type Workload } from './workload.ts'
import { BATCH, writeBatches } from './write-batches.ts'

export const VALUE_BYTES = 100

/** One entry for each index, in random order, closed as it stands. */
export const RANDOM_FILL: Fixture = {
  keys: 'random',
  valueBytes: VALUE_BYTES,
  changeLog: false,
  state: 'fresh',
}
export const RANDOM_COMPACTED: Fixture = { ...RANDOM_FILL, state: 'compacted' }
export const fillSequential: Workload = {
  name: 'fillseq',
  title: 'fillseq, batches of 1000',
  group: 'write',
  metric: OPERATIONS,
  runsOn: onEvery,
  run: (context) => fill(context, (i) => i),
}

export const fillRandom: Workload = {
  name: 'fillrandom',
  title: 'fillrandom, batches of 1000',
  group: 'write',
  metric: OPERATIONS,
  runsOn: onEvery,
  run(context) {
    const order = shuffled(context.job.entries, FILL_SEED)
    return fill(context, (i) => order[i] as number)
  },
}

export const overwrite: Workload = {
  name: 'overwrite',
  title: 'overwrite random keys, batches of 1000',
  group: 'write',
  metric: OPERATIONS,
  fixture: RANDOM_FILL,
  changesFixture: true,
  runsOn: onEvery,
  async run(context) {
    const order = shuffled(context.job.entries, FILL_SEED + 1)
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open()
    const stopwatch = startStopwatch()
    await writeBatches(store, data, {
      count: order.length,
      indexOf: (i) => order[i] as number,
      generation: 1,
    })
    const metrics = stopwatch.stop(order.length)
    await checkSome(store, data, { count: order.length, generation: 1 })
    await store.close()
    return metrics
  },
}

export const deleteRandom: Workload = {
  name: 'deleterandom',
  title: 'deleterandom, batches of 1000',
  group: 'write',
  metric: OPERATIONS,
  fixture: RANDOM_FILL,
  changesFixture: true,
  runsOn: onEvery,
  async run(context) {
    const order = shuffled(context.job.entries, FILL_SEED + 2)
    const batches = Math.floor(order.length / 2 / BATCH)
    const keys = createKeys(BATCH)
    const store = await context.open()
    const stopwatch = startStopwatch()
    for (let n = 0; n < batches; n++) {
      for (let i = 0; i < BATCH; i++) writeKey(keys[i] as Buffer, order[n * BATCH + i] as number)
      const pending = store.deleteBatch(keys)
      if (pending !== undefined) await pending
    }
    const metrics = stopwatch.stop(batches * BATCH)
    let left = 0
    await store.scan(undefined, Infinity, () => {
      left++
    })
    await store.close()
    const expected = order.length - batches * BATCH
    if (left !== expected) throw new Error(`${left} entries left of ${expected}`)
    return metrics
  },
}

async function fill(context: Context, indexOf: (i: number) => number): Promise<Metrics> {
  const count = context.job.entries
  const data = new Dataset(VALUE_BYTES)
  const store = await context.open()
  const stopwatch = startStopwatch()
  await writeBatches(store, data, { count, indexOf })
  const metrics = stopwatch.stop(count)
  const rss = { fillRssBytes: process.resourceUsage().maxRSS * 1024 }
  await checkSome(store, data, { count })
  const own = store.ownMetrics?.() ?? {}
  await store.close()
  return { ...metrics, ...rss, ...own }
}

/** Reads 1,000 random keys back, outside the clock. */
export async function checkSome(
  store: BenchStore,
  data: Dataset,
  written: { count: number; generation?: number; indexOf?(i: number): number },
): Promise<void> {
  const random = createRandom(3)
  const key = createKey()
  for (let i = 0; i < 1000; i++) {
    const place = random.below(written.count)
    const index = written.indexOf?.(place) ?? place
    writeKey(key, index)
    const value = store.getSync === undefined ? await store.get?.(key) : store.getSync(key)
    data.check(index, value, written.generation)
  }
}
