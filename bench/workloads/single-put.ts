/** One put a commit: awaited one after the other, or a hundred at a time, each on disk before it is acknowledged. */
import type { Metrics } from '../harness/job.ts'
import type { BenchStore } from '../peers/store.ts'
import { milliseconds } from './clock.ts'
import { createKeys, Dataset, writeKey } from './dataset.ts'
import { checkSome, VALUE_BYTES } from './fill.ts'
import { shuffled } from './random.ts'
import { startStopwatch } from './stopwatch.ts'
import { type Context, onEvery, OPERATIONS, type Workload } from './workload.ts'

const IN_FLIGHT = 100
/** Puts between two looks at the clock. */
const CLOCK_EVERY = 64

export const singlePut: Workload = {
  name: 'put',
  title: 'single put, awaited, unsynced',
  group: 'write',
  metric: OPERATIONS,
  runsOn: onEvery,
  run: (context) => runPuts(context, { writers: 1, sync: false }),
}

export const fillSync: Workload = {
  name: 'fillsync',
  title: 'single put, awaited, synced',
  group: 'write',
  metric: OPERATIONS,
  runsOn: onEvery,
  run: (context) => runPuts(context, { writers: 1, sync: true }),
}

export const syncedInFlight: Workload = {
  name: 'putsync100',
  title: '100 puts in flight, each synced',
  group: 'write',
  metric: OPERATIONS,
  // A synchronous engine can have but one put in flight.
  runsOn: (engine) => engine.name !== 'better-sqlite3',
  run: (context) => runPuts(context, { writers: IN_FLIGHT, sync: true }),
}

async function runPuts(
  context: Context,
  { writers, sync }: { writers: number; sync: boolean },
): Promise<Metrics> {
  const count = context.job.entries
  const data = new Dataset(VALUE_BYTES)
  const store = await context.open({ sync })
  const puts = new PutLoop(store, data, shuffled(count, 1))
  await puts.runFor(context.job.seconds / 10, writers)
  const first = puts.done
  const stopwatch = startStopwatch()
  await puts.runFor(context.job.seconds, writers)
  const metrics = stopwatch.stop(puts.done - first)
  await checkSome(store, data, { count: puts.done, indexOf: (i) => puts.indexOf(i) })
  await store.close()
  return metrics
}

/** Puts keys in a fixed order, over and over, by a number of writers who each wait for their own put. */
class PutLoop {
  /** Puts begun, all of which are done when `runFor` is. */
  done = 0
  readonly #store: BenchStore
  readonly #data: Dataset
  readonly #order: Uint32Array
  #isOver = false

  constructor(store: BenchStore, data: Dataset, order: Uint32Array) {
    this.#store = store
    this.#data = data
    this.#order = order
  }

  indexOf(i: number): number {
    return this.#order[i % this.#order.length] as number
  }

  async runFor(seconds: number, writers: number): Promise<void> {
    const end = milliseconds() + seconds * 1000
    this.#isOver = false
    await Promise.all(createKeys(writers).map((key) => this.#write(key, end)))
  }

  async #write(key: Buffer, end: number): Promise<void> {
    while (!this.#isOver) {
      const index = this.indexOf(this.done++)
      const pending = this.#store.put(writeKey(key, index), this.#data.value(index))
      if (pending !== undefined) await pending
      if (this.done % CLOCK_EVERY === 0 && milliseconds() >= end) this.#isOver = true
    }
  }
}
