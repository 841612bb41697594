/**
 * The orders in which versions keep segments, and changing such a list without sorting it anew.
 *
 * A list of 10,000 segments is copied in some microseconds; what costs is comparing keys, so positions are found by binary
 * search and only changed lists are copied.
 */
import { assert } from '../base/assert.ts'
import { compare } from '../base/bytes.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { Place } from './version-edit.ts'

export type SegmentOrder = (a: SegmentMeta, b: SegmentMeta) => number

/** Above so many changes a list is rather sorted than spliced. */
const SPLICES_MAX = 32

/** Level 0: newest first. Seqno ranges are disjoint there. */
const byAge: SegmentOrder = (a, b) => b.maxSeqno - a.maxSeqno || b.number - a.number

/** Deeper levels: by the first key that is in them or that their range tombstones cover. */
const byLowerBound: SegmentOrder = (a, b) =>
  compareLower(lowerBound(a), lowerBound(b)) || a.number - b.number

/** History: oldest events first. */
const byFirstEvent: SegmentOrder = (a, b) =>
  a.minEventSeqno - b.minEventSeqno || a.number - b.number

/** What change capture walks: a segment whose last event is below a position has nothing for it. */
export const byLastEvent: SegmentOrder = (a, b) =>
  a.maxEventSeqno - b.maxEventSeqno || a.number - b.number

export function orderOf(place: Place): SegmentOrder {
  if (place === 'history') return byFirstEvent
  return place === 0 ? byAge : byLowerBound
}

/** Smallest key that the segment holds or covers; undefined when it holds nothing at all. */
export function lowerBound(meta: SegmentMeta): Uint8Array | undefined {
  const { firstKey, coverStart } = meta
  if (firstKey === undefined) return coverStart
  if (coverStart === undefined) return firstKey
  return compare(coverStart, firstKey) < 0 ? coverStart : firstKey
}

function compareLower(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
  if (a === undefined || b === undefined)
    return (a === undefined ? 0 : 1) - (b === undefined ? 0 : 1)
  return compare(a, b)
}

/** Whether everything in `a` lies before everything in `b`: keys and what range tombstones cover. */
export function isBefore(a: SegmentMeta, b: SegmentMeta): boolean {
  const lower = lowerBound(b)
  if (lower === undefined) return true
  if (a.lastKey !== undefined && compare(a.lastKey, lower) >= 0) return false
  if (a.coverStart === undefined) return true
  return a.coverEnd !== undefined && compare(a.coverEnd, lower) <= 0
}

/** `list` without `removed` and with `added`, in order. What is removed must be in it. */
export function changeList(
  list: readonly SegmentMeta[],
  order: SegmentOrder,
  change: { readonly removed: readonly SegmentMeta[]; readonly added: readonly SegmentMeta[] },
): readonly SegmentMeta[] {
  const { removed, added } = change
  if (removed.length + added.length > SPLICES_MAX) {
    const gone = new Set(removed)
    return [...list.filter((meta) => !gone.has(meta)), ...added].sort(order)
  }
  const changed = list.slice()
  for (const meta of removed) {
    const index = indexIn(changed, meta, order)
    assert(changed[index] === meta, 'a segment that leaves a list is in it')
    changed.splice(index, 1)
  }
  for (const meta of added) changed.splice(indexIn(changed, meta, order), 0, meta)
  return changed
}

/** Where `meta` stands in the list, or would stand. */
export function indexIn(
  list: readonly SegmentMeta[],
  meta: SegmentMeta,
  order: SegmentOrder,
): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (order(list[middle]!, meta) < 0) low = middle + 1
    else high = middle
  }
  return low
}
