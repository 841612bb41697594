/**
 * Opens a store with numbers and a clock that users cannot set: tests make stores with many small levels by them.
 */
import { openStoreCore, type StoreTuning } from './open-store.ts'
import type { OpenOptions } from './options.ts'
import { Varve } from './varve.ts'

export type { StoreTuning }

/** As `Varve.open`, with the numbers that steer compaction given, and the timers. */
export async function openStore(
  location: string,
  options?: OpenOptions,
  tuning: Partial<StoreTuning> = {},
): Promise<Varve> {
  return new Varve(await openStoreCore(location, options, tuning))
}
