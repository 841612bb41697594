/**
 * Whether anything below the output level can hold a key, or meet a range: what may leave the live tree for good depends on
 * it, key by key. Keys are asked for in ascending order, so that each level is walked once.
 */
import { compareBytes } from '../base/bytes.ts'
import { KEY_BYTES_MAX } from '../base/entry-kind.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { type KeySpan, overlapping, spanOf } from './key-span.ts'

export class DeeperLevels {
  readonly #levels: readonly (readonly SegmentMeta[])[]
  readonly #spans: (readonly KeySpan[])[]
  /** Per level the first segment whose upper end is not below the last key asked for. */
  readonly #at: Int32Array

  constructor(levels: readonly (readonly SegmentMeta[])[]) {
    this.#levels = levels
    this.#spans = levels.map((level) =>
      level.map(spanOf).filter((span): span is KeySpan => span !== undefined),
    )
    this.#at = new Int32Array(levels.length)
  }

  /** Whether no segment reaches over the key. Keys in ascending order. */
  isBottom(key: Uint8Array, start: number, end: number): boolean {
    let isBottom = true
    for (let level = 0; level < this.#spans.length; level++) {
      const spans = this.#spans[level]!
      let i = this.#at[level]!
      while (i < spans.length && !reachesKey(spans[i]!, key, start, end)) i++
      this.#at[level] = i
      const span = spans[i]
      if (
        span !== undefined &&
        compareBytes(span.lower, 0, span.lower.length, key, start, end) <= 0
      ) {
        isBottom = false
      }
    }
    return isBottom
  }

  /** The part of [start, end) outside of which nothing is deeper; undefined when nothing is deeper in all of it. */
  hull(
    start: Uint8Array,
    end: Uint8Array | undefined,
  ): { start: Uint8Array; end: Uint8Array | undefined } | undefined {
    const wanted: KeySpan = { lower: start, upper: end, isUpperIncluded: false }
    let lower: Uint8Array | undefined
    let upper: Uint8Array | undefined = start
    for (const level of this.#levels) {
      const met = overlapping(level, wanted)
      if (met.length === 0) continue
      const first = spanOf(met[0]!)!
      const last = spanOf(met[met.length - 1]!)!
      if (lower === undefined || Buffer.compare(first.lower, lower) < 0) lower = first.lower
      const after = endOf(last)
      if (upper === undefined || after === undefined) upper = undefined
      else if (Buffer.compare(after, upper) > 0) upper = after
    }
    if (lower === undefined) return undefined
    return {
      start: Buffer.compare(lower, start) < 0 ? start : lower,
      end:
        upper === undefined || (end !== undefined && Buffer.compare(upper, end) > 0) ? end : upper,
    }
  }
}

function reachesKey(span: KeySpan, key: Uint8Array, start: number, end: number): boolean {
  if (span.upper === undefined) return true
  const order = compareBytes(span.upper, 0, span.upper.length, key, start, end)
  return order > 0 || (order === 0 && span.isUpperIncluded)
}

/** Where the span ends, exclusive; undefined when no key can say it. */
function endOf({ upper, isUpperIncluded }: KeySpan): Uint8Array | undefined {
  if (upper === undefined || !isUpperIncluded) return upper
  if (upper.length === KEY_BYTES_MAX) return undefined
  // The next key there can be.
  const after = new Uint8Array(upper.length + 1)
  after.set(upper)
  return after
}
