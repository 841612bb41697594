/** Holds the entries that a segment's writer is given against the order that it promises; where `paranoid` is on. */
import { assert } from '../base/assert.ts'
import { compareBytes } from '../base/bytes.ts'

export class EntryOrder {
  readonly #bySeqno: boolean
  #key: Buffer | undefined
  #seqno = 0

  constructor(order: 'key' | 'seqno') {
    this.#bySeqno = order === 'seqno'
  }

  check(key: Uint8Array, keyStart: number, keyEnd: number, seqno: number): void {
    const previous = this.#key
    if (previous !== undefined) {
      const order = this.#bySeqno
        ? this.#seqno - seqno
        : compareBytes(previous, 0, previous.length, key, keyStart, keyEnd) || seqno - this.#seqno
      assert(order < 0, 'entries come in order')
    }
    this.#key = Buffer.from(key.subarray(keyStart, keyEnd))
    this.#seqno = seqno
  }
}
