/**
 * A live tail: batches of whole commits, from a position on, for as long as the store is open.
 *
 * ```
 *   behind:     read what is visible (segments, then memtables), hand out, read on
 *   caught up:  wait on the feed, or for the heartbeat
 * ```
 *
 * A tail buffers nothing: the window over the newest commits is the memtables themselves, and a reader that falls behind them
 * reads segments. So no reader can slow a writer or make memory grow; and as it holds no history, one that the floor overtakes
 * fails with VARVE_HISTORY_TRUNCATED.
 */
import { onAbort } from '../base/abort-listeners.ts'
import type { ChangeEvent } from './change-event.ts'
import type { BatchAtWork, ChangeFeed, FeedWaiter } from './change-feed.ts'
import { ChangeFilter } from './change-filter.ts'
import { checkTailOptions, parseFrom, type FollowOptions, type From } from './change-options.ts'
import { ChangeReader } from './change-reader.ts'
import type { ChangeSource } from './change-source.ts'
import { commitStart } from './commit-lookup.ts'
import { aborted, cursorAhead, historyTruncated } from './read-errors.ts'
import { positionOfToken, tokenAt } from './resume-token.ts'
import type { ChangeBatch } from './streams.ts'
import { ScanTally } from './scan-tally.ts'

const MEMORY_BUDGET = 32 * 2 ** 20
const BATCH_EVENTS_DEFAULT = 1000
const HEARTBEAT_MS_DEFAULT = 10_000

/** Throws for wrong arguments; everything else rejects the first read. */
export function openTail(source: ChangeSource, feed: ChangeFeed, options: unknown): ChangeTail {
  const checked = checkTailOptions(options)
  const from = parseFrom(checked.from, ['now', 'oldest'])
  return new ChangeTail(source, feed, { from, follow: checked })
}

export interface ChangeTailOptions {
  readonly from: From
  readonly follow: FollowOptions
  /** Ends when caught up. */
  readonly stopAtLatest?: boolean
  /** Looked at before each read; throws what must end the tail. Called instead of the check against the floor. */
  readonly guard?: (position: number) => void
}

export class ChangeTail implements AsyncIterableIterator<ChangeBatch> {
  readonly #source: ChangeSource
  readonly #feed: ChangeFeed
  readonly #reader: ChangeReader
  readonly #filter: ChangeFilter
  readonly #isDurable: boolean
  readonly #maxEvents: number
  readonly #heartbeatMs: number
  readonly #signal: AbortSignal | undefined
  readonly #stopAtLatest: boolean
  readonly #guard: ((position: number) => void) | undefined
  /** `next` of the last batch. */
  #told: number
  /** When it was handed out. */
  #toldAtMs: number
  /** The last batch, until its reader comes back. */
  #atWork: BatchAtWork | undefined
  #failure: Error | undefined
  #hasEnded = false
  #wake: (() => void) | undefined
  #turn: Promise<unknown> | undefined

  constructor(source: ChangeSource, feed: ChangeFeed, options: ChangeTailOptions) {
    const { from, follow } = options
    this.#source = source
    this.#feed = feed
    this.#isDurable = follow.visibility === 'durable'
    this.#maxEvents = follow.maxBatchEvents ?? BATCH_EVENTS_DEFAULT
    this.#heartbeatMs = follow.heartbeatMs ?? HEARTBEAT_MS_DEFAULT
    this.#signal = follow.signal
    this.#stopAtLatest = options.stopAtLatest ?? false
    this.#guard = options.guard
    this.#filter = new ChangeFilter(follow, (id) => source.keyspaceName(id))
    const position = startOf(source, from)
    this.#told = position
    this.#toldAtMs = feed.monotonicMs
    this.#reader = new ChangeReader({
      source,
      filter: this.#filter,
      position,
      memoryBudgetBytes: MEMORY_BUDGET,
      skip: true,
      tally: new ScanTally(),
      guard: (at) => this.#check(at),
    })
    feed.opened()
    try {
      if (source.status === 'closed') throw source.closedError()
      if ('token' in from) positionOfToken(source, from.token)
      if (position > source.latest + 1) throw cursorAhead(position, source.latest)
      this.#check(position)
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  /** The next batch; calls take their turns. Rejects with the same error again after a failure. */
  next(): Promise<IteratorResult<ChangeBatch, undefined>> {
    const run = (): Promise<IteratorResult<ChangeBatch, undefined>> => this.#next()
    const result = this.#turn === undefined ? run() : this.#turn.then(run, run)
    this.#turn = result
    const end = (): void => {
      if (this.#turn === result) this.#turn = undefined
    }
    result.then(end, end)
    return result
  }

  async #next(): Promise<IteratorResult<ChangeBatch, undefined>> {
    this.#workedOff()
    if (this.#failure !== undefined) throw this.#failure
    const dueMs = this.#toldAtMs + this.#heartbeatMs
    this.#feed.readBegins()
    try {
      for (;;) {
        const batch = await this.#step(dueMs)
        if (this.#hasEnded) return { done: true, value: undefined }
        if (batch !== undefined) return { done: false, value: batch }
      }
    } catch (error) {
      this.#fail(this.#source.status === 'closed' ? this.#source.closedError() : (error as Error))
      throw this.#failure!
    } finally {
      this.#feed.readEnds()
      // Ended meanwhile, by `close`: the read has filled buffers after that.
      if (!this.#isOpen) this.#reader.release()
    }
  }

  /** Reads once or waits once; undefined: again. */
  async #step(dueMs: number): Promise<ChangeBatch | undefined> {
    if (this.#hasEnded) return undefined
    this.#throwIfAborted()
    const source = this.#source
    const visible = this.#isDurable ? source.durable : source.latest
    const isBeating = this.#heartbeatMs > 0
    if (this.#reader.position <= visible) {
      const { events } = await this.#reader.read({
        upTo: visible,
        maxEvents: this.#maxEvents,
        maxBytes: this.#reader.batchBytes,
        wholeCommits: true,
        endAfter: Infinity,
        isOverdue: () => isBeating && this.#feed.monotonicMs >= dueMs,
      })
      if (this.#hasEnded) return undefined
      this.#throwIfAborted()
      if (events.length > 0) return this.#tell(events)
    }
    if (isBeating && this.#reader.position > this.#told && this.#feed.monotonicMs >= dueMs) {
      const next = await this.#betweenCommits(visible)
      if (this.#hasEnded) return undefined
      if (next > this.#told) return this.#tell([], next)
    }
    const now = this.#isDurable ? source.durable : source.latest
    if (this.#reader.position <= now) return undefined
    if (this.#stopAtLatest || this.#feed.isDraining || source.status === 'closed') {
      this.#end()
      return undefined
    }
    // A consumer that was dropped or lost would else be waited for until something else commits.
    this.#guard?.(this.#reader.position)
    await this.#wait(dueMs)
    return undefined
  }

  /** The end of the last commit that was read to its end: a heartbeat may fall due inside a large one. */
  async #betweenCommits(visible: number): Promise<number> {
    const { position } = this.#reader
    if (position > visible) return position
    this.#check(position)
    const view = this.#source.view()
    try {
      return await commitStart(view, position)
    } catch {
      // It may lie in files that the filter leaves out: what is wrong with those is for who reads them, and the heartbeat waits.
      return this.#told
    } finally {
      view.release()
    }
  }

  #tell(events: readonly ChangeEvent[], next: number = this.#reader.position): ChangeBatch {
    this.#told = next
    this.#toldAtMs = this.#feed.monotonicMs
    this.#atWork = { visibility: this.#isDurable ? 'durable' : 'committed', next }
    this.#feed.handedOut(this.#atWork)
    return { events, upTo: next - 1, next, token: tokenAt(this.#source, next) }
  }

  /** Until the feed, the heartbeat, the signal or `close` wakes it. */
  async #wait(dueMs: number): Promise<void> {
    // Caught up: buffers of a window would only lie there.
    this.#reader.release()
    const feed = this.#feed
    const signal = this.#signal
    let waiter: FeedWaiter | undefined
    let stopTimer: (() => void) | undefined
    let unwatch: (() => void) | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      waiter = {
        visibility: this.#isDurable ? 'durable' : 'committed',
        filter: this.#filter,
        position: this.#reader.position,
        wake: resolve,
      }
      feed.wait(waiter)
      if (this.#heartbeatMs > 0) stopTimer = this.#startHeartbeat(waiter, dueMs, resolve)
      unwatch = signal && onAbort(signal, () => this.#wake?.())
    })
    this.#wake = undefined
    feed.cancel(waiter!)
    stopTimer?.()
    unwatch?.()
    // What the feed looked at for this tail need not be read again.
    this.#reader.skipTo(waiter!.position)
  }

  /** Wakes the tail when it has something new to tell at the time, else as soon as a period is over and it has. */
  #startHeartbeat(waiter: FeedWaiter, dueMs: number, wake: () => void): () => void {
    const feed = this.#feed
    let stop: () => void
    const arm = (atMs: number): void => {
      stop = feed.after(Math.max(1, atMs - feed.monotonicMs), () => {
        if (waiter.position > this.#told) wake()
        else arm(feed.monotonicMs + this.#heartbeatMs)
      })
    }
    arm(dueMs)
    return () => stop()
  }

  /** Before each look at the store. */
  #check(position: number): void {
    this.#throwIfAborted()
    const source = this.#source
    if (source.status === 'closed') throw source.closedError()
    if (this.#guard !== undefined) this.#guard(position)
    else if (position < source.floor) throw historyTruncated(position, source.floor)
  }

  #throwIfAborted(): void {
    if (this.#signal?.aborted === true) throw aborted(this.#signal)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#letGo()
  }

  #end(): void {
    this.#hasEnded = true
    this.#letGo()
  }

  #isOpen = true

  #workedOff(): void {
    if (this.#atWork === undefined) return
    this.#feed.workedOff(this.#atWork)
    this.#atWork = undefined
  }

  #letGo(): void {
    this.#reader.release()
    this.#workedOff()
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#feed.ended()
  }

  async close(): Promise<void> {
    this.#end()
    this.#wake?.()
    await this.#turn?.catch(ignore)
  }

  async return(): Promise<IteratorResult<ChangeBatch, undefined>> {
    await this.close()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function startOf(source: ChangeSource, from: From): number {
  if ('seqno' in from) return from.seqno
  if ('token' in from) return from.token.next
  return from.word === 'now' ? source.latest + 1 : source.floor
}

function ignore(): void {}
