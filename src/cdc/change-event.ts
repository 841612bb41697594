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

interface ChangeBase {
  readonly keyspace: string
  readonly seqno: number
  readonly commitSeqno: number
  readonly commitLast: number
  readonly commitMeta?: Buffer
  readonly timestamp: number
}
export interface Insert extends ChangeBase {
  readonly type: 'Insert'
  readonly key: Buffer
  readonly value: Buffer
}
export interface MergeOperand extends ChangeBase {
  readonly type: 'MergeOperand'
  readonly key: Buffer
  readonly operand: Buffer
}
export interface PointTombstone extends ChangeBase {
  readonly type: 'PointTombstone'
  readonly key: Buffer
}
export interface RangeTombstone extends ChangeBase {
  readonly type: 'RangeTombstone'
  readonly startKey: Buffer
  readonly endKey: Buffer | undefined
  readonly dropsKeyspace?: true
}
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
