/**
 * Seqnos that somebody reads at, snapshots and cursors: what is visible there compaction must leave in the live tree.
 */
import { assert } from '../base/assert.ts'

/** Each seqno may be held any number of times. */
export class SnapshotRegistry {
  readonly #counts = new Map<number, number>()
  #seqnos: readonly number[] | undefined = []

  /** Distinct seqnos, ascending; the list is not changed afterwards, so a job can keep it. */
  get seqnos(): readonly number[] {
    this.#seqnos ??= [...this.#counts.keys()].sort((a, b) => a - b)
    return this.#seqnos
  }

  acquire(seqno: number): void {
    const count = this.#counts.get(seqno) ?? 0
    this.#counts.set(seqno, count + 1)
    if (count === 0) this.#seqnos = undefined
  }

  release(seqno: number): void {
    const count = this.#counts.get(seqno)
    assert(count !== undefined, 'a snapshot is released as often as it was acquired')
    if (count > 1) {
      this.#counts.set(seqno, count - 1)
      return
    }
    this.#counts.delete(seqno)
    this.#seqnos = undefined
  }
}
