/**
 * What a snapshot sees: each key once, with its newest version at or below the snapshot's seqno, without what tombstones
 * hide.
 *
 * ```
 *   source:  a@9  a@5  b@7(delete)  b@2  c@8(merge)  c@6(merge)  c@1   at snapshot 8
 *   visible: a@5                         c: operands 8, 6 over the base 1
 * ```
 *
 * This is what the two directions have in common; they are in forward-visible-iterator.ts and reverse-visible-iterator.ts.
 * Operands are folded here when they are few and all in place. Long chains (lookups remember their results) and chains with
 * blobs are only announced: `isDeferred`, to be read by a point lookup.
 */
import { compareBytes } from '../base/bytes.ts'
import type { EntryIterator } from '../base/entry-iterator.ts'
import { FLAG_BLOB } from '../base/entry-kind.ts'
import { foldChain } from './operand-chain.ts'
import type { RangeCover } from './range-cover.ts'
import type { KeyspaceReadSettings } from './read-view.ts'
import type { ResultPool } from './result-pool.ts'

/** Chains of more operands are left to lookups. */
export const CHAIN_IN_PLACE_MAX = 32

/** At an entry whose key was not looked at yet. */
export const STATE_FRESH = 0
/** What is left of the last key is to be skipped. */
export const STATE_SKIP = 1
/** Collecting the versions of the last key. */
export const STATE_COLLECT = 2

export interface VisibleIteratorOptions {
  readonly source: EntryIterator
  readonly snapshot: number
  /** The far end. Forward: stop before the first key >= this. Reverse: stop after the last key >= this. */
  readonly bound: Uint8Array | undefined
  /** Undefined: no range tombstones anywhere. */
  readonly cover: RangeCover | undefined
  /** False: keys only; values are not collected, and chains not folded. */
  readonly needsValues: boolean
  readonly keyspace: KeyspaceReadSettings
  readonly pool: ResultPool
}

export interface KeyPlace {
  keyBytes: Uint8Array
  keyStart: number
  keyEnd: number
}

/** Buffers for larger values are made as large as they must be. */
const SCRATCH_DOUBLING_MAX = 2 ** 20

const NO_BYTES = new Uint8Array(0)
const NO_OPERAND = Buffer.alloc(0)

export abstract class VisibleIterator {
  valid = false
  /** As in EntryIterator: `await load()` finishes the move. */
  blocked = false
  /** Borrowed until the next move. */
  keyBytes: Uint8Array = NO_BYTES
  keyStart = 0
  keyEnd = 0
  /** The value is bytes [valueStart, valueEnd), or a blob reference (`isBlob`), or is to be folded (`isChain`). */
  valueBytes: Uint8Array = NO_BYTES
  valueStart = 0
  valueEnd = 0
  isBlob = false
  isChain = false
  /** With `isChain`: `fold` cannot do it; look the key up. */
  isDeferred = false
  /** With `isDeferred`: newest range tombstone over the key in memtables. */
  memtableCover = 0

  protected readonly source: EntryIterator
  protected readonly snapshot: number
  protected readonly bound: Uint8Array | undefined
  protected readonly cover: RangeCover | undefined
  protected readonly needsValues: boolean
  readonly #keyspace: KeyspaceReadSettings
  readonly #pool: ResultPool

  protected state: number = STATE_FRESH
  /** Newest range tombstone over the key being collected. */
  protected covered = 0
  /** While collecting: whether value* hold an insert below the operands. */
  protected hasBase = false
  protected readonly operands: Buffer[] = []
  protected isLastKnown = false
  #coverIsBlocked = false
  /** The key handed out last, or being collected. */
  #lastBytes: Uint8Array = NO_BYTES
  #lastStart = 0
  #lastEnd = 0
  #keyScratch: Uint8Array = NO_BYTES
  #valueScratch: Uint8Array = NO_BYTES

  constructor(options: VisibleIteratorOptions) {
    this.source = options.source
    this.snapshot = options.snapshot
    this.bound = options.bound
    this.cover = options.cover
    this.needsValues = options.needsValues
    this.#keyspace = options.keyspace
    this.#pool = options.pool
  }

  /** To the first key, counted from the near end: inclusive forward, exclusive in reverse; undefined: no bound. */
  abstract start(near: Uint8Array | undefined): void
  /** To the next visible key. */
  abstract advance(): void
  /** Goes on from wherever the source stands. */
  protected abstract run(): void
  /** Collected operands, oldest first. */
  protected abstract operandsInOrder(): Buffer[]

  async load(): Promise<void> {
    if (this.#coverIsBlocked) await this.cover!.load()
    else await this.source.load()
    this.#coverIsBlocked = false
    this.blocked = false
    this.run()
  }

  /** The value of a chain. Throws VARVE_NO_MERGE_OPERATOR, VARVE_MERGE_FAILED. */
  fold(): Buffer {
    const base = this.hasBase
      ? this.#pool.copy(this.valueBytes, this.valueStart, this.valueEnd)
      : undefined
    const key = this.#pool.copy(this.keyBytes, this.keyStart, this.keyEnd)
    return foldChain(this.#keyspace, { key, base, operands: this.operandsInOrder() })
  }

  /** The key handed out stands in these bytes too, and does not change there before the next move is over. */
  keepKey(bytes: Uint8Array, start: number, end: number): void {
    this.#lastBytes = bytes
    this.#lastStart = start
    this.#lastEnd = end
    this.isLastKnown = true
  }

  /** Where the key handed out last stands. */
  protected tellKey(place: KeyPlace): void {
    if (!this.isLastKnown) this.copyKey(this.keyBytes, this.keyStart, this.keyEnd)
    place.keyBytes = this.#lastBytes
    place.keyStart = this.#lastStart
    place.keyEnd = this.#lastEnd
  }

  /** The bytes that `keepKey` named go to somebody who may write to them. */
  ownKey(): void {
    if (this.isLastKnown) this.copyKey(this.#lastBytes, this.#lastStart, this.#lastEnd)
  }

  close(): void {
    this.valid = false
    this.blocked = false
    this.source.close()
  }

  protected copyKey(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start
    if (length > this.#keyScratch.length) this.#keyScratch = new Uint8Array(length * 2)
    const scratch = this.#keyScratch
    for (let i = 0; i < length; i++) scratch[i] = bytes[start + i]!
    this.keepKey(scratch, 0, length)
  }

  /** The last key, with room for one byte behind it. */
  protected lastKeyPlusOne(): Uint8Array {
    const key = new Uint8Array(this.#lastEnd - this.#lastStart + 1)
    key.set(this.#lastBytes.subarray(this.#lastStart, this.#lastEnd), 0)
    return key
  }

  protected isLastKey(source: EntryIterator): boolean {
    const key = source.keyBytes
    const last = this.#lastBytes
    const start = source.keyStart
    const end = source.keyEnd
    const lastEnd = this.#lastEnd
    // Neighbouring keys mostly differ in their last byte.
    if (end - start !== lastEnd - this.#lastStart || key[end - 1] !== last[lastEnd - 1])
      return false
    return compareBytes(key, start, end, last, this.#lastStart, lastEnd) === 0
  }

  /** Whether the source's key is below the bound; there must be one. */
  protected isBelowBound(source: EntryIterator): boolean {
    const bound = this.bound!
    return compareBytes(source.keyBytes, source.keyStart, source.keyEnd, bound, 0, bound.length) < 0
  }

  protected block(byCover: boolean): void {
    this.valid = false
    this.blocked = true
    this.#coverIsBlocked = byCover
  }

  /** Forgets what was collected. */
  protected startChain(): void {
    this.hasBase = false
    this.operands.length = 0
    this.isDeferred = false
    this.isBlob = false
    this.memtableCover = this.cover === undefined ? 0 : this.cover.inMemtables
  }

  /** False: the chain is one for a lookup. */
  protected takeOperand(source: EntryIterator): boolean {
    const isTooLong = this.operands.length === CHAIN_IN_PLACE_MAX
    // Over a base in a blob file: what was kept of it is only a reference.
    if (isTooLong || this.isBlob || (source.kind & FLAG_BLOB) !== 0) return false
    this.operands.push(
      this.needsValues
        ? this.#pool.copy(source.valueBytes, source.valueStart, source.valueEnd)
        : NO_OPERAND,
    )
    return true
  }

  protected takeBase(source: EntryIterator): void {
    this.hasBase = true
    this.isBlob = (source.kind & FLAG_BLOB) !== 0
    if (!this.needsValues) return
    const { valueBytes, valueStart, valueEnd } = source
    const length = valueEnd - valueStart
    if (length > this.#valueScratch.length) {
      this.#valueScratch = new Uint8Array(length > SCRATCH_DOUBLING_MAX ? length : length * 2)
    }
    this.#valueScratch.set(valueBytes.subarray(valueStart, valueEnd), 0)
    this.valueBytes = this.#valueScratch
    this.valueStart = 0
    this.valueEnd = length
  }

  /** Hands out the last key with what was collected of it. */
  protected handOutLast(isChain: boolean): void {
    this.isChain = isChain
    if (isChain) this.isBlob = false
    this.keyBytes = this.#lastBytes
    this.keyStart = this.#lastStart
    this.keyEnd = this.#lastEnd
    this.valid = true
  }
}
