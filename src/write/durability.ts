/**
 * Who waits for the disk: one fdatasync at a time, for all commits that were written before it began.
 *
 * Logs are synced oldest first, so what is durable is always a prefix of the commits. A failed sync is final (design rule
 * I8): everyone who waits is told, `onFailure` poisons the store, and no log is ever synced again.
 */
import { assert } from '../base/assert.ts'
import { VarveError } from '../base/errors.ts'
import type { MemtableSet } from './memtable-set.ts'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class Durability {
  #durable: number
  #waiters: Waiter[] = []
  #running: Promise<void> | undefined
  #failure: VarveError | undefined
  readonly #memtables: MemtableSet
  readonly #onFailure: (error: VarveError) => void
  readonly #onAdvance: (durable: number) => void

  constructor(
    memtables: MemtableSet,
    options: {
      durable: number
      onFailure: (error: VarveError) => void
      onAdvance: (durable: number) => void
    },
  ) {
    this.#memtables = memtables
    this.#durable = options.durable
    this.#onFailure = options.onFailure
    this.#onAdvance = options.onAdvance
  }

  /** Every commit up to this seqno survives a power cut. */
  get durableSeqno(): number {
    return this.#durable
  }

  /** Something was written that is not durable, or not known to be. */
  get isBehind(): boolean {
    return this.#durable < this.#memtables.latestSeqno || this.#logsAreBehind
  }

  get #logsAreBehind(): boolean {
    const { active, sealed } = this.#memtables
    return (
      active.wal.syncedSize < active.wal.size || sealed.some(({ wal }) => wal.syncedSize < wal.size)
    )
  }

  /** Resolves when everything written so far is durable. Also waits when nothing new has a seqno (fields-only commits). */
  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (!this.isBehind && this.#running === undefined) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#running ??= this.#runSoon()
    })
  }

  /**
   * The same for commits that the log has, but nobody sees yet: what is left to do with them is done while the disk is at work.
   * They are visible up to `last` before anything else runs. Begins at once where no sync is running.
   */
  syncWritten(last: number): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    assert(this.isBehind, 'what was just written is not durable yet')
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#running ??= this.#run(last)
    })
  }

  /** After poisoning for another reason: no more syncs, and everyone who waits is told. */
  fail(error: VarveError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#rejectAll(error)
  }

  /** Resolves when no sync is running. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #runSoon(): Promise<void> {
    // One turn of microtasks: commits of the same turn share this sync.
    await Promise.resolve()
    await this.#run(this.#memtables.latestSeqno)
  }

  /** `written`: the last seqno that the logs hold. */
  async #run(written: number): Promise<void> {
    let target = written
    while (this.#waiters.length > 0 && this.#failure === undefined) {
      const served = this.#waiters
      this.#waiters = []
      try {
        for (const { wal } of [...this.#memtables.sealed, this.#memtables.active]) {
          if (wal.syncedSize < wal.size) await wal.sync()
        }
        this.#advance(target)
      } catch (cause) {
        this.#waiters = [...served, ...this.#waiters]
        this.#syncFailed(cause)
        break
      }
      for (const waiter of served) waiter.resolve()
      target = this.#memtables.latestSeqno
    }
    // In the same step as the last look at the waiters: who comes later must find nothing running.
    this.#running = undefined
  }

  /** Up to `target` the logs were synced. */
  #advance(target: number): void {
    const { latestSeqno } = this.#memtables
    // A log that had its turn last may hold what was written since the sync began: nobody would ask for a sync of that again.
    // Never beyond what is visible: what the logs had may have failed to become so.
    const durable = this.#logsAreBehind ? Math.min(target, latestSeqno) : latestSeqno
    if (durable <= this.#durable) return
    this.#durable = durable
    this.#onAdvance(durable)
  }

  #syncFailed(cause: unknown): void {
    const error = new VarveError(
      'VARVE_IO',
      'syncing the write-ahead log failed; the store accepts no more writes until it is reopened',
      { operation: 'sync' },
      { cause },
    )
    this.#failure = error
    this.#rejectAll(error)
    this.#onFailure(error)
  }

  #rejectAll(error: VarveError): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) waiter.reject(error)
  }
}
