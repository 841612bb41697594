/**
 * Whether the next commits may be written now: memory and level 0 are bounded, so that writers cannot outrun the background.
 */
import type { VarveError } from '../base/errors.ts'
import type { WritePressure } from '../compaction/picker.ts'
import type { CompactionOptions } from '../compaction/compaction-options.ts'
import type { Admission } from '../write/pipeline-hooks.ts'
import type { StoreEvents } from './store-events.ts'

/** Sealed memtables that may wait for their flush: with the active one, three times memtableBytes. */
export const SEALED_MEMTABLES_MAX = 2
/** At the slow-down threshold of level 0; towards the stop it falls to a sixteenth. */
const SLOW_BYTES_PER_SECOND: number = 64 * 2 ** 20

export interface BackpressureOptions {
  readonly tuning: Pick<CompactionOptions, 'level0Slowdown' | 'level0Stop'>
  readonly sealedMemtables: () => number
  /** Why flushing does not go on. */
  readonly flushFailure: () => VarveError | undefined
  readonly compactionFailure: () => VarveError | undefined
  readonly monotonicMs: () => number
  readonly onStall: (stall: StoreEvents['stall']) => void
}

export class Backpressure {
  readonly #options: BackpressureOptions
  #pressure: WritePressure = { level0Count: 0, isSlow: false, isStopped: false }
  #stalled:
    | { readonly reason: StoreEvents['stall']['reason']; readonly sinceMs: number }
    | undefined

  constructor(options: BackpressureOptions) {
    this.#options = options
  }

  /** The files have changed. */
  update(pressure: WritePressure): void {
    this.#pressure = pressure
  }

  /** `needsRoom`: the active memtable is full. */
  admit(needsRoom: boolean): Admission {
    const { sealedMemtables, flushFailure, compactionFailure } = this.#options
    const { isStopped, isSlow } = this.#pressure
    if (needsRoom && sealedMemtables() >= SEALED_MEMTABLES_MAX) {
      const error = flushFailure()
      return error === undefined ? this.#wait('memtables') : this.#refuse(error)
    }
    if (needsRoom && isStopped) {
      const error = compactionFailure()
      return error === undefined ? this.#wait('level0') : this.#refuse(error)
    }
    return isSlow ? this.#slow() : this.#go()
  }

  #slow(): Admission {
    const { level0Slowdown, level0Stop } = this.#options.tuning
    const span = Math.max(1, level0Stop - level0Slowdown)
    const share = Math.min(1, (this.#pressure.level0Count - level0Slowdown) / span)
    this.#ended()
    return { type: 'slow', bytesPerSecond: SLOW_BYTES_PER_SECOND / (1 + 15 * share) }
  }

  #go(): Admission {
    this.#ended()
    return { type: 'go' }
  }

  #refuse(error: VarveError): Admission {
    this.#start(error.code === 'VARVE_NO_SPACE' ? 'space' : 'memtables')
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
