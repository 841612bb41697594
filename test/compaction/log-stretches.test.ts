import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KIND_RANGE_DELETE } from '../../src/base/entry-kind.ts'
import { blockEntries } from '../../src/block/block-entries.ts'
import { blockProblem } from '../../src/block/block-check.ts'
import { BLOCK_TRAILER_BYTES } from '../../src/block/block-format.ts'
import type { BlobSink } from '../../src/compaction/blob-sink.ts'
import { LogStretches } from '../../src/compaction/log-stretches.ts'
import { OrdinalSet } from '../../src/compaction/ordinal-set.ts'
import type { Memtable } from '../../src/memtable/memtable.ts'
import { expandLogBlock, LOG_BLOCK_BYTES, type LogBlock } from '../../src/segment/log-block.ts'
import {
  commit,
  merge,
  newMemtable,
  put,
  randomOf,
  remove,
  removeRange,
} from '../memtable/commits.ts'

const GUARD = 0xa5
const BLOB_BYTES = 3000
const NO_END = Number.POSITIVE_INFINITY

interface Sample {
  readonly memtable: Memtable
  readonly retired: OrdinalSet
  readonly ordinals: readonly number[]
  readonly stretches: LogStretches
}

/** A memtable of two keyspaces, of which so many in a hundred operations of keyspace `id` are retired. */
function sample(
  seed: number,
  options: { id: number; percent: number; operations: number },
): Sample {
  const random = randomOf(seed)
  const memtable = newMemtable({ firstSeqno: 2 ** 40 })
  const { id, percent } = options
  while (memtable.lastSeqno - memtable.firstSeqno < options.operations) {
    // Records without operations, too: what a consumer acknowledges.
    const size = random(4) === 0 ? random(2) : 1 + random(40)
    const operations = Array.from({ length: size }, () => {
      const key = `key-${'x'.repeat(random(200) === 0 ? 300 : 0)}${random(50)}`
      const value = Buffer.alloc(random(30) === 0 ? random(4000) : random(150), key)
      const owner = random(8) === 0 ? 1 : id
      return random(60) === 0
        ? removeRange('', undefined, owner)
        : random(10) === 0
          ? remove(key, owner)
          : random(2) === 0
            ? put(key, value, owner)
            : merge(key, value, owner)
    })
    const meta = random(3) === 0 ? { meta: Buffer.from('origin'.repeat(random(30))) } : {}
    const acks = size === 0 ? { acks: [{ consumer: 'c', next: 1 }] } : {}
    commit(memtable, operations, { ...meta, ...acks })
  }
  const count = memtable.lastSeqno - memtable.firstSeqno + 1
  const retired = new OrdinalSet(count)
  const ordinals: number[] = []
  for (let ordinal = 0; ordinal < count; ordinal++) {
    if (memtable.keyspaceOf(ordinal) !== id || random(100) >= percent) continue
    retired.add(ordinal)
    ordinals.push(ordinal)
  }
  const commitOf = Int32Array.from({ length: count }, (_, ordinal) => memtable.commitOf(ordinal))
  const blobs = { concerns: (_kind: number, bytes: number) => bytes >= BLOB_BYTES } as BlobSink
  return {
    memtable,
    retired,
    ordinals,
    stretches: new LogStretches(memtable, { retired, commitOf, blobs }),
  }
}

function storedBytes(block: LogBlock): Buffer {
  const table = block.table()
  const body = table.subarray(0, table.length - BLOCK_TRAILER_BYTES)
  return Buffer.concat([block.log.subarray(block.start, block.end), body])
}

function expand(stored: Uint8Array, rawBytes: number): Buffer | undefined {
  const target = Buffer.alloc(rawBytes + 64, GUARD)
  const isGood = expandLogBlock(stored, 0, stored.length, target, 32, rawBytes)
  expect(target.subarray(0, 32).every((byte) => byte === GUARD)).toBe(true)
  expect(target.subarray(32 + rawBytes).every((byte) => byte === GUARD)).toBe(true)
  return isGood ? target.subarray(32, 32 + rawBytes) : undefined
}

describe('a block in the form of the log', () => {
  test.each([
    ['most operations', 1, 90],
    ['few operations, keyspace ids of two bytes', 300, 20],
    ['all', 127, 100],
  ])('expands to the operations that are entries: %s', (_name, id, percent) => {
    for (let seed = 1; seed <= 4; seed++) {
      const { memtable, retired, ordinals, stretches } = sample(seed, {
        id,
        percent,
        operations: 3000,
      })
      const { block } = stretches
      const left = [...ordinals]
      let blocks = 0
      for (let at = ordinals[0]!; at >= 0; ) {
        const next = stretches.take(at, NO_END)
        expect(block.end - block.start).toBeLessThanOrEqual(LOG_BLOCK_BYTES)
        if (block.count === 0) {
          // It belongs into no block of this form, and is left to the caller.
          const bare = memtable.kindOf(at) & 7
          const bytes = memtable.valueEnd(at) - memtable.arenaOffsetOf(at)
          expect(bare === KIND_RANGE_DELETE || bytes >= BLOB_BYTES).toBe(true)
          left.shift()
          at = retired.nextFrom(at + 1)
          continue
        }
        blocks++
        const raw = expand(storedBytes(block), block.rawBytes)!
        expect(raw).toBeDefined()
        expect(blockProblem(raw, 0, raw.length, block.count)).toBeUndefined()
        for (const entry of blockEntries(raw, 0, raw.length)) {
          const ordinal = left.shift()!
          expect(entry.seqno).toBe(memtable.firstSeqno + ordinal)
          expect(entry.kind).toBe(memtable.kindOf(ordinal))
          const { arena } = memtable
          const keyEnd = memtable.keyEnd(ordinal)
          expect(arena.subarray(memtable.keyStart(ordinal), keyEnd).equals(entry.key)).toBe(true)
          expect(arena.subarray(keyEnd, memtable.valueEnd(ordinal)).equals(entry.value)).toBe(true)
        }
        at = next
      }
      expect(left).toEqual([])
      expect(blocks).toBeGreaterThan(3)
    }
  })

  test('ends before the ordinal that it is given', () => {
    const { ordinals, stretches } = sample(9, { id: 1, percent: 100, operations: 200 })
    const end = ordinals[20]!
    expect(stretches.take(ordinals[0]!, end)).toBeGreaterThanOrEqual(ordinals[1]!)
    expect(stretches.block.lastSeqno).toBeLessThan(2 ** 40 + end)
  })

  test('is never as large as what it expands to, by which blocks are told from packed ones', () => {
    const memtable = newMemtable()
    // 8 heads of 44 bytes, 46 bits and a foot of 14 bytes: as much as 46 times 8 bytes and a foot of 4.
    for (let i = 0; i < 8; i++) commit(memtable, [put(`k${i}`, 'v')])
    commit(
      memtable,
      Array.from({ length: 38 }, (_, i) => put(`k${i}`, 'v')),
    )
    const retired = new OrdinalSet(46)
    for (let i = 0; i < 46; i++) retired.add(i)
    const commitOf = Int32Array.from({ length: 46 }, (_, i) => memtable.commitOf(i))
    const blobs = { concerns: () => false } as unknown as BlobSink
    const stretches = new LogStretches(memtable, { retired, commitOf, blobs })
    stretches.take(0, NO_END)
    const { block } = stretches
    const stored = storedBytes(block)
    expect(stored.length).toBe(block.rawBytes + 1)
    expect(expand(stored, block.rawBytes)).toBeDefined()
  })

  test('that is damaged is refused, or is still a block; nothing is written beside it', () => {
    const { ordinals, stretches } = sample(5, { id: 1, percent: 70, operations: 60 })
    stretches.take(ordinals[0]!, NO_END)
    const { block } = stretches
    const stored = storedBytes(block)
    const { rawBytes } = block
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(stored.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.oneof(fc.constant(rawBytes), fc.nat(2 * rawBytes)),
        (changes, wanted) => {
          const damaged = Buffer.from(stored)
          for (const [at, byte] of changes) damaged[at] = byte
          const raw = expand(damaged, wanted)
          if (raw !== undefined) expect(raw.length).toBe(wanted)
        },
      ),
      { numRuns: 3000 },
    )
    for (let length = 0; length < stored.length; length++) {
      expand(stored.subarray(0, length), rawBytes)
    }
  })
})
