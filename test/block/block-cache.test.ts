import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockCache } from '../../src/block/block-cache.ts'
import type { CacheFile } from '../../src/block/cache-file.ts'

/** Fills a slot with a mark of its file and block, so that a slot with two owners shows. */
function put(cache: BlockCache, file: CacheFile, block: number, bytes: number): boolean {
  const slot = cache.reserve(file, block, bytes)
  if (slot < 0) return false
  const at = cache.offsetOf(slot)
  cache.slabOf(slot).fill(mark(file, block), at, at + bytes)
  return true
}

function mark(file: CacheFile, block: number): number {
  return (file.id * 37 + block) & 0xff
}

function isHeld(cache: BlockCache, file: CacheFile, block: number, bytes: number): boolean {
  const slot = file.directory[block]!
  if (slot < 0) return false
  cache.referenced[slot] = 1
  const at = cache.offsetOf(slot)
  const content = cache.slabOf(slot).subarray(at, at + bytes)
  const isWhole = content.length === bytes && content.every((byte) => byte === mark(file, block))
  if (!isWhole) expect.fail(`block ${block} was overwritten`)
  return true
}

function putValue(cache: BlockCache, file: CacheFile, position: number, bytes: number): boolean {
  if (!cache.admitsValue(bytes)) return false
  cache.putValue(file, position, Buffer.alloc(bytes, mark(file, position)))
  return true
}

function isValueHeld(cache: BlockCache, file: CacheFile, position: number, bytes: number): boolean {
  const row = file.values.find(position)
  if (row < 0) return false
  const slot = file.values.slotAt(row)
  cache.referenced[slot] = 1
  const at = cache.offsetOf(slot)
  const content = cache.slabOf(slot).subarray(at, at + bytes)
  const isWhole =
    file.values.bytesAt(row) === bytes && content.every((byte) => byte === mark(file, position))
  if (!isWhole) expect.fail(`the value at ${position} was overwritten`)
  return true
}

describe('the block cache', () => {
  test('gives every block it holds back unchanged, whatever comes and goes', () => {
    const sizes = [100, 512, 4000, 4096, 5000, 16_384, 40_000, 65_536]
    const operations = fc.array(
      fc.record({
        what: fc.constantFrom(
          'put',
          'put',
          'put',
          'read',
          'release',
          'reopen',
          'aside',
          'value',
          'value',
        ),
        file: fc.nat(2),
        block: fc.nat(39),
      }),
      { maxLength: 400 },
    )
    fc.assert(
      fc.property(
        operations,
        fc.constantFrom(0, 70_000, 300_000, 2 ** 20),
        (steps, capacityBytes) => {
          const cache = new BlockCache({ capacityBytes })
          const files = [cache.open(40), cache.open(40), cache.open(40)]
          let blobs = cache.open(0)
          const sizeOf = (block: number): number => sizes[block % sizes.length]!
          for (const { what, file: index, block } of steps) {
            const file = files[index]!
            const slot = file.directory[block]!
            if (what === 'put' && slot < 0) put(cache, file, block, sizeOf(block))
            if (what === 'release' && slot >= 0) cache.release(slot)
            if (what === 'aside') cache.putSide(file, block, Buffer.alloc(block * 800))
            if (what === 'value') putValue(cache, blobs, block, sizeOf(block))
            if (what === 'reopen') {
              cache.close(file)
              files[index] = cache.open(40)
              if (index === 0) {
                cache.close(blobs)
                blobs = cache.open(0)
              }
            }
            for (let at = 0; at < 40; at++) isValueHeld(cache, blobs, at, sizeOf(at))
            for (const each of files) {
              for (let b = 0; b < 40; b++) isHeld(cache, each, b, sizeOf(b))
            }
            expect(cache.stats.bytes).toBeLessThanOrEqual(Math.max(capacityBytes, 65_536))
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  test('holds what fits before it evicts anything', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(256)
    for (let block = 0; block < 256; block++) put(cache, file, block, 4096)
    for (let block = 0; block < 256; block++) expect(isHeld(cache, file, block, 4096)).toBe(true)
  })

  test('grows only as it is used', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 30 })
    expect(cache.stats.bytes).toBe(0)
    put(cache, cache.open(1), 0, 4096)
    expect(cache.stats.bytes).toBe(2 ** 20)
  })

  test('keeps what is read again, and gives up what is not', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 18 })
    const file = cache.open(1000)
    for (let block = 0; block < 60; block++) put(cache, file, block, 4096)
    for (let block = 60; block < 1000; block++) {
      for (let hot = 0; hot < 8; hot++) isHeld(cache, file, hot, 4096)
      put(cache, file, block, 4096)
    }
    for (let hot = 0; hot < 8; hot++) expect(isHeld(cache, file, hot, 4096)).toBe(true)
  })

  test('hands slabs over to a block size that came later', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(3000)
    for (let block = 0; block < 256; block++) put(cache, file, block, 4096)
    for (let block = 256; block < 3000; block++) put(cache, file, block, 16_384)
    let held = 0
    for (let block = 256; block < 3000; block++) if (isHeld(cache, file, block, 16_384)) held++
    expect(held).toBeGreaterThan(32)
  })

  test('lets in all that it has room for, and then one of eight', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(1000)
    for (let block = 0; block < 256; block++) {
      expect(cache.admits(4096)).toBe(true)
      put(cache, file, block, 4096)
    }
    let admitted = 0
    for (let block = 256; block < 256 + 80; block++) {
      if (cache.admits(4096) && put(cache, file, block, 4096)) admitted++
    }
    expect(admitted).toBe(10)
  })

  test('lets in a size that has no slot yet, and nothing that is too large for one', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(300)
    for (let block = 0; block < 256; block++) put(cache, file, block, 4096)
    expect(cache.admits(16_384)).toBe(true)
    expect(cache.admits(65_537)).toBe(false)
  })

  test('has no slot for what is larger than the largest', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 22 })
    expect(cache.reserve(cache.open(1), 0, 65_537)).toBe(-1)
  })

  test('keeps large things aside, within its capacity', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(0)
    for (let i = 0; i < 100; i++) {
      expect(cache.putSide(file, i, Buffer.alloc(100_000, i))).toBe(true)
      expect(cache.side(file, 0)).toBeDefined()
      expect(cache.stats.bytes).toBeLessThanOrEqual(2 ** 20)
    }
    expect(cache.side(file, 99)?.[0]).toBe(99)
    expect(cache.side(file, 50)).toBeUndefined()
    cache.close(file)
    expect(cache.stats.bytes).toBe(0)
  })

  test('takes in nothing that would leave no room for the rest', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    expect(cache.putSide(cache.open(0), 1, Buffer.alloc(900_000))).toBe(false)
  })

  test('takes room back from large things when blocks need it', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(256)
    for (let i = 0; i < 20; i++) cache.putSide(file, 1000 + i, Buffer.alloc(50_000))
    for (let block = 0; block < 256; block++) put(cache, file, block, 4096)
    expect(cache.stats.bytes).toBeLessThanOrEqual(2 ** 20)
    expect(cache.side(file, 1019)).toBeDefined()
  })

  test('takes room back from blocks when large things need their share', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(256)
    for (let block = 0; block < 256; block++) put(cache, file, block, 4096)
    for (let i = 0; i < 5; i++) expect(cache.putSide(file, i, Buffer.alloc(50_000))).toBe(true)
    expect(cache.side(file, 0)).toBeDefined()
    expect(cache.stats.bytes).toBeLessThanOrEqual(2 ** 20)
    let held = 0
    for (let block = 0; block < 256; block++) if (isHeld(cache, file, block, 4096)) held++
    expect(held).toBeGreaterThan(150)
  })

  test('lets in all values that it has room for, and then one of eight', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(0)
    let admitted = 0
    for (let i = 0; i < 64 + 80; i++) if (putValue(cache, file, i, 16_384)) admitted++
    expect(admitted).toBe(64 + 10)
    expect(file.values.size).toBe(64)
    cache.close(file)
    expect(file.values.size).toBe(0)
  })

  test('has no slot for values that are larger than the largest', () => {
    expect(new BlockCache({ capacityBytes: 2 ** 22 }).admitsValue(65_537)).toBe(false)
  })

  test('gives values a quarter of what blocks fill, and no more', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(256)
    const blobs = cache.open(0)
    for (let block = 0; block < 256; block++) put(cache, file, block, 4096)
    for (let i = 0; i < 1000; i++) putValue(cache, blobs, i, 16_384)
    expect(blobs.values.size).toBe(16)
    let held = 0
    for (let block = 0; block < 256; block++) if (isHeld(cache, file, block, 4096)) held++
    expect(held).toBe(192)
  })

  test('gives blocks three quarters of what values fill, and no more', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    const file = cache.open(1000)
    const blobs = cache.open(0)
    for (let i = 0; i < 64; i++) putValue(cache, blobs, i, 16_384)
    for (let block = 0; block < 1000; block++) {
      if (cache.admits(4096)) put(cache, file, block, 4096)
    }
    expect(blobs.values.size).toBe(16)
  })

  test('keeps no values where all of it is one slab of blocks', () => {
    const cache = new BlockCache({ capacityBytes: 2 ** 16 })
    const file = cache.open(1)
    put(cache, file, 0, 4096)
    expect(cache.admitsValue(4096)).toBe(false)
    expect(isHeld(cache, file, 0, 4096)).toBe(true)
  })
})
