/** How costs grow with the store: 1, 10 and 30 million entries; write and space amplification. Varve alone. */
import type { Fixture } from '../harness/job.ts'
import { openVarve } from '../peers/varve.ts'
import { createKey, createKeys, Dataset, writeKey } from './dataset.ts'
import { VALUE_BYTES } from './fill.ts'
import { waitUntilIdle } from './history-bound.ts'
import { createRandom } from './random.ts'
import { measureFor, startStopwatch } from './stopwatch.ts'
import { directoryBytes } from './upkeep.ts'
import { onVarve, OPERATIONS, type Workload } from './workload.ts'
import { BATCH } from './write-batches.ts'

const ENTRY_BYTES = VALUE_BYTES + 16

export const growth: readonly Workload[] = [
  growthWrite('1M', 1_000_000),
  growthWrite('10M', 10_000_000),
  growthWrite('30M', 30_000_000),
  growthRead('1M', 1_000_000),
  growthRead('10M', 10_000_000),
]

/** As many writes as keys, each to a random one, twice over: the second time everything is an overwrite. */
function growthWrite(label: string, keyCount: number): Workload {
  return {
    name: `growth-write-${label}`,
    title: `uniform random writes over ${label} keys, without history`,
    group: 'engine',
    metric: OPERATIONS,
    subjects: ['varve:history-none'],
    isHeavy: true,
    roundsMax: 1,
    runsOn: onVarve,
    async run(context) {
      const data = new Dataset(VALUE_BYTES)
      const random = createRandom(13)
      const keys = createKeys(BATCH)
      const written = new Uint8Array(keyCount)
      const store = await openVarve({ ...context.job, sync: false })
      const stopwatch = startStopwatch()
      for (let i = 0; i < keyCount * 2; i += BATCH) {
        const batch = store.batch()
        for (let j = 0; j < BATCH; j++) {
          const index = random.below(keyCount)
          written[index] = 1
          batch.put(writeKey(keys[j] as Buffer, index), data.value(index))
        }
        await store.write(batch)
      }
      const metrics = stopwatch.stop(keyCount * 2)
      await store.flush()
      await waitUntilIdle(store)
      const { io } = store.stats()
      const liveBytes = written.reduce((count, each) => count + each, 0) * ENTRY_BYTES
      // Files that the last compaction replaced are gone when close() resolves.
      await store.close()
      const diskBytes = directoryBytes(context.job.directory)
      const writtenBytes = io.walBytesWritten + io.flushBytesWritten + io.compactionBytesWritten
      return {
        ...metrics,
        writeAmplification: writtenBytes / io.userBytesWritten,
        spaceAmplification: diskBytes / liveBytes,
        diskBytes,
      }
    },
  }
}

function growthRead(label: string, events: number): Workload {
  const fixture: Fixture = {
    keys: 'random',
    valueBytes: VALUE_BYTES,
    events,
    changeLog: false,
    state: 'fresh',
  }
  return {
    name: `growth-read-${label}`,
    title: `readrandom hit, sync, over ${label} keys`,
    group: 'engine',
    metric: OPERATIONS,
    fixture,
    isHeavy: true,
    runsOn: onVarve,
    async run(context) {
      const data = new Dataset(VALUE_BYTES)
      const random = createRandom(14)
      const key = createKey()
      const store = await openVarve({ ...context.job, sync: false })
      const metrics = await measureFor(context.job.seconds, 256, () => {
        const index = random.below(events)
        data.check(index, store.getSync(writeKey(key, index)))
      })
      await store.close()
      return metrics
    },
  }
}
