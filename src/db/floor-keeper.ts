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
import { settled } from '../base/settled.ts'
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
  #busy: Promise<void> | undefined
  #flushed = 0

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
      flushed: Math.max(this.#flushed, versions.current.state.lastFlushedSeqno),
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

  /** Applies the policy. `flushed`: highest seqno that stands, or is about to stand, in segments; never lower than it was said before. */
  async raise(
    flushed: number = this.#options.versions.current.state.lastFlushedSeqno,
  ): Promise<void> {
    // A compaction that ends before the flush must not find less held than the flush did: what was told would be told again.
    this.#flushed = Math.max(this.#flushed, flushed)
    await this.whileStanding(() => this.#raise())
  }

  /** Raises the floor to `floor` whatever the policy says. It must not be above durable + 1. `lose`: see `Consumers.loseBelow`. */
  async raiseTo(floor: number, lose: (floor: number) => readonly ConsumerRisk[]): Promise<void> {
    await this.whileStanding(() => this.#apply(floor, lose(floor)))
  }

  /**
   * One at a time: raising the floor, and changing who holds it. A consumer that is being dropped holds it until the edit without
   * it is durable, as a crash before brings it back; one that is being created is known to every floor that rises later.
   */
  async whileStanding<T>(run: () => T | Promise<T>): Promise<T> {
    // Whoever is before is told of its failure.
    while (this.#busy !== undefined) await this.#busy
    const result = (async () => run())()
    this.#busy = settled(result).then(() => {
      this.#busy = undefined
    })
    return result
  }

  async #raise(): Promise<void> {
    const options = this.#options
    const plan = planFloor({
      policy: options.policy,
      ...this.scale,
      durable: options.durable(),
      flushed: this.#flushed,
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
    const { holds, onRaised, onRisk } = this.#options
    const isRaised = floor > this.floor
    try {
      if (isRaised || risks.some(({ lost }) => lost)) await this.#write(floor, isRaised)
      const scale = this.scale
      holds.cutOff((position) => isOverheld(scale, position, this.floor))
    } finally {
      // Where the edit failed too: they are cut off all the same, and are not among the risks again.
      for (const risk of risks) onRisk(risk)
    }
    if (isRaised) onRaised(floor)
  }

  async #write(floor: number, isRaised: boolean): Promise<void> {
    const { versions, consumerRecords } = this.#options
    const timeMs = isRaised ? await this.#timeOf(floor) : undefined
    await versions.apply(({ state }) => ({
      state: {
        ...(isRaised ? { floor } : {}),
        ...(timeMs === undefined
          ? {}
          : { series: withEvent(state.series, { seqno: floor, timeMs }) }),
        // All of them: who was lost by an edit that failed is not among the risks again.
        consumers: consumerRecords(),
      },
    }))
  }
}
