/**
 * What entries are gathered into: one array with room at the front for what is read from a file, and the entries behind.
 *
 * ```
 *   bytes   | stored blocks | one block, decompressed | key value | key value | ...  | free
 *           0               readBytes                 entriesAt                 used
 * ```
 *
 * Blocks are read into the front of the very array that entries are copied to, so that copying needs no view object: whole
 * words up to 160 bytes (30 ns for 100 bytes), `copyWithin` above (50 ns), against 120 for `set(subarray)`. For that an entry
 * gets whole words for itself, and a place with the alignment of its source.
 */

import { assert } from '../base/assert.ts'
import { viewOf } from '../base/bytes.ts'

const READ_BYTES = 2 ** 18
const RAW_BYTES = 2 ** 16
/** The last entry may go beyond the limit; room for one of usual size. */
const SLACK_BYTES = 2 ** 16

export abstract class GatherTarget {
  bytes: Uint8Array
  /** The same memory, */
  words: Int32Array
  /** and again, for words that lie at any byte. */
  view: DataView
  count = 0
  /** Keys and values may take so many bytes before it is full; one entry always fits. */
  limitBytes: number
  /** Room at the front of `bytes`: for stored blocks, then for one decompressed block. */
  readonly readBytes: number
  readonly rawBytes: number
  readonly #entriesAt: number
  #used: number

  constructor(options: { limitBytes: number; readBytes?: number }) {
    this.limitBytes = options.limitBytes
    this.readBytes = (options.readBytes ?? READ_BYTES) & ~3
    this.rawBytes = RAW_BYTES
    this.#entriesAt = this.readBytes + this.rawBytes
    this.#used = this.#entriesAt
    const bytes = allocate(this.#used + Math.min(options.limitBytes + 1024, READ_BYTES))
    this.bytes = bytes
    this.words = wordsOf(bytes)
    this.view = viewOf(bytes)
  }

  /**
   * Takes in an entry of such lengths and returns where its key begins in `bytes`: at a position that is `phase` modulo 4. The
   * caller fills in the bytes; the rest of the first and of the last word is its own too.
   */
  abstract add(
    keyBytes: number,
    valueBytes: number,
    kind: number,
    seqno: number,
    phase: number,
  ): number

  /** Bytes that entries take. */
  get usedBytes(): number {
    return this.#used - this.#entriesAt
  }

  get isFull(): boolean {
    return this.#used - this.#entriesAt >= this.limitBytes
  }

  reset(): void {
    this.count = 0
    this.#used = this.#entriesAt
    // One huge value must not be held in memory for good.
    if (this.bytes.length > this.#used + 2 * this.limitBytes + SLACK_BYTES) {
      this.bytes = allocate(this.#used + this.limitBytes + SLACK_BYTES)
      this.words = wordsOf(this.bytes)
      this.view = viewOf(this.bytes)
    }
  }

  /** About so many bytes will come, as things stand: room for them is taken at once, instead of by doubling. Empty so far. */
  expect(bytes: number): void {
    assert(this.#used === this.#entriesAt, 'room is made before anything is added')
    const wanted = this.#entriesAt + Math.min(bytes, this.limitBytes)
    if (wanted <= this.bytes.length) return
    this.bytes = allocate(wanted + SLACK_BYTES)
    this.words = wordsOf(this.bytes)
    this.view = viewOf(this.bytes)
  }

  /** The end of what was reserved. */
  protected get top(): number {
    return this.#used
  }

  /** Takes so many bytes, whole words, from the free end. */
  protected reserve(bytes: number): number {
    const at = this.#used
    const end = at + bytes
    if (end > this.bytes.length) this.#grow(end)
    this.#used = end
    return at
  }

  #grow(needed: number): void {
    const most = this.#entriesAt + this.limitBytes + SLACK_BYTES
    const doubled = this.bytes.length * 2
    const larger = allocate(Math.max(needed, Math.min(doubled, most)))
    larger.set(this.bytes.subarray(0, this.#used))
    this.bytes = larger
    this.words = wordsOf(larger)
    this.view = viewOf(larger)
  }
}

/** Not cleared; of whole words. */
function allocate(bytes: number): Uint8Array {
  return Buffer.allocUnsafeSlow(Math.ceil(bytes / 4) * 4)
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
}
