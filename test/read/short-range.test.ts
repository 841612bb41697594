import { expect, test } from 'vitest'
import { ShortRange } from '../../src/read/short-range.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'

/** What is looked at of a segment. */
function segment(entries: number, bytes: number): SegmentMeta {
  return { entries, bytes } as SegmentMeta
}

test('each segment is expected to give its share of the items, and a little more', () => {
  const large = segment(900_000, 900_000 * 120)
  const small = segment(100_000, 100_000 * 120)
  const range = ShortRange.of([[small, large]], 100)!
  expect(range.bytesOf(large, 0)).toBeGreaterThan(90 * 120)
  expect(range.bytesOf(large, 0)).toBeLessThan(130 * 120)
  expect(range.bytesOf(small, 0)).toBeLessThan(range.bytesOf(large, 0) / 2)
})

test('a range of many items is none', () => {
  expect(ShortRange.of([[segment(10, 1000)]], 1001)).toBeUndefined()
})

test('a level that begins with a segment of range tombstones alone is expected to give something', () => {
  const levels = [[], [segment(0, 121), segment(1000, 120_000)]]
  const range = ShortRange.of(levels, 100)!
  expect(range.bytesOf(levels[1]![1]!, 1)).toBeGreaterThan(0)
})
