/**
 * Whether jobs that took inputs over whole (compaction/takeover.ts) came to their end, where no manifest says it any more.
 *
 * What such a job made is not to be mixed with what it read: a key that only a copy in history has is in its live outputs as a derived
 * entry; a tombstone that it found spent is in history, and the value that it deleted in an input that nobody copied yet.
 *
 *  - The file that it ended last is whole, or one of its inputs is gone: it came to its end, and what is left of its inputs goes.
 *  - Else its inputs are all there, and nothing needs what it made.
 */
import type { SegmentFooter } from '../segment/segment-footer.ts'

/** Numbers of segments that do not count. `footers`: of all that can be read; `present`: numbers of all segment files. */
export function segmentsToLeave(
  footers: readonly SegmentFooter[],
  present: ReadonlySet<number>,
): ReadonlySet<number> {
  const readable = new Set(footers.map(({ meta }) => meta.number))
  const left = new Set<number>()
  for (const { meta, origin } of footers) {
    if (origin === undefined) continue
    const { closing, inputs } = origin
    if (readable.has(closing) || inputs.some((number) => !present.has(number))) {
      for (const number of inputs) left.add(number)
    } else {
      left.add(meta.number)
    }
  }
  return left
}
