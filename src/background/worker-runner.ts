/**
 * Runs jobs in one worker thread, started with the first job. Reads and writes of the program go on beside it.
 *
 * The thread holds the process only while a job runs: an idle store does not, and an awaited flush does. If it cannot be
 * started, or cannot load an operator's module, jobs run on the calling thread instead, with one warning. If it dies, its
 * jobs fail, what they wrote is removed, and the next job starts another one.
 */
import { Worker } from 'node:worker_threads'
import { paranoid } from '../base/assert.ts'
import { VarveError } from '../base/errors.ts'
import type { MergeOperator } from '../base/merge-operators.ts'
import type { Job, JobResult } from '../compaction/job.ts'
import type { Logger } from '../env/environment.ts'
import { joinPath, parseFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { decodeError } from './error-codec.ts'
import { needsCallingThread } from './needs-calling-thread.ts'
import { aborted, InlineRunner, type JobRunner } from './job-runner.ts'
import type { Timers } from '../env/timers.ts'
import type { FromWorker, ToWorker } from './worker-protocol.ts'

interface Pending {
  readonly job: Job
  readonly resolve: (result: JobResult) => void
  readonly reject: (error: unknown) => void
  /** Runs it on the calling thread instead. */
  readonly runInline: () => void
}

export interface WorkerRunnerOptions {
  readonly fs: FileSystem
  readonly timers: Pick<Timers, 'nextTurn' | 'monotonicMs'>
  readonly logger: Logger
  /** Default: the worker of this package. */
  readonly entry?: URL
  /** Where jobs run that the thread cannot. Closed with this runner; by default one of its own. */
  readonly inline?: InlineRunner
}

export class WorkerRunner implements JobRunner {
  readonly #options: WorkerRunnerOptions
  readonly #inline: InlineRunner
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | undefined
  /** A worker came up at least once: then its death is no reason to do without. */
  #isProven = false
  #isInline = false
  #isClosed = false
  #nextId = 1
  readonly #warned = new Set<string>()

  constructor(options: WorkerRunnerOptions) {
    this.#options = options
    this.#inline = options.inline ?? new InlineRunner(options)
  }

  run(
    job: Job,
    operators: ReadonlyMap<string, MergeOperator>,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<JobResult> {
    const { signal } = options
    if (this.#isClosed || signal?.aborted === true) return Promise.reject(aborted())
    if (this.#isInline || needsCallingThread(job, operators)) {
      return this.#inline.run(job, operators, options)
    }
    const id = this.#nextId++
    const abort = (): void => this.#send({ type: 'abort', id })
    const result = new Promise<JobResult>((resolve, reject) => {
      const runInline = (): void => {
        this.#inline.run(job, operators, options).then(resolve, reject)
      }
      this.#pending.set(id, { job, resolve, reject, runInline })
    })
    signal?.addEventListener('abort', abort)
    try {
      this.#start()
      this.#send({ type: 'run', id, job })
    } catch (error) {
      // A job that cannot be cloned is our mistake; it must not be waited for.
      this.#take(id)?.reject(error)
    }
    return result.finally(() => signal?.removeEventListener('abort', abort))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const worker = this.#worker
    const ends = [...this.#pending.values()].map(
      (pending) => new Promise<void>((end) => this.#onEnd(pending, end)),
    )
    for (const id of this.#pending.keys()) this.#send({ type: 'abort', id })
    await Promise.all([...ends, this.#inline.close()])
    this.#worker = undefined
    await worker?.terminate()
  }

  readonly #ends = new Map<Pending, () => void>()

  #onEnd(pending: Pending, end: () => void): void {
    this.#ends.set(pending, end)
  }

  #start(): void {
    if (this.#worker !== undefined || this.#isInline) return
    let worker: Worker
    try {
      // Flags of the program (--input-type, --eval) are not the worker's.
      worker = new Worker(this.#options.entry ?? workerEntry(), {
        name: 'varve',
        execArgv: [],
        workerData: { paranoid: paranoid() },
      })
    } catch (error) {
      this.#fallBack(error)
      return
    }
    this.#worker = worker
    worker.on('message', (message: FromWorker) => this.#receive(message))
    worker.on('error', (error) => this.#lose(worker, error))
    worker.on('exit', (code) => this.#lose(worker, new Error(`exit code ${code}`)))
  }

  #send(message: ToWorker): void {
    const worker = this.#worker
    if (worker === undefined) return
    worker.ref()
    worker.postMessage(message)
  }

  #receive(message: FromWorker): void {
    if (message.type === 'ready') {
      this.#isProven = true
      return
    }
    const pending = this.#take(message.id)
    if (pending === undefined) return
    switch (message.type) {
      case 'done':
        pending.resolve(withBuffers(message.result))
        break
      case 'failed':
        pending.reject(decodeError(message.error))
        break
      case 'unable':
        this.#warn('a merge operator cannot be loaded in the worker', decodeError(message.error))
        pending.runInline()
        break
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id)
    if (pending === undefined) return undefined
    this.#pending.delete(id)
    this.#ends.get(pending)?.()
    this.#ends.delete(pending)
    if (this.#pending.size === 0) this.#worker?.unref()
    return pending
  }

  /** The worker is gone, by itself. */
  #lose(worker: Worker, cause: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    if (!this.#isProven && !this.#isClosed) {
      this.#fallBack(cause)
      return
    }
    for (const id of this.#pending.keys()) {
      const pending = this.#take(id)!
      this.#removeFiles(pending.job)
      const message = 'the background worker ended in the middle of a job'
      pending.reject(new VarveError('VARVE_IO', message, {}, { cause }))
    }
  }

  #fallBack(cause: unknown): void {
    this.#isInline = true
    this.#warn('no worker thread can be started; background work runs on the calling thread', cause)
    for (const id of this.#pending.keys()) {
      const pending = this.#take(id)!
      // It may have got as far as the first files: an error can arrive before the message that says it is ready.
      this.#removeFiles(pending.job)
      pending.runInline()
    }
  }

  #warn(message: string, cause: unknown): void {
    if (this.#warned.has(message)) return
    this.#warned.add(message)
    this.#options.logger.warn(message, { cause: String(cause) })
  }

  /** Best effort: what stays behind is an orphan, which the next open removes. */
  #removeFiles(job: Job): void {
    const { fs } = this.#options
    const { directory, firstFileNumber, fileNumberCount } = job
    try {
      for (const name of fs.list(directory)) {
        const file = parseFileName(name)
        if (file?.type !== 'segment' && file?.type !== 'blob') continue
        const offset = file.number - firstFileNumber
        if (offset >= 0 && offset < fileNumberCount) fs.remove(joinPath(directory, name))
      }
    } catch (error) {
      this.#options.logger.debug('files of a lost job stay until the next open', {
        cause: String(error),
      })
    }
  }
}

/** The built worker stands beside this module; from source it is started through a bootstrap. */
function workerEntry(): URL {
  const isSource = import.meta.url.endsWith('.ts')
  return new URL(isSource ? './job-worker.mjs' : './job-worker.js', import.meta.url)
}

/** Structured clone makes plain Uint8Arrays of Buffers; on this side keys are Buffers again. */
function withBuffers(result: JobResult): JobResult {
  const buffer = (bytes: Uint8Array | undefined): Buffer | undefined =>
    bytes === undefined ? undefined : Buffer.from(bytes)
  return {
    ...result,
    added: result.added.map(({ keyspaceId, level, meta }) => ({
      keyspaceId,
      level,
      meta: {
        ...meta,
        firstKey: buffer(meta.firstKey),
        lastKey: buffer(meta.lastKey),
        coverStart: buffer(meta.coverStart),
        coverEnd: buffer(meta.coverEnd),
      },
    })),
  }
}
