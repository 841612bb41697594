/**
 * Many point lookups at once: what is in memory is answered on the spot, blocks are waited for a few at a time, blob values
 * are read together in file order.
 */
import type { BlobLocation } from '../block/blob-reference.ts'
import { readBlobs } from './blob-values.ts'
import { inParallel } from './in-parallel.ts'
import { attempt, PartedValue, whenUnblocked } from './parted-value.ts'
import { readFailure } from './read-failure.ts'
import type { KeyspaceReadSettings, ReadView } from './read-view.ts'
import { memtableCoverOf } from './version-walk.ts'

/** Lookups that wait at a time. */
const WAITING_MAX = 16

/** Values in the order of `keys`, which must not change until the promise is settled. Codes as for `lookup`. */
export async function lookupMany(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  keys: readonly Uint8Array[],
  snapshot: number,
): Promise<(Buffer | undefined)[]> {
  const mayRead = view.files.isDiskFast
  const values: (Buffer | undefined)[] = []
  values.length = keys.length
  values.fill(undefined)
  const indexes: number[] = []
  const locations: BlobLocation[] = []
  view.version.acquire()
  try {
    const place = (
      i: number,
      answer: Buffer | undefined | PartedValue,
    ): Promise<void> | undefined => {
      if (!(answer instanceof PartedValue)) {
        values[i] = answer
        return undefined
      }
      if (answer.operands.length > 0) return readInto(i, answer)
      indexes.push(i)
      locations.push(answer.base as BlobLocation)
      return undefined
    }
    const readInto = async (i: number, answer: PartedValue): Promise<void> => {
      values[i] = await answer.read(view, keyspace)
    }
    // The later ones of many keys are asked when more was written: what hides them is settled now.
    const covers = view.memtables.some((memtable) => memtable.hasRanges(keyspace.id))
      ? keys.map((key) => memtableCoverOf(view, keyspace.id, key, snapshot))
      : undefined
    const wait = async (i: number, key: Uint8Array, blocked: PartedValue): Promise<void> => {
      await place(i, await whenUnblocked(view, keyspace, key, snapshot, blocked, covers?.[i] ?? 0))
    }
    await inParallel({ count: keys.length, width: WAITING_MAX }, (i) => {
      const key = keys[i]!
      const answer = attempt(view, keyspace, key, snapshot, mayRead, covers?.[i] ?? 0)
      return answer instanceof PartedValue && answer.blocked !== undefined
        ? wait(i, key, answer)
        : place(i, answer)
    })
    const read = await readBlobs(view, locations)
    for (let i = 0; i < indexes.length; i++) values[indexes[i]!] = read[i]
    return values
  } catch (error) {
    throw readFailure(error)
  } finally {
    view.version.release()
  }
}
