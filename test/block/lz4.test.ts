import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Lz4Compressor, lz4Decompress } from '../../src/block/lz4.ts'

const compressor = new Lz4Compressor()

function compressed(source: Uint8Array, limit = 2 * source.length + 64): Buffer | undefined {
  const target = Buffer.alloc(2 * source.length + 64)
  const end = compressor.compress(source, 0, source.length, target, 0, limit)
  return end < 0 ? undefined : target.subarray(0, end)
}

function decompressed(bytes: Uint8Array, length: number): Buffer | undefined {
  // Room on both sides: nothing may be written there.
  const target = Buffer.alloc(length + 32, 0xee)
  const isWhole = lz4Decompress(bytes, 0, bytes.length, target, 16, length)
  expect(target.subarray(0, 16).every((byte) => byte === 0xee)).toBe(true)
  expect(target.subarray(16 + length).every((byte) => byte === 0xee)).toBe(true)
  return isWhole ? target.subarray(16, 16 + length) : undefined
}

/** Bytes with repeats near and far, as blocks have them. */
const repetitive: fc.Arbitrary<Buffer> = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(255), fc.nat(600)).map(([byte, length]) => Buffer.alloc(length, byte)),
      fc.constantFrom(Buffer.from('a phrase that comes again, '), Buffer.from('and another')),
    ),
    { maxLength: 60 },
  )
  .map((parts) => Buffer.concat(parts))

describe('LZ4 blocks', () => {
  test('any bytes come back', () => {
    fc.assert(
      fc.property(repetitive, (source) => {
        expect(decompressed(compressed(source)!, source.length)).toEqual(source)
      }),
    )
  })

  test('matches across more than 64 KiB are not used', () => {
    const phrase = Buffer.from('once near the beginning and once far behind')
    const between = Buffer.alloc(70_000, 1)
    const source = Buffer.concat([phrase, between, phrase])
    expect(decompressed(compressed(source)!, source.length)).toEqual(source)
  })

  test('what the reference implementation wrote is read', () => {
    const bytes = Buffer.from(
      'ff1761207661727665206973206120796561726c79206c61796572206f6620736564696d656e742c1c0008df20' +
        '696e2061206c616b653b206101002760616120656e64',
      'hex',
    )
    const text =
      'a varve is a yearly layer of sediment, a yearly layer of sediment in a lake; ' +
      'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa end'
    expect(decompressed(bytes, text.length)?.toString()).toBe(text)
  })

  test('compression stops at its limit', () => {
    const source = Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * i * 31 + i * 7) >>> 3))
    expect(compressed(source, 1000)).toBeUndefined()
  })

  test('damaged input never writes beyond its target and never hangs', () => {
    fc.assert(
      fc.property(repetitive, fc.array(fc.tuple(fc.nat(), fc.nat(255))), (source, changes) => {
        const bytes = Buffer.from(compressed(source)!)
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        decompressed(bytes, source.length)
        decompressed(bytes.subarray(0, bytes.length >>> 1), source.length)
        decompressed(bytes, source.length >>> 1)
      }),
    )
  })

  test('a size that is not exactly right is refused', () => {
    const source = Buffer.alloc(500, 'abc')
    const bytes = compressed(source)!
    expect(decompressed(bytes, 499)).toBeUndefined()
    expect(decompressed(bytes, 501)).toBeUndefined()
    expect(decompressed(Buffer.alloc(0), 0)).toBeUndefined()
  })
})
