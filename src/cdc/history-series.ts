/**
 * The series that history policies are reckoned from: a sparse list of points (seqno, time, user bytes so far), ascending in all
 * three. A point says: every event up to this seqno was committed by this time, and all of them took so many bytes.
 *
 * `SeriesRecorder` is told of every commit and notes a point whenever enough bytes or time have passed since the last one. A
 * flush takes the points of what it flushed into the manifest; the replay of the WAL notes the others again.
 */
import type { SeriesPoint } from '../version/store-state.ts'
import type { HistoryPolicy } from './history-policy.ts'

/** Granules of a policy's bound: a floor is off by at most one of them. */
const GRANULES = 64
const GRANULE_BYTES_DEFAULT = 16 * 2 ** 20
const GRANULE_MS_DEFAULT = 10 * 60_000
/** Thinning keeps points that are a 256th of the whole apart in bytes or in time: at most twice as many, and the ends. */
const SERIES_PARTS = 256
const POINTS_MAX = 2 * SERIES_PARTS + 2

export class SeriesRecorder {
  readonly #granuleBytes: number
  readonly #granuleMs: number
  #points: SeriesPoint[] = []
  #last: SeriesPoint
  #seqno: number
  #timeMs: number
  #totalBytes: number

  /** `last`: the newest persisted point; undefined in a new store. */
  constructor(policy: HistoryPolicy, last: SeriesPoint | undefined) {
    const bounds = typeof policy === 'string' ? {} : policy
    this.#granuleBytes =
      bounds.maxBytes === undefined ? GRANULE_BYTES_DEFAULT : bounds.maxBytes / GRANULES
    this.#granuleMs =
      bounds.maxAgeMs === undefined ? GRANULE_MS_DEFAULT : bounds.maxAgeMs / GRANULES
    this.#last = last ?? { seqno: 0, timeMs: 0, userBytes: 0 }
    this.#seqno = this.#last.seqno
    this.#timeMs = this.#last.timeMs
    this.#totalBytes = this.#last.userBytes
  }

  /** User bytes of everything that was noted. */
  get totalBytes(): number {
    return this.#totalBytes
  }

  /** A commit was published; `seqno` is its last. In seqno order. */
  note(seqno: number, timeMs: number, userBytes: number): void {
    // The point before a jump in time is the one that says how old everything up to it is.
    if (timeMs - this.#last.timeMs >= this.#granuleMs && timeMs !== this.#timeMs) this.#mark()
    this.#seqno = seqno
    this.#timeMs = timeMs
    this.#totalBytes += userBytes
    if (this.#totalBytes - this.#last.userBytes >= this.#granuleBytes) this.#mark()
  }

  /** A memtable was sealed: its end becomes a point, so that its flush can say what it flushed. */
  seal(): void {
    this.#mark()
  }

  /** Points that are not persisted yet, ascending. */
  get pending(): readonly SeriesPoint[] {
    return this.#points
  }

  /** The points up to `seqno` are in the manifest now. */
  settle(seqno: number): void {
    this.#points = this.#points.filter((point) => point.seqno > seqno)
  }

  #mark(): void {
    if (this.#seqno <= this.#last.seqno) return
    this.#last = { seqno: this.#seqno, timeMs: this.#timeMs, userBytes: this.#totalBytes }
    this.#points.push(this.#last)
    if (this.#points.length > 2 * POINTS_MAX) this.#points = thin(this.#points)
  }
}

/** The series to persist with a flush up to `flushed`: the old points from the floor on and the new ones, thinned. */
export function extendSeries(
  series: readonly SeriesPoint[],
  added: readonly SeriesPoint[],
  bounds: { readonly floor: number; readonly flushed: number },
): SeriesPoint[] {
  const last = series.at(-1)?.seqno ?? 0
  const joined = [...series]
  for (const point of added) {
    if (point.seqno > last && point.seqno <= bounds.flushed) joined.push(point)
  }
  // The last point below the floor stays: what is retained is counted from it.
  let first = 0
  while (first + 1 < joined.length && joined[first + 1]!.seqno < bounds.floor) first++
  const kept = joined.slice(first)
  return kept.length > POINTS_MAX ? thin(kept) : kept
}

/**
 * The series with a point for one event that stands in segments: the floor, whose time `history()` tells. Its bytes are
 * interpolated. The series itself where there is a point already, no room, or nothing behind the event to reckon from.
 */
export function withEvent(
  series: readonly SeriesPoint[],
  event: { readonly seqno: number; readonly timeMs: number },
): readonly SeriesPoint[] {
  const { seqno, timeMs } = event
  const index = series.findIndex((point) => point.seqno >= seqno)
  const next = series[index]
  if (next === undefined || next.seqno === seqno || series.length >= POINTS_MAX) return series
  const previous = series[index - 1] ?? { seqno: 0, userBytes: 0 }
  const share = (seqno - previous.seqno) / (next.seqno - previous.seqno)
  const userBytes = previous.userBytes + Math.round((next.userBytes - previous.userBytes) * share)
  return series.toSpliced(index, 0, { seqno, timeMs, userBytes })
}

/** At most POINTS_MAX points, the first and the last among them. */
export function thin(points: readonly SeriesPoint[]): SeriesPoint[] {
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined || points.length < 3) return [...points]
  const bytes = (last.userBytes - first.userBytes) / SERIES_PARTS
  const ms = (last.timeMs - first.timeMs) / SERIES_PARTS
  const kept = [first]
  let previous = first
  for (let i = 1; i < points.length - 1; i++) {
    const point = points[i]!
    const isFar =
      (bytes > 0 && point.userBytes - previous.userBytes >= bytes) ||
      (ms > 0 && point.timeMs - previous.timeMs >= ms)
    if (!isFar) continue
    kept.push(point)
    previous = point
  }
  kept.push(last)
  return kept
}
