/**
 * How far history reaches back: pure decisions on plain data. `db/` gathers the input at every flush, every compaction and when
 * consumers move, and puts what comes out into one manifest edit.
 *
 * ```
 *            series: a sparse list of (seqno, time, user bytes so far)
 *                │
 *   policy ──> policy floor ──> min with the positions of active consumers ──> min with durable + 1 ──> max with today's ──> floor
 *                │                           ▲
 *                └── what a consumer holds below it, against its limits: at risk, or lost and out of the minimum
 * ```
 *
 * The floor never falls. Open scans are no part of it: they hold *dropping* back (`dropFloor`), not the floor.
 */
import type { SeriesPoint } from '../version/store-state.ts'

export type HistoryPolicy =
  | 'all'
  | 'none'
  | { readonly maxAgeMs?: number; readonly maxBytes?: number }

/** What one open scan may hold of history that was given up. */
const SCAN_HELD_BYTES_MAX: number = 10 * 2 ** 30
/** `ConsumerOptions.maxHeldBytes` when it is not given. */
export const CONSUMER_HELD_BYTES_DEFAULT: number = 10 * 2 ** 30

export interface FloorConsumer {
  readonly name: string
  /** Of a position that a power cut cannot take back. */
  readonly durablePosition: number
  readonly maxHeldBytes: number | undefined
  readonly maxIdleMs: number | undefined
  readonly createdAt: number
  readonly lastAckAt: number | undefined
}

export interface FloorInput {
  readonly policy: HistoryPolicy
  readonly series: readonly SeriesPoint[]
  /** User bytes written up to the latest seqno, on the scale of the series. */
  readonly totalBytes: number
  readonly latest: number
  readonly durable: number
  /** Highest seqno that stands in segments. */
  readonly flushed: number
  /** Today's floor. */
  readonly floor: number
  readonly now: number
  /** The active ones. */
  readonly consumers: readonly FloorConsumer[]
}

export interface ConsumerVerdict {
  readonly name: string
  /** Bytes it keeps from being given up. */
  readonly heldBytes: number
  /** Share of its nearest limit, bytes or idle time. */
  readonly usedFraction: number
  readonly isLost: boolean
}

export interface FloorPlan {
  readonly floor: number
  /** Where the floor would be without consumers. */
  readonly policyFloor: number
  readonly verdicts: readonly ConsumerVerdict[]
}

export function planFloor(input: FloorInput): FloorPlan {
  const policyFloor = floorOfPolicy(input)
  const verdicts: ConsumerVerdict[] = []
  let floor = policyFloor
  for (const consumer of input.consumers) {
    const verdict = judgeConsumer(consumer, policyFloor, input)
    verdicts.push(verdict)
    if (!verdict.isLost && consumer.durablePosition < floor) floor = consumer.durablePosition
  }
  return { floor: Math.max(floor, input.floor), policyFloor, verdicts }
}

/**
 * Where the floor would be without consumers: what they hold is counted up to it. Never above durable + 1, as a power cut must
 * not leave the floor above the seqnos that are given out next.
 */
export function floorOfPolicy(input: Omit<FloorInput, 'consumers'>): number {
  const { policy, series, floor, flushed, durable } = input
  let wanted = floor
  if (policy === 'none') {
    wanted = flushed + 1
  } else if (policy !== 'all') {
    if (policy.maxAgeMs !== undefined) {
      wanted = Math.max(wanted, floorByAge(series, input.now - policy.maxAgeMs))
    }
    if (policy.maxBytes !== undefined) {
      wanted = Math.max(wanted, floorByBytes(series, input.totalBytes - policy.maxBytes))
    }
  }
  return Math.max(floor, Math.min(wanted, flushed + 1, durable + 1))
}

/** Gives up only what was committed before `oldestMs`. */
function floorByAge(series: readonly SeriesPoint[], oldestMs: number): number {
  const index = partition(series, (point) => point.timeMs < oldestMs)
  return index === 0 ? 1 : series[index - 1]!.seqno + 1
}

/** Gives up at least the first `excessBytes`: what is kept is then within the bound, by at most one point less. */
function floorByBytes(series: readonly SeriesPoint[], excessBytes: number): number {
  if (excessBytes <= 0) return 1
  const index = partition(series, (point) => point.userBytes < excessBytes)
  const point = series[Math.min(index, series.length - 1)]
  return point === undefined ? 1 : point.seqno + 1
}

function judgeConsumer(
  consumer: FloorConsumer,
  policyFloor: number,
  input: FloorInput,
): ConsumerVerdict {
  const heldBytes = bytesBetween(input, { from: consumer.durablePosition, to: policyFloor })
  const { maxHeldBytes, maxIdleMs } = consumer
  let usedFraction = 0
  let isLost = false
  if (maxHeldBytes !== undefined) {
    usedFraction = maxHeldBytes === 0 ? (heldBytes > 0 ? Infinity : 0) : heldBytes / maxHeldBytes
    isLost = heldBytes > maxHeldBytes
  }
  if (maxIdleMs !== undefined) {
    const idleMs = Math.max(0, input.now - (consumer.lastAckAt ?? consumer.createdAt))
    usedFraction = Math.max(usedFraction, idleMs / maxIdleMs)
    isLost ||= idleMs >= maxIdleMs
  }
  return { name: consumer.name, heldBytes, usedFraction, isLost }
}

/** What the bytes of a stretch of seqnos are reckoned from. */
export interface ByteScale {
  readonly series: readonly SeriesPoint[]
  readonly latest: number
  readonly totalBytes: number
}

/** User bytes of the events with from <= seqno < to, interpolated between points. 0 when to <= from. */
export function bytesBetween(
  scale: ByteScale,
  bounds: { readonly from: number; readonly to: number },
): number {
  if (bounds.to <= bounds.from) return 0
  return Math.max(0, bytesUpTo(scale, bounds.to - 1) - bytesUpTo(scale, bounds.from - 1))
}

/** User bytes of all events up to and including `seqno`. */
function bytesUpTo(scale: ByteScale, seqno: number): number {
  const { series, latest, totalBytes } = scale
  const index = partition(series, (point) => point.seqno < seqno)
  const lower = series[index - 1]
  const upper = series[index]
  const lowerSeqno = lower?.seqno ?? 0
  const lowerBytes = lower?.userBytes ?? 0
  const upperSeqno = upper?.seqno ?? latest
  const upperBytes = upper?.userBytes ?? totalBytes
  if (seqno >= upperSeqno || upperSeqno <= lowerSeqno) return upperBytes
  const share = (seqno - lowerSeqno) / (upperSeqno - lowerSeqno)
  return lowerBytes + share * (upperBytes - lowerBytes)
}

/** Whether a scan at `position` holds more given-up history than the disk can be asked for. */
export function isOverheld(scale: ByteScale, position: number, floor: number): boolean {
  return bytesBetween(scale, { from: position, to: floor }) > SCAN_HELD_BYTES_MAX
}

/**
 * Seqnos at which history files are cut, so that one file spans at most an eighth of what is retained (1 GiB with 'all') and can
 * expire whole. A boundary b means: seqnos < b on one side, >= b on the other. They lie at multiples of a power of two of user
 * bytes since the store began, so that they stay where they are while history grows; ascending, all above the floor.
 */
export function bandBoundaries(
  scale: ByteScale,
  options: { readonly policy: HistoryPolicy; readonly floor: number },
): number[] {
  const { policy, floor } = options
  const kept = bytesBetween(scale, { from: floor, to: scale.latest + 1 })
  const span = policy === 'all' ? BAND_BYTES_ALL : Math.max(kept / BANDS, BAND_BYTES_MIN)
  const step = 2 ** Math.floor(Math.log2(span))
  const boundaries: number[] = []
  let band = -1
  for (const point of scale.series) {
    const of = Math.floor(point.userBytes / step)
    if (of !== band && band !== -1 && point.seqno > floor) boundaries.push(point.seqno + 1)
    band = of
  }
  return boundaries
}

const BANDS = 8
const BAND_BYTES_ALL = 2 ** 30
const BAND_BYTES_MIN = 2 ** 16

/** Index of the first point for which `isBefore` does not hold. */
export function partition(
  series: readonly SeriesPoint[],
  isBefore: (point: SeriesPoint) => boolean,
): number {
  let lower = 0
  let upper = series.length
  while (lower < upper) {
    const middle = (lower + upper) >>> 1
    if (isBefore(series[middle]!)) lower = middle + 1
    else upper = middle
  }
  return lower
}
