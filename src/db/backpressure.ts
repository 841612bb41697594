/**
 * Whether the next commits may be written now: memory, level 0 and, where the history policy bounds it, the disk are bounded, so
 * that writers cannot outrun the background.
 */
import type { VarveError } from '../base/errors.ts'
import type { WritePressure } from '../compaction/picker.ts'
import type { CompactionOptions } from '../compaction/compaction-options.ts'
import type { SpaceUse } from '../compaction/space-budget.ts'
import type { Admission } from '../write/pipeline-hooks.ts'
import type { StoreEvents } from './store-events.ts'

/** Sealed memtables that may wait for their flush: with the active one, three times memtableBytes. */
const SEALED_MEMTABLES_MAX = 2
/** At the slow-down threshold of level 0 or of the disk; towards the stop it falls to a sixteenth. */
const SLOW_BYTES_PER_SECOND: number = 64 * 2 ** 20
const GO: Admission = { type: 'go' }

export interface BackpressureOptions {
  readonly tuning: Pick<CompactionOptions, 'level0Slowdown' | 'level0Stop'>
  /** How far level 0 has fallen behind, and how much of the disk is young. */
  readonly measure: () => { readonly pressure: WritePressure; readonly space: SpaceUse }
  /** Bytes of each. */
  readonly sealedMemtables: () => readonly number[]
  /** Why flushing does not go on. */
  readonly flushFailure: () => VarveError | undefined
  readonly compactionFailure: () => VarveError | undefined
  readonly monotonicMs: () => number
  readonly onStall: (stall: StoreEvents['stall']) => void
}

export class Backpressure {
  readonly #options: BackpressureOptions
  #pressure: WritePressure = { level0Count: 0, isSlow: false, isStopped: false }
  #space: SpaceUse | undefined
  /** Only who writes needs to know. */
  #isMeasured = false
  #stalled:
    | { readonly reason: StoreEvents['stall']['reason']; readonly sinceMs: number }
    | undefined

  constructor(options: BackpressureOptions) {
    this.#options = options
  }

  /** The files have changed. */
  update(): void {
    const { pressure, space } = this.#options.measure()
    this.#pressure = pressure
    this.#space = space
    this.#isMeasured = true
  }

  /** `needsRoom`: the active memtable is full. */
  admit(needsRoom: boolean): Admission {
    const { sealedMemtables, flushFailure, compactionFailure } = this.#options
    // Not only files change what counts: so does a keyspace that was dropped.
    if (needsRoom || !this.#isMeasured) this.update()
    if (needsRoom && sealedMemtables().length >= SEALED_MEMTABLES_MAX) {
      const error = flushFailure()
      return error === undefined ? this.#wait('memtables') : this.#refuse(error, 'memtables')
    }
    if (needsRoom && (this.#pressure.isStopped || this.#isOverBudget())) {
      const error = compactionFailure()
      return error === undefined ? this.#wait('level0') : this.#refuse(error, 'level0')
    }
    const share = Math.max(this.#level0Share(), this.#spaceShare())
    if (share < 0) return this.#go()
    this.#ended()
    return { type: 'slow', bytesPerSecond: SLOW_BYTES_PER_SECOND / (1 + 15 * Math.min(1, share)) }
  }

  /** How far between slow-down (0) and stop (1); negative below. */
  #level0Share(): number {
    const { level0Slowdown, level0Stop } = this.#options.tuning
    if (!this.#pressure.isSlow) return -1
    return (this.#pressure.level0Count - level0Slowdown) / Math.max(1, level0Stop - level0Slowdown)
  }

  #spaceShare(): number {
    if (this.#space === undefined) return -1
    const { level0Bytes, budget } = this.#space
    if (budget.youngBytes === Infinity) return -1
    return (level0Bytes - budget.slowBytes) / (budget.youngBytes - budget.slowBytes)
  }

  /**
   * Whether one more memtable would be too much. A sealed one counts twice, for its log and for the segment that is being made of
   * it; so does the full one, and the next one once. Only what the background can take away counts as it stands: a memtable made
   * oversized by one commit must not keep itself from being sealed.
   */
  #isOverBudget(): boolean {
    if (this.#space === undefined) return false
    const { level0Bytes, budget } = this.#space
    let young = level0Bytes + 3 * budget.memtableBytes
    for (const bytes of this.#options.sealedMemtables()) young += 2 * bytes
    return young > budget.youngBytes
  }

  #go(): Admission {
    this.#ended()
    return GO
  }

  #refuse(error: VarveError, reason: 'memtables' | 'level0'): Admission {
    this.#start(error.code === 'VARVE_NO_SPACE' ? 'space' : reason)
    return { type: 'refuse', error }
  }

  #wait(reason: 'memtables' | 'level0'): Admission {
    this.#start(reason)
    return { type: 'wait' }
  }

  #start(reason: StoreEvents['stall']['reason']): void {
    this.#stalled ??= { reason, sinceMs: this.#options.monotonicMs() }
  }

  #ended(): void {
    const stalled = this.#stalled
    if (stalled === undefined) return
    this.#stalled = undefined
    const durationMs = this.#options.monotonicMs() - stalled.sinceMs
    this.#options.onStall({ reason: stalled.reason, durationMs })
  }
}
