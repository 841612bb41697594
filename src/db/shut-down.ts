/**
 * Ends a writable store: what waits is written and synced, tails get it, background work stops, the manifest records a clean
 * close, and everything is given back.
 *
 * Each step is tried, whatever became of those before it: a file that stays open, or a lock that stays held, would harm who opens
 * the store next. The first failure is what the close rejects with.
 */
import { translateDiskError } from '../env/disk-errors.ts'
import type { VersionSet } from '../version/version-set.ts'
import type { Changes } from './changes.ts'
import type { Engine } from './engine.ts'
import type { Health } from './health.ts'
import { finalIfSync } from './maintenance.ts'
import type { OpenContext } from './open-store.ts'

/** A memtable smaller than this is left to the log at a close: replaying it is faster than a segment of its own. */
const CLOSE_FLUSH_BYTES = 256 * 1024

export interface RunningParts {
  readonly engine: Engine
  readonly versions: VersionSet
  readonly health: Health
  readonly changes: Changes
}

export async function shutDown(context: OpenContext, parts: RunningParts): Promise<void> {
  const { engine, versions, health, changes } = parts
  const { runner, callingThread, deleter, segments, files, lock } = context
  let failure: unknown
  const attempt = async (step: () => Promise<unknown>): Promise<void> => {
    try {
      await step()
    } catch (error) {
      failure ??= error
    }
  }
  const isHealthy = (): boolean => health.poisonError === undefined && failure === undefined
  await attempt(() => engine.finishWrites(CLOSE_FLUSH_BYTES))
  if (isHealthy()) await attempt(() => engine.durability.sync())
  await attempt(() => changes.feed.drain())
  await attempt(() => engine.stop())
  // Without a manifest that names the log there is nothing to record; the next open starts an epoch, as after a crash.
  if (isHealthy() && engine.isTakenOver) {
    const { wal } = engine.memtables.active
    await attempt(async () => {
      try {
        await versions.markClean({ walNumber: wal.number, walBytes: wal.size })
      } catch (error) {
        // Everything is durable; without the record the next open starts an epoch, as after a crash.
        if (versions.failure !== undefined) throw error
      }
    })
  }
  await attempt(() => engine.closeLogs())
  await attempt(() => versions.close())
  await attempt(() => runner.close())
  await attempt(() => callingThread.close())
  await attempt(() => deleter.drain())
  await attempt(async () => segments.close())
  await attempt(async () => files.close())
  await attempt(async () => lock?.release())
  // Who closes a poisoned store knows already. One that is poisoned while it closes was not synced, whatever did that.
  if (health.wasPoisoned) return
  failure ??= health.poisonError
  if (failure !== undefined) {
    const file = context.directory
    throw finalIfSync(failure, translateDiskError(failure, { operation: 'close', file }))
  }
}
