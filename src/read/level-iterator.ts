/**
 * A level below L0 as one sorted source: its segments are disjoint and in key order, so the walk goes through one after the
 * other and holds one open at a time.
 */
import { assert } from '../base/assert.ts'
import { EntryIterator } from '../base/entry-iterator.ts'
import type { BlockwiseIterator, SegmentIterator } from '../segment/segment-iterator.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { firstNotBelow, lastReaching } from './level-search.ts'

/** How to enter a segment. */
const ENTER_FIRST = 0
const ENTER_LAST = 1
const ENTER_SEEK = 2
const ENTER_SEEK_BEFORE = 3

const NO_SEGMENT = -1

export class LevelIterator extends EntryIterator implements BlockwiseIterator {
  readonly #segments: readonly SegmentMeta[]
  readonly #open: (meta: SegmentMeta) => SegmentIterator
  #index = NO_SEGMENT
  #inner: SegmentIterator | undefined = undefined
  #isForward = true
  #key: Uint8Array = new Uint8Array(0)
  #keyStart = 0
  #keyEnd = 0

  /** `open` makes the iterator of one segment; it may block. */
  constructor(segments: readonly SegmentMeta[], open: (meta: SegmentMeta) => SegmentIterator) {
    super()
    this.#segments = segments
    this.#open = open
  }

  get inBlock(): SegmentIterator {
    return this.#inner!
  }

  seekToFirst(): void {
    this.#isForward = true
    this.#enter(0, ENTER_FIRST)
  }

  seekToLast(): void {
    this.#isForward = false
    this.#enter(this.#segments.length - 1, ENTER_LAST)
  }

  seek(key: Uint8Array, start: number, end: number): void {
    this.#isForward = true
    this.#aimAt(key, start, end)
    this.#enter(firstNotBelow(this.#segments, key, start, end), ENTER_SEEK)
  }

  seekBefore(key: Uint8Array, start: number, end: number): void {
    this.#isForward = false
    this.#aimAt(key, start, end)
    this.#enter(lastReaching(this.#segments, key, start, end), ENTER_SEEK_BEFORE)
  }

  next(): void {
    this.#isForward = true
    const inner = this.#inner!
    inner.next()
    if (inner.valid) this.#publish(inner)
    else this.#goOn(inner)
  }

  prev(): void {
    this.#isForward = false
    const inner = this.#inner!
    inner.prev()
    if (inner.valid) this.#publish(inner)
    else this.#goOn(inner)
  }

  async load(): Promise<void> {
    assert(this.blocked && this.#inner !== undefined, 'load of a level that is not blocked')
    const inner = this.#inner
    await inner.load()
    this.#goOn(inner)
  }

  close(): void {
    this.valid = false
    this.blocked = false
    this.#leave()
  }

  #aimAt(key: Uint8Array, start: number, end: number): void {
    this.#key = key
    this.#keyStart = start
    this.#keyEnd = end
  }

  #enter(index: number, how: number): void {
    let at = index
    // Segments that hold nothing but range tombstones have no entries to walk.
    while (at >= 0 && at < this.#segments.length && this.#segments[at]!.firstKey === undefined) {
      at += this.#isForward ? 1 : -1
    }
    const meta = this.#segments[at]
    if (meta === undefined) {
      this.#leave()
      this.valid = false
      this.blocked = false
      return
    }
    let inner = this.#inner
    if (inner === undefined || at !== this.#index) {
      this.#leave()
      inner = this.#open(meta)
      this.#inner = inner
      this.#index = at
    }
    if (how === ENTER_FIRST) inner.seekToFirst()
    else if (how === ENTER_LAST) inner.seekToLast()
    else if (how === ENTER_SEEK) inner.seek(this.#key, this.#keyStart, this.#keyEnd)
    else inner.seekBefore(this.#key, this.#keyStart, this.#keyEnd)
    this.#goOn(inner)
  }

  /** After the inner iterator moved: its entry, its block, or the next segment. */
  #goOn(inner: EntryIterator): void {
    this.blocked = inner.blocked
    if (inner.valid) return this.#publish(inner)
    this.valid = false
    if (inner.blocked) return
    if (this.#isForward) this.#enter(this.#index + 1, ENTER_FIRST)
    else this.#enter(this.#index - 1, ENTER_LAST)
  }

  #leave(): void {
    this.#inner?.close()
    this.#inner = undefined
    this.#index = NO_SEGMENT
  }

  #publish(inner: EntryIterator): void {
    this.valid = true
    this.keyBytes = inner.keyBytes
    this.keyStart = inner.keyStart
    this.keyEnd = inner.keyEnd
    this.seqno = inner.seqno
    this.kind = inner.kind
    this.valueBytes = inner.valueBytes
    this.valueStart = inner.valueStart
    this.valueEnd = inner.valueEnd
    this.ordinal = inner.ordinal
  }
}
