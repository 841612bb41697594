/** Reading a key whose value is the sum of a million operands, all of which can still be replayed. Varve alone. */
import type { Varve } from '../../src/index.ts'
import { loadVarve, openVarve } from '../peers/varve.ts'
import { measureFor } from './stopwatch.ts'
import { onVarve, type Workload } from './workload.ts'
import { BATCH } from './write-batches.ts'

/** One counter with as many operands as there are entries, flushed and compacted, beside plain keys of the same store. */
export const mergeChain: Workload = {
  name: 'mergechain',
  title: 'get of a counter with 1 M operands in history, against a plain get',
  group: 'engine',
  metric: { name: 'costRatio', unit: 'x', better: 'lower' },
  subjects: ['varve:history-all'],
  runsOn: onVarve,
  async run(context) {
    const { encodeCounter, decodeCounter } = await loadVarve(context.job.varveModule)
    const operands = context.job.entries
    const store = await openVarve({ ...context.job, sync: false }, { mergeOperator: 'counter' })
    const one = encodeCounter(1)
    const hot = Buffer.from('hot counter')
    const plain = Buffer.from('plain key')
    await store.put(plain, one)
    for (let written = 0; written < operands; written += BATCH) {
      const batch = store.batch()
      for (let i = 0; i < BATCH; i++) batch.merge(hot, one)
      await store.write(batch)
    }
    const unflushed = await getNanoseconds(store, hot, context.job.seconds / 3)
    await store.flush()
    await store.compact()
    const plainNs = await getNanoseconds(store, plain, context.job.seconds)
    const hotNs = await getNanoseconds(store, hot, context.job.seconds)
    const value = decodeCounter(store.getSync(hot))
    const events = await countEvents(store)
    await store.close()
    if (value !== BigInt(operands)) throw new Error(`the counter stands at ${value}`)
    if (events !== operands + 1) throw new Error(`${events} events are left in history`)
    return { costRatio: hotNs / plainNs, hotNs, plainNs, unflushedNs: unflushed }
  },
}

async function getNanoseconds(store: Varve, key: Buffer, seconds: number): Promise<number> {
  const { rate } = await measureFor(seconds, 256, () => {
    if (store.getSync(key) === undefined) throw new Error('the key is not there')
  })
  return 1e9 / (rate as number)
}

async function countEvents(store: Varve): Promise<number> {
  const scan = store.scanSinceSeqno(1)
  let events = 0
  for (;;) {
    const batch = await scan.nextBatch(BATCH)
    if (batch.length === 0) return events
    events += batch.length
  }
}
