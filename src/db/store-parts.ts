/**
 * What an open store is made of; `writer-assembly.ts` and `open-reader.ts` put it together.
 */
import type { BlockCache } from '../block/block-cache.ts'
import type { Environment } from '../env/environment.ts'
import type { FileCache } from '../env/file-cache.ts'
import type { DirectoryLock, FileSystem } from '../env/file-system.ts'
import type { Timers } from '../env/timers.ts'
import type { SegmentCache } from '../segment/segment-cache.ts'
import type { SnapshotRegistry } from '../version/snapshot-registry.ts'
import type { Version } from '../version/version.ts'
import type { StateChange } from '../version/version-edit.ts'
import type { Changes } from './changes.ts'
import type { Engine } from './engine.ts'
import type { Health } from './health.ts'
import type { KeyspaceDirectory, KeyspaceState } from './keyspace-directory.ts'
import type { KeyspaceRegistry } from './keyspace-registry.ts'
import type { LeakWatch } from './leak-watch.ts'
import type { StoreCounters } from './stats.ts'
import type { StoreEmitter } from './store-events.ts'
import type { ViewCache } from './view-cache.ts'

export interface StoreParts {
  readonly location: string
  readonly directory: string
  readonly environment: Environment
  readonly timers: Timers
  readonly fs: FileSystem
  readonly files: FileCache
  readonly blockCache: BlockCache
  readonly segments: SegmentCache
  readonly lock: DirectoryLock | undefined
  readonly sync: boolean
  readonly health: Health
  readonly events: StoreEmitter
  readonly counters: StoreCounters
  readonly leaks: LeakWatch
  readonly keyspaces: KeyspaceDirectory
  readonly registry: KeyspaceRegistry
  readonly defaultKeyspace: KeyspaceState
  readonly snapshots: SnapshotRegistry
  readonly views: ViewCache
  readonly changes: Changes
  /** Undefined for a readOnly store. */
  readonly engine: Engine | undefined
  currentVersion(): Version
  latestSeqno(): number
  durableSeqno(): number
  /** On a readOnly store: takes in what its writer did. */
  reload(): Promise<void>
  /** Logs in use, with the bytes of each that were acknowledged. */
  logs(): readonly { readonly number: number; readonly bytes: number }[]
  /** The one in force; whether an edit at its end may have been left unfinished. */
  manifest(): { readonly path: string; readonly mayBeTorn: boolean }
  memtableBytes(): number
  retainedBytes(): number
  /** One edit of the state; durable when it resolves. Only with an engine. */
  readonly changeState: (change: StateChange) => Promise<void>
  /** Records a clean close and gives everything back. */
  shutDown(): Promise<void>
}
