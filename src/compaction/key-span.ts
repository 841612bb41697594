/**
 * The keys that a segment, or several together, can hold or cover: for picking and for splitting.
 *
 * The upper end is a key that belongs to the span (the last point key) or one that does not (the end of a range tombstone's
 * cover), or there is none.
 */
import { compare } from '../base/bytes.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'

export interface KeySpan {
  readonly lower: Uint8Array
  /** Undefined: to the end of the keyspace. */
  readonly upper: Uint8Array | undefined
  readonly isUpperIncluded: boolean
}

/** A range as users give it: [lower, upper); undefined: no bound on that side. */
export interface KeyRange {
  readonly lower: Uint8Array | undefined
  readonly upper: Uint8Array | undefined
}

/** Point keys and cover of range tombstones together; undefined for a segment that holds neither. */
export function spanOf(meta: SegmentMeta): KeySpan | undefined {
  const points =
    meta.firstKey === undefined || meta.lastKey === undefined
      ? undefined
      : { lower: meta.firstKey, upper: meta.lastKey, isUpperIncluded: true }
  if (meta.coverStart === undefined) return points
  const cover = { lower: meta.coverStart, upper: meta.coverEnd, isUpperIncluded: false }
  return points === undefined ? cover : joinSpans(points, cover)
}

function joinSpans(a: KeySpan, b: KeySpan): KeySpan {
  const lower = compare(a.lower, b.lower) <= 0 ? a.lower : b.lower
  const higher = compareUppers(a, b) >= 0 ? a : b
  return { lower, upper: higher.upper, isUpperIncluded: higher.isUpperIncluded }
}

/** The span of all of them; undefined when there is none. */
export function spanOfAll(metas: readonly SegmentMeta[]): KeySpan | undefined {
  let all: KeySpan | undefined
  for (const meta of metas) {
    const span = spanOf(meta)
    if (span !== undefined) all = all === undefined ? span : joinSpans(all, span)
  }
  return all
}

export function spansMeet(a: KeySpan | undefined, b: KeySpan | undefined): boolean {
  return a !== undefined && b !== undefined && reaches(a, b.lower) && reaches(b, a.lower)
}

export function meetsRange(span: KeySpan | undefined, range: KeyRange): boolean {
  if (span === undefined) return false
  if (range.lower !== undefined && !reaches(span, range.lower)) return false
  return range.upper === undefined || compare(span.lower, range.upper) < 0
}

/** Whether the span's upper end is at or above the key. */
export function reaches(span: KeySpan, key: Uint8Array): boolean {
  if (span.upper === undefined) return true
  const order = compare(span.upper, key)
  return order > 0 || (order === 0 && span.isUpperIncluded)
}

function compareUppers(a: KeySpan, b: KeySpan): number {
  if (a.upper === undefined) return b.upper === undefined ? 0 : 1
  if (b.upper === undefined) return -1
  const order = compare(a.upper, b.upper)
  return order !== 0 ? order : Number(a.isUpperIncluded) - Number(b.isUpperIncluded)
}

/** Those of a level that meet the span. `level`: one of 1 to 6, its segments disjoint and ascending; not level 0. */
export function overlapping(
  level: readonly SegmentMeta[],
  span: KeySpan | undefined,
): SegmentMeta[] {
  if (span === undefined || level.length === 0) return []
  let low = 0
  let high = level.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const candidate = spanOf(level[middle]!)
    if (candidate !== undefined && reaches(candidate, span.lower)) high = middle
    else low = middle + 1
  }
  const found: SegmentMeta[] = []
  for (let i = low; i < level.length && spansMeet(spanOf(level[i]!), span); i++) {
    found.push(level[i]!)
  }
  return found
}

export function totalBytes(metas: readonly SegmentMeta[]): number {
  let bytes = 0
  for (const meta of metas) bytes += meta.bytes
  return bytes
}
