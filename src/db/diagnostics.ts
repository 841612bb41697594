/**
 * What a store tells on `node:diagnostics_channel`. Nothing is made, measured or counted while nobody listens.
 */
import type { ScanEnd } from '../cdc/change-source.ts'
import type { ScanStats } from '../cdc/scan-tally.ts'
import { type DiagnosticsChannel, diagnosticsChannel } from '../env/diagnostics-channel.ts'
import type { PublishedCommit } from '../write/pipeline-hooks.ts'
import type { StoreEvents } from './store-events.ts'

/**
 * Messages on `node:diagnostics_channel`, by the name of their channel. Each says which store it comes from by the `location` that
 * was given to `Varve.open`. Channels belong to the process: they also tell of stores that a library opened.
 *
 * ```ts
 * import diagnostics from 'node:diagnostics_channel'
 * import { type DiagnosticMessages, Varve } from 'varve'
 *
 * const told = (message: unknown): void => {
 *   const { first, last } = message as DiagnosticMessages['varve:commit']
 *   console.log(`seqnos ${first} to ${last}`) // seqnos 1 to 1
 * }
 * diagnostics.subscribe('varve:commit', told)
 * const db = await Varve.open('./my-store')
 * await db.put('a', '1')
 * await db.close()
 * diagnostics.unsubscribe('varve:commit', told)
 * ```
 */
export interface DiagnosticMessages {
  /** A commit became visible. `bytes`: of its keys and values. `timestamp`: its commit time. */
  'varve:commit': {
    location: string
    first: number
    last: number
    timestamp: number
    bytes: number
    sync: boolean
  }
  /** As the store's event `flush`. */
  'varve:flush': { location: string } & StoreEvents['flush']
  /** As the store's event `compaction`. */
  'varve:compaction': { location: string } & StoreEvents['compaction']
  /** As the store's event `stall`: writers had to wait, and can go on. */
  'varve:stall': { location: string } & StoreEvents['stall']
  /** A change scan that began while somebody listened is over. `code` where it failed. */
  'varve:scan': {
    location: string
    from: number
    upTo: number
    position: number
    outcome: 'ended' | 'closed' | 'failed'
    code: string | undefined
    durationMs: number
    stats: ScanStats
  }
  /** Snapshots, cursors or change scans are open for longer than `leakWarningMs`; each counts once. */
  'varve:leak': {
    location: string
    what: 'snapshot' | 'cursor' | 'change scan'
    count: number
    oldestAgeMs: number
  }
}

type Channels = {
  readonly [N in keyof DiagnosticMessages]: DiagnosticsChannel<DiagnosticMessages[N]>
}

/** The channels of the process: the same ones for every store. */
const CHANNELS: Channels = {
  'varve:commit': diagnosticsChannel('varve:commit'),
  'varve:flush': diagnosticsChannel('varve:flush'),
  'varve:compaction': diagnosticsChannel('varve:compaction'),
  'varve:stall': diagnosticsChannel('varve:stall'),
  'varve:scan': diagnosticsChannel('varve:scan'),
  'varve:leak': diagnosticsChannel('varve:leak'),
}

export class Diagnostics {
  readonly #location: string
  readonly #monotonicMs: () => number

  constructor(location: string, monotonicMs: () => number) {
    this.#location = location
    this.#monotonicMs = monotonicMs
  }

  get wantsCommits(): boolean {
    return CHANNELS['varve:commit'].hasSubscribers
  }

  committed({ first, operations, timeMs, userBytes, sync }: PublishedCommit): void {
    CHANNELS['varve:commit'].publish({
      location: this.#location,
      first,
      last: first + operations - 1,
      timestamp: timeMs,
      bytes: userBytes,
      sync,
    })
  }

  /** For the events that have a channel too. */
  emitted<E extends keyof StoreEvents>(event: E, info: StoreEvents[E]): void {
    const name = `varve:${event}`
    if (!isEventChannel(name)) return
    const found: DiagnosticsChannel<object> = CHANNELS[name]
    if (found.hasSubscribers) found.publish({ location: this.#location, ...info })
  }

  /** What to call when the scan is over; undefined where nobody listens. */
  scanBegan(from: number): ((end: ScanEnd) => void) | undefined {
    if (!CHANNELS['varve:scan'].hasSubscribers) return undefined
    const beganMs = this.#monotonicMs()
    return (end) => {
      const durationMs = this.#monotonicMs() - beganMs
      CHANNELS['varve:scan'].publish({ location: this.#location, from, durationMs, ...end })
    }
  }

  leaked(leak: Omit<DiagnosticMessages['varve:leak'], 'location'>): void {
    const { hasSubscribers } = CHANNELS['varve:leak']
    if (hasSubscribers) CHANNELS['varve:leak'].publish({ location: this.#location, ...leak })
  }
}

function isEventChannel(name: string): name is 'varve:flush' | 'varve:compaction' | 'varve:stall' {
  return name === 'varve:flush' || name === 'varve:compaction' || name === 'varve:stall'
}
