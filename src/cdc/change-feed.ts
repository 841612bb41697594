/**
 * Tells tails that there is something for them. One per store.
 *
 * ```
 *   commit ──published()──┐                      ┌── isAll: wake
 *   commit ──published()──┼── one turn later ──> ├── filter on keyspaces: wake when one of them was written
 *   fdatasync ──synced()──┘   each waiting tail  └── other filters: wake when an operation passes
 * ```
 *
 * Commits only set a flag; the look at who waits comes once a turn of the event loop. A tail for which nothing passes stays
 * asleep and is only told how far the look has come: a thousand of them on keyspaces that nobody writes cost a comparison each.
 */
import type { Timers } from '../env/timers.ts'
import type { ChangeFilter } from './change-filter.ts'
import type { ChangeSource, ChangeView } from './change-source.ts'
import { RecentOperations } from './recent-operations.ts'

export interface FeedWaiter {
  readonly visibility: 'committed' | 'durable'
  readonly filter: ChangeFilter
  /** First seqno that was not looked at for it; the feed moves it on. */
  position: number
  /** Called once; the waiter is off the list then. */
  wake(): void
}

/** Turns without any read after which the end of the store waits no longer for tails that are behind. */
const QUIET_TURNS = 32

export class ChangeFeed {
  readonly #source: ChangeSource
  readonly #timers: Timers
  readonly #waiters = new Set<FeedWaiter>()
  #isScheduled = false
  #isDraining = false
  /** Tails that were opened and have neither ended nor been closed. */
  #open = 0
  /** Reads by tails that are running. */
  #reading = 0
  #reads = 0

  constructor(source: ChangeSource, timers: Timers) {
    this.#source = source
    this.#timers = timers
  }

  /** Commits became visible. Cheap; called by the writer. */
  published(): void {
    if (this.#waiters.size > 0 && !this.#isScheduled) this.#schedule()
  }

  /** The durable seqno rose. */
  synced(): void {
    this.published()
  }

  /**
   * The store closes: `status` is 'closing', everything is committed and synced. Resolves when the tails that are being read
   * have got what there is; those that nobody reads are not waited for.
   */
  async drain(): Promise<void> {
    this.#isDraining = true
    this.wakeAll()
    let quiet = 0
    let reads = this.#reads
    while (this.#open > 0 && quiet < QUIET_TURNS) {
      await this.#timers.nextTurn()
      quiet = this.#reading === 0 && this.#reads === reads ? quiet + 1 : 0
      reads = this.#reads
    }
  }

  /** The store is closed: who still waits learns it. */
  end(): void {
    this.#isDraining = true
    this.wakeAll()
  }

  /** The store closes, and what was called before is committed, and synced if it could be: nothing more will come. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Puts a waiter on the list. What it waits for may have come already: it must have looked in the same turn. */
  wait(waiter: FeedWaiter): void {
    this.#waiters.add(waiter)
  }

  cancel(waiter: FeedWaiter): void {
    this.#waiters.delete(waiter)
  }

  get monotonicMs(): number {
    return this.#timers.monotonicMs()
  }

  after(ms: number, run: () => void): () => void {
    return this.#timers.after(ms, run)
  }

  opened(): void {
    this.#open++
  }

  ended(): void {
    this.#open--
  }

  readBegins(): void {
    this.#reading++
    this.#reads++
  }

  readEnds(): void {
    this.#reading--
  }

  /** Something other than commits may have ended what tails wait for: each looks for itself. */
  wakeAll(): void {
    for (const waiter of this.#waiters) this.#wake(waiter)
  }

  #schedule(): void {
    this.#isScheduled = true
    void this.#timers.nextTurn().then(() => {
      this.#isScheduled = false
      this.#ring()
    })
  }

  #wake(waiter: FeedWaiter): void {
    this.#waiters.delete(waiter)
    waiter.wake()
  }

  #ring(): void {
    if (this.#waiters.size === 0) return
    const source = this.#source
    if (source.status !== 'open') return this.wakeAll()
    const view = source.view()
    try {
      const recent = new RecentOperations(view)
      for (const waiter of this.#waiters) {
        const last = waiter.visibility === 'durable' ? source.durable : source.latest
        if (waiter.position > last) continue
        if (this.#concerns(view, recent, waiter, last)) this.#wake(waiter)
        else waiter.position = last + 1
      }
    } finally {
      view.release()
    }
  }

  /** Whether anything in [waiter.position, last] passes its filter; moves its position on to the first commit that does. */
  #concerns(view: ChangeView, recent: RecentOperations, waiter: FeedWaiter, last: number): boolean {
    const { filter, position } = waiter
    // Flushed meanwhile: looking at segments is for the reader.
    if (filter.isAll || position < view.memtables[0]!.firstSeqno) return true
    const found = recent.firstPassing(filter, position, last)
    if (found === undefined) return false
    waiter.position = Math.max(position, found)
    return true
  }
}
