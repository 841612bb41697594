/**
 * Opens a store with numbers that users cannot set: tests make stores with many small levels by them.
 */
import type { CompactionOptions } from '../compaction/compaction-options.ts'
import { openStoreCore } from './open-store.ts'
import type { OpenOptions } from './options.ts'
import { Varve } from './varve.ts'

export type StoreTuning = CompactionOptions

/** As `Varve.open`, with the numbers that steer compaction given. */
export async function openStore(
  location: string,
  options?: OpenOptions,
  tuning: Partial<StoreTuning> = {},
): Promise<Varve> {
  return new Varve(await openStoreCore(location, options, tuning))
}
