/**
 * Unsigned integers of any number of bits, low bit first, for the change index.
 */

export class BitWriter {
  #bytes: Uint8Array = new Uint8Array(4096)
  #length = 0
  /** Bits not yet in `#bytes`, fewer than eight between calls. */
  #pending = 0
  #pendingBits = 0

  /** Appends the low `width` bits of `value`, 0 to 48. */
  write(value: number, width: number): void {
    if (width > 24) {
      this.#put(value % 16777216, 24)
      this.#put(Math.floor(value / 16777216), width - 24)
    } else {
      this.#put(value, width)
    }
  }

  /** Bits since the last `take`. */
  get bits(): number {
    return this.#length * 8 + this.#pendingBits
  }

  /** Pads to a whole byte and returns everything; valid until the next write. Starts over. */
  take(): Uint8Array {
    this.#put(0, 7)
    const bytes = this.#bytes.subarray(0, this.#length)
    this.#length = 0
    this.#pending = 0
    this.#pendingBits = 0
    return bytes
  }

  #put(value: number, width: number): void {
    if (this.#length + 4 > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2)
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    let pending = this.#pending | (value << this.#pendingBits)
    let bits = this.#pendingBits + width
    while (bits >= 8) {
      this.#bytes[this.#length++] = pending
      pending >>>= 8
      bits -= 8
    }
    this.#pending = pending
    this.#pendingBits = bits
  }
}

/** Reads what BitWriter wrote. Behind the end it reads zeros; the caller compares `position` with `end` after a while. */
export class BitReader {
  readonly #bytes: Uint8Array
  /** In bits from the array's start. */
  position: number
  readonly end: number

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes
    this.position = start * 8
    this.end = end * 8
  }

  get isBeyondEnd(): boolean {
    return this.position > this.end
  }

  /** The next `width` bits, 0 to 48. */
  read(width: number): number {
    if (width > 24) {
      const low = this.#take(24)
      return low + this.#take(width - 24) * 16777216
    }
    return this.#take(width)
  }

  /** Number of one bits before the next zero bit, which is taken too; stops at `most`, then nothing more is taken. */
  unary(most: number): number {
    const window = this.#window()
    const ones = 31 - Math.clz32(~window & (window + 1))
    const found = ones < 0 || ones > most ? most : ones
    this.position += found < most ? found + 1 : most
    return found
  }

  #take(width: number): number {
    const value = this.#window() & ((1 << width) - 1)
    this.position += width
    return value
  }

  /** At least 25 bits from the position on. */
  #window(): number {
    const bytes = this.#bytes
    const at = this.position >>> 3
    // A last word that is not whole: what lies behind is zero.
    const word =
      at + 4 <= bytes.length
        ? bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
        : (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16)
    return word >>> (this.position & 7)
  }
}
