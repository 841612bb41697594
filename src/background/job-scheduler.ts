/**
 * Runs jobs in turns on one thread: a slice of a few milliseconds, then the event loop, then the next slice. In every slice
 * flushes go first (writers wait for them), so that none waits behind a long compaction.
 *
 * A job that waits for a promise (a sync) makes room for the others. It is ended only between steps, never under a running
 * sync: closing a file that the thread pool still works on could hit another file that got its descriptor.
 */
import { VarveError } from '../base/errors.ts'
import type { JobResult, JobSteps } from '../compaction/job.ts'
import type { Timers } from '../env/timers.ts'

export interface ScheduledJob {
  readonly done: Promise<JobResult>
  /** Ends it with VARVE_ABORTED, its files removed. Without effect on one that is done. */
  abort(): void
}

interface Task {
  readonly steps: JobSteps
  readonly isUrgent: boolean
  readonly resolve: (result: JobResult) => void
  readonly reject: (error: unknown) => void
  isWaiting: boolean
  isAborted: boolean
  /** What the promise that it waited for was rejected with. */
  failure: { readonly error: unknown } | undefined
}

export class JobScheduler {
  readonly #timers: Pick<Timers, 'nextTurn' | 'monotonicMs'>
  readonly #sliceMs: number
  readonly #tasks: Task[] = []
  #isRunning = false

  constructor(options: { timers: Pick<Timers, 'nextTurn' | 'monotonicMs'>; sliceMs: number }) {
    this.#timers = options.timers
    this.#sliceMs = options.sliceMs
  }

  /** `isUrgent`: before all that are not. Among equals the first comes first. */
  start(steps: JobSteps, options: { isUrgent: boolean }): ScheduledJob {
    let task: Task | undefined
    const done = new Promise<JobResult>((resolve, reject) => {
      task = {
        steps,
        isUrgent: options.isUrgent,
        resolve,
        reject,
        isWaiting: false,
        isAborted: false,
        failure: undefined,
      }
    })
    const started = task!
    this.#tasks.push(started)
    this.#wake()
    return {
      done,
      abort: () => {
        started.isAborted = true
        this.#wake()
      },
    }
  }

  #wake(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    void this.#run()
  }

  async #run(): Promise<void> {
    await this.#timers.nextTurn()
    while (this.#runSlice()) await this.#timers.nextTurn()
    this.#isRunning = false
  }

  /** False when there is nothing that could run. */
  #runSlice(): boolean {
    const end = this.#timers.monotonicMs() + this.#sliceMs
    for (;;) {
      const task = this.#next()
      if (task === undefined) return false
      this.#step(task)
      if (this.#timers.monotonicMs() >= end) return true
    }
  }

  #next(): Task | undefined {
    let next: Task | undefined
    for (const task of this.#tasks) {
      if (task.isWaiting) continue
      if (task.isUrgent) return task
      next ??= task
    }
    return next
  }

  #step(task: Task): void {
    const { failure } = task
    task.failure = undefined
    let step: IteratorResult<Promise<unknown> | undefined, JobResult>
    try {
      if (task.isAborted) {
        // Runs the job's own cleaning up.
        task.steps.return(undefined as never)
        this.#end(task)
        task.reject(new VarveError('VARVE_ABORTED', 'the background job was aborted'))
        return
      }
      step = failure === undefined ? task.steps.next() : task.steps.throw(failure.error)
    } catch (error) {
      this.#end(task)
      task.reject(error)
      return
    }
    if (step.done === true) {
      this.#end(task)
      task.resolve(step.value)
      return
    }
    if (step.value === undefined) return
    task.isWaiting = true
    step.value.then(
      () => this.#resume(task, undefined),
      (error: unknown) => this.#resume(task, { error }),
    )
  }

  #resume(task: Task, failure: Task['failure']): void {
    task.failure = failure
    task.isWaiting = false
    this.#wake()
  }

  #end(task: Task): void {
    this.#tasks.splice(this.#tasks.indexOf(task), 1)
  }
}
