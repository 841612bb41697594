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

/** A batch that a tail has handed out, for as long as its reader has not come back for the next one. */
export interface BatchAtWork {
  readonly visibility: 'committed' | 'durable'
  /** Where the tail goes on. */
  readonly next: number
}

/** Turns without any read after which the end of the store waits no longer for tails whose readers are elsewhere. */
const QUIET_TURNS = 32
/** How long without any read it waits for a reader that is at work on a batch and has more to get. */
const AT_WORK_MS_MAX = 1000
/** It looks for such a reader so often. */
const AT_WORK_LOOK_MS = 1

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
  readonly #atWork = new Set<BatchAtWork>()

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
   * have got what there is. Those that nobody reads are not waited for; who works on a batch has a second to come back for more.
   */
  async drain(): Promise<void> {
    this.#isDraining = true
    this.wakeAll()
    let quiet = 0
    let reads = this.#reads
    let lastReadMs = this.#timers.monotonicMs()
    while (this.#open > 0) {
      if (quiet < QUIET_TURNS) await this.#timers.nextTurn()
      else if (this.#isMoreOwed() && this.#timers.monotonicMs() - lastReadMs < AT_WORK_MS_MAX) {
        await this.#timers.wait(AT_WORK_LOOK_MS)
      } else break
      if (this.#reading === 0 && this.#reads === reads) {
        quiet++
      } else {
        quiet = 0
        reads = this.#reads
        lastReadMs = this.#timers.monotonicMs()
      }
    }
  }

  /** Whether a reader at work on a batch has something to come back for. */
  #isMoreOwed(): boolean {
    const { latest, durable } = this.#source
    for (const { visibility, next } of this.#atWork) {
      if (next <= (visibility === 'durable' ? durable : latest)) return true
    }
    return false
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

  handedOut(batch: BatchAtWork): void {
    this.#atWork.add(batch)
  }

  /** Its reader came back, or the tail has ended. */
  workedOff(batch: BatchAtWork): void {
    this.#atWork.delete(batch)
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
