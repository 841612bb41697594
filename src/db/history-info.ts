/**
 * What `history()` tells.
 */
import type { ResumeToken } from '../cdc/resume-token.ts'

export interface HistoryInfo {
  storeId: string
  epoch: number
  /**
   * Counted from 1; a new one starts, at latest + 1, with each open as a primary that does not follow a clean close of these
   * very files, and with `promote`. Each has a random id, so that two copies of a store that go on apart never share one.
   */
  epochs: readonly { epoch: number; id: string; first: number }[]
  /** Smallest `from` that scanSinceSeqno accepts. */
  floor: number
  latest: number
  durable: number
  oldestTimestamp: number | undefined
  /** User bytes written since the floor. */
  retainedBytes: number
  /** On a replica: where to resume at its source. */
  sourceToken: ResumeToken | undefined
}
