/**
 * A commit between the call that made it and its acknowledgement: its encoded record and what to do at each stage.
 */
import type { VarveError } from '../base/errors.ts'

export interface PendingCommit {
  /** The encoded record is bytes[start, end); see batch/commit-record.ts. Released once it is in the arena. */
  bytes: Uint8Array
  start: number
  end: number
  readonly operations: number
  /** Bytes of keys and values. */
  readonly userBytes: number
  readonly sync: boolean
  /** Commit time for replicas; otherwise the clock's. */
  readonly timeMs: number | undefined
  /**
   * Last look before the commit gets its seqnos, when all earlier commits are visible: throws to refuse it. Nothing has been
   * written then.
   */
  readonly check: ((first: number) => void) | undefined
  /**
   * A replica's commit: the seqno that its first operation must get. Where that is not the next one, because a commit before it
   * failed, it is refused with VARVE_SEQNO_GAP. Unlike `check` it lets commits share a write.
   */
  readonly expectedFirst?: number | undefined
  /**
   * Runs when the commit has become visible, before its promise resolves, with the seqno of its first operation and its time.
   * Must not throw.
   */
  readonly published: ((first: number, timeMs: number) => void) | undefined
  /** Called once, with the seqno of its first operation. */
  readonly resolve: (first: number) => void
  readonly reject: (error: unknown) => void
  /** Set by an abort signal while the commit waits. */
  aborted: VarveError | undefined
  /** Takes the abort listener off; set while a signal is watched. */
  unwatch: (() => void) | undefined
}
