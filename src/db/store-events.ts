/**
 * The events of a store. A listener that throws is logged and disturbs neither the store nor other listeners.
 */
import { invalidArgument, type VarveError, wrongType } from '../base/errors.ts'
import type { Logger } from '../env/environment.ts'
import type { Diagnostics } from './diagnostics.ts'
import { requireFunction } from '../base/option-check.ts'

/** What `on` and `off` know, by name: what happens in the background, for the program that has the store. */
export interface StoreEvents {
  /** A memtable was written to a segment; one event for each keyspace in it. */
  flush: {
    keyspace: string
    segment: number
    entries: number
    bytes: number
    durationMs: number
  }
  /** Segments, by their numbers, were merged into others. */
  compaction: {
    keyspace: string
    inputs: number[]
    outputs: number[]
    bytesRead: number
    bytesWritten: number
    durationMs: number
  }
  /** Writers had to wait for the background, and can go on. */
  stall: { reason: 'memtables' | 'level0' | 'space'; durationMs: number }
  /** History below the floor was given up. */
  historyFloor: { floor: number }
  /** A consumer came near its limits (50 %, 80 %) or was cut off. */
  consumerAtRisk: { consumer: string; usedFraction: number; lost: boolean }
  /** A flush or a compaction failed and is tried again, or the store is poisoned: see `status`. */
  backgroundError: { error: VarveError }
}

type Listener = (info: never) => void

const NAMES: ReadonlySet<string> = new Set<keyof StoreEvents>([
  'flush',
  'compaction',
  'stall',
  'historyFloor',
  'consumerAtRisk',
  'backgroundError',
])

export class StoreEmitter {
  readonly #listeners = new Map<string, Listener[]>()
  readonly #logger: Logger
  readonly #diagnostics: Pick<Diagnostics, 'emitted'>

  constructor(logger: Logger, diagnostics: Pick<Diagnostics, 'emitted'>) {
    this.#logger = logger
    this.#diagnostics = diagnostics
  }

  on<E extends keyof StoreEvents>(event: E, listener: (info: StoreEvents[E]) => void): void {
    check(event, listener)
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener])
  }

  off<E extends keyof StoreEvents>(event: E, listener: (info: StoreEvents[E]) => void): void {
    check(event, listener)
    const listeners = this.#listeners.get(event) ?? []
    const index = listeners.lastIndexOf(listener)
    if (index >= 0) this.#listeners.set(event, listeners.toSpliced(index, 1))
  }

  emit<E extends keyof StoreEvents>(event: E, info: StoreEvents[E]): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        ;(listener as (info: StoreEvents[E]) => void)(info)
      } catch (error) {
        this.#logger.error('an event listener threw', { event, error })
      }
    }
    this.#diagnostics.emitted(event, info)
  }
}

function check(event: unknown, listener: unknown): void {
  if (typeof event !== 'string') throw wrongType('event', 'a string', event)
  if (!NAMES.has(event)) {
    throw invalidArgument(
      `there is no event ${JSON.stringify(event)}; known: ${[...NAMES].join(', ')}`,
    )
  }
  requireFunction('listener', listener)
}
