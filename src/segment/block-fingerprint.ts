/**
 * A hash of a block's bytes that JavaScript computes in half of the time of a native checksum, call included (see
 * docs/benchmarks.md). It lives in memory alone: taken when a block has passed its checksum, it tells when the block is read
 * again whether it is still the same bytes.
 *
 * Two halves, which have to be deceived at once: four lanes side by side, as in xxHash (Yann Collet), each of which takes every
 * fourth word, multiplies and rotates; and a sum. One multiplication a word leaves its highest bits where they are, so
 * that a second flip in the next word of a lane can take a first one back; in the sum those two weigh differently.
 */

export class Fingerprint {
  low = 0
  high = 0
}

const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77

/**
 * Of the `length` bytes from `at` on. A DataView, because blocks begin anywhere in what is read of a file; and checking one bound
 * for each word is less work than what a typed array makes of it: 230 ns for 290, 2 KiB in a loop of nothing else.
 */
export function fingerprint(view: DataView, at: number, length: number, out: Fingerprint): void {
  const end = at + length
  const whole = at + ((length >>> 4) << 4)
  let a = length | 0
  let b = PRIME_1 | 0
  let c = PRIME_2 | 0
  let d = ~length
  let sum = length | 0
  for (let i = at; i < whole; i += 16) {
    const w = view.getInt32(i, true)
    const x = view.getInt32(i + 4, true)
    const y = view.getInt32(i + 8, true)
    const z = view.getInt32(i + 12, true)
    // In pairs: one after the other they would wait for each other.
    sum = (sum + (((w + x) | 0) + ((y + z) | 0))) | 0
    a = Math.imul(a ^ w, PRIME_1)
    b = Math.imul(b ^ x, PRIME_1)
    c = Math.imul(c ^ y, PRIME_1)
    d = Math.imul(d ^ z, PRIME_1)
    a = (a << 13) | (a >>> 19)
    b = (b << 13) | (b >>> 19)
    c = (c << 13) | (c >>> 19)
    d = (d << 13) | (d >>> 19)
  }
  for (let i = whole; i < end; i++) {
    const byte = view.getUint8(i)
    sum = (sum + byte) | 0
    a = Math.imul(a ^ byte, PRIME_1)
    a = (a << 13) | (a >>> 19)
  }
  let lanes = Math.imul(a, PRIME_2)
  lanes = Math.imul(lanes ^ (lanes >>> 15) ^ b, PRIME_2)
  lanes = Math.imul(lanes ^ (lanes >>> 15) ^ c, PRIME_2)
  lanes = Math.imul(lanes ^ (lanes >>> 15) ^ d, PRIME_2)
  out.low = lanes
  out.high = sum
}
