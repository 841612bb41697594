import { describe, expect, test } from 'vitest'
import {
  FLAG_DROPS_KEYSPACE,
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../../src/base/entry-kind.ts'
import { VarveError } from '../../src/base/errors.ts'
import {
  checkCommit,
  commitFirstSeqno,
  commitOperations,
  commitTimeMs,
  decodeCommitFields,
  OperationCursor,
} from '../../src/batch/commit-decoder.ts'
import { CommitEncoder, type CommitFields, encodeFields } from '../../src/batch/commit-encoder.ts'
import type { FieldSource } from '../../src/record/tagged-fields.ts'
import { randomOf } from '../record/record-samples.ts'

type Operation = [kind: number, keyspaceId: number, key: string, value: string]

const SOURCE: FieldSource = {
  file: 'log',
  fail: (reason, position) => {
    throw new VarveError('VARVE_CORRUPTION', reason, { position })
  },
}

function encode(operations: readonly Operation[], fields: CommitFields = {}, first = 5): Buffer {
  const encoder = new CommitEncoder()
  for (const [kind, id, key, value] of operations) {
    encoder.add(kind, id, Buffer.from(key), Buffer.from(value))
  }
  const record = encoder.finish(encodeFields(fields))
  record.writeUIntLE(first, 24, 6)
  record.writeUIntLE(1_700_000_000_000, 30, 6)
  return record
}

function walk(record: Uint8Array, start = 0): { operations: Operation[]; seqnos: number[] } {
  const cursor = new OperationCursor()
  cursor.open(record, start)
  const operations: Operation[] = []
  const seqnos: number[] = []
  const text = (from: number, to: number): string =>
    Buffer.from(record.subarray(from, to)).toString()
  while (cursor.next()) {
    const key = text(cursor.keyStart, cursor.keyEnd)
    const value = text(cursor.valueStart, cursor.valueEnd)
    operations.push([cursor.kind, cursor.keyspaceId, key, value])
    seqnos.push(cursor.seqno)
  }
  return { operations, seqnos }
}

const OPERATIONS: Operation[] = [
  [KIND_INSERT, 1, 'key', 'value'],
  [KIND_INSERT, 300, 'k'.repeat(200), 'v'.repeat(20_000)],
  [KIND_MERGE, 1, 'key', ''],
  [KIND_DELETE, 70_000, 'key', ''],
  [KIND_RANGE_DELETE, 1, '', 'z'],
  [KIND_RANGE_DELETE | FLAG_OPEN_END, 1, 'a', ''],
  [KIND_RANGE_DELETE | FLAG_OPEN_END | FLAG_DROPS_KEYSPACE, 1, '', ''],
]

describe('a commit record', () => {
  test('is walked as it was encoded, with dense seqnos', () => {
    const record = encode(OPERATIONS)
    checkCommit(record, 0, record.length, SOURCE)
    expect(walk(record)).toEqual({ operations: OPERATIONS, seqnos: [5, 6, 7, 8, 9, 10, 11] })
    expect(commitFirstSeqno(record, 0)).toBe(5)
    expect(commitOperations(record, 0)).toBe(7)
    expect(commitTimeMs(record, 0)).toBe(1_700_000_000_000)
  })

  test('gives back its fields, wherever it stands', () => {
    const fields = {
      meta: Buffer.from('origin'),
      acks: [
        { consumer: 'first', next: 9 },
        { consumer: 'zweiter ü', next: 2 ** 40 },
      ],
      more: [
        { tag: 6, bytes: Buffer.from('token') },
        { tag: 8, bytes: Buffer.from([0]) },
        { tag: 101, bytes: Buffer.from('may be ignored') },
      ],
    }
    const record = encode(OPERATIONS.slice(0, 2), fields)
    const arena = Buffer.concat([Buffer.alloc(37, 0xff), record, Buffer.alloc(9, 0xff)])
    checkCommit(arena, 37, 37 + record.length, SOURCE)
    expect(decodeCommitFields(arena, 37, SOURCE)).toEqual({
      meta: fields.meta,
      acks: fields.acks,
      sourceToken: 'token',
      epochs: Buffer.from([0]),
    })
    expect(walk(arena, 37).operations).toEqual(OPERATIONS.slice(0, 2))
  })

  test('with a field that must not be ignored is of a newer version', () => {
    const record = encode([], { more: [{ tag: 100, bytes: Buffer.from('x') }] })
    expect(() => checkCommit(record, 0, record.length, SOURCE)).toThrow(
      expect.objectContaining({ code: 'VARVE_UNSUPPORTED_FORMAT' }),
    )
  })

  test.each([
    ['an empty key', [KIND_INSERT, 1, '', 'v']],
    ['a tombstone with a value', [KIND_DELETE, 1, 'k', 'v']],
    ['kind 0', [0, 1, 'k', 'v']],
    ['kind 7', [7, 1, 'k', '']],
    ['a blob reference', [KIND_INSERT | 0x08, 1, 'k', 'v']],
    ['a derived value', [KIND_MERGE | 0x10, 1, 'k', 'v']],
    ['an unknown flag', [KIND_INSERT | 0x80, 1, 'k', 'v']],
    ['an empty range', [KIND_RANGE_DELETE, 1, 'b', 'b']],
    ['a range backwards', [KIND_RANGE_DELETE, 1, 'c', 'b']],
    ['an open range with an end', [KIND_RANGE_DELETE | FLAG_OPEN_END, 1, 'a', 'b']],
    ['half a drop', [KIND_RANGE_DELETE | FLAG_OPEN_END | FLAG_DROPS_KEYSPACE, 1, 'a', '']],
    ['a drop up to a key', [KIND_RANGE_DELETE | FLAG_DROPS_KEYSPACE, 1, '', 'b']],
    ['a key that is too long', [KIND_INSERT, 1, 'k'.repeat(65_536), '']],
    ['a keyspace id that is too large', [KIND_INSERT, 2 ** 31, 'k', '']],
  ] as [string, Operation][])('with %s is corruption', (_, operation) => {
    const record = encode([OPERATIONS[0]!, operation])
    expect(() => checkCommit(record, 0, record.length, SOURCE)).toThrow(
      expect.objectContaining({ code: 'VARVE_CORRUPTION' }),
    )
  })

  test('that counts more or fewer operations than it holds is corruption', () => {
    for (const count of [0, 1, 3, 2 ** 32 - 1]) {
      const record = encode(OPERATIONS.slice(0, 2))
      record.writeUInt32LE(count, 36)
      expect(() => checkCommit(record, 0, record.length, SOURCE), `${count}`).toThrow(VarveError)
    }
  })

  test('without a valid seqno is corruption', () => {
    for (const first of [0, 2 ** 48 - 1]) {
      const record = encode(OPERATIONS.slice(0, 2), {}, first)
      expect(() => checkCommit(record, 0, record.length, SOURCE)).toThrow('seqno')
    }
  })

  test('cut off anywhere is corruption', () => {
    const record = encode([OPERATIONS[0]!, OPERATIONS[4]!], { meta: Buffer.from('meta') })
    for (let end = 0; end < record.length; end++) {
      expect(() => checkCommit(record.subarray(0, end), 0, end, SOURCE), `${end}`).toThrow(
        expect.objectContaining({ code: 'VARVE_CORRUPTION' }),
      )
    }
  })
})

describe('mutated commit records', () => {
  test('are refused, or can be walked whole within their bounds', () => {
    const seed = Number(process.env['SEED'] ?? 1)
    console.log(`seed ${seed}`)
    const random = randomOf(seed)
    const pick = (n: number): number => Math.floor(random() * n)
    const original = encode(
      [...OPERATIONS.slice(2), [KIND_INSERT, 300, 'k'.repeat(200), 'v'.repeat(300)]],
      { meta: Buffer.from('m'), acks: [{ consumer: 'c', next: 3 }] },
    )
    let accepted = 0
    for (let round = 0; round < 6_000; round++) {
      const record = Buffer.from(original)
      for (let i = pick(3); i >= 0; i--) record[24 + pick(record.length - 24)] = pick(256)
      try {
        checkCommit(record, 0, record.length, SOURCE)
      } catch (error) {
        expect(error, `round ${round}`).toBeInstanceOf(VarveError)
        continue
      }
      accepted++
      expect(walk(record).operations).toHaveLength(commitOperations(record, 0))
      decodeCommitFields(record, 0, SOURCE)
    }
    expect(accepted).toBeGreaterThan(50)
  })
})
