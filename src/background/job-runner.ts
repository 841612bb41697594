/**
 * Runs flushes and compactions somewhere: on the calling thread in slices, or in a worker thread. Either way a job's files are
 * complete and synced when `run` resolves, and gone (as far as the disk lets us) when it rejects.
 */
import { VarveError } from '../base/errors.ts'
import { type MergeOperator, mergeOperators } from '../base/merge-operators.ts'
import type { Job, JobResult } from '../compaction/job.ts'
import { startJob } from '../compaction/run-job.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Timers } from '../env/timers.ts'
import { JobScheduler, type ScheduledJob } from './job-scheduler.ts'

export interface JobRunner {
  /**
   * Flushes go before compactions; any number may be given at once. `operators`: by name, built-in ones need not be there.
   * Rejects with the error of the job, its `code` as it was (ENOSPC, EIO, VARVE_CORRUPTION, ...), or VARVE_ABORTED.
   */
  run(
    job: Job,
    operators: ReadonlyMap<string, MergeOperator>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<JobResult>
  /** Aborts what runs, and waits for its end. Nothing may be run afterwards. */
  close(): Promise<void>
}

/** On the calling thread. Memory is spared: a store with a file system of its own is a small one, or a test. */
export class InlineRunner implements JobRunner {
  readonly #fs: FileSystem
  readonly #scheduler: JobScheduler
  readonly #running = new Set<ScheduledJob>()
  #isClosed = false

  constructor(options: { fs: FileSystem; timers: Pick<Timers, 'nextTurn' | 'monotonicMs'> }) {
    this.#fs = options.fs
    this.#scheduler = new JobScheduler({ timers: options.timers, sliceMs: 2 })
  }

  async run(
    job: Job,
    operators: ReadonlyMap<string, MergeOperator>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<JobResult> {
    const { signal } = options
    if (this.#isClosed || signal?.aborted === true) throw aborted()
    const steps = startJob(job, {
      fs: this.#fs,
      operators: allOperators(operators),
      historyBufferBytes: 8 * 2 ** 20,
      readAheadBytes: 2 ** 18,
    })
    const scheduled = this.#scheduler.start(steps, { isUrgent: job.type === 'flush' })
    const abort = (): void => scheduled.abort()
    signal?.addEventListener('abort', abort)
    this.#running.add(scheduled)
    try {
      return await scheduled.done
    } finally {
      this.#running.delete(scheduled)
      signal?.removeEventListener('abort', abort)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const running = [...this.#running]
    for (const scheduled of running) scheduled.abort()
    await Promise.allSettled(running.map(({ done }) => done))
  }
}

export function aborted(): VarveError {
  return new VarveError('VARVE_ABORTED', 'the background job was aborted')
}

/** The given ones, and the built-in ones below them. */
function allOperators(
  operators: ReadonlyMap<string, MergeOperator>,
): ReadonlyMap<string, MergeOperator> {
  return new Map<string, MergeOperator>([...Object.entries(mergeOperators), ...operators])
}
