/**
 * Walks the operations on keys of one keyspace in a memtable: keys ascending, of each key the newest version first.
 *
 * The memtable may be written between any two moves. What was there when the iterator was placed is found; of what comes
 * later, at least every key that lies ahead.
 */
import { EntryIterator } from '../base/entry-iterator.ts'
import { Operation } from './operation.ts'
import type { OperationLog } from './operation-log.ts'
import { RadixCursor } from './radix-cursor.ts'
import type { RadixTree } from './radix-tree.ts'

const CHAIN_FIRST = 64
const NOTHING = new Uint8Array(0)

export class MemtableIterator extends EntryIterator {
  readonly #log: OperationLog
  /** Root of the keyspace's tree, 0 while there is none: it may come to be at any time. */
  readonly #root: () => number
  readonly #cursor: RadixCursor
  readonly #operation = new Operation()
  /** Versions of the current key, newest first, for walking backwards; empty until that is needed. */
  #chain: Int32Array | undefined = undefined
  #chainCount = 0
  #chainAt = 0

  constructor(tree: RadixTree, root: () => number) {
    super()
    this.#log = tree.log
    this.#root = root
    this.#cursor = new RadixCursor(tree)
  }

  seekToFirst(): void {
    this.#cursor.seekToFirst(this.#root())
    this.#toNewest()
  }

  seekToLast(): void {
    this.#cursor.seekToLast(this.#root())
    this.#toOldest()
  }

  seek(key: Uint8Array, start: number, end: number): void {
    this.#cursor.seek(this.#root(), key, start, end)
    this.#toNewest()
  }

  seekBefore(key: Uint8Array, start: number, end: number): void {
    this.#cursor.seekBefore(this.#root(), key, start, end)
    this.#toOldest()
  }

  next(): void {
    if (!this.valid) return
    const older = this.#log.olderOf(this.ordinal)
    if (older >= 0) {
      if (this.#chainAt + 1 < this.#chainCount) this.#chainAt++
      this.#show(older)
      return
    }
    this.#cursor.next()
    this.#toNewest()
  }

  /** Past all older versions, to the next key. */
  nextKey(): void {
    if (!this.valid) return
    this.#cursor.next()
    this.#toNewest()
  }

  prev(): void {
    if (!this.valid) return
    if (this.ordinal !== this.#cursor.ordinal) {
      if (this.#chainCount === 0) this.#collect(this.ordinal)
      if (this.#chainAt > 0) {
        this.#show(this.#chain![--this.#chainAt]!)
        return
      }
    }
    this.#cursor.prev()
    this.#toOldest()
  }

  async load(): Promise<void> {
    // Never blocked.
  }

  close(): void {
    this.valid = false
    this.keyBytes = NOTHING
    this.valueBytes = NOTHING
    this.#chain = undefined
    this.#chainCount = 0
  }

  #toNewest(): void {
    this.#chainCount = 0
    this.#show(this.#cursor.ordinal)
  }

  #toOldest(): void {
    this.#chainCount = 0
    const newest = this.#cursor.ordinal
    if (newest < 0 || this.#log.olderOf(newest) < 0) {
      this.#show(newest)
      return
    }
    this.#collect(-1)
    this.#show(this.#chain![this.#chainAt]!)
  }

  /** Lists the versions of the current key down to the oldest, and finds the place of one of them; -1: of the oldest. */
  #collect(wanted: number): void {
    const log = this.#log
    let chain = (this.#chain ??= new Int32Array(CHAIN_FIRST))
    let count = 0
    this.#chainAt = -1
    for (let ordinal = this.#cursor.ordinal; ordinal >= 0; ordinal = log.olderOf(ordinal)) {
      if (count === chain.length) {
        const grown = new Int32Array(count * 2)
        grown.set(chain)
        this.#chain = chain = grown
      }
      if (ordinal === wanted) this.#chainAt = count
      chain[count++] = ordinal
    }
    if (this.#chainAt < 0) this.#chainAt = count - 1
    this.#chainCount = count
  }

  #show(ordinal: number): void {
    if (ordinal < 0) {
      this.valid = false
      return
    }
    const log = this.#log
    const arena = log.arena
    const operation = this.#operation
    operation.read(arena, log.offsetOf(ordinal))
    this.valid = true
    this.ordinal = ordinal
    this.seqno = log.firstSeqno + ordinal
    this.kind = operation.kind
    this.keyBytes = arena
    this.keyStart = operation.keyStart
    this.keyEnd = operation.keyEnd
    this.valueBytes = arena
    this.valueStart = operation.valueStart
    this.valueEnd = operation.valueEnd
  }
}
