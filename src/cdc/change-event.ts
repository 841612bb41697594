/**
 * Change events as callers get them: plain objects, a few fixed shapes, with Buffers the caller owns.
 */
import { assert } from '../base/assert.ts'
import {
  FLAG_DROPS_KEYSPACE,
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../base/entry-kind.ts'

/** What every change event has. */
export interface ChangeBase {
  /** Name of the keyspace, also when it was dropped since. */
  readonly keyspace: string
  /** Of this operation alone. From the floor to the latest every seqno stands exactly once: without filters there are no gaps. */
  readonly seqno: number
  /** Seqno of the first operation of the same atomic commit. Equal ones became visible together. */
  readonly commitSeqno: number
  /** Seqno of the last operation of the same atomic commit. */
  readonly commitLast: number
  /** `WriteOptions.meta` of the commit, on each of its events. Absent where it had none. */
  readonly commitMeta?: Buffer
  /** When it was committed, in ms since the Unix epoch; never decreases with seqno. */
  readonly timestamp: number
}

/** `key` was written. */
export interface Insert extends ChangeBase {
  /** Tells the four kinds of events apart. */
  readonly type: 'Insert'
  /** The key that was written. */
  readonly key: Buffer
  /** The value that was written, also where it lives in a blob file. */
  readonly value: Buffer
}

/** An operand was merged into `key`: whoever replays it applies the same merge operator. Never a folded or synthetic one. */
export interface MergeOperand extends ChangeBase {
  /** Tells the four kinds of events apart. */
  readonly type: 'MergeOperand'
  /** The key that the operand is for. */
  readonly key: Buffer
  /** The operand as it was written. */
  readonly operand: Buffer
}

/** `key` was deleted. */
export interface PointTombstone extends ChangeBase {
  /** Tells the four kinds of events apart. */
  readonly type: 'PointTombstone'
  /** The key that was deleted, whether it was there or not. */
  readonly key: Buffer
}

/** [startKey, endKey) was deleted, once, in the bounds of the call. */
export interface RangeTombstone extends ChangeBase {
  /** Tells the four kinds of events apart. */
  readonly type: 'RangeTombstone'
  /** Inclusive lower bound; may be empty. */
  readonly startKey: Buffer
  /** Exclusive upper bound; undefined: to the end of the keyspace. */
  readonly endKey: Buffer | undefined
  /** The keyspace was dropped with it; `applyChanges` drops it too. */
  readonly dropsKeyspace?: true
}

/** An operation as change capture delivers it. A plain object; its Buffers are the caller's own. */
export type ChangeEvent = Insert | MergeOperand | PointTombstone | RangeTombstone

/** The commit that events are made for; its fields are set when the commit changes, not per event. */
export class CommitContext {
  first = 0
  last = 0
  timeMs = 0
  meta: Buffer | undefined = undefined
}

/**
 * Makes one event. One object literal per type, so that each has one shape; what is rare (a commit's meta, a dropped keyspace)
 * is added afterwards, as its absence must be an absence.
 */
export function makeEvent(
  kind: number,
  keyspace: string,
  seqno: number,
  commit: CommitContext,
  key: Buffer,
  value: Buffer,
): ChangeEvent {
  const event = makeBare(kind, keyspace, seqno, commit, key, value)
  // A copy for each event: what a caller does to one must not show in another.
  if (commit.meta !== undefined) Object.assign(event, { commitMeta: Buffer.from(commit.meta) })
  return event
}

function makeBare(
  kind: number,
  keyspace: string,
  seqno: number,
  commit: CommitContext,
  key: Buffer,
  value: Buffer,
): ChangeEvent {
  const bare = kind & KIND_MASK
  if (bare === KIND_INSERT) {
    return {
      type: 'Insert',
      keyspace,
      seqno,
      commitSeqno: commit.first,
      commitLast: commit.last,
      timestamp: commit.timeMs,
      key,
      value,
    }
  }
  if (bare === KIND_MERGE) {
    return {
      type: 'MergeOperand',
      keyspace,
      seqno,
      commitSeqno: commit.first,
      commitLast: commit.last,
      timestamp: commit.timeMs,
      key,
      operand: value,
    }
  }
  if (bare === KIND_DELETE) {
    return {
      type: 'PointTombstone',
      keyspace,
      seqno,
      commitSeqno: commit.first,
      commitLast: commit.last,
      timestamp: commit.timeMs,
      key,
    }
  }
  assert(bare === KIND_RANGE_DELETE, 'an event has one of four kinds')
  const event: RangeTombstone = {
    type: 'RangeTombstone',
    keyspace,
    seqno,
    commitSeqno: commit.first,
    commitLast: commit.last,
    timestamp: commit.timeMs,
    startKey: key,
    endKey: (kind & FLAG_OPEN_END) === 0 ? value : undefined,
  }
  if ((kind & FLAG_DROPS_KEYSPACE) !== 0) Object.assign(event, { dropsKeyspace: true })
  return event
}

/** Puts a value that was read from a blob file into an event that was made without. */
export function setValue(event: ChangeEvent, value: Buffer): void {
  if (event.type === 'Insert') Object.assign(event, { value })
  else if (event.type === 'MergeOperand') Object.assign(event, { operand: value })
}
