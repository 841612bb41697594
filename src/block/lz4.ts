/**
 * The LZ4 block format (Yann Collet; github.com/lz4/lz4, doc/lz4_Block_format.md), both ways, without framing.
 *
 * ```
 *   sequence: token (high 4 bits: literals, low 4: match length - 4; 15 goes on in bytes of 255)
 *             | literals | u16 distance | rest of the match length
 *   The last sequence has literals only; the last 5 bytes are always literals, and no match begins in the last 12.
 * ```
 *
 * Measured at 4 KiB, ratio 0.5: 145 MB/s in, 550 MB/s out.
 */
const HASH_BITS = 13
const MATCH_BYTES_MIN = 4
/** No match begins behind this distance from the end, nor reaches beyond the other. */
const LAST_MATCH_START = 12
const LAST_LITERALS = 5
const DISTANCE_MAX = 65_535
/** After so many (2^6) misses in a row the search begins to skip: incompressible bytes go by fast. */
const SKIP_SHIFT = 6
const LOOP_COPY_MAX = 32

/** Compresses blocks; keeps its hash table between them. */
export class Lz4Compressor {
  readonly #table: Int32Array = new Int32Array(1 << HASH_BITS)

  /**
   * Compresses source[start, end) into `target` from `at`. Returns the position after it, or -1 when that would lie beyond
   * `limit`.
   */
  compress(
    source: Uint8Array,
    start: number,
    end: number,
    target: Uint8Array,
    at: number,
    limit: number,
  ): number {
    const table = this.#table
    // Entries of earlier blocks would be wrong positions.
    table.fill(-1)
    const matchStartMax = end - LAST_MATCH_START
    const matchEndMax = end - LAST_LITERALS
    let out = at
    let anchor = start
    let position = start
    let searched = 1 << SKIP_SHIFT
    while (position <= matchStartMax) {
      const word = readWord(source, position)
      const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
      const candidate = table[slot]!
      table[slot] = position
      if (
        candidate < 0 ||
        position - candidate > DISTANCE_MAX ||
        readWord(source, candidate) !== word
      ) {
        position += searched++ >>> SKIP_SHIFT
        continue
      }
      searched = 1 << SKIP_SHIFT
      let from = candidate
      while (position > anchor && from > start && source[position - 1] === source[from - 1]) {
        position--
        from--
      }
      let matchEnd = position + MATCH_BYTES_MIN
      let fromEnd = from + MATCH_BYTES_MIN
      while (matchEnd < matchEndMax && source[matchEnd] === source[fromEnd]) {
        matchEnd++
        fromEnd++
      }
      const literals = position - anchor
      const extra = matchEnd - position - MATCH_BYTES_MIN
      // Token, both lengths, literals, distance.
      if (out + 1 + literals + ((literals / 255) | 0) + 3 + ((extra / 255) | 0) + 1 > limit)
        return -1
      out = writeLiterals(source, anchor, literals, target, out, extra < 15 ? extra : 15)
      const distance = position - from
      target[out++] = distance
      target[out++] = distance >>> 8
      if (extra >= 15) out = writeLengthRest(target, out, extra - 15)
      position = matchEnd
      anchor = matchEnd
      if (position <= matchStartMax) {
        const inside = position - 2
        table[Math.imul(readWord(source, inside), 0x9e3779b1) >>> (32 - HASH_BITS)] = inside
      }
    }
    const literals = end - anchor
    if (out + 2 + literals + ((literals / 255) | 0) > limit) return -1
    return writeLiterals(source, anchor, literals, target, out, 0)
  }
}

/**
 * Decompresses source[start, end) into target[at, at + length). False when that is not exactly what the bytes hold; nothing
 * outside the range is written, whatever they hold.
 */
export function lz4Decompress(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
  length: number,
): boolean {
  const targetEnd = at + length
  let position = start
  let out = at
  while (position < end) {
    const token = source[position++]!
    let literals = token >>> 4
    if (literals === 15) {
      let byte = 255
      while (byte === 255) {
        if (position >= end) return false
        byte = source[position++]!
        literals += byte
      }
    }
    if (literals > end - position || literals > targetEnd - out) return false
    if (literals > LOOP_COPY_MAX) {
      target.set(source.subarray(position, position + literals), out)
      out += literals
      position += literals
    } else {
      for (let i = 0; i < literals; i++) target[out++] = source[position++]!
    }
    if (position === end) return out === targetEnd
    if (end - position < 2) return false
    const distance = source[position]! | (source[position + 1]! << 8)
    position += 2
    if (distance === 0 || distance > out - at) return false
    let match = (token & 15) + MATCH_BYTES_MIN
    if (match === 15 + MATCH_BYTES_MIN) {
      let byte = 255
      while (byte === 255) {
        if (position >= end) return false
        byte = source[position++]!
        match += byte
      }
    }
    if (match > targetEnd - out) return false
    if (match > LOOP_COPY_MAX && distance >= match) {
      target.copyWithin(out, out - distance, out - distance + match)
      out += match
    } else {
      for (let i = 0, from = out - distance; i < match; i++) target[out++] = target[from++]!
    }
  }
  return false
}

function readWord(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

function writeLiterals(
  source: Uint8Array,
  from: number,
  literals: number,
  target: Uint8Array,
  position: number,
  lowNibble: number,
): number {
  let out = position
  if (literals >= 15) {
    target[out++] = 0xf0 | lowNibble
    out = writeLengthRest(target, out, literals - 15)
  } else {
    target[out++] = (literals << 4) | lowNibble
  }
  if (literals > LOOP_COPY_MAX) {
    target.set(source.subarray(from, from + literals), out)
    return out + literals
  }
  for (let i = 0; i < literals; i++) target[out++] = source[from + i]!
  return out
}

function writeLengthRest(target: Uint8Array, position: number, length: number): number {
  let out = position
  let rest = length
  while (rest >= 255) {
    target[out++] = 255
    rest -= 255
  }
  target[out++] = rest
  return out
}
