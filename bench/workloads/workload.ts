/** What a workload is: a name, a figure it is judged by, and a function that one child process runs once. */
import type { Fixture, Job, Metrics } from '../harness/job.ts'
import type { BenchStore, Engine, StoreOptions } from '../peers/store.ts'

export interface Context {
  readonly job: Job
  readonly engine: Engine
  /** Opens the job's store; without options unsynced and without a hand-made log. */
  open(
    options?: Partial<Pick<StoreOptions, 'sync' | 'changeLog' | 'counters' | 'forgets'>>,
  ): Promise<BenchStore>
}

export interface Workload {
  readonly name: string
  /** In words, for tables. */
  readonly title: string
  readonly group: 'write' | 'read' | 'changes' | 'upkeep' | 'skipping' | 'engine'
  /** The metric that stands in tables and ratios. */
  readonly metric: Metric
  /** Engines, or engine:profile, that run it instead of the run's own choice. */
  readonly subjects?: readonly string[]
  /** The prepared store that it starts from; without one, an empty directory. */
  readonly fixture?: Fixture
  /** Takes minutes or gigabytes: left out of quick runs. */
  readonly isHeavy?: boolean
  /** More rounds than this would only take time: each has several passes. */
  readonly roundsMax?: number
  /** It writes to the prepared store, so it gets a copy. */
  readonly changesFixture?: boolean
  runsOn(engine: Engine): boolean
  run(context: Context): Promise<Metrics>
}

export interface Metric {
  /** Key in `Metrics`. */
  readonly name: string
  readonly unit: 'ops/s' | 'events/s' | 'entries/s' | 'bytes' | 'ms' | 'x'
  readonly better: 'higher' | 'lower'
}

export const OPERATIONS: Metric = { name: 'rate', unit: 'ops/s', better: 'higher' }
export const ENTRIES: Metric = { name: 'rate', unit: 'entries/s', better: 'higher' }
export const EVENTS: Metric = { name: 'rate', unit: 'events/s', better: 'higher' }

export const onEvery = (): boolean => true
export const onVarve = (engine: Engine): boolean => engine.name === 'varve'
export const onSync = (engine: Engine): boolean => engine.reads.includes('sync')
export const onAsync = (engine: Engine): boolean => engine.reads.includes('async')
/** RocksDB's adapter keeps no change log. */
export const onLogged = (engine: Engine): boolean => engine.name !== 'rocksdb'
