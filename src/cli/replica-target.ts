/**
 * What a replica may be made in: nothing, a replica, or a copy of its source. Opening any other store as a replica would end its life
 * as a primary, so that has to be known before it is opened.
 */
import type { HistoryInfo } from '../db/history-info.ts'
import { createNodeFileSystem } from '../env/node-file-system.ts'
import { CommandError, EXIT, usageError } from './exit-codes.ts'
import type { StoreChoice } from './shared-options.ts'
import { hasStoreAt, withReader } from './store-access.ts'

/** Who a stream comes from. `latest`, where it is known: a copy is never ahead of its source. */
export interface Source extends Pick<HistoryInfo, 'storeId' | 'epochs'> {
  readonly latest?: number
}

/** Throws unless `location` may become, or is, a replica of this source; undefined: of a stream that does not say where it is from. */
export async function checkReplicaTarget(
  location: string,
  choice: StoreChoice,
  source: Source | undefined,
): Promise<void> {
  if (!hasStoreAt(location)) return
  await withReader(location, choice, async (store) => {
    if (store.role === 'replica') return
    const { storeId, epochs, latest } = store.history()
    if (source === undefined || storeId !== source.storeId) {
      throw usageError(
        `${location} is a store of its own, no copy of the source. A replica is made in a new directory, or from a checkpoint of its source.`,
      )
    }
    const isKnown = (id: string): boolean => source.epochs.some((epoch) => epoch.id === id)
    const isAhead = source.latest !== undefined && latest > source.latest
    if (isAhead || !epochs.every(({ id }) => isKnown(id))) {
      throw new CommandError(
        `${location} has gone on by itself since it was copied: it is no copy of the source any more.`,
        EXIT.historyTruncated,
      )
    }
  })
}

/** Throws where both names lead to one directory. */
export function checkTwoStores(from: string, to: string): void {
  const fs = createNodeFileSystem()
  if (fs.canonicalPath(from) === fs.canonicalPath(to)) {
    throw usageError(`${from} and ${to} are the same directory.`)
  }
}
