/**
 * What the commit pipeline asks of the store around it, and tells it.
 */
import type { VarveError } from '../base/errors.ts'

/** Why writes wait, or may not go on at all. */
export type Admission =
  /** There is room. */
  | { readonly type: 'go' }
  /** Go on, but not faster than `bytesPerSecond`. */
  | { readonly type: 'slow'; readonly bytesPerSecond: number }
  /** Wait for `resume()`. */
  | { readonly type: 'wait' }
  /** Refuse what waits. */
  | { readonly type: 'refuse'; readonly error: VarveError }

/** A commit that has become visible. */
export interface PublishedCommit {
  readonly first: number
  readonly operations: number
  readonly timeMs: number
  readonly userBytes: number
  readonly sync: boolean
}

export interface PipelineHooks {
  readonly now: () => number
  /** Asked before each group; `needsRoom`: the active memtable is full and must be sealed first. */
  readonly admit: (needsRoom: boolean) => Admission
  /** The active memtable was sealed. */
  readonly onSealed: () => void
  /** After a group became visible. */
  readonly onPublished: (latest: number, written: { logBytes: number; userBytes: number }) => void
  /** Whether somebody wants to be told of each commit by `onCommit`. */
  readonly wantsCommits: () => boolean
  readonly onCommit: (commit: PublishedCommit) => void
  /** A write failed in a way that is final: nothing is written until the store is reopened. */
  readonly onPoisoned: (error: VarveError) => void
  /** Translates an error of the operating system. */
  readonly translate: (cause: unknown, operation: string) => VarveError
  /** Runs `fn` after the I/O that is due now. */
  readonly nextTurn: (fn: () => void) => void
  /** Runs `fn` after `ms`; unref'd. */
  readonly after: (ms: number, fn: () => void) => void
}
