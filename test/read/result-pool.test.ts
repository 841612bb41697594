import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ResultPool, WordSource } from '../../src/read/result-pool.ts'

describe('a result pool', () => {
  test('copies any stretch of any array, byte for byte, and never touches it again', () => {
    const piece = fc.record({
      array: fc.nat(11),
      start: fc.nat(400),
      length: fc.oneof(fc.nat(40), fc.nat(400), fc.constantFrom(16_384, 16_385, 40_000)),
      isStream: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
        const pool = new ResultPool()
        const source = new WordSource()
        // More arrays than views are kept of, at every alignment, some with a size that is no multiple of four.
        const arrays = [...Array(12).keys()].map((i) => {
          const bytes = new Uint8Array(new ArrayBuffer(49_000 + 2 * i), i, 49_000 + i)
          for (let at = 0; at < bytes.length; at++) bytes[at] = at * 31 + i * 7
          return bytes
        })
        const results = pieces.map(({ array, start, length, isStream }) => {
          const bytes = arrays[array]!
          const end = Math.min(bytes.length, start + length)
          const copy = isStream
            ? pool.copyFrom(source, bytes, start, end)
            : pool.copy(bytes, start, end)
          return { copy, expected: Buffer.from(bytes.subarray(start, end)) }
        })
        for (const bytes of arrays) bytes.fill(0)
        for (const { copy, expected } of results) expect(copy.equals(expected)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  test('copies to the last byte of an array', () => {
    const pool = new ResultPool()
    for (let size = 1; size < 12; size++) {
      const bytes = new Uint8Array(size).fill(7)
      expect(pool.copyFrom(new WordSource(), bytes, 0, size)).toEqual(Buffer.alloc(size, 7))
    }
  })

  test('makes Buffers like any other', () => {
    const pool = new ResultPool()
    const bytes = Buffer.from('some bytes')
    for (const copy of [pool.copy(bytes, 0, 4), pool.copyFrom(new WordSource(), bytes, 0, 4)]) {
      expect(Buffer.isBuffer(copy)).toBe(true)
      expect(Object.getPrototypeOf(copy)).toBe(Buffer.prototype)
      expect(copy.toString()).toBe('some')
      expect(copy).toStrictEqual(Buffer.from('some'))
    }
  })

  test('reads memory that threads share', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(64)).fill(3)
    expect(new ResultPool().copyFrom(new WordSource(), shared, 5, 20)).toEqual(Buffer.alloc(15, 3))
  })
})
