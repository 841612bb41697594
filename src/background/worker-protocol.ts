/** What the calling thread and the worker say to each other. Plain data; sealed memtables are shared memory. */
import type { Job, JobResult } from '../compaction/job.ts'
import type { PlainError } from './error-codec.ts'

export type ToWorker =
  | { readonly type: 'run'; readonly id: number; readonly job: Job }
  | { readonly type: 'abort'; readonly id: number }

export type FromWorker =
  /** It is up, and reads messages. */
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly id: number; readonly result: JobResult }
  | { readonly type: 'failed'; readonly id: number; readonly error: PlainError }
  /** The module of a merge operator cannot be loaded there: the job was not begun. */
  | { readonly type: 'unable'; readonly id: number; readonly error: PlainError }
