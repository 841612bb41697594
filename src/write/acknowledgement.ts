/**
 * What follows when commits became visible: who made them learns their seqnos, and who watches is told of each.
 */
import { commitTimeMs } from '../batch/commit-decoder.ts'
import type { Durability } from './durability.ts'
import type { PendingCommit } from './pending-commit.ts'
import type { PublishedCommit } from './pipeline-hooks.ts'

/**
 * Resolves the commits of a group with their seqnos: at once, or, those with `sync`, when they are on the disk. `syncing`: the
 * sync that has them, or who begins one when any of them waits for it.
 */
export function acknowledge(
  commits: readonly PendingCommit[],
  firstSeqno: number,
  syncing: Promise<void> | Durability,
): void {
  let seqno = firstSeqno
  let waits = false
  for (const commit of commits) {
    if (commit.sync) {
      waits = true
    } else {
      commit.resolve(seqno)
    }
    seqno += commit.operations
  }
  if (!waits) return
  const synced = syncing instanceof Promise ? syncing : syncing.sync()
  synced.then(
    () => {
      let first = firstSeqno
      for (const commit of commits) {
        if (commit.sync) commit.resolve(first)
        first += commit.operations
      }
    },
    (error: unknown) => {
      for (const commit of commits) if (commit.sync) commit.reject(error)
    },
  )
}

/** Those of a group that have events, for who watches; `offsets` are where their records begin in the arena. */
export function publishedCommits(
  arena: Uint8Array,
  group: {
    readonly commits: readonly PendingCommit[]
    readonly offsets: readonly number[]
    readonly firstSeqno: number
  },
): PublishedCommit[] {
  const published: PublishedCommit[] = []
  let first = group.firstSeqno
  for (const [index, { operations, userBytes, sync }] of group.commits.entries()) {
    // An ack on its own is no event.
    if (operations === 0) continue
    const timeMs = commitTimeMs(arena, group.offsets[index]!)
    published.push({ first, operations, timeMs, userBytes, sync })
    first += operations
  }
  return published
}
