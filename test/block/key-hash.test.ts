import { describe, expect, test } from 'vitest'
import { hashKey, KeyHash } from '../../src/block/key-hash.ts'
import { BloomBuilder, BloomFilter } from '../../src/segment/bloom-filter.ts'

function hash(key: Uint8Array): KeyHash {
  const out = new KeyHash()
  hashKey(key, 0, key.length, out)
  return out
}

const SHAPES: [name: string, key: (i: number) => Buffer][] = [
  ['zero-padded decimals', (i) => Buffer.from(String(i).padStart(16, '0'))],
  ['decimals as they are', (i) => Buffer.from(String(i))],
  ['big-endian counters', (i) => Buffer.from([0, 0, 0, 0, i >>> 24, i >>> 16, i >>> 8, i])],
  ['little-endian counters', (i) => Buffer.from([i, i >>> 8, i >>> 16, i >>> 24])],
  ['long shared prefixes', (i) => Buffer.from(`${'tenant/0001/'.repeat(9)}${i}`)],
  ['counters before a long suffix', (i) => Buffer.from(`${i}${'/same/for/all'.repeat(5)}`)],
  ['multiples of 4096', (i) => Buffer.from([0, (i << 4) & 0xff, i >>> 4, i >>> 12, i >>> 20])],
]

describe('the key hash', () => {
  test('is part of the format: these values never change', () => {
    const pinned = ['', 'a', 'abcdefg', 'abcdefgh', 'abcdefghi', 'user:000000001'].map((text) => {
      const { low, high } = hash(Buffer.from(text))
      return [text, low >>> 0, high >>> 0]
    })
    expect(pinned).toMatchInlineSnapshot(`
      [
        [
          "",
          486033775,
          3435885270,
        ],
        [
          "a",
          2253400486,
          3914036084,
        ],
        [
          "abcdefg",
          200242623,
          3059276121,
        ],
        [
          "abcdefgh",
          3100840792,
          1942944129,
        ],
        [
          "abcdefghi",
          1168055147,
          949181337,
        ],
        [
          "user:000000001",
          2491282646,
          3445350217,
        ],
      ]
    `)
  })

  test.each(SHAPES)('tells apart %s', (_name, key) => {
    const seen = new Set<number>()
    for (let i = 0; i < 100_000; i++) {
      const { low, high } = hash(key(i))
      seen.add((low >>> 0) * 2 ** 20 + (high >>> 12))
    }
    // 52 bits of it: a collision among 100,000 has a chance of one in a million.
    expect(seen.size).toBe(100_000)
  })

  test('changes half of its bits when one bit of the key changes', () => {
    for (const length of [1, 3, 7, 8, 12, 16, 31]) {
      let flips = 0
      let trials = 0
      for (let n = 0; n < 60; n++) {
        const key = Buffer.alloc(length)
        for (let i = 0; i < length; i++) key[i] = Math.imul(n * 31 + i, 0x9e3779b1) >>> 11
        const before = hash(key)
        for (let bit = 0; bit < length * 8; bit++) {
          key[bit >>> 3]! ^= 1 << (bit & 7)
          const after = hash(key)
          key[bit >>> 3]! ^= 1 << (bit & 7)
          flips += ones(before.low ^ after.low) + ones(before.high ^ after.high)
          trials += 64
        }
      }
      expect(Math.abs(flips / trials - 0.5), `keys of ${length} bytes`).toBeLessThan(0.01)
    }
  })
})

function finished(builder: BloomBuilder): Uint8Array {
  const steps = builder.finish()
  let step = steps.next()
  while (!step.done) step = steps.next()
  return step.value
}

function ones(word: number): number {
  let count = 0
  for (let rest = word >>> 0; rest !== 0; rest &= rest - 1) count++
  return count
}

describe('the bloom filter', () => {
  test.each(SHAPES)('with 10 bits a key: no key missed, under 1.2 %% false, %s', (_name, key) => {
    const keys = 50_000
    const builder = new BloomBuilder(10)
    for (let i = 0; i < keys; i++) builder.add(hash(key(i)))
    const filter = new BloomFilter(finished(builder))
    let missed = 0
    let wrong = 0
    for (let i = 0; i < keys; i++) {
      if (!filter.mayContain(hash(key(i)))) missed++
      if (filter.mayContain(hash(key(keys + i)))) wrong++
    }
    expect(missed).toBe(0)
    expect(wrong / keys).toBeLessThan(0.012)
  })

  test('versions of one key count once', () => {
    const builder = new BloomBuilder(10)
    for (let i = 0; i < 1000; i++) builder.add(hash(Buffer.from('the same')))
    expect(finished(builder)).toHaveLength(65)
  })
})
