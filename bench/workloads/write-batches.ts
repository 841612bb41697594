/** Writing in batches of 1,000, which fills, fixtures and change logs share. */
import type { BenchStore } from '../peers/store.ts'
import { createKeys, type Dataset, writeKey } from './dataset.ts'

export const BATCH = 1000

export interface Writes {
  readonly count: number
  /** Index of the key of write `i`. */
  indexOf(i: number): number
  readonly generation?: number
}

/** Buffers are made once: what is measured is the store, not the making of keys. */
export async function writeBatches(
  store: BenchStore,
  data: Dataset,
  writes: Writes,
): Promise<void> {
  const keys = createKeys(BATCH)
  const values = keys.map(() => data.value(0))
  for (let first = 0; first < writes.count; first += BATCH) {
    const size = Math.min(BATCH, writes.count - first)
    if (size < BATCH) {
      keys.length = size
      values.length = size
    }
    for (let i = 0; i < size; i++) {
      const index = writes.indexOf(first + i)
      writeKey(keys[i] as Buffer, index)
      values[i] = data.value(index, writes.generation)
    }
    const pending = store.putBatch(keys, values)
    if (pending !== undefined) await pending
  }
}
