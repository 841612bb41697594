/**
 * Narrows the search for a separator to a few rows: a binary search over a large segment is fifteen branches that no processor
 * can foresee.
 *
 * ```
 *   row       the eight bytes of a separator that are compared as words, missing ones zero
 *   places    the first of those bytes, as many as tell rows/4 codes apart
 *   code      digits[place][byte] summed up: a number whose digits are the ranks of the bytes among those seen at their place
 *   starts    code -> first row with that code or a larger one; one more than codes
 * ```
 *
 * Ranks and not the bytes themselves, because bytes are seldom spread evenly: decimal digits use 10 of 256 values, and tables over
 * the leading bits of such keys stay empty but for a few buckets. A key with a byte that no row has at a place is not narrowed.
 */

const ROW_BYTES = 8
const ROWS_PER_CODE = 4
/** A place with so many different bytes has them all: what lies between two of them was missed by chance. */
const DENSE_MIN = 48
/** Added for a byte that no row has: larger than all codes together. */
const UNKNOWN = -(2 ** 28)
const CODES_MAX = 2 ** 16

export class SeparatorGuide {
  readonly #digits: Int32Array
  readonly #places: number
  readonly #starts: Int32Array
  /** Of the last search: its answer is one of the rows [low, high]. */
  low = 0
  high = 0

  /** `high` and `low`: the words of the rows as in separators.ts. Row 0 separates nothing. */
  constructor(high: Int32Array, low: Int32Array) {
    const rows = high.length
    const digits = new Int32Array(ROW_BYTES * 256)
    for (let row = 1; row < rows; row++) {
      for (let place = 0; place < ROW_BYTES; place++) {
        digits[place * 256 + byteOf(high, low, row, place)] = 1
      }
    }
    const { places, codes } = numberDigits(digits, Math.min(CODES_MAX, rows / ROWS_PER_CODE))
    const starts = new Int32Array(codes + 1)
    let next = 0
    for (let row = 1; row < rows; row++) {
      let code = 0
      for (let place = 0; place < places; place++) {
        code += digits[place * 256 + byteOf(high, low, row, place)]!
      }
      while (next <= code) starts[next++] = row
    }
    while (next <= codes) starts[next++] = rows
    this.#digits = digits.slice(0, places * 256)
    this.#places = places
    this.#starts = starts
  }

  get residentBytes(): number {
    return this.#digits.byteLength + this.#starts.byteLength
  }

  /** Sets `low` and `high` for the key whose part behind the prefix is key[at, end); false: any row may be the answer. */
  narrow(key: Uint8Array, at: number, end: number): boolean {
    const digits = this.#digits
    const places = this.#places
    let code = 0
    for (let place = 0; place < places; place++) {
      const byte = at + place < end ? key[at + place]! : 0
      code += digits[(place << 8) | byte]!
    }
    if (code < 0) return false
    const starts = this.#starts
    this.low = starts[code]! - 1
    this.high = starts[code + 1]! - 1
    return true
  }
}

/**
 * Turns marks of the bytes seen at each place into what they add to a code. The places that count are the first ones, and the
 * last of them counts in steps, so that there are at most `codesMax` codes.
 */
function numberDigits(digits: Int32Array, codesMax: number): { places: number; codes: number } {
  const values = new Int32Array(ROW_BYTES)
  let codes = 1
  let places = 0
  let shift = 0
  while (places < ROW_BYTES && shift === 0) {
    const count = rankBytes(digits.subarray(places * 256, (places + 1) * 256))
    while (codes * stepsOf(count, shift) > codesMax) shift++
    values[places] = stepsOf(count, shift)
    codes *= stepsOf(count, shift)
    places++
  }
  let weight = 1
  for (let place = places - 1; place >= 0; place--) {
    const ofPlace = digits.subarray(place * 256, (place + 1) * 256)
    for (let byte = 0; byte < 256; byte++) {
      const rank = ofPlace[byte]!
      if (rank < 0) ofPlace[byte] = UNKNOWN
      else ofPlace[byte] = (place === places - 1 ? rank >> shift : rank) * weight
    }
    weight *= values[place]!
  }
  return { places, codes }
}

function stepsOf(values: number, shift: number): number {
  return ((values - 1) >> shift) + 1
}

/** Marks to ranks, -1 for a byte that is none of the place; returns the number of ranks. */
function rankBytes(marks: Int32Array): number {
  const first = marks.indexOf(1)
  const last = marks.lastIndexOf(1)
  let seen = 0
  for (let byte = first; byte <= last; byte++) seen += marks[byte]!
  let rank = 0
  for (let byte = 0; byte < 256; byte++) {
    const isOne = byte >= first && byte <= last && (marks[byte] === 1 || seen >= DENSE_MIN)
    marks[byte] = isOne ? rank++ : -1
  }
  return rank
}

function byteOf(high: Int32Array, low: Int32Array, row: number, place: number): number {
  const word = (place < 4 ? high[row]! : low[row]!) ^ 0x80000000
  return (word >>> (24 - 8 * (place & 3))) & 0xff
}
