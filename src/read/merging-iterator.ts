/**
 * Several sorted sources as one: memtables, L0 segments, levels.
 *
 * The sources that still have entries stand in an array sorted by their current entries; the first one is the winner.
 * After a move it is compared with the second only: while it stays in front ("stay on the winner") that is one comparison an
 * entry. Else it is moved back to its place, linearly at first (next to always near the front), then by bisection. Measured
 * against heap and loser tree this wins up to four sources and loses nothing with thirty.
 *
 * Comparisons use a *rank*: six bytes of the key behind a prefix that the keys at hand have in common, as one exact double.
 * Ranks decide nearly always; equal ones fall back to comparing the keys. The prefix is taken from the entries under the
 * sources after a seek and shortened when the walk leaves it; a key outside it ranks before or after every other.
 *
 * Blocking: a blocked source blocks the merge; `load` loads (all blocked ones at once after a seek) and goes on.
 */
import { assert } from '../base/assert.ts'
import { compareBytes, EMPTY_BYTES } from '../base/bytes.ts'
import { EntryIterator } from '../base/entry-iterator.ts'

/** What `load` has to finish. */
const PENDING_NOTHING = 0
const PENDING_WINNER = 1
const PENDING_ALL = 2

const RANK_BYTES = 6
const RANK_BELOW = -1
const RANK_ABOVE = 2 ** 48
const LINEAR_STEPS = 4

/** One source as it is, or a merge of several. Takes over the sources. */
export function mergeSources(sources: readonly EntryIterator[]): EntryIterator {
  return sources.length === 1 ? sources[0]! : new MergingIterator(sources)
}

export class MergingIterator extends EntryIterator {
  readonly #sources: readonly EntryIterator[]
  /** Indexes of the sources that have an entry, the winner first; `#live` of them. */
  readonly #order: Int32Array
  readonly #ranks: Float64Array
  #live = 0
  #winner: EntryIterator | undefined = undefined
  #isForward = true
  #pending = PENDING_NOTHING
  /** The first `#prefixLength` bytes of this are what ranks leave out. */
  #prefix: Uint8Array = EMPTY_BYTES
  #prefixLength = 0

  constructor(sources: readonly EntryIterator[]) {
    super()
    this.#sources = sources
    this.#order = new Int32Array(sources.length)
    this.#ranks = new Float64Array(sources.length)
  }

  seekToFirst(): void {
    this.#isForward = true
    for (const source of this.#sources) source.seekToFirst()
    this.#rebuild()
  }

  seekToLast(): void {
    this.#isForward = false
    for (const source of this.#sources) source.seekToLast()
    this.#rebuild()
  }

  seek(key: Uint8Array, start: number, end: number): void {
    this.#isForward = true
    for (const source of this.#sources) source.seek(key, start, end)
    this.#rebuild()
  }

  seekBefore(key: Uint8Array, start: number, end: number): void {
    this.#isForward = false
    for (const source of this.#sources) source.seekBefore(key, start, end)
    this.#rebuild()
  }

  next(): void {
    if (!this.#isForward) return this.#turn(true)
    this.#winner!.next()
    this.#settle()
  }

  prev(): void {
    if (this.#isForward) return this.#turn(false)
    this.#winner!.prev()
    this.#settle()
  }

  /** Goes on forward from where somebody else has moved the sources to. */
  resume(): void {
    this.#isForward = true
    this.#rebuild()
  }

  async load(): Promise<void> {
    assert(this.blocked, 'load of a merge that is not blocked')
    // A failed load leaves the merge blocked: whoever reads on gets the same error again.
    if (this.#pending === PENDING_WINNER) {
      await this.#winner!.load()
      this.blocked = false
      this.#settle()
    } else {
      await Promise.all(this.#sources.filter((source) => source.blocked).map((s) => s.load()))
      this.#rebuild()
    }
  }

  close(): void {
    this.valid = false
    this.blocked = false
    for (const source of this.#sources) source.close()
  }

  /**
   * The other direction: every source but the winner stands on its nearest entry on the far side of the current one (or has
   * run out on that side), so one step back brings it to the near side.
   */
  #turn(isForward: boolean): void {
    assert(this.valid, 'a move from no entry')
    this.#isForward = isForward
    for (const source of this.#sources) {
      if (source.valid) {
        if (isForward) source.next()
        else source.prev()
      } else if (isForward) source.seekToFirst()
      else source.seekToLast()
    }
    this.#rebuild()
  }

  /** After all sources moved. */
  #rebuild(): void {
    this.#live = 0
    this.blocked = false
    for (let i = 0; i < this.#sources.length; i++) {
      if (this.#sources[i]!.blocked) return this.#block(PENDING_ALL)
    }
    this.#choosePrefix()
    for (let i = 0; i < this.#sources.length; i++) {
      if (!this.#sources[i]!.valid) continue
      this.#ranks[i] = this.#rankOf(this.#sources[i]!)
      this.#insert(i, 0, this.#live++)
    }
    this.#publish()
  }

  /** After the winner moved. */
  #settle(): void {
    const winner = this.#winner!
    const order = this.#order
    const index = order[0]!
    if (!winner.valid) {
      if (winner.blocked) return this.#block(PENDING_WINNER)
      order.copyWithin(0, 1, this.#live--)
    } else if (this.#live > 1) {
      let rank = this.#rankOf(winner)
      if (rank === RANK_BELOW || rank === RANK_ABOVE) {
        this.#shortenPrefix(winner)
        rank = this.#rankOf(winner)
      }
      this.#ranks[index] = rank
      if (!this.#isBefore(index, order[1]!)) this.#moveBack(index)
    }
    this.#publish()
  }

  #publish(): void {
    if (this.#live === 0) {
      this.valid = false
      this.#winner = undefined
      return
    }
    const winner = this.#sources[this.#order[0]!]!
    this.#winner = winner
    this.valid = true
    this.keyBytes = winner.keyBytes
    this.keyStart = winner.keyStart
    this.keyEnd = winner.keyEnd
    this.seqno = winner.seqno
    this.kind = winner.kind
    this.valueBytes = winner.valueBytes
    this.valueStart = winner.valueStart
    this.valueEnd = winner.valueEnd
    this.ordinal = winner.ordinal
  }

  #block(pending: number): void {
    this.valid = false
    this.blocked = true
    this.#pending = pending
  }

  /** Moves the winner from the front to its place, which is not the front. */
  #moveBack(index: number): void {
    const order = this.#order
    const live = this.#live
    let place = 1
    while (place < live && place <= LINEAR_STEPS && this.#isBefore(order[place]!, index)) {
      order[place - 1] = order[place]!
      place++
    }
    if (place <= LINEAR_STEPS || place === live) {
      order[place - 1] = index
      return
    }
    order.copyWithin(place - 1, place, live)
    this.#insert(index, place - 1, live - 1)
  }

  /** Puts a source into order[from, to), which is sorted and gets one longer. */
  #insert(index: number, from: number, to: number): void {
    const order = this.#order
    let low = from
    let high = to
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#isBefore(order[middle]!, index)) low = middle + 1
      else high = middle
    }
    order.copyWithin(low + 1, low, to)
    order[low] = index
  }

  /** Whether source i's entry comes before source j's, in the direction of the walk. */
  #isBefore(i: number, j: number): boolean {
    const a = this.#ranks[i]!
    const b = this.#ranks[j]!
    if (a !== b) return a < b === this.#isForward
    const x = this.#sources[i]!
    const y = this.#sources[j]!
    let xStart = x.keyStart
    let yStart = y.keyStart
    const ranked = this.#prefixLength + RANK_BYTES
    const isInPrefix = a > RANK_BELOW && a < RANK_ABOVE
    // Neighbours often differ in their last bytes only: what the ranks were made of is the same.
    if (isInPrefix && x.keyEnd - xStart >= ranked && y.keyEnd - yStart >= ranked) {
      xStart += ranked
      yStart += ranked
    }
    let order = compareBytes(x.keyBytes, xStart, x.keyEnd, y.keyBytes, yStart, y.keyEnd)
    if (order === 0) order = y.seqno - x.seqno
    if (order === 0) order = i - j
    return order < 0 === this.#isForward
  }

  #rankOf(source: EntryIterator): number {
    const key = source.keyBytes
    const start = source.keyStart
    const length = source.keyEnd - start
    const skip = this.#prefixLength
    const prefix = this.#prefix
    for (let i = 0; i < skip; i++) {
      if (i === length) return RANK_BELOW
      const d = key[start + i]! - prefix[i]!
      if (d !== 0) return d < 0 ? RANK_BELOW : RANK_ABOVE
    }
    const at = start + skip
    if (skip + RANK_BYTES <= length) {
      return (
        ((key[at]! << 16) | (key[at + 1]! << 8) | key[at + 2]!) * 16777216 +
        ((key[at + 3]! << 16) | (key[at + 4]! << 8) | key[at + 5]!)
      )
    }
    // Short keys are padded with zeros: equal ranks are compared in full anyway.
    let rank = 0
    for (let i = 0; i < RANK_BYTES; i++) rank = rank * 256 + (skip + i < length ? key[at + i]! : 0)
    return rank
  }

  /** The longest prefix that the entries under all sources share. */
  #choosePrefix(): void {
    let shared = -1
    for (const source of this.#sources) {
      if (!source.valid) continue
      if (shared < 0) {
        shared = source.keyEnd - source.keyStart
        if (shared > this.#prefix.length) this.#prefix = new Uint8Array(shared)
        for (let i = 0; i < shared; i++) this.#prefix[i] = source.keyBytes[source.keyStart + i]!
      } else {
        shared = this.#sharedWith(source, shared)
      }
    }
    this.#prefixLength = shared < 0 ? 0 : shared
  }

  /** The walk has left the prefix: from now on what is left of it. It only gets shorter, so this is rare. */
  #shortenPrefix(winner: EntryIterator): void {
    this.#prefixLength = this.#sharedWith(winner, this.#prefixLength)
    for (let i = 0; i < this.#live; i++) {
      const index = this.#order[i]!
      this.#ranks[index] = this.#rankOf(this.#sources[index]!)
    }
  }

  #sharedWith(source: EntryIterator, most: number): number {
    const key = source.keyBytes
    const start = source.keyStart
    const shared = Math.min(most, source.keyEnd - start)
    for (let i = 0; i < shared; i++) if (key[start + i] !== this.#prefix[i]) return i
    return shared
  }
}
