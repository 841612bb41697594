import { deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  BlockCompressor,
  CODEC_DEFLATE,
  CODEC_LZ4,
  COMPRESSED_BLOCK_BYTES_MAX,
  decompress,
  isPossibleSize,
} from '../../src/block/codec.ts'

const TEXT = Buffer.alloc(4000, 'the same words over and over; ')
const NOISE = Buffer.alloc(4000)
for (let i = 0, x = 1; i < NOISE.length; i++) {
  x = (Math.imul(x, 1_103_515_245) + 12_345) | 0
  NOISE[i] = x >>> 24
}

describe.each(['deflate', 'lz4'] as const)('codec %s', (compression) => {
  const compressor = new BlockCompressor(compression, { native: false })

  test('brings back what it made smaller', () => {
    const length = compressor.compress(TEXT, 0, TEXT.length)
    expect(length).toBeGreaterThan(0)
    const stored = Buffer.from(compressor.output.subarray(0, length))
    const target = Buffer.alloc(TEXT.length)
    const { codec } = compressor
    expect(decompress(codec, stored, 0, length, target, 0, TEXT.length, false)).toBe(true)
    expect(target.equals(TEXT)).toBe(true)
  })

  test('leaves alone what it cannot make smaller by an eighth', () => {
    expect(compressor.compress(NOISE, 0, NOISE.length)).toBe(0)
  })

  test('leaves alone what would stall the thread', () => {
    const huge = Buffer.alloc(COMPRESSED_BLOCK_BYTES_MAX + 1)
    expect(compressor.compress(huge, 0, huge.length)).toBe(0)
  })

  test('refuses bytes that are not its own', () => {
    const target = Buffer.alloc(5000)
    const { codec } = compressor
    expect(decompress(codec, NOISE, 0, 3000, target, 0, 5000, false)).toBe(false)
  })
})

describe('bombs', () => {
  test('a deflated block that would become larger than declared is refused', () => {
    const bomb = deflateRawSync(Buffer.alloc(2 ** 24))
    const target = Buffer.alloc(4096)
    expect(decompress(CODEC_DEFLATE, bomb, 0, bomb.length, target, 0, 4096)).toBe(false)
  })

  test('no size is believed that the codec cannot reach', () => {
    expect(isPossibleSize(CODEC_DEFLATE, 10, 20_000)).toBe(false)
    expect(isPossibleSize(CODEC_LZ4, 10, 3000)).toBe(false)
    expect(isPossibleSize(CODEC_LZ4, 2 ** 20, COMPRESSED_BLOCK_BYTES_MAX + 1)).toBe(false)
    expect(isPossibleSize(CODEC_LZ4, 1000, 4000)).toBe(true)
  })

  test('an unknown codec decompresses nothing', () => {
    expect(decompress(9, TEXT, 0, 100, Buffer.alloc(200), 0, 200)).toBe(false)
  })
})
