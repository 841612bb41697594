import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockIndex, BlockIndexBuilder } from '../../src/segment/block-index.ts'
import { Separators, SeparatorsBuilder } from '../../src/segment/separators.ts'

const fail = (reason: string): never => {
  throw new RangeError(reason)
}

interface Block {
  readonly storedBytes: number
  readonly rawBytes: number
  readonly entries: number
}

function indexOf(blocks: readonly Block[]): BlockIndex {
  const builder = new BlockIndexBuilder()
  for (const block of blocks) builder.add(block)
  const section = builder.finish()
  expect(section.length).toBeLessThanOrEqual(builder.bytes + 8 * (blocks.length + 1))
  return new BlockIndex(
    section,
    {
      blocks: blocks.length,
      entries: blocks.reduce((sum, { entries }) => sum + entries, 0),
      dataBytes: blocks.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
      largestBlockBytes: builder.largestBlockBytes,
    },
    fail,
  )
}

describe('the places of blocks', () => {
  test.each([
    ['as they are', 1, 5],
    ['compressed', 1, -100],
    ['beyond 4 GiB', 2 ** 20, 5],
  ])('come back: blocks %s', (_name, unit, trailer) => {
    const blocks = Array.from({ length: 700 }, (_, i) => {
      const rawBytes = (400 + ((i * 37) % 300)) * unit
      return { rawBytes, storedBytes: rawBytes + trailer, entries: 1 + (i % 9) }
    })
    const index = indexOf(blocks)
    let position = 0
    let ordinal = 0
    for (const [i, { storedBytes, rawBytes, entries }] of blocks.entries()) {
      index.check(i)
      expect([index.positions[i], index.storedBytes(i), index.rawBytes(i)]).toEqual([
        position,
        storedBytes,
        rawBytes,
      ])
      for (let n = 0; n < entries; n++) expect(index.blockOfOrdinal(ordinal++, 0)).toBe(i)
      position += storedBytes
    }
  })

  test('that cannot be are refused before they are used', () => {
    const good = { storedBytes: 105, rawBytes: 100, entries: 4 }
    for (const bad of [
      { ...good, entries: 0 },
      { ...good, entries: 11 },
      { ...good, rawBytes: 20_000_000 },
      { ...good, storedBytes: 5 },
    ]) {
      const index = indexOf([good, bad, good])
      index.check(0)
      expect(() => index.check(1)).toThrow(/block 1 cannot have/)
      expect(() => index.checkAll()).toThrow(RangeError)
    }
  })
})

/** Short keys of few different bytes, some behind a long prefix: equal words, tails and prefixes of one another. */
const keys = fc
  .tuple(
    fc.constantFrom('', 'a', 'a prefix that they share'),
    fc.uniqueArray(
      fc
        .array(fc.constantFrom(0, 1, 97, 255), { minLength: 1, maxLength: 14 })
        .map((bytes) => Buffer.from(bytes).toString('latin1')),
      { minLength: 1, maxLength: 40 },
    ),
  )
  .map(([prefix, rest]) =>
    rest.map((one) => Buffer.from(prefix + one, 'latin1')).toSorted((a, b) => a.compare(b)),
  )

describe('separators', () => {
  test('locate the last block that does not begin behind a key', () => {
    fc.assert(
      fc.property(keys, keys, fc.nat(3), (separators, others, versions) => {
        const builder = new SeparatorsBuilder()
        builder.add(Buffer.alloc(0), -1, undefined)
        const rows: { key: Buffer; below: number | undefined }[] = []
        for (const [i, key] of separators.entries()) {
          rows.push({ key, below: undefined })
          // Every third key fills several blocks with its versions.
          for (let n = versions; n > 0 && i % 3 === 0; n--) rows.push({ key, below: 10 * n })
        }
        for (const { key, below } of rows) builder.add(key, key.length, below)
        const decoded = new Separators(builder.finish(), rows.length + 1, fail)
        for (const [i, { key, below }] of rows.entries()) {
          const found = decoded.separator(i + 1)
          expect(Buffer.from(found.key).equals(key)).toBe(true)
          expect(found.continuedBelow).toBe(below)
        }
        for (const key of [...separators, ...others, Buffer.from('a'), Buffer.from([255, 255])]) {
          for (const seqno of [5, 10, 15, 25, Number.POSITIVE_INFINITY]) {
            let expected = 0
            for (const [i, row] of rows.entries()) {
              const order = row.key.compare(key)
              if (order < 0 || (order === 0 && (row.below ?? Infinity) >= seqno)) expected = i + 1
            }
            expect(decoded.locate(key, 0, key.length, seqno)).toBe(expected)
          }
        }
      }),
      { numRuns: 300 },
    )
  })

  test('of one block are nothing', () => {
    const builder = new SeparatorsBuilder()
    builder.add(Buffer.alloc(0), -1, undefined)
    expect(builder.finish()).toHaveLength(0)
    const none = new Separators(undefined, 1, fail)
    expect(none.locate(Buffer.from('key'), 0, 3, 1)).toBe(0)
    expect(() => new Separators(undefined, 2, fail)).toThrow(/nothing separates/)
  })
})
