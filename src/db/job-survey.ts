/**
 * Whether jobs that took inputs over whole (compaction/takeover.ts) came to their end, where no manifest says it any more.
 *
 * What such a job made is not to be mixed with what it read: a key that only a copy in history has is in its live outputs as a derived
 * entry; a tombstone that it found spent is in history, and the value that it deleted in an input that nobody copied yet.
 *
 *  - The file that it ended last is whole, or one of its inputs is gone: it came to its end, and what is left of its inputs goes.
 *    Its footer alone says nothing: of what was not synced a power cut may keep the end.
 *  - Else its inputs are all there, and nothing needs what it made.
 */
import type { SegmentFooter, SegmentOrigin } from '../segment/segment-footer.ts'

/** Numbers of the segments that were the last of a job. */
export function closingSegments(footers: readonly SegmentFooter[]): ReadonlySet<number> {
  return new Set(footers.flatMap(({ origin }) => (hasInputs(origin) ? [origin.closing] : [])))
}

/**
 * Numbers of segments that do not count. `footers`: of all that can be read; `files`: numbers of all segment files, and of those
 * closing segments that are whole.
 */
export function segmentsToLeave(
  footers: readonly SegmentFooter[],
  files: { readonly present: ReadonlySet<number>; readonly wholeClosing: ReadonlySet<number> },
): ReadonlySet<number> {
  const left = new Set<number>()
  for (const { meta, origin } of footers) {
    if (!hasInputs(origin)) continue
    const { closing, inputs } = origin
    if (files.wholeClosing.has(closing) || inputs.some((number) => !files.present.has(number))) {
      for (const number of inputs) left.add(number)
    } else {
      left.add(meta.number)
    }
  }
  return left
}

/** A segment that a repair wrote anew has an origin, and replaces nothing. */
function hasInputs(origin: SegmentOrigin | undefined): origin is SegmentOrigin {
  return origin !== undefined && origin.inputs.length > 0
}
