import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  FragmentedRanges,
  RangeWalker,
  type RangeTombstone,
} from '../../src/base/range-tombstones.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

function tombstone(start: string, end: string | undefined, seqno: number): RangeTombstone {
  return { start: bytes(start), end: end === undefined ? undefined : bytes(end), seqno }
}

/** Fragments as text: "a-c 5,3". */
function shown(ranges: FragmentedRanges): string[] {
  const lines: string[] = []
  for (let i = 0; i < ranges.count; i++) {
    const end = ranges.end(i)?.toString() ?? ''
    lines.push(`${ranges.start(i).toString()}-${end} ${[...ranges.seqnos(i)].join(',')}`)
  }
  return lines
}

function covering(ranges: FragmentedRanges, key: string, snapshot: number): number {
  const probe = bytes(`..${key}`)
  return ranges.coveringSeqno(probe, 2, probe.length, snapshot)
}

function naive(tombstones: readonly RangeTombstone[], key: Buffer, snapshot: number): number {
  let newest = 0
  for (const { start, end, seqno } of tombstones) {
    const covers =
      Buffer.compare(start, key) <= 0 && (end === undefined || Buffer.compare(key, end) < 0)
    if (covers && seqno <= snapshot && seqno > newest) newest = seqno
  }
  return newest
}

const failed = (reason: string, position: number): never => {
  throw new Error(`${reason} at ${position}`)
}

describe('fragments', () => {
  test('overlapping tombstones are cut where they overlap and keep only the newest without snapshots', () => {
    const ranges = FragmentedRanges.build(
      [tombstone('a', 'e', 1), tombstone('c', 'g', 2), tombstone('x', undefined, 3)],
      [],
    )
    expect(shown(ranges)).toEqual(['a-c 1', 'c-g 2', 'x- 3'])
    expect([ranges.minSeqno, ranges.maxSeqno]).toEqual([1, 3])
  })

  test('a snapshot between two tombstones keeps the older one', () => {
    const two = [tombstone('a', 'e', 1), tombstone('c', 'g', 4)]
    expect(shown(FragmentedRanges.build(two, [1]))).toEqual(['a-c 1', 'c-e 4,1', 'e-g 4'])
    expect(shown(FragmentedRanges.build(two, [3]))).toEqual(['a-c 1', 'c-e 4,1', 'e-g 4'])
    expect(shown(FragmentedRanges.build(two, [4]))).toEqual(['a-c 1', 'c-g 4'])
  })

  test('ranges that hold nothing count for nothing', () => {
    expect(FragmentedRanges.build([tombstone('c', 'c', 1), tombstone('d', 'a', 2)], []).count).toBe(
      0,
    )
    expect(FragmentedRanges.merge([], [])).toBe(FragmentedRanges.EMPTY)
    expect(covering(FragmentedRanges.EMPTY, 'a', 9)).toBe(0)
  })

  test('an empty start covers the empty key and an open end the last one', () => {
    const ranges = FragmentedRanges.build([tombstone('', undefined, 7)], [])
    expect(covering(ranges, '', 7)).toBe(7)
    expect(covering(ranges, '\u{10ffff}', 9)).toBe(7)
    expect(covering(ranges, 'k', 6)).toBe(0)
    expect(ranges.end(0)).toBeUndefined()
  })

  test('the start is covered, the end is not', () => {
    const ranges = FragmentedRanges.build([tombstone('b', 'd', 2)], [])
    expect(['a', 'b', 'c', 'cz', 'd'].map((key) => covering(ranges, key, 2))).toEqual([
      0, 2, 2, 2, 0,
    ])
  })

  test('nested tombstones stay linear', () => {
    const nested: RangeTombstone[] = []
    const name = (i: number): string => String(i).padStart(6, '0')
    for (let i = 0; i < 2_000; i++) nested.push(tombstone(name(i), name(10_000 - i), i + 1))
    const ranges = FragmentedRanges.build(nested, [])
    expect(ranges.count).toBe(3_999)
    expect(ranges.seqnos(1_000).length).toBe(1)
    expect(ranges.byteLength).toBeLessThan(4_000 * 40)
  })

  test('clip leaves what lies between the bounds', () => {
    const ranges = FragmentedRanges.build(
      [tombstone('b', 'f', 3), tombstone('h', undefined, 5)],
      [],
    )
    expect(shown(ranges.clip(bytes('c'), bytes('d')))).toEqual(['c-d 3'])
    expect(shown(ranges.clip(bytes('d'), undefined))).toEqual(['d-f 3', 'h- 5'])
    expect(shown(ranges.clip(undefined, bytes('i')))).toEqual(['b-f 3', 'h-i 5'])
    expect(shown(ranges.clip(bytes('f'), bytes('h')))).toEqual([])
    expect(shown(ranges.clip(bytes('x'), bytes('a')))).toEqual([])
  })

  test('a merge of pieces of one tombstone is that tombstone again', () => {
    const whole = FragmentedRanges.build([tombstone('a', 'z', 4)], [])
    const pieces = [whole.clip(undefined, bytes('k')), whole.clip(bytes('k'), undefined)]
    expect(shown(FragmentedRanges.merge(pieces, []))).toEqual(['a-z 4'])
  })
})

describe('bytes', () => {
  test('what is encoded is decoded', () => {
    const ranges = FragmentedRanges.build(
      [tombstone('', 'c', 2 ** 40), tombstone('b', 'x', 3), tombstone('m', undefined, 9)],
      [3, 9],
    )
    const decoded = FragmentedRanges.decode(ranges.encode(), failed)
    expect(shown(decoded)).toEqual(shown(ranges))
    expect(decoded.maxSeqno).toBe(2 ** 40)
    expect(FragmentedRanges.decode(FragmentedRanges.EMPTY.encode(), failed).count).toBe(0)
  })

  test('damaged bytes fail and never allocate by a length that cannot be', () => {
    const encoded = FragmentedRanges.build(
      [tombstone('a', 'c', 2), tombstone('b', 'd', 5)],
      [2],
    ).encode()
    for (let cut = 0; cut < encoded.length; cut++) {
      expect(() => FragmentedRanges.decode(encoded.subarray(0, cut), failed)).toThrow()
    }
    expect(() => FragmentedRanges.decode(Buffer.concat([encoded, bytes('x')]), failed)).toThrow(
      /left/,
    )
    expect(() => FragmentedRanges.decode(Buffer.from([0xff, 0xff, 0xff, 0x7f, 1]), failed)).toThrow(
      /boundaries/,
    )
    for (let at = 0; at < encoded.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const damaged = Buffer.from(encoded)
        damaged[at] = value
        try {
          const ranges = FragmentedRanges.decode(damaged, failed)
          for (let i = 0; i < ranges.count; i++) {
            const seqnos = [...ranges.seqnos(i)]
            expect(seqnos).toEqual(seqnos.toSorted((a, b) => b - a))
          }
        } catch (error) {
          expect(String(error)).toMatch(/ at \d+/)
        }
      }
    }
  })
})

const keys = fc.stringMatching(/^[ab]{0,4}$/)
const tombstones = fc
  .array(fc.record({ start: keys, end: fc.option(keys, { nil: undefined }) }), { maxLength: 24 })
  .map((list) => list.map(({ start, end }, i) => tombstone(start, end, i + 1)))

describe('against a list of tombstones', () => {
  test('every snapshot that is open when fragments are made sees what the list says', () => {
    fc.assert(
      fc.property(
        tombstones,
        fc.uniqueArray(fc.integer({ min: 0, max: 25 })),
        keys,
        (list, open, key) => {
          const stripes = open.toSorted((a, b) => a - b)
          const probe = bytes(key)
          const built = FragmentedRanges.build(list, stripes)
          const decoded = FragmentedRanges.decode(built.encode(), failed)
          const third = Math.floor(list.length / 3)
          const merged = FragmentedRanges.merge(
            [list.slice(0, third), list.slice(third, 2 * third), list.slice(2 * third)].map(
              (part) => FragmentedRanges.build(part, stripes),
            ),
            stripes,
          )
          expect(shown(merged)).toEqual(shown(built))
          for (const snapshot of [...stripes, list.length, Infinity]) {
            const expected = naive(list, probe, snapshot)
            for (const ranges of [built, decoded]) {
              expect(ranges.coveringSeqno(probe, 0, probe.length, snapshot)).toBe(expected)
            }
            const clipped = built.clip(bytes('ab'), bytes('b'))
            const inside = key >= 'ab' && key < 'b'
            expect(clipped.coveringSeqno(probe, 0, probe.length, snapshot)).toBe(
              inside ? expected : 0,
            )
          }
        },
      ),
      { numRuns: 600 },
    )
  })

  test('no fragment is like its neighbour and none holds more than the stripes can see', () => {
    fc.assert(
      fc.property(
        tombstones,
        fc.uniqueArray(fc.integer({ min: 0, max: 25 }), { maxLength: 4 }),
        (list, open) => {
          const stripes = open.toSorted((a, b) => a - b)
          const ranges = FragmentedRanges.build(list, stripes)
          for (let i = 0; i < ranges.count; i++) {
            expect(ranges.seqnos(i).length).toBeLessThanOrEqual(stripes.length + 1)
            const end = ranges.end(i)
            if (end !== undefined) expect(Buffer.compare(ranges.start(i), end)).toBeLessThan(0)
            else expect(i).toBe(ranges.count - 1)
            if (i > 0 && Buffer.compare(ranges.end(i - 1)!, ranges.start(i)) === 0) {
              expect(ranges.seqnos(i)).not.toEqual(ranges.seqnos(i - 1))
            }
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('a walker answers as a search does, in any direction', () => {
    fc.assert(
      fc.property(
        tombstones,
        fc.array(keys, { maxLength: 30 }),
        fc.integer({ min: 0, max: 25 }),
        (list, probes, snapshot) => {
          const ranges = FragmentedRanges.build(list, [snapshot])
          const walker = new RangeWalker(ranges, snapshot)
          const ordered = probes.toSorted()
          for (const key of [...ordered, ...ordered.toReversed(), ...probes]) {
            const probe = bytes(key)
            expect(walker.coveringSeqno(probe, 0, probe.length)).toBe(
              ranges.coveringSeqno(probe, 0, probe.length, snapshot),
            )
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})
