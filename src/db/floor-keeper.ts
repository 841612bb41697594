/**
 * Raises the history floor: by one manifest edit, before anything is dropped below it (I3).
 *
 * The policy says how high, consumers hold it back, what is not durable holds it back; see cdc/history-policy.ts. Open scans
 * do not: they hold *dropping* back, which is `dropFloor`.
 */
import { type SeriesRecorder, withEvent } from '../cdc/history-series.ts'
import {
  bandBoundaries,
  type ByteScale,
  bytesBetween,
  type ConsumerVerdict,
  type FloorConsumer,
  floorOfPolicy,
  type HistoryPolicy,
  isOverheld,
  planFloor,
} from '../cdc/history-policy.ts'
import type { ConsumerRisk } from '../cdc/consumers.ts'
import type { ConsumerRecord } from '../version/store-state.ts'
import type { VersionSet } from '../version/version-set.ts'
import type { ScanHolds } from './scan-holds.ts'

export interface FloorKeeperOptions {
  readonly policy: HistoryPolicy
  readonly versions: VersionSet
  readonly series: SeriesRecorder
  readonly holds: ScanHolds
  readonly latest: () => number
  readonly durable: () => number
  readonly now: () => number
  readonly consumers: () => readonly FloorConsumer[]
  /** Marks consumers that are past their limits as lost, before the edit; returns what is worth telling. */
  readonly settle: (verdicts: readonly ConsumerVerdict[]) => readonly ConsumerRisk[]
  /** Consumers as the manifest may know them now. */
  readonly consumerRecords: () => readonly ConsumerRecord[]
  readonly onRisk: (risk: ConsumerRisk) => void
  readonly onRaised: (floor: number) => void
  /** When an event in segments was committed. */
  readonly timeOf: (seqno: number) => Promise<number | undefined>
}

export class FloorKeeper {
  readonly #options: FloorKeeperOptions
  #raising: Promise<void> | undefined

  constructor(options: FloorKeeperOptions) {
    this.#options = options
  }

  get floor(): number {
    return this.#options.versions.current.state.floor
  }

  /** Jobs that are planned now may drop events below it. */
  get dropFloor(): number {
    return Math.min(this.floor, this.#options.holds.lowest())
  }

  get scale(): ByteScale {
    const { versions, series } = this.#options
    return {
      series: [...versions.current.state.series, ...series.pending],
      latest: this.#options.latest(),
      totalBytes: series.totalBytes,
    }
  }

  /** Where the floor would be without consumers: what they hold is counted up to it. */
  get policyFloor(): number {
    const { policy, versions, durable, now } = this.#options
    return floorOfPolicy({
      policy,
      ...this.scale,
      durable: durable(),
      flushed: versions.current.state.lastFlushedSeqno,
      floor: this.floor,
      now: now(),
    })
  }

  retainedBytes(): number {
    const scale = this.scale
    return Math.round(bytesBetween(scale, { from: this.floor, to: scale.latest + 1 }))
  }

  bands(): readonly number[] {
    return bandBoundaries(this.scale, { policy: this.#options.policy, floor: this.floor })
  }

  /** Applies the policy. `flushed`: highest seqno that stands, or is about to stand, in segments. */
  async raise(
    flushed: number = this.#options.versions.current.state.lastFlushedSeqno,
  ): Promise<void> {
    while (this.#raising !== undefined) await this.#raising
    this.#raising = this.#raise(flushed).finally(() => {
      this.#raising = undefined
    })
    await this.#raising
  }

  /** Resolves when no floor is on its way up. */
  async settled(): Promise<void> {
    // Whoever raises it is told of a failure.
    while (this.#raising !== undefined) await Promise.allSettled([this.#raising])
  }

  /** Raises the floor to `floor` whatever the policy says. It must not be above durable + 1. */
  async raiseTo(floor: number, risks: readonly ConsumerRisk[]): Promise<void> {
    while (this.#raising !== undefined) await this.#raising
    this.#raising = this.#apply(floor, risks).finally(() => {
      this.#raising = undefined
    })
    await this.#raising
  }

  async #raise(flushed: number): Promise<void> {
    const options = this.#options
    const plan = planFloor({
      policy: options.policy,
      ...this.scale,
      durable: options.durable(),
      flushed,
      floor: this.floor,
      now: options.now(),
      consumers: options.consumers(),
    })
    await this.#apply(plan.floor, options.settle(plan.verdicts))
  }

  /** Of what is in no segment yet the flush will tell. */
  async #timeOf(seqno: number): Promise<number | undefined> {
    const { versions, timeOf } = this.#options
    return seqno > versions.current.state.lastFlushedSeqno ? undefined : timeOf(seqno)
  }

  async #apply(floor: number, risks: readonly ConsumerRisk[]): Promise<void> {
    const { versions, holds, onRaised, onRisk, consumerRecords } = this.#options
    const isRaised = floor > this.floor
    const hasLost = risks.some(({ lost }) => lost)
    if (isRaised || hasLost) {
      const timeMs = isRaised ? await this.#timeOf(floor) : undefined
      await versions.apply(({ state }) => ({
        state: {
          ...(isRaised ? { floor } : {}),
          ...(timeMs === undefined
            ? {}
            : { series: withEvent(state.series, { seqno: floor, timeMs }) }),
          ...(hasLost ? { consumers: consumerRecords() } : {}),
        },
      }))
    }
    const scale = this.scale
    holds.cutOff((position) => isOverheld(scale, position, this.floor))
    for (const risk of risks) onRisk(risk)
    if (isRaised) onRaised(floor)
  }
}
