import { describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { Fingerprint, fingerprint } from '../../src/segment/block-fingerprint.ts'
import { FoundEntry, SegmentReader } from '../../src/segment/segment-reader.ts'
import { hashOf, makeSegment, randomFrom, writeSegment } from './segment-model.ts'

const random = randomFrom(11)

function printOf(bytes: Uint8Array, length = bytes.length): string {
  const print = new Fingerprint()
  fingerprint(new DataView(bytes.buffer), 0, length, print)
  return `${print.low} ${print.high}`
}

function randomBytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256))
}

describe('the fingerprint of a block', () => {
  test.each([0, 1, 15, 16, 17, 64, 403])('of %i bytes changes with every bit', (length) => {
    const bytes = randomBytes(length)
    const seen = new Set([printOf(bytes)])
    for (let bit = 0; bit < 8 * length; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      seen.add(printOf(bytes))
      bytes[bit >> 3]! ^= 1 << (bit & 7)
    }
    expect(seen.size).toBe(8 * length + 1)
  })

  test('changes with every two bits, also the highest of two words of a lane', () => {
    const bytes = new Uint8Array(128)
    const seen = new Set([printOf(bytes)])
    let pairs = 0
    for (let first = 0; first < 1024; first += 3) {
      for (let second = first + 1; second < 1024; second += 5) {
        bytes[first >> 3]! ^= 1 << (first & 7)
        bytes[second >> 3]! ^= 1 << (second & 7)
        seen.add(printOf(bytes))
        bytes[first >> 3]! ^= 1 << (first & 7)
        bytes[second >> 3]! ^= 1 << (second & 7)
        pairs++
      }
    }
    expect(seen.size).toBe(pairs + 1)
  })

  test('changes with the place of words, and with the length', () => {
    const bytes = randomBytes(256)
    const seen = new Set<string>([printOf(bytes)])
    for (let word = 0; word < 60; word++) {
      const swapped = Uint8Array.from(bytes)
      swapped.copyWithin(4 * word, 4 * word + 16, 4 * word + 20)
      swapped.set(bytes.subarray(4 * word, 4 * word + 4), 4 * word + 16)
      seen.add(printOf(swapped))
    }
    expect(seen.size).toBe(61)
    const zeros = new Uint8Array(256)
    const lengths = Array.from({ length: 257 }, (_, length) => printOf(zeros, length))
    expect(new Set(lengths).size).toBe(257)
  })
})

test('a block that is damaged after it was read is found out when it is read again', () => {
  const segment = makeSegment(5, { entries: 60, keys: 60, valueBytesMax: 30 })
  const written = writeSegment(segment, { blockBytes: 2 ** 20 })
  const { key, seqno } = segment.entries[30]!
  const { firstBlockBytes } = written
  for (let at = 0; at < firstBlockBytes; at += 3) {
    // Full, so that it lets in one block of eight.
    const cache = new BlockCache({ capacityBytes: 2 ** 16 })
    const others = cache.open(64)
    for (let block = 0; block < 64; block++) cache.reserve(others, block, firstBlockBytes)
    const reader = new SegmentReader(written.fs.openRead(written.path), written.meta, cache)
    reader.openSync()
    const find = (): number =>
      reader.find(key, 0, key.length, hashOf(key), seqno, true, new FoundEntry())
    expect([find(), find()]).toEqual([1, 1])
    const good = written.bytes.subarray(at, at + 1)
    written.fs.corrupt(written.path, at, Uint8Array.of(good[0]! ^ (1 << (at % 8))))
    expect(codeOf(find)).toBe('VARVE_CORRUPTION')
    expect(codeOf(find)).toBe('VARVE_CORRUPTION')
    written.fs.corrupt(written.path, at, good)
    expect(find()).toBe(1)
    expect(cache.misses).toBe(5)
    reader.close()
  }
})

test('so it is when a short range reads it again, wherever in the chunk it is', () => {
  const segment = makeSegment(6, { entries: 60, keys: 60, valueBytesMax: 30 })
  const written = writeSegment(segment, { blockBytes: 512 })
  const cache = new BlockCache({ capacityBytes: 2 ** 16 })
  const reader = new SegmentReader(written.fs.openRead(written.path), written.meta, cache)
  reader.openSync()
  const walk = (): number => {
    const iterator = reader.iterator({ mayRead: true, wantedBytes: 8192 })
    let seen = 0
    for (iterator.seekToFirst(); iterator.valid; iterator.next()) seen++
    iterator.close()
    return seen
  }
  expect([walk(), walk()]).toEqual([60, 60])
  expect(reader.blockCount).toBeGreaterThan(2)
  const end = reader.footer.parts.dataBytes
  for (let at = 0; at < end; at += 5) {
    const good = written.bytes.subarray(at, at + 1)
    written.fs.corrupt(written.path, at, Uint8Array.of(good[0]! ^ (1 << (at % 8))))
    expect(codeOf(walk)).toBe('VARVE_CORRUPTION')
    expect(codeOf(walk)).toBe('VARVE_CORRUPTION')
    written.fs.corrupt(written.path, at, good)
    expect(walk()).toBe(60)
  }
  reader.close()
})

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
  } catch (error) {
    if (error instanceof VarveError) return error.code
    throw error
  }
  return undefined
}
