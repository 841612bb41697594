/**
 * One batch while it is filled: its events, the blob values they still wait for, and where it must end.
 *
 * Commits are not torn where the reader promised whole ones: before a commit's first event is taken, its size decides whether
 * it still fits. The size counts operations that a filter may let through or not, so a filtered batch may end early; it never
 * ends inside a commit.
 */
import type { BlobLocation } from '../block/blob-reference.ts'
import type { ChangeEvent, CommitContext } from './change-event.ts'

export interface BatchLimits {
  /** Last seqno to deliver. */
  readonly upTo: number
  readonly maxEvents: number
  readonly maxBytes: number
  /** Ends between commits only; at least one commit. */
  readonly wholeCommits: boolean
  /** The reading ends with the commit of the event that makes so many: `ScanOptions.limit`, less what came before. */
  readonly endAfter: number
  /** Begins no commit: only what is left of the one that a batch ended inside of. */
  readonly onlyOpenCommit?: boolean
  /** Asked between windows while there is no event yet: true ends the batch, empty. */
  readonly isOverdue?: () => boolean
}

export interface PendingBlob {
  readonly event: ChangeEvent
  readonly location: BlobLocation
}

export class ChangeBatchBuilder {
  readonly events: ChangeEvent[] = []
  readonly limits: BatchLimits
  blobs: PendingBlob[] = []
  /** Bytes of keys and values handed out. */
  bytes = 0
  /** Last seqno that may be looked at for this batch; comes down as limits are reached. */
  last: number
  /** No further commit may begin. */
  isFull = false
  /** Where the whole reading ends, once `endAfter` was reached. */
  endsAt: number | undefined = undefined

  constructor(limits: BatchLimits) {
    this.limits = limits
    this.last = limits.upTo
  }

  /** Events that may still be taken; a commit that has begun may go beyond. */
  get room(): number {
    return Math.max(1, this.limits.maxEvents - this.events.length)
  }

  /** Whether a commit of which `seqno` would be the first event here may begin. */
  admits(commit: CommitContext, seqno: number): boolean {
    const { limits } = this
    const count = this.events.length
    if (limits.onlyOpenCommit === true) {
      this.isFull = true
    } else if (limits.wholeCommits && count > 0) {
      const size = Math.min(commit.last, limits.upTo) - seqno + 1
      if (count + size > limits.maxEvents || this.bytes >= limits.maxBytes) this.isFull = true
    }
    return !this.isFull
  }

  /**
   * An event was taken. Where a limit is reached, the batch ends with the event, or with its commit: it does not go on to
   * look for the next event, which a filter may put far away.
   */
  took(commit: CommitContext, seqno: number): void {
    const { limits } = this
    if (this.events.length >= limits.endAfter) this.endWith(commit)
    if (this.events.length >= limits.maxEvents || this.bytes >= limits.maxBytes) {
      this.last = Math.min(this.last, limits.wholeCommits ? commit.last : seqno)
    }
  }

  /** The whole reading ends with this commit. */
  endWith(commit: CommitContext): void {
    this.endsAt = Math.min(commit.last, this.limits.upTo)
    this.last = Math.min(this.last, this.endsAt)
  }
}
