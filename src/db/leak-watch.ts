/**
 * Knows which snapshots, cursors and change scans are open, and since when. Each keeps something of the store from being
 * collected; one that was forgotten does so until the garbage collector comes by, or for ever where something still refers to
 * it. So the old ones are told of, once each, while there is somebody who could close them.
 */
import type { Logger } from '../env/environment.ts'
import type { Cancel, Timers } from '../env/timers.ts'
import type { DiagnosticMessages, Diagnostics } from './diagnostics.ts'

type Pin = DiagnosticMessages['varve:leak']['what']

/** What an open handle is known by. Must not refer to the handle: that has to become garbage when it is forgotten. */
export interface OpenPin {
  readonly what: Pin
  readonly openedAt: number
  isTold: boolean
}

export interface LeakWatchOptions {
  /** 0: nothing is watched. */
  readonly leakWarningMs: number
  /** Wall clock. */
  readonly now: () => number
  readonly timers: Pick<Timers, 'every'>
  readonly logger: Logger
  readonly diagnostics: Pick<Diagnostics, 'leaked'>
}

/** Looked at this often, or as often as the shortest age asks for. */
const LOOK_MS = 60_000

export class LeakWatch {
  readonly #options: LeakWatchOptions
  readonly #open = new Set<OpenPin>()
  #stop: Cancel | undefined

  constructor(options: LeakWatchOptions) {
    this.#options = options
  }

  opened(what: Pin): OpenPin {
    const { leakWarningMs, timers } = this.#options
    if (leakWarningMs > 0) {
      this.#stop ??= timers.every(Math.min(leakWarningMs, LOOK_MS), () => this.look())
    }
    const pin = { what, openedAt: this.#options.now(), isTold: false }
    this.#open.add(pin)
    return pin
  }

  /** Idempotent. */
  closed(pin: OpenPin): void {
    this.#open.delete(pin)
  }

  /** It was collected as garbage: what it held is free again. */
  abandoned(what: Pin): void {
    this.#options.logger.warn(`a ${what} was collected as garbage without being closed`)
  }

  /** Tells of those that are too old and were not told of: one warning for each kind, however many there are. */
  look(): void {
    const { leakWarningMs, now, logger, diagnostics } = this.#options
    const nowMs = now()
    const found = new Map<Pin, { count: number; oldestAgeMs: number }>()
    for (const pin of this.#open) {
      const ageMs = nowMs - pin.openedAt
      if (pin.isTold || ageMs < leakWarningMs) continue
      pin.isTold = true
      const { count = 0, oldestAgeMs = 0 } = found.get(pin.what) ?? {}
      found.set(pin.what, { count: count + 1, oldestAgeMs: Math.max(oldestAgeMs, ageMs) })
    }
    for (const [what, { count, oldestAgeMs }] of found) {
      const message = `${count} ${what}${count === 1 ? ' is' : 's are'} open for longer than ${leakWarningMs} ms`
      logger.warn(message, { what, count, oldestAgeMs })
      diagnostics.leaked({ what, count, oldestAgeMs })
    }
  }

  stop(): void {
    this.#stop?.()
  }
}
