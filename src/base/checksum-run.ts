/**
 * The checksum of many sealed pieces in a row, each followed by its own checksum, by one native call: what it must be follows
 * from their sizes alone.
 *
 * A CRC is linear: over bytes A and then B it is shift(crc(A), length of B) ^ crc(B), where `shift` multiplies by x^8 a byte in
 * the field of the CRC. Behind a piece that is followed by its own checksum the piece itself has cancelled out: with `c` the
 * checksum of what came before, and `s` the seed of the pieces and of the whole,
 *
 *   c' = shift(c ^ s, bytes of the piece with its checksum) ^ RESIDUE
 *
 * `shift` is a bijection, so any one piece that is damaged is found as surely as by its own checksum; several that cancel each
 * other out would have to fit in 32 bits. Measured, pieces of 2 KiB: 450 ns a call of their own, 330 as a part of 256 KiB, and
 * 15 for the shift.
 */
import { checksum } from './checksum.ts'

const POLYNOMIAL = 0xedb88320
/** x^0, in the reflected form in which the highest bit is the lowest power. */
const ONE = 0x80000000
const NIBBLES = 8

export class ChecksumRun {
  readonly #seed: number
  /** For each size of a piece: what `shift` makes of each half of each byte; made when first needed. */
  #tables: (Int32Array | undefined)[] = []
  readonly #bytesMax: number
  #sum = 0

  /** For pieces of at most `bytesMax`, their checksums included. */
  constructor(options: { seed: number; bytesMax: number }) {
    this.#seed = options.seed
    this.#bytesMax = options.bytesMax
  }

  /** Begins a run. */
  begin(): void {
    this.#sum = this.#seed
    if (this.#tables.length === 0) this.#tables = Array.from({ length: this.#bytesMax + 1 })
  }

  /** The next piece has so many bytes, its checksum included. */
  add(bytes: number): void {
    const table = this.#tables[bytes] ?? this.#makeTable(bytes)
    const value = this.#sum ^ this.#seed
    this.#sum =
      table[value & 15]! ^
      table[16 + ((value >>> 4) & 15)]! ^
      table[32 + ((value >>> 8) & 15)]! ^
      table[48 + ((value >>> 12) & 15)]! ^
      table[64 + ((value >>> 16) & 15)]! ^
      table[80 + ((value >>> 20) & 15)]! ^
      table[96 + ((value >>> 24) & 15)]! ^
      table[112 + (value >>> 28)]! ^
      RESIDUE
  }

  /** Whether bytes[start, end) are the pieces of the run, all of them whole. */
  fits(bytes: Uint8Array, start: number, end: number): boolean {
    return checksum(bytes, start, end, this.#seed) === this.#sum >>> 0
  }

  #makeTable(bytes: number): Int32Array {
    const table = new Int32Array(16 * NIBBLES)
    let power = powerOfX(bytes)
    for (let bit = 31; bit >= 0; bit--) {
      const at = 16 * (bit >>> 2)
      const digit = 1 << (bit & 3)
      // From the high bit down: what is below in this half of a byte is filled in when its own bits come.
      for (let rest = 0; rest < 16; rest++) {
        if ((rest & digit) !== 0) table[at + rest]! ^= power
      }
      power = timesX(power)
    }
    this.#tables[bytes] = table
    return table
  }
}

/** The checksum of 4 bytes that are their own seed's: what is left of a sealed piece. */
const RESIDUE = ~multiply(0xffffffff, powerOfX(4))

function timesX(value: number): number {
  return (value >>> 1) ^ (-(value & 1) & POLYNOMIAL)
}

/** x^(8 * bytes). */
export function powerOfX(bytes: number): number {
  let result = ONE
  let square = ONE >>> 8
  for (let rest = bytes; rest > 0; rest >>>= 1) {
    if ((rest & 1) !== 0) result = multiply(result, square)
    square = multiply(square, square)
  }
  return result
}

/** Of two polynomials, in the field of the CRC. */
export function multiply(a: number, b: number): number {
  let product = 0
  let shifted = b
  for (let bit = 31; bit >= 0; bit--) {
    if (((a >>> bit) & 1) !== 0) product ^= shifted
    shifted = timesX(shifted)
  }
  return product
}
