/**
 * What `history()` tells.
 */
import { isReal } from '../cdc/lineage.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import type { StoreParts } from './store-parts.ts'

/** What `history()` tells: how far change capture reaches, and of which store it is. */
export interface HistoryInfo {
  /** Random, given when the store was created; replicas and checkpoints have their source's. */
  storeId: string
  /** The current one, counted from 1. */
  epoch: number
  /**
   * Counted from 1; a new one starts, at latest + 1, with each open as a primary that does not follow a clean close of these
   * very files, and with `promote`. Each has a random id, so that two copies of a store that go on apart never share one.
   */
  epochs: readonly { epoch: number; id: string; first: number }[]
  /** Smallest `from` that scanSinceSeqno accepts. */
  floor: number
  /** Of the last published operation; 0 in a new store. */
  latest: number
  /** Of the last operation that a power cut cannot take back. */
  durable: number
  /** When the oldest event that is kept was committed; undefined where there is none. */
  oldestTimestamp: number | undefined
  /** User bytes written since the floor. */
  retainedBytes: number
  /** On a replica: where to resume at its source. */
  sourceToken: ResumeToken | undefined
}

export function historyInfo(parts: StoreParts): HistoryInfo {
  const { changes } = parts
  const { state } = parts.currentVersion()
  const { epochs } = changes
  return {
    storeId: state.storeId,
    epoch: epochs.at(-1)!.epoch,
    epochs: epochs.filter(isReal).map((epoch) => ({ ...epoch })),
    floor: state.floor,
    latest: parts.latestSeqno(),
    durable: parts.durableSeqno(),
    oldestTimestamp: changes.oldestTimestamp(),
    retainedBytes: parts.retainedBytes(),
    sourceToken: state.role === 'replica' ? changes.sourceToken : undefined,
  }
}
