/** Opens a small store in memory, for tests. */
import type { OpenOptions, Varve } from '../../src/index.ts'
import { openStore, type StoreTuning } from '../../src/db/open.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'

export interface Fixture {
  readonly fs: MemoryFileSystem
  readonly clock: ManualClock
  /** Opens the store, again and again. */
  readonly open: (options?: OpenOptions, tuning?: Partial<StoreTuning>) => Promise<Varve>
}

export const LOCATION = '/data/store'

/** No compaction on its own: every flush stays a segment of its own. */
export const APART: Partial<StoreTuning> = {
  level0Trigger: 1000,
  level0Slowdown: 1000,
  level0Stop: 1000,
}

export function fixture(
  defaults: OpenOptions = {},
  fs: MemoryFileSystem = new MemoryFileSystem(),
): Fixture {
  const clock = new ManualClock(1_000_000)
  return {
    fs,
    clock,
    open: (options = {}, tuning = {}) =>
      openStore(
        LOCATION,
        {
          memtableBytes: 64 * 1024,
          segmentBytes: 64 * 1024,
          syncIntervalMs: 0,
          history: 'all',
          environment: { fs, now: () => clock.now() },
          ...defaults,
          ...options,
        },
        tuning,
      ),
  }
}

/** The code that the promise, or the call, fails with. */
export async function codeOf(run: () => unknown): Promise<unknown> {
  try {
    await run()
  } catch (error) {
    return Reflect.get(Object(error), 'code') as unknown
  }
  return 'no error'
}
