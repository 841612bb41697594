/**
 * What the harness asks of one child process, and what it hears back.
 *
 * A job is plain data: it crosses the process boundary as JSON, so that each measurement starts with a fresh heap, a
 * fresh JIT and, when asked, its own CPUs.
 */

export interface Job {
  /** Name in workloads/index.ts, or PREPARE. */
  readonly workload: string
  /** Name in peers/index.ts. */
  readonly engine: string
  /** One of the engine's profiles: 'default', 'tuned' … */
  readonly profile: string
  /** The store's directory: empty, or holding the workload's fixture. */
  readonly directory: string
  /** With PREPARE: which fixture to build there. */
  readonly fixture?: Fixture
  readonly entries: number
  /** How long a workload that is bounded by time measures. */
  readonly seconds: number
  /** Module of the Varve to measure, so that two commits can be compared by one harness. */
  readonly varveModule: string
}

/** Builds a fixture instead of measuring. */
export const PREPARE = 'prepare'

/** A store that several measurements start from. Built once per engine and profile, outside all clocks. */
export interface Fixture {
  /** Distribution of the keys that were written. */
  readonly keys: 'sequential' | 'random' | 'zipfian'
  readonly valueBytes: number
  /** Writes as a multiple of the job's entries, where not 1. */
  readonly scale?: number
  /** Events in all, where that is fixed by the workload and not by the job. */
  readonly events?: number
  /** Peers keep a change log by hand. */
  readonly changeLog: boolean
  /** After the writes: closed as it stands, flushed, or flushed and fully compacted first. */
  readonly state: 'fresh' | 'flushed' | 'compacted'
}

/** Name of a fixture's directory; equal fixtures share one. */
export function fixtureName(fixture: Fixture): string {
  const log = fixture.changeLog ? 'log' : 'plain'
  const size = fixture.events ?? `x${fixture.scale ?? 1}`
  return `${fixture.keys}-${fixture.valueBytes}-${size}-${log}-${fixture.state}`
}

/** Numbers by name; units stand at the end of the name, 'rate' is operations per second. */
export type Metrics = Record<string, number>

export interface Outcome {
  readonly metrics: Metrics
}

/** Marks the one line of a child's output that is its outcome. */
export const OUTCOME_PREFIX = '@outcome '
