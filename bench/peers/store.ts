/**
 * What a workload may ask of a store, whichever engine it is.
 *
 * Each engine is called the way its own documentation recommends for speed: lmdb and SQLite read synchronously, LevelDB
 * iterates with `nextv`. A method that an engine lacks is absent, and the workload is left out for it.
 *
 * Calls that are synchronous in an engine return nothing, so that no `await` is charged to it.
 */

export type MaybePromise<T> = T | Promise<T>

export type Visit = (key: Uint8Array, value: Uint8Array) => void
export type VisitChange = (seqno: number, key: Uint8Array, value: Uint8Array) => void

export interface BenchStore {
  /** One atomic write. The buffers may be reused when it is done. */
  putBatch(keys: readonly Buffer[], values: readonly Buffer[]): MaybePromise<void>
  deleteBatch(keys: readonly Buffer[]): MaybePromise<void>
  /** Acknowledged, and on disk where the store was opened with `sync`. */
  put(key: Buffer, value: Buffer): MaybePromise<void>
  merge?(key: Buffer, operand: Buffer): MaybePromise<void>
  get?(key: Buffer): Promise<Uint8Array | undefined>
  getSync?(key: Buffer): Uint8Array | undefined
  /** Visits at most `limit` entries (Infinity: all) from `start` on, in key order; gives their number. */
  scan(start: Buffer | undefined, limit: number, visit: Visit): MaybePromise<number>
  /** Change log, where the store was opened with one. */
  readonly changes?: ChangeLog
  /** Writes what is in memory to its final files, where the engine tells them apart from its log. */
  flush?(): Promise<void>
  /** Flushes and waits until compaction finds nothing more to do by itself. */
  untilCompacted?(): Promise<void>
  /** The same, and compacts everything. */
  settle(): Promise<void>
  /** Figures of the engine itself, for the workload's metrics. */
  ownMetrics?(): Record<string, number>
  close(): Promise<void>
}

export interface ChangeLog {
  latest(): MaybePromise<number>
  /** Visits every change from `from` on, in the order of writing; gives their number. */
  read(from: number, visit: VisitChange, options?: ReadOptions): MaybePromise<number>
  /** One look whether there is something at or after `from`; gives the number of changes found. */
  poll(from: number): MaybePromise<number>
}

export interface ReadOptions {
  /** False: without the help of indexes and bounds (Varve only). */
  readonly skip?: boolean
  /** Is told what the read cost, where the engine knows. */
  onStats?(stats: Record<string, number>): void
}

export interface StoreOptions {
  readonly directory: string
  readonly profile: string
  /** Each write is on disk before it is acknowledged. */
  readonly sync: boolean
  /** Peers write a log entry beside each change, in the same transaction. */
  readonly changeLog: boolean
  /** Values are counters that `merge` adds to, where the engine has it. */
  readonly counters: boolean
  /** Nothing that was read is kept in the engine's own memory (Varve only); the file system's cache still has it. */
  readonly forgets: boolean
  /** Where Varve comes from. */
  readonly varveModule: string
}

export interface Engine {
  readonly name: string
  /** Profile -> what it sets, in words for the report. */
  readonly profiles: Readonly<Record<string, string>>
  /** 'sync' reads give no promise, 'async' reads do. */
  readonly reads: readonly ('sync' | 'async')[]
  readonly hasMerge: boolean
  open(options: StoreOptions): Promise<BenchStore>
}
