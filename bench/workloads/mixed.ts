/** Reads beside writes, merges, and large values. */
import type { Fixture, Metrics } from '../harness/job.ts'
import type { BenchStore } from '../peers/store.ts'
import { createKey, createKeys, Dataset, writeKey } from './dataset.ts'
import { checkSome, RANDOM_FILL, VALUE_BYTES } from './fill.ts'
import { createRandom, shuffled } from './random.ts'
import { measureFor, startStopwatch } from './stopwatch.ts'
import { type Context, onEvery, onSync, OPERATIONS, type Workload } from './workload.ts'

const WRITES = 100
const READS_PER_WRITES = 1000

export const readWhileWriting: Workload = {
  name: 'readwhilewriting',
  title: 'readwhilewriting: 1000 sync gets, then a batch of 100 puts, and again',
  group: 'read',
  metric: OPERATIONS,
  fixture: RANDOM_FILL,
  changesFixture: true,
  runsOn: onSync,
  async run(context) {
    const data = new Dataset(VALUE_BYTES)
    const store = await context.open()
    const random = createRandom(6)
    const key = createKey()
    const keys = createKeys(WRITES)
    const values = keys.map(() => data.value(0))
    const { entries } = context.job
    const metrics = await measureFor(context.job.seconds, 1, async () => {
      for (let i = 0; i < READS_PER_WRITES; i++) {
        const index = random.below(entries)
        data.check(index, store.getSync?.(writeKey(key, index)))
      }
      for (let i = 0; i < WRITES; i++) {
        const index = random.below(entries)
        writeKey(keys[i] as Buffer, index)
        values[i] = data.value(index)
      }
      await store.putBatch(keys, values)
    })
    await store.close()
    return { ...metrics, rate: (metrics['rate'] as number) * READS_PER_WRITES }
  },
}

export const mergeRandom: Workload = {
  name: 'mergerandom',
  title: 'mergerandom: counters, awaited one by one (peers read, add and put)',
  group: 'write',
  metric: OPERATIONS,
  runsOn: onSync,
  async run(context) {
    const keys = Math.max(1000, Math.floor(context.job.entries / 10))
    const store = await context.open({ counters: true })
    const random = createRandom(7)
    const key = createKey()
    const one = Buffer.alloc(8)
    one.writeBigInt64LE(1n)
    let merges = 0
    const metrics = await measureFor(context.job.seconds, 16, () => {
      merges++
      return add(store, writeKey(key, random.below(keys)), one)
    })
    let sum = 0
    await store.scan(undefined, Infinity, (_, value) => {
      sum += Number(Buffer.from(value).readBigInt64LE())
    })
    await store.close()
    if (sum !== merges) throw new Error(`counters add up to ${sum} after ${merges} merges`)
    return metrics
  },
}

function add(store: BenchStore, key: Buffer, one: Buffer): Promise<void> | void {
  if (store.merge !== undefined) return store.merge(key, one)
  const value = Buffer.from(store.getSync?.(key) ?? EMPTY_COUNTER)
  value.writeBigInt64LE(value.readBigInt64LE() + 1n)
  return store.put(key, value)
}

const EMPTY_COUNTER = Buffer.alloc(8)

const BLOB_BYTES = 16_384
/** 20,000 blobs, 320 MiB, where there are a million entries. */
const BLOB_SCALE = 0.02
const BLOB_FILL: Fixture = {
  keys: 'random',
  valueBytes: BLOB_BYTES,
  scale: BLOB_SCALE,
  changeLog: false,
  state: 'fresh',
}
const BLOB_BATCH = 20

export const blobWrite: Workload = {
  name: 'blobwrite',
  title: '16 KiB values: write, batches of 20',
  group: 'write',
  metric: OPERATIONS,
  runsOn: onEvery,
  async run(context) {
    const order = shuffled(blobCount(context), 1)
    const data = new Dataset(BLOB_BYTES)
    const store = await context.open()
    const keys = createKeys(BLOB_BATCH)
    const values = keys.map(() => data.value(0))
    const stopwatch = startStopwatch()
    for (let first = 0; first < order.length; first += BLOB_BATCH) {
      for (let i = 0; i < BLOB_BATCH; i++) {
        const index = order[first + i] as number
        writeKey(keys[i] as Buffer, index)
        values[i] = data.value(index)
      }
      await store.putBatch(keys, values)
    }
    const metrics = stopwatch.stop(order.length)
    await checkSome(store, data, { count: order.length })
    await store.close()
    return metrics
  },
}

export const blobRead: Workload = {
  name: 'blobread',
  title: '16 KiB values: random read, sync',
  group: 'read',
  metric: OPERATIONS,
  fixture: BLOB_FILL,
  runsOn: onSync,
  async run(context): Promise<Metrics> {
    const count = blobCount(context)
    const data = new Dataset(BLOB_BYTES)
    const store = await context.open()
    const random = createRandom(8)
    const key = createKey()
    const metrics = await measureFor(context.job.seconds, 64, () => {
      const index = random.below(count)
      data.check(index, store.getSync?.(writeKey(key, index)))
    })
    await store.close()
    return metrics
  },
}

function blobCount(context: Context): number {
  const count = Math.round(context.job.entries * BLOB_SCALE)
  return count - (count % BLOB_BATCH)
}
