/**
 * What the store does in the background: flush sealed memtables in order, compact, merge and expire history.
 *
 * ```
 * seal ──> WAL synced ──> floor raised (one edit) ──> flush job ──> directory synced ──> one edit: segments in, log out
 * pick ──> compaction job ──> directory synced ──> one edit: outputs in, inputs out ──> unreachable files deleted
 * ```
 *
 * Invariants: a job drops only below the drop floor that was in force when it was planned, and the floor was raised by an
 * edit before (I3). A memtable leaves the log only with the edit that has its segments (I5). Nothing here rejects into the
 * void: a failure ends in `Health`, an event, and the next call's error.
 */
import { assert } from '../base/assert.ts'
import { VarveError } from '../base/errors.ts'
import { isNoSpace, translateDiskError } from '../env/disk-errors.ts'
import type { Timers } from '../env/timers.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'

/** A failed background job is tried again after so long; a full disk is noticed to be free again as soon. */
const RETRY_MS = 500
/** So many failures in a row of the same kind of work, other than for want of space, poison the store. */
const FAILURES_MAX = 5

export interface MaintenanceHooks {
  /** The store's, for errors. */
  readonly directory: string
  readonly timers: Timers
  /** Oldest sealed memtable. */
  readonly oldestSealed: () => LoggedMemtable | undefined
  /** Writes it to segments and takes it out of the log. */
  readonly flushMemtable: (logged: LoggedMemtable) => Promise<void>
  /** Runs the most useful job there is; false when there is none. */
  readonly compactOnce: () => Promise<boolean>
  /** A flush or a compaction has ended: writers may go on, readers see new files. */
  readonly onProgress: () => void
  readonly onFailure: (error: VarveError, work: 'flush' | 'compaction', isFinal: boolean) => void
  readonly isStopped: () => boolean
}

/** Runs one kind of work again and again until there is none, and tries again after failures. */
class WorkLoop {
  #running: Promise<void> | undefined
  #isWanted = false
  #failures = 0
  #retry: (() => void) | undefined
  #lastError: VarveError | undefined
  readonly #work: 'flush' | 'compaction'
  readonly #step: () => Promise<boolean>
  readonly #hooks: MaintenanceHooks

  constructor(work: 'flush' | 'compaction', step: () => Promise<boolean>, hooks: MaintenanceHooks) {
    this.#work = work
    this.#step = step
    this.#hooks = hooks
  }

  /** What the last attempt failed with; undefined once one has succeeded. */
  get failure(): VarveError | undefined {
    return this.#lastError
  }

  get isRunning(): boolean {
    return this.#running !== undefined
  }

  wake(): void {
    if (this.#hooks.isStopped()) return
    this.#isWanted = true
    if (this.#running !== undefined || this.#retry !== undefined) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (this.#isWanted && this.#retry === undefined) this.wake()
    })
  }

  /** Tries at once what waits for its retry. */
  retryNow(): void {
    this.#cancelRetry()
    this.wake()
  }

  /** Resolves when nothing runs: the work is done, or it has failed and waits for its retry. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  stop(): void {
    this.#isWanted = false
    this.#cancelRetry()
  }

  async #run(): Promise<void> {
    while (this.#isWanted && !this.#hooks.isStopped()) {
      this.#isWanted = false
      try {
        while (!this.#hooks.isStopped() && (await this.#step())) {
          this.#succeeded()
          this.#hooks.onProgress()
        }
        this.#succeeded()
      } catch (cause) {
        this.#failed(cause)
        return
      }
    }
  }

  #succeeded(): void {
    this.#failures = 0
    this.#lastError = undefined
  }

  #failed(cause: unknown): void {
    const error = finalIfSync(
      cause,
      translateDiskError(cause, { operation: this.#work, file: this.#hooks.directory }),
    )
    if (this.#hooks.isStopped()) return
    this.#lastError = error
    this.#failures = isNoSpace(cause) ? 0 : this.#failures + 1
    const isFinal = isFailedSync(cause) || this.#failures >= FAILURES_MAX
    this.#hooks.onFailure(error, this.#work, isFinal)
    this.#hooks.onProgress()
    if (isFinal) return
    this.#isWanted = true
    this.#retry = this.#hooks.timers.after(RETRY_MS, () => {
      this.#retry = undefined
      this.wake()
    })
  }

  #cancelRetry(): void {
    this.#retry?.()
    this.#retry = undefined
  }
}

export class Maintenance {
  readonly #flushes: WorkLoop
  readonly #compactions: WorkLoop
  readonly #hooks: MaintenanceHooks
  #pauses = 0
  #steppers: (() => void)[] = []
  /** Resolves when the last of those that asked for `withoutCompaction` has ended. */
  #lastTurn: Promise<void> = Promise.resolve()

  constructor(hooks: MaintenanceHooks) {
    this.#hooks = hooks
    this.#flushes = new WorkLoop('flush', () => this.#flushOne(), hooks)
    const onProgress = (): void => {
      hooks.onProgress()
      for (const resolve of this.#steppers.splice(0)) resolve()
    }
    this.#compactions = new WorkLoop('compaction', () => this.#compactOne(), {
      ...hooks,
      onProgress,
    })
  }

  /** What flushing last failed with and has not got over. */
  get flushFailure(): VarveError | undefined {
    return this.#flushes.failure
  }

  get compactionFailure(): VarveError | undefined {
    return this.#compactions.failure
  }

  /** There may be something to flush. */
  wakeFlush(): void {
    this.#flushes.wake()
  }

  /** There may be something to compact. */
  wakeCompaction(): void {
    if (this.#pauses === 0) this.#compactions.wake()
  }

  /** Resolves when compaction has come so far that `isFull` does not hold, or rests. */
  async madeRoom(isFull: () => boolean): Promise<void> {
    while (this.#compactions.isRunning && isFull()) {
      const stepped = new Promise<void>((resolve) => this.#steppers.push(resolve))
      await Promise.race([stepped, this.#compactions.settled()])
    }
  }

  /** Flushes every sealed memtable that holds a seqno up to `target`. Rejects with what went wrong. */
  async flushSealed(target: number): Promise<void> {
    const failed = this.#flushes.failure
    this.#flushes.retryNow()
    while (this.#isSealed(target)) {
      await this.#flushes.settled()
      const error = this.#flushes.failure
      if (error !== undefined) throw error
      if (this.#hooks.isStopped()) throw failed ?? stoppedError()
      if (this.#isSealed(target)) this.#flushes.wake()
    }
  }

  /**
   * Keeps automatic compaction from starting anything while `work` runs; what runs already is waited for. Those who ask for it at
   * once take turns: two that pick from the same version would remove the same files.
   */
  async withoutCompaction<T>(work: () => Promise<T>): Promise<T> {
    this.#pauses++
    const before = this.#lastTurn
    let end = (): void => undefined
    this.#lastTurn = new Promise((resolve) => (end = resolve))
    try {
      await before
      await this.#compactions.settled()
      return await work()
    } finally {
      end()
      this.#pauses--
      if (this.#pauses === 0) this.#compactions.wake()
    }
  }

  /** No new work; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.#flushes.stop()
    this.#compactions.stop()
    await Promise.all([this.#flushes.settled(), this.#compactions.settled()])
  }

  #isSealed(target: number): boolean {
    const oldest = this.#hooks.oldestSealed()
    return oldest !== undefined && oldest.memtable.firstSeqno <= target
  }

  async #flushOne(): Promise<boolean> {
    const logged = this.#hooks.oldestSealed()
    if (logged === undefined) return false
    await this.#hooks.flushMemtable(logged)
    assert(this.#hooks.oldestSealed() !== logged, 'a flushed memtable is no longer sealed')
    this.wakeCompaction()
    return true
  }

  async #compactOne(): Promise<boolean> {
    if (this.#pauses > 0) return false
    return this.#hooks.compactOnce()
  }
}

function stoppedError(): VarveError {
  return new VarveError('VARVE_CLOSED', 'the store is closing')
}

/**
 * As `error`, which `cause` was translated to. A full disk that a sync tells of is VARVE_IO: the store is poisoned by it, so that to
 * wait for room does not help, and what was to be synced may be found at the next open.
 */
export function finalIfSync(cause: unknown, error: VarveError): VarveError {
  if (error.code !== 'VARVE_NO_SPACE' || !isFailedSync(cause)) return error
  return new VarveError('VARVE_IO', `a sync failed: ${error.message}`, error.details, {
    cause: error,
  })
}

/** A failed sync is final, of any file: what it should have made durable is gone, and the next one would claim success. */
export function isFailedSync(cause: unknown): boolean {
  for (let error: unknown = cause; error instanceof Error; error = error.cause) {
    const syscall: unknown = Reflect.get(error, 'syscall')
    if (typeof syscall === 'string' && syscall.includes('sync')) return true
  }
  return false
}
