/**
 * Which values of a blob file lie in slots of the block cache, and where: open addressing in typed arrays.
 *
 * A Map of records would be 80 bytes of V8's heap a value, and as values come and go garbage of its old generation: both are what
 * full collections look through.
 *
 * ```
 *   row of a position = its hash, or the next free row behind that
 *   positions  [ 20 | 16438 |   ... ]      place of the frame in the file
 *   slots      [  8 |    -1 |   ... ]      -1: the row is free
 *   bytes      [ 16 |     0 |   ... ]      of the value
 * ```
 */
import { assert } from '../base/assert.ts'

const ROWS_MIN = 16
/** 2^32 divided by the golden ratio (Knuth). */
const SPREAD = 0x9e3779b1
const FREE = -1

export class ValueTable {
  size = 0
  #positions: Float64Array = new Float64Array(0)
  #slots: Int32Array = new Int32Array(0)
  #bytes: Int32Array = new Int32Array(0)
  /** 32 less the bits of a row's number. */
  #shift = 32

  /** The value's row, which counts until the table is changed; -1 when it is not there. */
  find(position: number): number {
    if (this.size === 0) return -1
    const mask = this.#slots.length - 1
    let row = this.#home(position)
    // A quarter of the rows at least is free.
    while (this.#slots[row] !== FREE) {
      if (this.#positions[row] === position) return row
      row = (row + 1) & mask
    }
    return -1
  }

  slotAt(row: number): number {
    return this.#slots[row]!
  }

  bytesAt(row: number): number {
    return this.#bytes[row]!
  }

  /** `position` must not be there. */
  add(position: number, value: { readonly slot: number; readonly bytes: number }): void {
    assert(value.slot >= 0 && this.find(position) < 0, 'a value is in one slot')
    if (this.size >= this.#slots.length * 0.75) this.#grow()
    this.#put(position, value.slot, value.bytes)
    this.size++
  }

  delete(position: number): void {
    let free = this.find(position)
    if (free < 0) return
    this.size--
    const mask = this.#slots.length - 1
    // What lies behind it because its own row was taken moves up: no search may end at the gap.
    for (let row = (free + 1) & mask; this.#slots[row] !== FREE; row = (row + 1) & mask) {
      const home = this.#home(this.#positions[row]!)
      if (((row - home) & mask) < ((row - free) & mask)) continue
      this.#positions[free] = this.#positions[row]!
      this.#slots[free] = this.#slots[row]!
      this.#bytes[free] = this.#bytes[row]!
      free = row
    }
    this.#slots[free] = FREE
  }

  clear(): void {
    this.size = 0
    this.#positions = new Float64Array(0)
    this.#slots = new Int32Array(0)
    this.#bytes = new Int32Array(0)
  }

  /** Slots of all values, in no order. */
  slots(): Int32Array {
    return this.#slots.filter((slot) => slot !== FREE)
  }

  #home(position: number): number {
    const high = (position / 4294967296) | 0
    return Math.imul((position | 0) ^ Math.imul(high, SPREAD), SPREAD) >>> this.#shift
  }

  #put(position: number, slot: number, bytes: number): void {
    const mask = this.#slots.length - 1
    let row = this.#home(position)
    while (this.#slots[row] !== FREE) row = (row + 1) & mask
    this.#positions[row] = position
    this.#slots[row] = slot
    this.#bytes[row] = bytes
  }

  #grow(): void {
    const positions = this.#positions
    const slots = this.#slots
    const bytes = this.#bytes
    const rows = Math.max(ROWS_MIN, slots.length * 2)
    this.#positions = new Float64Array(rows)
    this.#slots = new Int32Array(rows).fill(FREE)
    this.#bytes = new Int32Array(rows)
    this.#shift = 32 - Math.log2(rows)
    for (let row = 0; row < slots.length; row++) {
      if (slots[row] !== FREE) this.#put(positions[row]!, slots[row]!, bytes[row]!)
    }
  }
}
