/** History of a bounded size under endless overwriting: does the disk stay within its bound, do reads stay as fast. Varve alone. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { OpenOptions, Varve } from '../../src/index.ts'
import { openVarve } from '../peers/varve.ts'
import { createKey, createKeys, Dataset, writeKey } from './dataset.ts'
import { createRandom, shuffled } from './random.ts'
import { measureFor } from './stopwatch.ts'
import { directoryBytes } from './upkeep.ts'
import { type Context, onVarve, type Workload } from './workload.ts'

const HISTORY_BYTES = 64 << 20
const KEYS = 100_000
const VALUE_BYTES = 1000
const LIVE_BYTES = KEYS * (VALUE_BYTES + 16)
const GENERATIONS: number = Math.ceil((2 * 2 ** 30) / LIVE_BYTES)
/** The bound holds after a first stretch, in which the levels take shape. */
const SETTLED_AFTER = 3
const BOUND_BYTES = HISTORY_BYTES + 2.5 * LIVE_BYTES
const PUTS_PER_BATCH = 100
const BATCHES_PER_LOOK = 50

export const historyBound: Workload = {
  name: 'history-bound',
  title: '2 GiB of overwrites with 64 MiB of history: disk against its bound',
  group: 'engine',
  metric: { name: 'diskRatio', unit: 'x', better: 'lower' },
  isHeavy: true,
  runsOn: onVarve,
  async run(context) {
    const data = new Dataset(VALUE_BYTES)
    const onceNs = await readWrittenOnce(context, data)
    const directory = join(context.job.directory, 'many')
    const store = await open(context, directory, { history: { maxBytes: HISTORY_BYTES } })
    let peakBytes = 0
    for (let generation = 0; generation < GENERATIONS; generation++) {
      await overwriteAll(store, data, generation, () => {
        if (generation < SETTLED_AFTER) return
        peakBytes = Math.max(peakBytes, directoryBytes(directory))
      })
    }
    // As the other one: what is still to be flushed would be compacted while reads are measured.
    await store.flush()
    await waitUntilIdle(store)
    const manyNs = await readNanoseconds(context, store, data, GENERATIONS - 1)
    const endBytes = directoryBytes(directory)
    await store.close()
    return {
      diskRatio: peakBytes / BOUND_BYTES,
      diskPeakBytes: peakBytes,
      diskEndBytes: endBytes,
      readCostRatio: manyNs / onceNs,
    }
  },
}

async function readWrittenOnce(context: Context, data: Dataset): Promise<number> {
  const directory = join(context.job.directory, 'once')
  const store = await open(context, directory)
  await overwriteAll(store, data, 0, () => undefined)
  await store.flush()
  await waitUntilIdle(store)
  const nanoseconds = await readNanoseconds(context, store, data, 0)
  await store.close()
  await rm(directory, { recursive: true })
  return nanoseconds
}

function open({ job }: Context, directory: string, options: OpenOptions = {}): Promise<Varve> {
  return openVarve({ ...job, directory, sync: false }, options)
}

/** Writes every key once, in an order of the generation's own. */
async function overwriteAll(
  store: Varve,
  data: Dataset,
  generation: number,
  look: () => void,
): Promise<void> {
  const order = shuffled(KEYS, generation)
  const keys = createKeys(PUTS_PER_BATCH)
  const batches = KEYS / PUTS_PER_BATCH
  for (let n = 0; n < batches; n++) {
    const batch = store.batch()
    for (let i = 0; i < PUTS_PER_BATCH; i++) {
      const index = order[n * PUTS_PER_BATCH + i] as number
      batch.put(writeKey(keys[i] as Buffer, index), data.value(index, generation))
    }
    await store.write(batch)
    if (n % BATCHES_PER_LOOK === 0) look()
  }
}

async function readNanoseconds(
  context: Context,
  store: Varve,
  data: Dataset,
  generation: number,
): Promise<number> {
  const random = createRandom(12)
  const key = createKey()
  const { rate } = await measureFor(context.job.seconds, 256, () => {
    const index = random.below(KEYS)
    data.check(index, store.getSync(writeKey(key, index)), generation)
  })
  return 1e9 / (rate as number)
}

/** Compaction works on behind the last write. */
export async function waitUntilIdle(store: Varve): Promise<void> {
  while (store.stats().pendingCompactionBytes > 0) await delay(20)
}
