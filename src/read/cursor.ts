/**
 * Cursors: what a caller holds to read a range, item by item or in batches.
 *
 * ```
 *   open ──> reading ──end, limit, close(), abort, failure──> ended: pins released, at once
 *              │  calls are served one after the other, in the order they were made
 *              └─ next() is served from a batch that starts small and doubles
 * ```
 *
 * A cursor reads the state of its creation: it keeps the version acquired and refers to the memtables until it has ended. A
 * failure ends it too; every later read is rejected with the same error until it is closed, so that a cut-off result can
 * never look like a complete one.
 */
import { invalidArgument, VarveError, wrongType } from '../base/errors.ts'
import type { DecodedRange } from './key-range.ts'
import { readFailure } from './read-failure.ts'
import { CursorPins, type CursorWatch } from './cursor-pins.ts'
import {
  type CursorContent,
  type EntryItem,
  GATHER_BLOCKED,
  GATHERED_ALL,
  RangeReader,
} from './range-reader.ts'
import type { KeyspaceReadSettings, ReadView } from './read-view.ts'

export type { EntryItem } from './range-reader.ts'

/** Reads a range; see the contract of `Keyspace.entries`. */
export interface Cursor<T> extends AsyncIterableIterator<T> {
  /** Up to `max` (at least 1) more items; [] at the end and after close. The fast way to read much. Default 1,000. */
  nextBatch(max?: number): Promise<T[]>
  /** Everything that is left. */
  all(): Promise<T[]>
  /** Lets go of what the cursor holds. Idempotent; ending a `for await` calls it. */
  close(): Promise<void>
  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface CursorHooks {
  /** Aborts the cursor: a read in flight, and every later one, is rejected with VARVE_ABORTED. */
  readonly signal?: AbortSignal | undefined
  /** Knows what is open. */
  readonly watch?: CursorWatch | undefined
  /** A turn of the event loop, taken now and then by reads that find everything in memory. */
  readonly nextTurn?: (() => Promise<void>) | undefined
}

const BATCH_ITEMS = 1000
/** Somebody who takes three items should not pay for a thousand. */
const FIRST_PREFETCH_ITEMS = 16
/** About 5 ms of work between turns of the event loop. */
const ITEMS_PER_TURN = 16_384

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** Opens a cursor on what `view` holds at `snapshot`. Nothing is read before the first call. */
export function openCursor(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  range: DecodedRange,
  snapshot: number,
  content: 'entries',
  hooks?: CursorHooks,
): Cursor<EntryItem>
export function openCursor(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  range: DecodedRange,
  snapshot: number,
  content: 'keys' | 'values',
  hooks?: CursorHooks,
): Cursor<Buffer>
export function openCursor(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  range: DecodedRange,
  snapshot: number,
  content: CursorContent,
  hooks?: CursorHooks,
): Cursor<EntryItem> | Cursor<Buffer>
export function openCursor(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  range: DecodedRange,
  snapshot: number,
  content: CursorContent,
  hooks: CursorHooks = {},
): Cursor<EntryItem> | Cursor<Buffer> {
  const mayRead = view.files.isDiskFast
  const options = { view, keyspace, range, snapshot, content, mayRead }
  return content === 'entries'
    ? new RangeCursor(view, new RangeReader<EntryItem>(options), hooks)
    : new RangeCursor(view, new RangeReader<Buffer>(options), hooks)
}

class RangeCursor<T extends EntryItem | Buffer> implements Cursor<T> {
  #reader: RangeReader<T> | undefined
  readonly #pins: CursorPins
  readonly #files: ReadView['files']
  readonly #hooks: CursorHooks
  /** Items of `next` that were read ahead. */
  #ahead: T[] = []
  #aheadAt = 0
  #prefetch = FIRST_PREFETCH_ITEMS
  #itemsSinceTurn = 0
  #failure: unknown = undefined
  /** By its signal, or by the end of the store. */
  #isStopped = false
  #isClosed = false
  /** Calls that are not served yet, and the last of them. */
  #waiting = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(view: ReadView, reader: RangeReader<T>, hooks: CursorHooks) {
    this.#reader = reader
    this.#pins = new CursorPins(view, hooks)
    this.#files = view.files
    this.#hooks = hooks
    this.#pins.guard<RangeCursor<T>>(this, RangeCursor.#abortThat)
    if (reader.isExhausted) this.#end()
  }

  next(): Promise<IteratorResult<T, undefined>> {
    this.#noticeEnd()
    if (this.#waiting === 0 && this.#aheadAt < this.#ahead.length) {
      return Promise.resolve({ done: false, value: this.#ahead[this.#aheadAt++]! })
    }
    return this.#serve(() => this.#nextItem())
  }

  async nextBatch(max: number = BATCH_ITEMS): Promise<T[]> {
    if (typeof max !== 'number') throw wrongType('max', 'a number', max)
    if (max < 1 || (!Number.isSafeInteger(max) && max !== Number.POSITIVE_INFINITY)) {
      throw invalidArgument(`max must be an integer of at least 1, got ${max}`)
    }
    return this.#serve(async () => {
      this.#noticeEnd()
      const items = this.#takeAhead(max)
      if (items.length < max) await this.#fill(items, max)
      this.#refuseLate(items)
      return items
    })
  }

  all(): Promise<T[]> {
    return this.#serve(async () => {
      this.#noticeEnd()
      const items = this.#takeAhead(Number.POSITIVE_INFINITY)
      do await this.#fill(items, items.length + ITEMS_PER_TURN)
      while (this.#reader !== undefined)
      this.#refuseLate(items)
      return items
    })
  }

  /** Idempotent. A read in flight is answered as after the close. */
  close(): Promise<void> {
    this.#isClosed = true
    this.#ahead = []
    this.#aheadAt = 0
    if (this.#waiting === 0) {
      this.#end()
      return Promise.resolve()
    }
    return this.#serve(async () => this.#end())
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.close()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** One after the other: a call begins when the one before has been answered. */
  #serve<R>(work: () => Promise<R>): Promise<R> {
    const run = this.#waiting++ === 0 ? work() : this.#last.then(work)
    const served = (): void => {
      this.#waiting--
    }
    this.#last = run.then(served, served)
    return run
  }

  async #nextItem(): Promise<IteratorResult<T, undefined>> {
    this.#noticeEnd()
    if (this.#aheadAt >= this.#ahead.length) {
      this.#ahead = []
      this.#aheadAt = 0
      const items: T[] = []
      await this.#fill(items, this.#prefetch, true)
      this.#refuseLate(items)
      if (items.length === 0) return DONE
      this.#ahead = items
      this.#prefetch = Math.min(this.#prefetch * 2, BATCH_ITEMS)
    }
    return { done: false, value: this.#ahead[this.#aheadAt++]! }
  }

  #takeAhead(max: number): T[] {
    const from = this.#aheadAt
    this.#aheadAt = Math.min(this.#ahead.length, from + max)
    return this.#ahead.slice(from, this.#aheadAt)
  }

  /**
   * Appends to `items` until it has `max`, a batch is full in bytes, or the end is reached; none after a close. With
   * `isPrefetch`, what was read before a failure is delivered first, and the failure comes with the next call.
   */
  async #fill(items: T[], max: number, isPrefetch = false): Promise<void> {
    try {
      while (this.#reader !== undefined && this.#failure === undefined && !this.#isClosed) {
        const reader = this.#reader
        const before = items.length
        const status = reader.gather(items, max)
        this.#itemsSinceTurn += items.length - before
        if (status === GATHER_BLOCKED) {
          await reader.load()
          continue
        }
        if (reader.needsSettling) await reader.settle(items)
        if (status === GATHERED_ALL || reader.isExhausted) this.#end()
        if (this.#itemsSinceTurn >= ITEMS_PER_TURN) await this.#takeTurn()
        break
      }
    } catch (cause) {
      const error = readFailure(cause)
      if (isPrefetch && this.#failure === undefined && !this.#isClosed) {
        items.length = this.#reader?.wholeCount(items.length) ?? 0
        this.#failure = error
        this.#end()
        if (items.length > 0) return
      }
      this.#failure ??= error
    }
    if (this.#failure === undefined && !this.#isClosed) return
    this.#end()
    items.length = 0
    if (!this.#isClosed) throw this.#failure
  }

  /** Closed or stopped since `#fill` had the items, which is before its caller goes on. */
  #refuseLate(items: T[]): void {
    if (this.#isClosed) items.length = 0
    else if (this.#isStopped) throw this.#failure
  }

  async #takeTurn(): Promise<void> {
    this.#itemsSinceTurn = 0
    await this.#hooks.nextTurn?.()
  }

  static #abortThat(this: void, cursor: RangeCursor<EntryItem | Buffer>): void {
    cursor.#abort()
  }

  /** Of the signal, also where everything was read ahead and nobody listens to it any more; and of the store. */
  #noticeEnd(): void {
    if (this.#hooks.signal?.aborted === true) this.#abort()
    if (this.#files.isClosed) this.#storeClosed()
  }

  /** What is left of the range is refused, also where it lies in memory; a cursor that was at its end stays there. */
  #storeClosed(): void {
    const isAtEnd = this.#reader === undefined && this.#aheadAt >= this.#ahead.length
    if (isAtEnd || this.#isClosed) return
    this.#stop(new VarveError('VARVE_CLOSED', 'the store is closed'))
  }

  #abort(): void {
    if (this.#isClosed) return
    const cause: unknown = this.#hooks.signal?.reason
    this.#stop(new VarveError('VARVE_ABORTED', 'the read was aborted', {}, { cause }))
  }

  #stop(error: VarveError): void {
    this.#failure ??= error
    this.#isStopped = true
    this.#ahead = []
    this.#aheadAt = 0
    // What a call in flight is reading must stay; it ends the cursor when it sees the failure.
    if (this.#waiting === 0) this.#end()
  }

  /** Lets go of everything that the cursor held. */
  #end(): void {
    const reader = this.#reader
    if (reader === undefined) return
    this.#reader = undefined
    reader.close()
    this.#pins.release()
  }
}
