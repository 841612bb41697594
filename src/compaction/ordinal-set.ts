/** Ordinals of a memtable, a bit each: collected in any order, walked in ascending order. */
export class OrdinalSet {
  readonly #words: Int32Array

  constructor(count: number) {
    this.#words = new Int32Array((count + 31) >>> 5)
  }

  add(ordinal: number): void {
    this.#words[ordinal >>> 5]! |= 1 << (ordinal & 31)
  }

  /** The smallest one at or above `from`; -1: none. */
  nextFrom(from: number): number {
    const words = this.#words
    let at = from >>> 5
    if (at >= words.length) return -1
    let word = words[at]! & (-1 << (from & 31))
    while (word === 0) {
      if (++at === words.length) return -1
      word = words[at]!
    }
    return at * 32 + 31 - Math.clz32(word & -word)
  }
}
