/**
 * Counts events on their way in and on their way out: what went in at or above the drop floor must come out, each once (I4).
 * A number and two sums over the seqnos tell any lost, doubled or swapped event but for one chance in 2^64.
 */
import { assert } from '../base/assert.ts'

export class EventTally {
  count = 0
  #sum = 0
  #mixed = 0

  add(seqno: number): void {
    const low = seqno | 0
    this.count++
    this.#sum = (this.#sum + low) | 0
    this.#mixed = (this.#mixed + Math.imul(low ^ (low >>> 15), 0x2c1b3c6d)) | 0
  }

  /** All from `first` to `last`. */
  addRange(first: number, last: number): void {
    for (let seqno = first; seqno <= last; seqno++) this.add(seqno)
  }

  /** Throws, before anything of the job is put to use, when this differs from `source`. */
  mustEqual(source: EventTally, job: string): void {
    assert(
      this.count === source.count && this.#sum === source.#sum && this.#mixed === source.#mixed,
      `${job}: ${source.count} events went in, ${this.count} came out, or they are others`,
    )
  }
}
