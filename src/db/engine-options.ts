/**
 * What the writing half of a store is made with; `writer-assembly.ts` composes it.
 */
import type { JobRunner } from '../background/job-runner.ts'
import type { MergeOperator } from '../base/merge-operators.ts'
import type { ConsumerLedger } from '../cdc/consumer-ledger.ts'
import type { SeriesRecorder } from '../cdc/history-series.ts'
import type { CompactionOptions } from '../compaction/compaction-options.ts'
import type { SpaceBudget } from '../compaction/space-budget.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Timers } from '../env/timers.ts'
import type { SnapshotRegistry } from '../version/snapshot-registry.ts'
import type { Epoch } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import type { VersionSet } from '../version/version-set.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'
import type { Diagnostics } from './diagnostics.ts'
import type { Engine } from './engine.ts'
import type { FloorKeeper } from './floor-keeper.ts'
import type { Health } from './health.ts'
import type { KeyspaceDirectory } from './keyspace-directory.ts'
import type { SealMarks } from './memtable-marks.ts'
import type { StoreCounters } from './stats.ts'
import type { StoreEmitter } from './store-events.ts'

export interface EngineOptions {
  readonly directory: string
  readonly fs: FileSystem
  readonly timers: Timers
  readonly versions: VersionSet
  /** Oldest first; the last one is active. What is in them is durable. */
  readonly logged: readonly LoggedMemtable[]
  /** What is left to do until commits may be written; see TakeOver. */
  readonly finishOpening: (() => Promise<void>) | undefined
  readonly lastTimeMs: number
  readonly recoveredSourceToken: string | undefined
  /** What a version may take on the disk. */
  readonly space: (version: Version) => SpaceBudget
  readonly segmentBytes: number
  readonly syncIntervalMs: number
  readonly tuning: CompactionOptions
  readonly keyspaces: KeyspaceDirectory
  readonly operators: ReadonlyMap<string, MergeOperator>
  readonly snapshots: SnapshotRegistry
  readonly series: SeriesRecorder
  readonly health: Health
  readonly events: StoreEmitter
  readonly diagnostics: Diagnostics
  readonly counters: StoreCounters
  readonly runner: JobRunner
  readonly callingThread: JobRunner
  readonly now: () => number
  /** Positions at this moment, for a memtable that is being sealed. */
  readonly sealMarks: () => SealMarks
  /** Makes the floor keeper, which needs what is durable. */
  readonly makeFloors: (engine: Engine) => FloorKeeper
  /** The log is durable up to where these were taken. Undefined: by the recovery, when nothing waited to be durable. */
  marksSynced(marks: SealMarks | undefined): void
  consumerRecords(): ReturnType<ConsumerLedger['records']>
  /** On a replica: its source's, as it knows them now. */
  readonly sourceEpochs: () => readonly Epoch[]
  readonly onPublished: (latest: number) => void
  readonly onDurable: (durable: number) => void
  readonly onKeyspaceForgotten: (id: number) => void
  readonly filesGone: () => Promise<void>
}
