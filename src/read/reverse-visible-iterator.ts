/**
 * VisibleIterator against key order. The oldest version of a key comes first, so the best one so far is kept in a buffer
 * until the key ends.
 */
import type { EntryIterator } from '../base/entry-iterator.ts'
import { KIND_INSERT, KIND_MASK, KIND_MERGE } from '../base/entry-kind.ts'
import { BLOCKED_COVER } from './range-cover.ts'
import { STATE_COLLECT, STATE_FRESH, VisibleIterator } from './visible-iterator.ts'

export class ReverseVisibleIterator extends VisibleIterator {
  start(near: Uint8Array | undefined): void {
    if (near === undefined) this.source.seekToLast()
    else this.source.seekBefore(near, 0, near.length)
    this.run()
  }

  advance(): void {
    this.run()
  }

  protected run(): void {
    const source = this.source
    for (;;) {
      if (!source.valid && source.blocked) return this.block(false)
      if (this.state === STATE_COLLECT) {
        if (source.valid && this.isLastKey(source)) {
          this.#collect(source)
          source.prev()
          continue
        }
        this.state = STATE_FRESH
        if (this.operands.length > 0 || this.isDeferred) return this.handOutLast(true)
        if (this.hasBase) return this.handOutLast(false)
      }
      if (!source.valid || (this.bound !== undefined && this.isBelowBound(source))) {
        this.valid = false
        return
      }
      this.covered = 0
      if (this.cover !== undefined) {
        this.covered = this.cover.coveringSeqno(source.keyBytes, source.keyStart, source.keyEnd)
        if (this.covered === BLOCKED_COVER) return this.block(true)
      }
      this.copyKey(source.keyBytes, source.keyStart, source.keyEnd)
      this.startChain()
      this.state = STATE_COLLECT
    }
  }

  protected operandsInOrder(): Buffer[] {
    return this.operands.slice()
  }

  /** A version that is newer than what was collected of its key so far. */
  #collect(source: EntryIterator): void {
    if (source.seqno > this.snapshot || source.seqno <= this.covered) return
    const kind = source.kind & KIND_MASK
    if (kind !== KIND_MERGE) {
      this.startChain()
      if (kind === KIND_INSERT) this.takeBase(source)
    } else if (!this.isDeferred && !this.takeOperand(source)) {
      this.isDeferred = true
      this.operands.length = 0
    }
  }
}
