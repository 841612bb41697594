/** What keeping history costs the work that does not ask for it: writes and ordered reads. Varve alone. */
import { Dataset } from './dataset.ts'
import { VALUE_BYTES } from './fill.ts'
import { createRandom } from './random.ts'
import { measureFor, startStopwatch } from './stopwatch.ts'
import { ENTRIES, onVarve, OPERATIONS, type Workload } from './workload.ts'
import { writeBatches } from './write-batches.ts'

const HISTORY_PROFILES = ['varve:history-all', 'varve:history-none']

/** Two writes an entry to a tenth as many keys; the clock stops when flush and compaction are through. */
export const overwriteCompacted: Workload = {
  name: 'overwrite-compacted',
  title: 'overwrites until compaction is through, all history kept',
  group: 'engine',
  metric: OPERATIONS,
  subjects: HISTORY_PROFILES,
  runsOn: onVarve,
  async run(context) {
    const count = context.job.entries * 2
    const random = createRandom(11)
    const keys = Math.max(1000, Math.floor(context.job.entries / 10))
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open()
    const stopwatch = startStopwatch()
    await writeBatches(store, data, { count, indexOf: () => random.below(keys) })
    await store.untilCompacted?.()
    const own = store.ownMetrics?.() ?? {}
    await store.close()
    return { ...stopwatch.stop(count), ...own }
  },
}

const OVERWRITES = 20

/** Each of 100,000 keys (where there are a million entries) written 20 times, compacted; then read in order. */
export const readSequentialOverwritten: Workload = {
  name: 'readseq-overwritten',
  title: 'readseq over keys overwritten 20 times, compacted, all history kept',
  group: 'engine',
  metric: ENTRIES,
  subjects: HISTORY_PROFILES,
  runsOn: onVarve,
  async run(context) {
    const keys = Math.floor(context.job.entries / 10)
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open()
    for (let generation = 0; generation < OVERWRITES; generation++) {
      await writeBatches(store, data, { count: keys, indexOf: (i) => i, generation })
    }
    await store.settle()
    const metrics = await measureFor(context.job.seconds, 1, async () => {
      let expected = 0
      await store.scan(undefined, Infinity, (_, value) => {
        data.check(expected++, value, OVERWRITES - 1)
      })
      if (expected !== keys) throw new Error(`${expected} entries read of ${keys}`)
    })
    await store.close()
    return { ...metrics, rate: (metrics['rate'] as number) * keys }
  },
}
