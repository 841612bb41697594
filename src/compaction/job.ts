/**
 * Flushes and compactions as plain data: what goes in crosses to a worker thread, what comes out crosses back and becomes one
 * manifest edit. A job only reads immutable files and memtables, and only writes new files; if it fails or is aborted, the
 * files it made are removed, and nothing has happened.
 */
import type { MergeOperator } from '../base/merge-operators.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { MemtableParts } from '../memtable/memtable.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'

/** What a job has to know of a keyspace. */
export interface KeyspaceSettings {
  readonly id: number
  /** Name of its merge operator. */
  readonly mergeOperator?: string | undefined
  /** The URL or absolute path of the module that default-exports it, for worker threads. */
  readonly operatorModule?: string | undefined
  /** Values of so many bytes and more go to blob files; Infinity: none. */
  readonly blobThresholdBytes: number
  readonly compression: 'none' | 'deflate' | 'lz4'
  readonly bloomBitsPerKey: number
  readonly blockBytes: number
}

export interface JobBase {
  readonly directory: string
  /** File numbers [firstFileNumber, firstFileNumber + fileNumberCount) are the job's. See `fileNumberCount`. */
  readonly firstFileNumber: number
  readonly fileNumberCount: number
  /** Events at or above it survive. Must not be above the floor that is in force, or above the position of an open scan. */
  readonly dropFloor: number
  /** Seqnos of the open snapshots, ascending. */
  readonly snapshots: readonly number[]
  /** Ascending seqnos at which history segments are cut. */
  readonly bands: readonly number[]
  readonly segmentBytes: number
  /** At least those that the job touches. */
  readonly keyspaces: readonly KeyspaceSettings[]
}

/** Writes a sealed memtable: per keyspace one segment of level 0, and what is superseded in it to history. */
export interface FlushJob extends JobBase {
  readonly type: 'flush'
  readonly memtable: MemtableParts
}

/** Merges `upper` (of `level`) and `lower` (of `outputLevel`) into new segments of `outputLevel`, and history. */
export interface CompactJob extends JobBase {
  readonly type: 'compact'
  readonly keyspaceId: number
  readonly level: number
  readonly outputLevel: number
  /** Level 0: in any order. Other levels: by key. */
  readonly upper: readonly SegmentMeta[]
  readonly lower: readonly SegmentMeta[]
  /** The levels below `outputLevel`, from the top; of each the segments that the inputs can meet, by key. */
  readonly deeper: readonly (readonly SegmentMeta[])[]
  /** An output segment overlaps at most so many bytes of the level below it. */
  readonly overlapBytesMax: number
  /** Values that live in these blob files are copied to a new one. */
  readonly rewriteBlobFiles: readonly number[]
  /** Inputs of level 0 may become history as they are: see takeover.ts. Only where `upper` are a level 0, with disjoint seqnos. */
  readonly mayTakeOver: boolean
}

/** Merges history segments of one keyspace into few. */
export interface MergeHistoryJob extends JobBase {
  readonly type: 'merge-history'
  readonly keyspaceId: number
  readonly inputs: readonly SegmentMeta[]
}

export type Job = FlushJob | CompactJob | MergeHistoryJob

export interface AddedSegment {
  readonly keyspaceId: number
  readonly level: number | 'history'
  readonly meta: SegmentMeta
}

/** Every file named here is synced and closed; the directory is not synced yet. */
export interface JobResult {
  readonly added: readonly AddedSegment[]
  /** Numbers of the input segments, which the outputs replace. */
  readonly removed: readonly number[]
  readonly blobs: readonly BlobFileMeta[]
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Entries read. */
  readonly entries: number
}

/** What the thread that runs a job provides. */
export interface JobContext {
  readonly fs: FileSystem
  /** By name; built-in ones included. */
  readonly operators: ReadonlyMap<string, MergeOperator>
  /** Superseded events are sorted by seqno in memory in runs of so many bytes. */
  readonly historyBufferBytes: number
  readonly readAheadBytes: number
}

/**
 * A job under way. Yields undefined where it may rest (about every thousand entries), and a promise that has to be settled
 * before it goes on; a rejection is thrown into it. `return()` and `throw()` end it and remove its files.
 */
export type JobSteps<T = JobResult> = Generator<Promise<unknown> | undefined, T, undefined>

/** File numbers to reserve for a job that reads so many bytes: more than it can write files. Numbers are many. */
export function fileNumberCount(job: {
  readonly inputBytes: number
  readonly segmentBytes: number
  readonly keyspaces: number
  readonly bands: number
}): number {
  // Runs of history are a megabyte and more, and each may be cut at every band; each keyspace has files of its own.
  const cuts = Math.ceil(job.inputBytes / Math.min(job.segmentBytes, 2 ** 20)) + 1
  return 256 + (8 * cuts + 4 * job.keyspaces) * (job.bands + 2)
}
