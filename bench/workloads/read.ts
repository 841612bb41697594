/** db_bench's reading workloads over the randomly filled store, as it was left and after full compaction. */
import type { Metrics } from '../harness/job.ts'
import type { BenchStore } from '../peers/store.ts'
import { milliseconds } from './clock.ts'
import { createKey, Dataset, keyIndex, writeKey, writeMissingKey } from './dataset.ts'
import { RANDOM_COMPACTED, RANDOM_FILL, VALUE_BYTES } from './fill.ts'
import { createRandom } from './random.ts'
import { measureFor, startStopwatch } from './stopwatch.ts'
import {
  type Context,
  ENTRIES,
  onAsync,
  onEvery,
  onSync,
  OPERATIONS,
  type Workload,
} from './workload.ts'

const SEEK_ENTRIES = 100
/** Reads between two looks at the clock. */
const CHUNK = 256

export const readRandom: Workload = {
  name: 'readrandom',
  title: 'readrandom hit, sync',
  group: 'read',
  metric: OPERATIONS,
  fixture: RANDOM_FILL,
  runsOn: onSync,
  run: (context) => readKeys(context, { isAsync: false, isHit: true }),
}

export const readRandomCompacted: Workload = {
  ...readRandom,
  name: 'readrandom-compacted',
  title: 'readrandom hit, sync, after full compaction',
  fixture: RANDOM_COMPACTED,
}

export const readRandomAwaited: Workload = {
  ...readRandom,
  name: 'readrandom-awaited',
  title: 'readrandom hit, awaited',
  runsOn: onAsync,
  run: (context) => readKeys(context, { isAsync: true, isHit: true }),
}

export const readMissing: Workload = {
  ...readRandom,
  name: 'readmissing',
  title: 'readmissing, sync',
  run: (context) => readKeys(context, { isAsync: false, isHit: false }),
}

export const readMissingAwaited: Workload = {
  ...readRandom,
  name: 'readmissing-awaited',
  title: 'readmissing, awaited',
  runsOn: onAsync,
  run: (context) => readKeys(context, { isAsync: true, isHit: false }),
}

export const readSequential: Workload = {
  name: 'readseq',
  title: 'readseq in batches',
  group: 'read',
  metric: ENTRIES,
  fixture: RANDOM_FILL,
  runsOn: onEvery,
  async run(context) {
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open()
    const passes: Metrics[] = []
    const end = milliseconds() + context.job.seconds * 1000
    do {
      const stopwatch = startStopwatch()
      passes.push(stopwatch.stop(await readAll(store, data, context.job.entries)))
    } while (milliseconds() < end || passes.length < 3)
    await store.close()
    // The first pass warms the compiler up.
    return totalOf(passes.slice(1))
  },
}

export const readSequentialCompacted: Workload = {
  ...readSequential,
  name: 'readseq-compacted',
  title: 'readseq in batches, after full compaction',
  fixture: RANDOM_COMPACTED,
}

export const seekRandom: Workload = {
  name: 'seekrandom',
  title: 'seekrandom, 100 keys each',
  group: 'read',
  metric: OPERATIONS,
  fixture: RANDOM_FILL,
  runsOn: onEvery,
  async run(context) {
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open()
    const random = createRandom(5)
    const key = createKey()
    let expected = 0
    const visit = (found: Uint8Array, value: Uint8Array): void => {
      if (keyIndex(found) !== expected) throw new Error(`found a key other than ${expected}`)
      data.check(expected++, value)
    }
    const metrics = await measureFor(context.job.seconds, 16, () => {
      expected = random.below(context.job.entries - SEEK_ENTRIES)
      return store.scan(writeKey(key, expected), SEEK_ENTRIES, visit)
    })
    await store.close()
    return metrics
  },
}

async function readKeys(
  context: Context,
  { isAsync, isHit }: { isAsync: boolean; isHit: boolean },
): Promise<Metrics> {
  const data = new Dataset(VALUE_BYTES)
  const store = await context.open()
  const random = createRandom(4)
  const key = createKey()
  const { entries } = context.job
  const check = (index: number, value: Uint8Array | undefined): void => {
    if (isHit) data.check(index, value)
    else if (value !== undefined) throw new Error(`found a key that was never written: ${index}`)
  }
  const next = (): number => {
    const index = random.below(entries)
    if (isHit) writeKey(key, index)
    else writeMissingKey(key, index)
    return index
  }
  const stepSync = (): void => {
    const index = next()
    check(index, store.getSync?.(key))
  }
  const stepAsync = async (): Promise<void> => {
    const index = next()
    check(index, await store.get?.(key))
  }
  const metrics = await measureFor(context.job.seconds, CHUNK, isAsync ? stepAsync : stepSync)
  await store.close()
  return metrics
}

async function readAll(store: BenchStore, data: Dataset, entries: number): Promise<number> {
  let expected = 0
  const visited = await store.scan(undefined, Infinity, (key, value) => {
    // Digits are compared for some only: turning them into a number costs as much as the read.
    if ((expected & 15) === 0 && keyIndex(key) !== expected) {
      throw new Error(`found a key other than ${expected}`)
    }
    data.check(expected++, value)
  })
  if (visited !== entries) throw new Error(`${visited} entries read of ${entries}`)
  return visited
}

function totalOf(passes: readonly Metrics[]): Metrics {
  const sum = (name: string): number =>
    passes.reduce((total, pass) => total + (pass[name] as number), 0)
  const [operations, seconds, cpuSeconds] = [sum('operations'), sum('seconds'), sum('cpuSeconds')]
  return { rate: operations / seconds, operations, seconds, cpuSeconds }
}
