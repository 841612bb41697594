/**
 * `varve`: an embedded key-value store whose log-structured merge tree is its change log. Start at `Varve.open`.
 */
import { Varve } from './db/varve.ts'

export { Varve }
export { hasCode, VarveError, type VarveErrorCode } from './base/errors.ts'
export {
  decodeCounter,
  encodeCounter,
  type MergeOperator,
  mergeOperators,
} from './base/merge-operators.ts'
export type { Batch } from './db/batch.ts'
export type { BytesLike } from './base/bytes.ts'
export type { Cursor } from './read/cursor.ts'
export type { CommitInfo, WriteOptions } from './db/writer.ts'
export type { HistoryInfo } from './db/history-info.ts'
export type { HistoryPolicy, KeyspaceOptions, OpenOptions } from './db/options.ts'
export type { ApplyOptions } from './db/replica.ts'
export { replicate, type ReplicateOptions } from './db/replicate.ts'
export type { Keyspace } from './db/keyspace.ts'
export type { RangeOptions, ReadOptions } from './db/reader.ts'
export type { Snapshot } from './db/snapshots.ts'
export type { StoreEvents } from './db/store-events.ts'
export type { DiagnosticMessages } from './db/diagnostics.ts'
export type { LevelStats, StoreStats } from './db/stats.ts'
export type { RepairOptions, RepairReport } from './db/repair.ts'
export type { VerifyOptions, VerifyProblem, VerifyReport } from './db/verify.ts'
export type { CompactRange } from './db/compact-range.ts'
export type { Compression } from './block/codec.ts'
export type { Environment, Logger } from './env/environment.ts'
export type {
  DirectoryLock,
  FileStat,
  FileSystem,
  ReadableFile,
  WritableFile,
} from './env/file-system.ts'
export type {
  ChangeBase,
  ChangeEvent,
  Insert,
  MergeOperand,
  PointTombstone,
  RangeTombstone,
} from './cdc/change-event.ts'
export type { ScanStats } from './cdc/scan-tally.ts'
export type { ResumeToken } from './cdc/resume-token.ts'
export type { ConsumerInfo } from './cdc/consumers.ts'
export type {
  ChangeBatch,
  ChangeFilter,
  ChangeScan,
  ChangeTail,
  Consumer,
  ConsumerOptions,
  ScanOptions,
  TailOptions,
} from './cdc/streams.ts'

/** Number of an operation: a safe integer, 1 for the first write of a store. */
export type Seqno = number
