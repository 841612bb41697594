/**
 * The synchronous way through a range: reads on the calling thread, a small batch ahead.
 */
import { VarveError } from '../base/errors.ts'
import { CursorPins, type CursorWatch } from './cursor-pins.ts'
import type { DecodedRange } from './key-range.ts'
import { readFailure } from './read-failure.ts'
import { type EntryItem, GATHERED_ALL, RangeReader } from './range-reader.ts'
import type { KeyspaceReadSettings, ReadView } from './read-view.ts'

const FIRST_BATCH_ITEMS = 16
const BATCH_ITEMS_MAX = 512

export interface SyncIteratorHooks {
  /** Knows what is open. */
  readonly watch?: CursorWatch | undefined
  /** Aborted between two items, the next one throws VARVE_ABORTED. */
  readonly signal?: AbortSignal | undefined
}

/** Iterates over what `view` holds at `snapshot`. Pins are released at the end, by `return()`, and by an error. */
export function openSyncIterator(
  view: ReadView,
  keyspace: KeyspaceReadSettings,
  range: DecodedRange,
  snapshot: number,
  hooks: SyncIteratorHooks = {},
): IterableIterator<EntryItem> {
  const options = { view, keyspace, range, snapshot, content: 'entries', mayRead: true } as const
  return new SyncRangeIterator(view, new RangeReader<EntryItem>(options), hooks)
}

class SyncRangeIterator implements IterableIterator<EntryItem> {
  #reader: RangeReader<EntryItem> | undefined
  readonly #pins: CursorPins
  readonly #files: ReadView['files']
  #items: EntryItem[] = []
  #at = 0
  #batch = FIRST_BATCH_ITEMS
  /** Thrown once what was read before it is delivered. */
  #failure: unknown = undefined
  readonly #signal: AbortSignal | undefined
  /** The caller was told of the end, or has asked for it. */
  #isDone = false

  constructor(view: ReadView, reader: RangeReader<EntryItem>, hooks: SyncIteratorHooks) {
    this.#reader = reader
    this.#pins = new CursorPins(view, hooks)
    this.#files = view.files
    this.#signal = hooks.signal
    this.#pins.guard<SyncRangeIterator>(this, SyncRangeIterator.#abortThat)
    if (reader.isExhausted) this.#end()
  }

  next(): IteratorResult<EntryItem, undefined> {
    if (this.#signal?.aborted === true && !this.#isDone) throw abortedBy(this.#signal)
    if (this.#files.isClosed) this.#refuseRest()
    if (this.#at === this.#items.length) this.#fill()
    if (this.#at < this.#items.length) return { done: false, value: this.#items[this.#at++]! }
    this.#isDone = true
    return { done: true, value: undefined }
  }

  /** The store is closed: what is left is refused, also where it lies in memory. */
  #refuseRest(): void {
    if (this.#isDone || (this.#reader === undefined && this.#at === this.#items.length)) return
    this.#pins.release()
    throw new VarveError('VARVE_CLOSED', 'the store is closed')
  }

  return(): IteratorReturnResult<undefined> {
    this.#items = []
    this.#at = 0
    this.#failure = undefined
    this.#isDone = true
    this.#end()
    return { done: true, value: undefined }
  }

  [Symbol.iterator](): this {
    return this
  }

  #fill(): void {
    this.#items = []
    this.#at = 0
    const reader = this.#reader
    if (reader === undefined) return this.#throwFailure()
    const items: EntryItem[] = []
    try {
      const status = reader.gather(items, this.#batch)
      if (reader.needsSettling) reader.settleSync(items)
      if (status === GATHERED_ALL || reader.isExhausted) this.#end()
    } catch (error) {
      items.length = reader.wholeCount(items.length)
      this.#failure = readFailure(error)
      this.#end()
      if (items.length === 0) this.#throwFailure()
    }
    this.#items = items
    this.#batch = Math.min(this.#batch * 2, BATCH_ITEMS_MAX)
  }

  static #abortThat(this: void, iterator: SyncRangeIterator): void {
    iterator.#items = []
    iterator.#at = 0
    iterator.#end()
  }

  #throwFailure(): void {
    const failure = this.#failure
    this.#failure = undefined
    if (failure !== undefined) throw failure
  }

  #end(): void {
    const reader = this.#reader
    if (reader === undefined) return
    this.#reader = undefined
    reader.close()
    this.#pins.release()
  }
}

function abortedBy(signal: AbortSignal): VarveError {
  return new VarveError('VARVE_ABORTED', 'the read was aborted', {}, { cause: signal.reason })
}
