/**
 * The synchronous way through a range: reads on the calling thread, a small batch ahead.
 */
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
  return new SyncRangeIterator(new RangeReader<EntryItem>(options), new CursorPins(view, hooks))
}

class SyncRangeIterator implements IterableIterator<EntryItem> {
  #reader: RangeReader<EntryItem> | undefined
  readonly #pins: CursorPins
  #items: EntryItem[] = []
  #at = 0
  #batch = FIRST_BATCH_ITEMS
  /** Thrown once what was read before it is delivered. */
  #failure: unknown = undefined

  constructor(reader: RangeReader<EntryItem>, pins: CursorPins) {
    this.#reader = reader
    this.#pins = pins
    pins.guard<SyncRangeIterator>(this, () => {})
    if (reader.isExhausted) this.#end()
  }

  next(): IteratorResult<EntryItem, undefined> {
    if (this.#at === this.#items.length) this.#fill()
    if (this.#at < this.#items.length) return { done: false, value: this.#items[this.#at++]! }
    return { done: true, value: undefined }
  }

  return(): IteratorReturnResult<undefined> {
    this.#items = []
    this.#at = 0
    this.#failure = undefined
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
