/** What a store costs beside its operations: opening, disk, the event loop. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import { median } from './median.ts'
import { milliseconds } from './clock.ts'
import { createKey, Dataset, writeKey } from './dataset.ts'
import { RANDOM_COMPACTED, RANDOM_FILL, VALUE_BYTES } from './fill.ts'
import { shuffled } from './random.ts'
import { onEvery, type Workload } from './workload.ts'
import { BATCH, writeBatches } from './write-batches.ts'

const REOPENS = 7

export const reopen: Workload = {
  name: 'reopen',
  title: 'reopen after a clean close, and one get',
  group: 'upkeep',
  metric: { name: 'openMs', unit: 'ms', better: 'lower' },
  fixture: RANDOM_FILL,
  changesFixture: true,
  runsOn: onEvery,
  async run(context) {
    const data = new Dataset(VALUE_BYTES)
    const key = createKey()
    const times: number[] = []
    for (let i = 0; i < REOPENS; i++) {
      const start = milliseconds()
      const store = await context.open()
      const value = store.getSync
        ? store.getSync(writeKey(key, i))
        : await store.get?.(writeKey(key, i))
      times.push(milliseconds() - start)
      data.check(i, value)
      await store.close()
    }
    return { openMs: median(times), firstOpenMs: times[0] as number }
  },
}

export const disk: Workload = {
  name: 'disk',
  title: 'disk after fillrandom and full compaction',
  group: 'upkeep',
  metric: { name: 'diskBytes', unit: 'bytes', better: 'lower' },
  fixture: RANDOM_COMPACTED,
  subjects: ['varve', 'varve:lz4', 'varve:deflate'],
  runsOn: onEvery,
  async run(context) {
    return { diskBytes: directoryBytes(context.job.directory) }
  },
}

/** Overwrites without pause, so that flush and compaction always have work. */
export const loopDelay: Workload = {
  name: 'loopdelay',
  title: 'event-loop delay p99 during sustained fillrandom',
  group: 'upkeep',
  metric: { name: 'p99Ms', unit: 'ms', better: 'lower' },
  runsOn: onEvery,
  async run(context) {
    const order = shuffled(context.job.entries, 1)
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open()
    const end = performance.now() + context.job.seconds * 3000
    // One millisecond is the monitor's own rhythm and part of what it reports.
    const monitor = monitorEventLoopDelay({ resolution: 1 })
    monitor.enable()
    let written = 0
    while (performance.now() < end) {
      const first = written
      await writeBatches(store, data, {
        count: BATCH,
        indexOf: (i) => order[(first + i) % order.length] as number,
      })
      written += BATCH
      // Synchronous engines would never let the loop turn.
      await setImmediate()
    }
    monitor.disable()
    await store.close()
    const at = (percentile: number): number => monitor.percentile(percentile) / 1e6
    return { p50Ms: at(50), p99Ms: at(99), maxMs: monitor.max / 1e6, operations: written }
  },
}

/** What the files take on the disk, holes left out. */
export function directoryBytes(directory: string): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    bytes += entry.isDirectory() ? directoryBytes(path) : allocatedBytes(path)
  }
  return bytes
}

function allocatedBytes(path: string): number {
  // A file may be deleted by the store between the listing and this.
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? 0 : stats.blocks * 512
}
