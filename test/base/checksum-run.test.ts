import { describe, expect, test } from 'vitest'
import { writeU32 } from '../../src/base/bytes.ts'
import { checksum } from '../../src/base/checksum.ts'
import { ChecksumRun } from '../../src/base/checksum-run.ts'
import { randomFrom } from '../segment/segment-model.ts'

const BYTES_MAX = 2100

function sealed(sizes: readonly number[], seed: number, random: (n: number) => number): Buffer {
  return Buffer.concat(
    sizes.map((size) => {
      const piece = Buffer.from(Array.from({ length: size }, () => random(256)))
      writeU32(piece, size - 4, checksum(piece, 0, size - 4, seed))
      return piece
    }),
  )
}

describe('a run of sealed pieces', () => {
  test.each([0, 7, 0xdeadbeef, 0xffffffff])('fits when all are whole: seed %i', (seed) => {
    const random = randomFrom(seed + 1)
    const run = new ChecksumRun({ seed, bytesMax: BYTES_MAX })
    for (let round = 0; round < 40; round++) {
      const sizes = Array.from({ length: 1 + random(30) }, () => 5 + random(BYTES_MAX - 4))
      const bytes = Buffer.concat([Buffer.alloc(3), sealed(sizes, seed, random)])
      run.begin()
      for (const size of sizes) run.add(size)
      expect(run.fits(bytes, 3, bytes.length)).toBe(true)
      const at = 3 + random(bytes.length - 3)
      bytes[at]! ^= 1 << random(8)
      expect(run.fits(bytes, 3, bytes.length)).toBe(false)
    }
  })

  test('does not fit when pieces are of another file, or exchanged', () => {
    const random = randomFrom(5)
    const sizes = [40, 41, 60]
    const bytes = sealed(sizes, 9, random)
    for (const [seed, order] of [
      [9, [41, 40, 60]],
      [10, sizes],
      [9, [40, 41]],
    ] as const) {
      const run = new ChecksumRun({ seed, bytesMax: 100 })
      run.begin()
      for (const size of order) run.add(size)
      expect(run.fits(bytes, 0, bytes.length)).toBe(false)
    }
  })
})
