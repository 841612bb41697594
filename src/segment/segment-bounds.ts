/**
 * Where a segment lies among keys: what its entries span together with what its range fragments cover. Levels are searched,
 * and compactions picked, by these bounds alone; they come from the manifest.
 */
import { compare, compareBytes } from '../base/bytes.ts'
import type { SegmentMeta } from './segment-meta.ts'

/** A range of keys; undefined: without bound on that side. */
export interface KeyRange {
  readonly lower: Uint8Array | undefined
  /** Exclusive. */
  readonly upper: Uint8Array | undefined
}

/** The smallest key that the segment says something about; undefined when it says nothing at all. */
export function lowerBoundOf(meta: SegmentMeta): Uint8Array | undefined {
  const { firstKey, coverStart } = meta
  if (firstKey === undefined || coverStart === undefined) return firstKey ?? coverStart
  return compare(firstKey, coverStart) < 0 ? firstKey : coverStart
}

/** Where the segment ends: after `key` when `isInclusive`, else before it; `key` undefined: at the end of the keyspace. */
export interface UpperBound {
  readonly key: Uint8Array | undefined
  readonly isInclusive: boolean
}

/** The end of what the segment says something about. Only for segments that say anything. */
export function upperBoundOf(meta: SegmentMeta): UpperBound {
  const { lastKey, coverStart, coverEnd } = meta
  if (coverStart === undefined) return { key: lastKey, isInclusive: true }
  if (coverEnd === undefined) return { key: undefined, isInclusive: false }
  const keyIsLast = lastKey !== undefined && compare(lastKey, coverEnd) >= 0
  return { key: keyIsLast ? lastKey : coverEnd, isInclusive: keyIsLast }
}

/** Where the segment lies as seen from the key: -1 wholly before it, 1 wholly after it, 0 it may say something about it. */
export function positionOf(
  meta: SegmentMeta,
  key: Uint8Array,
  start: number = 0,
  end: number = key.length,
): -1 | 0 | 1 {
  const lower = lowerBoundOf(meta)
  if (lower === undefined) return -1
  if (compareBytes(lower, 0, lower.length, key, start, end) > 0) return 1
  const upper = upperBoundOf(meta)
  if (upper.key === undefined) return 0
  const order = compareBytes(upper.key, 0, upper.key.length, key, start, end)
  return order > 0 || (order === 0 && upper.isInclusive) ? 0 : -1
}

/** Whether the segment may say something about a key in the range. */
export function overlaps(meta: SegmentMeta, range: KeyRange): boolean {
  const lower = lowerBoundOf(meta)
  if (lower === undefined) return false
  if (range.upper !== undefined && compare(lower, range.upper) >= 0) return false
  if (range.lower === undefined) return true
  const upper = upperBoundOf(meta)
  if (upper.key === undefined) return true
  const order = compare(upper.key, range.lower)
  return order > 0 || (order === 0 && upper.isInclusive)
}
