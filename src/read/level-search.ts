/**
 * Finding the segment of a level that can hold a key. From L1 down the segments of a level lie in key order and are disjoint,
 * also in what their range tombstones cover, so at most one can say anything about a key.
 */
import { compareBytes } from '../base/bytes.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { KeyRange } from './key-range.ts'

/** Index of the first segment that does not lie wholly below the key; `level.length` when all do. */
export function firstNotBelow(
  level: readonly SegmentMeta[],
  key: Uint8Array,
  start: number,
  end: number,
): number {
  let low = 0
  let high = level.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (liesBelow(level[middle]!, key, start, end)) low = middle + 1
    else high = middle
  }
  return low
}

/** Index of the last segment that holds or covers any key below the given one; -1: none. */
export function lastReaching(
  level: readonly SegmentMeta[],
  key: Uint8Array,
  start: number,
  end: number,
): number {
  let low = 0
  let high = level.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (beginsBelow(level[middle]!, key, start, end)) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** Whether the key lies between the segment's first and last point entry. */
export function mayHold(meta: SegmentMeta, key: Uint8Array, start: number, end: number): boolean {
  const { firstKey, lastKey } = meta
  return (
    firstKey !== undefined &&
    lastKey !== undefined &&
    compareBytes(firstKey, 0, firstKey.length, key, start, end) <= 0 &&
    compareBytes(lastKey, 0, lastKey.length, key, start, end) >= 0
  )
}

/** Whether the key lies within what the segment's range tombstones cover. */
export function mayCover(meta: SegmentMeta, key: Uint8Array, start: number, end: number): boolean {
  if (meta.rangeFragments === 0) return false
  const { coverStart, coverEnd } = meta
  return (
    (coverStart === undefined ||
      compareBytes(coverStart, 0, coverStart.length, key, start, end) <= 0) &&
    (coverEnd === undefined || compareBytes(coverEnd, 0, coverEnd.length, key, start, end) > 0)
  )
}

/** Whether the segment's range tombstones may cover any key of [lower, upper). */
export function mayCoverRange(meta: SegmentMeta, { lower, upper }: KeyRange): boolean {
  if (meta.rangeFragments === 0) return false
  const { coverStart, coverEnd } = meta
  return (
    (lower === undefined || coverEnd === undefined || isBelow(lower, coverEnd)) &&
    (upper === undefined || coverStart === undefined || isBelow(coverStart, upper))
  )
}

/** Whether the segment may have point entries in [lower, upper). */
export function mayHoldRange(meta: SegmentMeta, { lower, upper }: KeyRange): boolean {
  const { firstKey, lastKey } = meta
  if (firstKey === undefined || lastKey === undefined) return false
  return (
    (lower === undefined || !isBelow(lastKey, lower)) &&
    (upper === undefined || isBelow(firstKey, upper))
  )
}

/** The segments of a level below L0 that may have point entries in the range, in order. */
export function segmentsWithin(
  level: readonly SegmentMeta[],
  { lower, upper }: KeyRange,
): readonly SegmentMeta[] {
  const first = lower === undefined ? 0 : firstNotBelow(level, lower, 0, lower.length)
  const end = upper === undefined ? level.length : lastReaching(level, upper, 0, upper.length) + 1
  const within = first === 0 && end === level.length ? level : level.slice(first, end)
  return within.length === 1 && !mayHoldRange(within[0]!, { lower, upper }) ? [] : within
}

function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  return compareBytes(a, 0, a.length, b, 0, b.length) < 0
}

function liesBelow(meta: SegmentMeta, key: Uint8Array, start: number, end: number): boolean {
  const { lastKey, coverEnd } = meta
  if (lastKey !== undefined && compareBytes(lastKey, 0, lastKey.length, key, start, end) >= 0) {
    return false
  }
  return (
    meta.rangeFragments === 0 ||
    (coverEnd !== undefined && compareBytes(coverEnd, 0, coverEnd.length, key, start, end) <= 0)
  )
}

function beginsBelow(meta: SegmentMeta, key: Uint8Array, start: number, end: number): boolean {
  const { firstKey, coverStart } = meta
  if (firstKey !== undefined && compareBytes(firstKey, 0, firstKey.length, key, start, end) < 0) {
    return true
  }
  return (
    meta.rangeFragments > 0 &&
    (coverStart === undefined ||
      compareBytes(coverStart, 0, coverStart.length, key, start, end) < 0)
  )
}
