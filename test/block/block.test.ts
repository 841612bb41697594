import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blockProblem } from '../../src/block/block-check.ts'
import { BlockBuilder } from '../../src/block/block-builder.ts'
import { blockEntries } from '../../src/block/block-entries.ts'
import { blockCount } from '../../src/block/block-format.ts'
import { entryOffset, findInBlock, FoundEntry, lowerBound } from '../../src/block/block-search.ts'
import { hashKey, KeyHash } from '../../src/block/key-hash.ts'

interface Entry {
  readonly key: Buffer
  readonly seqno: number
  readonly kind: number
  readonly value: Buffer
}

function tagOf(key: Uint8Array): number {
  const hash = new KeyHash()
  hashKey(key, 0, key.length, hash)
  return hash.low & 0xff
}

function build(entries: readonly Entry[], tagged = true): Buffer {
  const size = entries.reduce((sum, { key, value }) => sum + key.length + value.length + 40, 64)
  const builder = new BlockBuilder(Buffer.alloc(size), { tagged, blockBytes: 256 })
  builder.begin(3)
  for (const { key, seqno, kind, value } of entries) {
    builder.add(key, 0, key.length, seqno, kind, value, 0, value.length, tagOf(key))
  }
  const end = builder.finish()
  return Buffer.from(builder.bytes.subarray(3, end))
}

/** Few symbols, so that keys share prefixes, are prefixes of one another, and are equal. */
const keys: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .array(fc.constantFrom(0, 1, 0xff), { maxLength: 5, minLength: 1 })
    .map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(fc.constantFrom(250, 255, 256, 300, 20_000), fc.array(fc.nat(2), { maxLength: 3 }))
    .map(([length, rest]) => Buffer.concat([Buffer.alloc(length, 7), Buffer.from(rest)])),
)

const blocks: fc.Arbitrary<Entry[]> = fc
  .array(
    fc.record({
      key: keys,
      seqno: fc.oneof(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 2 ** 47, max: 2 ** 48 - 1 }),
      ),
      kind: fc.constantFrom(1, 2, 3, 9, 17),
      value: fc.oneof(
        fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
        fc.constantFrom(127, 128, 300, 20_000).map((length) => Buffer.alloc(length, 5)),
      ),
    }),
    { minLength: 1, maxLength: 200 },
  )
  .map((entries) => {
    const unique = new Map(
      entries.map((entry) => [`${entry.key.toString('hex')} ${entry.seqno}`, entry]),
    )
    return [...unique.values()].sort((a, b) => Buffer.compare(a.key, b.key) || b.seqno - a.seqno)
  })

describe('a block', () => {
  test('holds its entries, and every byte of it belongs to something', () => {
    fc.assert(
      fc.property(blocks, fc.boolean(), (entries, tagged) => {
        const block = build(entries, tagged)
        expect(blockProblem(block, 0, block.length, entries.length)).toBeUndefined()
        const found = [...blockEntries(block, 0, block.length)]
        expect(found).toHaveLength(entries.length)
        for (const { slot, key, seqno, kind, value, tag } of found) {
          const entry = entries[slot]!
          const isRight =
            key.equals(entry.key) &&
            entry.value.equals(value) &&
            seqno === entry.seqno &&
            kind === entry.kind &&
            tag === (tagged ? tagOf(key) : undefined)
          if (!isRight) expect.fail(`entry ${slot} is another`)
        }
      }),
      { numRuns: 150 },
    )
  })

  test('is searched as a sorted array would be', () => {
    fc.assert(
      fc.property(blocks, keys, fc.integer({ min: 0, max: 10 }), (entries, other, snapshot) => {
        const block = build(entries)
        const result = new FoundEntry()
        for (const key of [other, ...entries.map((entry) => entry.key)]) {
          const lower = entries.findIndex((entry) => Buffer.compare(entry.key, key) >= 0)
          const expected = lower < 0 ? entries.length : lower
          expect(lowerBound(block, 0, block.length, key, 0, key.length)).toBe(expected)
          const newest = entries.find((entry) => entry.key.equals(key) && entry.seqno <= snapshot)
          const isFound = findInBlock(
            block,
            0,
            block.length,
            entries.length,
            key,
            0,
            key.length,
            tagOf(key),
            snapshot,
            result,
          )
          expect(isFound).toBe(newest !== undefined)
          if (newest === undefined) continue
          expect(result.seqno).toBe(newest.seqno)
          expect(result.kind).toBe(newest.kind)
          const value = Buffer.from(block.subarray(result.valueStart, result.valueEnd))
          expect(value.equals(newest.value)).toBe(true)
        }
      }),
      { numRuns: 150 },
    )
  })

  test('is refused or harmless when its bytes are changed', () => {
    let refused = 0
    fc.assert(
      fc.property(
        blocks,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (entries, changes) => {
          const block = build(entries)
          // Lengths and tables are at the ends; aim there half of the time.
          for (const [at, byte] of changes) {
            block[at % 2 === 0 ? at % block.length : Math.max(0, block.length - 1 - (at % 40))] =
              byte
          }
          const problem = blockProblem(block, 0, block.length, entries.length)
          if (problem !== undefined) {
            refused++
            return
          }
          // Whoever trusts it stays inside it.
          expect(blockCount(block, block.length)).toBe(entries.length)
          let end = 0
          for (const entry of blockEntries(block, 0, block.length)) {
            expect(entryOffset(block, block.length, entry.slot)).toBe(end)
            end = entry.value.byteOffset - block.byteOffset + entry.value.length
            expect(end).toBeLessThan(block.length)
            expect(
              lowerBound(block, 0, block.length, entry.key, 0, entry.key.length),
            ).toBeLessThanOrEqual(entries.length)
          }
        },
      ),
      { numRuns: 500 },
    )
    expect(refused).toBeGreaterThan(50)
  })

  test('is refused when it is cut off anywhere', () => {
    const entry = (i: number): Entry => ({
      key: Buffer.from([i]),
      seqno: 9,
      kind: 1,
      value: Buffer.alloc(i),
    })
    const block = build([entry(1), entry(2), entry(200)])
    for (let length = 0; length < block.length; length++) {
      expect(blockProblem(block, 0, length, 3)).toBeTypeOf('string')
      expect(blockProblem(block, block.length - length, block.length, 3)).toBeTypeOf('string')
    }
  })

  test('with offsets beyond 64 KiB is wide, and found in', () => {
    const entries = Array.from({ length: 300 }, (_, i) => ({
      key: Buffer.from(String(i).padStart(4, '0')),
      seqno: i + 1,
      kind: 1,
      value: Buffer.alloc(400, i),
    }))
    const block = build(entries)
    expect(block.length).toBeGreaterThan(2 ** 16)
    expect(blockProblem(block, 0, block.length, 300)).toBeUndefined()
    const key = Buffer.from('0299')
    const result = new FoundEntry()
    expect(findInBlock(block, 0, block.length, 300, key, 0, 4, tagOf(key), 1000, result)).toBe(true)
    expect(result.seqno).toBe(300)
  })
})
