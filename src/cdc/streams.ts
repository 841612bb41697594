/**
 * Change capture as callers see it: what scans, tails and consumers take and offer, without how they are made.
 */
import type { ChangeEvent } from './change-event.ts'
import type { BytesLike } from '../base/bytes.ts'
import type { ResumeToken } from './resume-token.ts'
import type { ScanStats } from './scan-tally.ts'

/** Which events are wanted; with several conditions, those that fulfil all of them. */
export interface ChangeFilter {
  /** Only these keyspaces (one that does not exist has no events). */
  keyspaces?: readonly string[]
  /** Only keys in this range (a RangeTombstone: where it overlaps; its bounds are not clipped). */
  range?: { gt?: BytesLike; gte?: BytesLike; lt?: BytesLike; lte?: BytesLike; prefix?: BytesLike }
  /** Only events of these types. */
  types?: readonly ChangeEvent['type'][]
}

/** Options of `scanSinceSeqno`. */
export interface ScanOptions extends ChangeFilter {
  /** Inclusive upper bound. Default, and at most: the latest seqno at the call. */
  upTo?: number
  /** At least 1. Ends after the first whole commit with which at least `limit` events were delivered. */
  limit?: number
  /** 'committed' (default) or only what is 'durable'. */
  visibility?: 'committed' | 'durable'
  /** False reads every block instead of trusting seqno bounds and indexes; the events are the same. Default true. */
  skip?: boolean
  /** Bound on what the scan itself buffers, unless one commit alone is bigger. Default 32 MiB. */
  memoryBudgetBytes?: number
  /** Ends it: the read that is running, or the next one, is rejected with VARVE_ABORTED. */
  signal?: AbortSignal
}

/** Options of `tail`. */
export interface TailOptions extends ChangeFilter {
  /** 'now': only what commits after this call returns. 'oldest': from the floor. */
  from: number | ResumeToken | 'now' | 'oldest'
  /** Default 'committed'. */
  visibility?: 'committed' | 'durable'
  /** At most so many events a batch, but whole commits. Default 1,000. */
  maxBatchEvents?: number
  /** An empty batch with a new `next` comes when nothing matched for so long. Default 10,000; 0 for none. */
  heartbeatMs?: number
  /** Ends it: the read that is running, or the next one, is rejected with VARVE_ABORTED. */
  signal?: AbortSignal
}

/** Options of a durable consumer. */
export interface ConsumerOptions {
  /** Counts only when the consumer is created. Default 'oldest'. */
  from?: number | 'now' | 'oldest'
  /** Holding more than this beyond what the policy keeps anyway, it is cut off ('lost'). Default 10 GiB. */
  maxHeldBytes?: number
  /** Cut off after so long without an ack. Default: none. */
  maxIdleMs?: number
}

/** Events of a window that is fixed and held at the call: see `Varve.scanSinceSeqno`. */
export interface ChangeScan extends AsyncIterableIterator<ChangeEvent> {
  /** Whole commits only, at least one; [] at the end. Default 1,000. */
  nextBatch(max?: number): Promise<ChangeEvent[]>
  /** Last seqno of the window, inclusive. */
  readonly upTo: number
  /** Where to go on after what was delivered so far. */
  readonly position: number
  /** The same as a token. */
  readonly token: ResumeToken
  /** What it has done so far. */
  readonly stats: ScanStats
  /** Lets go of what the scan holds. Idempotent; ending a `for await` calls it. */
  close(): Promise<void>
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Whole commits that a tail delivers together. */
export interface ChangeBatch {
  /** In seqno order. None: a heartbeat. */
  readonly events: readonly ChangeEvent[]
  /** Last seqno that it covers. */
  readonly upTo: number
  /** upTo + 1: where to go on. */
  readonly next: number
  /** The same as a token. */
  readonly token: ResumeToken
}

/** A live tail: see `Varve.tail`. */
export interface ChangeTail extends AsyncIterableIterator<ChangeBatch> {
  /** Ends it. Idempotent; ending a `for await` calls it. */
  close(): Promise<void>
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A durable, named position that holds history: see `Varve.consumer`. */
export interface Consumer {
  /** As given to `Varve.consumer`. */
  readonly name: string
  /** First seqno that was not acked. */
  readonly position: number
  /** 'lost': it held more than it may, or was idle for too long; its history is gone. Drop it, and start over from the state. */
  readonly state: 'active' | 'lost'
  /** Batches from the position on. `stopAtLatest`: end when caught up. */
  batches(options?: Omit<TailOptions, 'from'> & { stopAtLatest?: boolean }): ChangeTail
  /** Everything below `next` is processed. Durable when resolved, with everything it acknowledges. Never backwards. */
  ack(next: number): Promise<void>
}
