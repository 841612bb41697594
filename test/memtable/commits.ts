/**
 * Commits for memtable tests, encoded as the write path does, and a memtable with a naive model beside it.
 */
import {
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../../src/base/entry-kind.ts'
import { writeU48 } from '../../src/base/bytes.ts'
import { CommitEncoder, encodeFields, type CommitFields } from '../../src/batch/commit-encoder.ts'
import { COMMIT_FIRST_SEQNO_AT, COMMIT_TIME_AT } from '../../src/batch/commit-record.ts'
import { Memtable, type MemtableOptions } from '../../src/memtable/memtable.ts'

export interface TestOperation {
  readonly kind: number
  readonly keyspaceId: number
  readonly key: Buffer
  readonly value: Buffer
}

const NO_BYTES = Buffer.alloc(0)
const toBytes = (input: string | Buffer): Buffer =>
  typeof input === 'string' ? Buffer.from(input) : input

export function put(key: string | Buffer, value: string | Buffer, keyspaceId = 0): TestOperation {
  return { kind: KIND_INSERT, keyspaceId, key: toBytes(key), value: toBytes(value) }
}

export function merge(key: string | Buffer, value: string | Buffer, keyspaceId = 0): TestOperation {
  return { kind: KIND_MERGE, keyspaceId, key: toBytes(key), value: toBytes(value) }
}

export function remove(key: string | Buffer, keyspaceId = 0): TestOperation {
  return { kind: KIND_DELETE, keyspaceId, key: toBytes(key), value: NO_BYTES }
}

export function removeRange(
  start: string | Buffer,
  end: string | Buffer | undefined,
  keyspaceId = 0,
): TestOperation {
  return {
    kind: end === undefined ? KIND_RANGE_DELETE | FLAG_OPEN_END : KIND_RANGE_DELETE,
    keyspaceId,
    key: toBytes(start),
    value: end === undefined ? NO_BYTES : toBytes(end),
  }
}

/** A whole commit record. */
export function encodeCommit(
  seqno: number,
  operations: readonly TestOperation[],
  fields: CommitFields = {},
  timeMs: number = 1_000 + seqno,
): Buffer {
  const encoder = new CommitEncoder()
  for (const { kind, keyspaceId, key, value } of operations)
    encoder.add(kind, keyspaceId, key, value)
  const record = encoder.finish(encodeFields(fields))
  writeU48(record, COMMIT_FIRST_SEQNO_AT, seqno)
  writeU48(record, COMMIT_TIME_AT, timeMs)
  return record
}

export function newMemtable(options: Partial<MemtableOptions> = {}): Memtable {
  return new Memtable({
    firstSeqno: 1,
    capacityBytes: 64 * 1024 * 1024,
    shared: true,
    openSnapshots: () => [],
    ...options,
  })
}

/** Appends and publishes one commit; returns its first seqno. */
export function commit(
  memtable: Memtable,
  operations: readonly TestOperation[],
  fields: CommitFields = {},
): number {
  const seqno = memtable.lastSeqno + 1
  const record = encodeCommit(seqno, operations, fields)
  memtable.publish(memtable.append(record, 0, record.length))
  return seqno
}

/** A small deterministic generator: xorshift32. */
export function randomOf(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 1) | 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
