/**
 * Which history segments to merge: small neighbours in seqno that lie in one band, so that their number stays bounded while
 * the span of a file does too; one that reached across bands would never expire as a whole.
 *
 * Size-tiered: a run is merged when none of it is bigger than all the others together. So an event is rewritten about
 * log(segment size / flush size) times, not once per flush. A band with too many files is merged whatever their sizes.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { MergeHistoryPick, PickerInput } from './picker.ts'

export function pickHistoryMerge(
  input: Pick<PickerInput, 'keyspaces' | 'busy' | 'bands' | 'options'>,
): MergeHistoryPick | undefined {
  for (const { id, files } of input.keyspaces) {
    for (const band of smallByBand(files.history, input)) {
      const inputs = mergeRun(band, input.options)
      if (inputs !== undefined) return { type: 'merge-history', keyspaceId: id, inputs }
    }
  }
  return undefined
}

/** The segments that may be merged, by band, in seqno order. */
function smallByBand(
  history: readonly SegmentMeta[],
  input: Pick<PickerInput, 'busy' | 'bands' | 'options'>,
): SegmentMeta[][] {
  const bands = new Map<number, SegmentMeta[]>()
  for (const meta of history) {
    // 'key': the live segments of a dropped keyspace, which never grow in number, and what compactions took over as it was, which is
    // not small (takeover-choice.ts).
    if (meta.events === 0 || meta.order === 'key' || input.busy.has(meta.number)) continue
    if (meta.bytes >= input.options.segmentBytes / 2) continue
    const band = bandOf(input.bands, meta.minEventSeqno)
    if (band !== bandOf(input.bands, meta.maxEventSeqno)) continue
    const members = bands.get(band)
    if (members === undefined) bands.set(band, [meta])
    else members.push(meta)
  }
  return [...bands.values()]
}

/** Index of the band that holds the seqno: the number of boundaries at or below it. */
export function bandOf(bands: readonly number[], seqno: number): number {
  let low = 0
  let high = bands.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (bands[middle]! <= seqno) low = middle + 1
    else high = middle
  }
  return low
}

/** The longest run of neighbours that is worth merging. */
function mergeRun(
  band: readonly SegmentMeta[],
  options: PickerInput['options'],
): SegmentMeta[] | undefined {
  let best: SegmentMeta[] | undefined
  for (let first = 0; first + options.historyMergeCount <= band.length; first++) {
    let total = 0
    let largest = 0
    for (let last = first; last < band.length; last++) {
      const { bytes } = band[last]!
      total += bytes
      largest = Math.max(largest, bytes)
      const count = last - first + 1
      if (total > options.segmentBytes || count > options.historyMergeCountMax) break
      if (count < options.historyMergeCount || largest > total - largest) continue
      if (best === undefined || count > best.length) best = band.slice(first, last + 1)
    }
  }
  if (best === undefined && band.length > options.historyMergeCountMax) {
    return cheapestRun(band, options)
  }
  return best
}

/** So many neighbours that the band is within bounds again, where they are smallest. */
function cheapestRun(band: readonly SegmentMeta[], options: PickerInput['options']): SegmentMeta[] {
  const size = options.historyMergeCount
  let best: readonly SegmentMeta[] = []
  let bestBytes = Infinity
  for (let first = 0; first + size <= band.length; first++) {
    const run = band.slice(first, first + size)
    const bytes = run.reduce((sum, meta) => sum + meta.bytes, 0)
    if (bytes < bestBytes) {
      best = run
      bestBytes = bytes
    }
  }
  return [...best]
}
