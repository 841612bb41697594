/**
 * Point lookups: the newest version of a key at a snapshot, its operands folded, its blob fetched.
 *
 * A lookup exists in two forms. `lookupSync` reads what it needs on the calling thread. The other, as `contains`, answers at once
 * when everything is in memory, or reading is a matter of microseconds (`files.isDiskFast`); otherwise it returns a promise:
 * it waits for the block that was missing and asks again from the start, which costs little because everything before that
 * block is in memory by then.
 *
 * `snapshot` is the latest seqno, or that of an open snapshot; otherwise `memtableCover` must be given, see VersionWalk.
 * Codes: CORRUPTION, IO, NO_MERGE_OPERATOR, MERGE_FAILED.
 */
import { KIND_DELETE, KIND_MASK } from '../base/entry-kind.ts'
import { BLOCKED, FOUND } from '../segment/segment-reader.ts'
import { SYNC_READ_BYTES_MAX } from './blob-values.ts'
import { attempt, ATTEMPTS_MAX, PartedValue, whenUnblocked } from './parted-value.ts'
import { readFailure } from './read-failure.ts'
import type { KeyspaceReadSettings, ReadView } from './read-view.ts'
import { ASK_MEMTABLES } from './version-walk.ts'

/** The value of `key` at `snapshot`, a Buffer of the caller's own; undefined when there is none. */
export function lookupSync(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  key: Uint8Array,
  snapshot: number,
  memtableCover: number = ASK_MEMTABLES,
): Buffer | undefined {
  try {
    const answer = attempt(view, keyspace, key, snapshot, true, memtableCover)
    return answer instanceof PartedValue ? answer.readSync(view, keyspace) : answer
  } catch (error) {
    throw readFailure(error)
  }
}

/**
 * The same without waiting on the calling thread for a slow disk: the value when it is at hand, else a promise of it. Throws
 * what is known at once. The key is copied when it is needed later.
 */
export function lookup(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  key: Uint8Array,
  snapshot: number,
  memtableCover: number = ASK_MEMTABLES,
): Buffer | undefined | Promise<Buffer | undefined> {
  try {
    const mayRead = view.files.isDiskFast
    const answer = attempt(view, keyspace, key, snapshot, mayRead, memtableCover)
    if (!(answer instanceof PartedValue)) return answer
    if (mayRead && answer.blobBytes <= SYNC_READ_BYTES_MAX) return answer.readSync(view, keyspace)
    const own = Buffer.from(key)
    return pinned(view, async () => {
      const whole = await whenUnblocked(view, keyspace, own, snapshot, answer, memtableCover)
      return whole instanceof PartedValue ? whole.read(view, keyspace) : whole
    })
  } catch (error) {
    throw readFailure(error)
  }
}

/** Whether the key has a value. Reads no blob and folds nothing. */
export function contains(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  key: Uint8Array,
  snapshot: number,
): boolean | Promise<boolean> {
  try {
    const answer = attemptContains(view, keyspace, key, snapshot, view.files.isDiskFast)
    if (typeof answer === 'boolean') return answer
    const own = Buffer.from(key)
    return pinned(view, async () => {
      let blocked = answer
      for (let round = 0; ; round++) {
        await blocked
        const now = attemptContains(view, keyspace, own, snapshot, round >= ATTEMPTS_MAX)
        if (typeof now === 'boolean') return now
        blocked = now
      }
    })
  } catch (error) {
    throw readFailure(error)
  }
}

/** The answer, or what it has to wait for. */
function attemptContains(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  key: Uint8Array,
  snapshot: number,
  mayRead: boolean,
): boolean | Promise<void> {
  const { walk } = view.scratch
  const status = walk.first(view, keyspace.id, key, snapshot, mayRead, ASK_MEMTABLES)
  const answer =
    status === BLOCKED
      ? walk.whenLoaded()
      : status === FOUND && (walk.kind & KIND_MASK) !== KIND_DELETE
  walk.end()
  return answer
}

/** Keeps the view's files until the work is done. */
async function pinned<T>(view: ReadView, work: () => Promise<T>): Promise<T> {
  view.version.acquire()
  try {
    return await work()
  } catch (error) {
    throw readFailure(error)
  } finally {
    view.version.release()
  }
}
