/**
 * VisibleIterator in key order. The newest version of a key comes first, and an insert is handed out where it stands in the
 * source: nothing is copied. What is older of the same key is skipped at the next `advance`, for which the key must still be
 * known: the reader of this iterator usually copies it anyway and says so with `keepKey`; else it is copied here.
 */
import type { EntryIterator } from '../base/entry-iterator.ts'
import { FLAG_BLOB, KIND_INSERT, KIND_MASK, KIND_MERGE } from '../base/entry-kind.ts'
import { BLOCKED_COVER } from './range-cover.ts'
import {
  type KeyPlace,
  STATE_COLLECT,
  STATE_FRESH,
  STATE_SKIP,
  VisibleIterator,
} from './visible-iterator.ts'

/** After so many older versions of a key, a seek goes past the rest. */
const SKIPS_MAX = 16

export class ForwardVisibleIterator extends VisibleIterator {
  /** The entry handed out is the source's current one. */
  #isOnEntry = false
  #skips = 0

  start(near: Uint8Array | undefined): void {
    if (near === undefined) this.source.seekToFirst()
    else this.source.seek(near, 0, near.length)
    this.run()
  }

  advance(): void {
    if (!this.isLastKnown) this.copyKey(this.keyBytes, this.keyStart, this.keyEnd)
    this.state = STATE_SKIP
    this.#skips = 0
    if (this.#isOnEntry) {
      this.#isOnEntry = false
      this.source.next()
    }
    this.run()
  }

  /** Somebody else moves the sources forward, from behind the key that `walk` is told on. */
  lendTo(walk: KeyPlace): void {
    this.tellKey(walk)
  }

  /** They went as far as `walk` says; `advance` goes on from there. */
  takeBackFrom({ keyBytes, keyStart, keyEnd }: KeyPlace): void {
    this.keepKey(keyBytes, keyStart, keyEnd)
    this.#isOnEntry = false
  }

  protected run(): void {
    const source = this.source
    for (;;) {
      if (!source.valid) {
        if (source.blocked) return this.block(false)
        if (this.state === STATE_COLLECT) return this.handOutLast(true)
        this.valid = false
        return
      }
      if (this.state !== STATE_FRESH) {
        if (this.isLastKey(source)) {
          if (this.state === STATE_SKIP) this.#skip(source)
          else if (this.#isComplete(source)) return this.handOutLast(true)
          continue
        }
        if (this.state === STATE_COLLECT) return this.handOutLast(true)
        this.state = STATE_FRESH
      }
      if (this.bound !== undefined && !this.isBelowBound(source)) {
        this.valid = false
        return
      }
      if (source.seqno > this.snapshot) {
        source.next()
        continue
      }
      let covered = 0
      if (this.cover !== undefined) {
        covered = this.cover.coveringSeqno(source.keyBytes, source.keyStart, source.keyEnd)
        if (covered === BLOCKED_COVER) return this.block(true)
      }
      const kind = source.kind & KIND_MASK
      const isVisible = source.seqno > covered
      if (kind === KIND_INSERT && isVisible) return this.#handOutEntry(source)
      this.copyKey(source.keyBytes, source.keyStart, source.keyEnd)
      this.#skips = 0
      if (kind === KIND_MERGE && isVisible) {
        if (!this.needsValues) return this.handOutLast(true)
        this.covered = covered
        this.startChain()
        this.state = STATE_COLLECT
        if (this.#isComplete(source)) return this.handOutLast(true)
      } else {
        this.state = STATE_SKIP
        source.next()
      }
    }
  }

  /** They were collected newest first. */
  protected operandsInOrder(): Buffer[] {
    return this.operands.toReversed()
  }

  /** Past one older version of a key that is done, or, after a few, past all of them. */
  #skip(source: EntryIterator): void {
    if (++this.#skips < SKIPS_MAX) return source.next()
    this.#skips = 0
    const above = this.lastKeyPlusOne()
    source.seek(above, 0, above.length)
  }

  /** Takes the next older version of the chain's key, and moves on unless it was the last that counts. */
  #isComplete(source: EntryIterator): boolean {
    if (source.seqno <= this.covered) return true
    const kind = source.kind & KIND_MASK
    if (kind === KIND_MERGE) {
      this.isDeferred = !this.takeOperand(source)
      if (this.isDeferred) return true
      source.next()
      return false
    }
    if (kind === KIND_INSERT) {
      this.isDeferred = (source.kind & FLAG_BLOB) !== 0
      if (!this.isDeferred) this.takeBase(source)
    }
    return true
  }

  #handOutEntry(source: EntryIterator): void {
    this.keyBytes = source.keyBytes
    this.keyStart = source.keyStart
    this.keyEnd = source.keyEnd
    this.valueBytes = source.valueBytes
    this.valueStart = source.valueStart
    this.valueEnd = source.valueEnd
    this.isBlob = (source.kind & FLAG_BLOB) !== 0
    this.isChain = false
    this.isLastKnown = false
    this.#isOnEntry = true
    this.valid = true
  }
}
