import { expect, test } from 'vitest'
import { KeyHash } from '../../src/block/key-hash.ts'
import { BloomBuilder, BloomFilter, bloomProblem } from '../../src/segment/bloom-filter.ts'
import { hashOf } from './segment-model.ts'

/** The number of probes stands before the lines. */
const HEADER_BYTES = 1

function filterOf(hashes: readonly KeyHash[], bitsPerKey = 10): BloomFilter {
  const builder = new BloomBuilder(bitsPerKey)
  for (const hash of hashes) builder.add(hash)
  const { bytes } = builder
  const steps = builder.finish()
  let step = steps.next()
  while (!step.done) step = steps.next()
  expect(step.value.length).toBe(bytes)
  expect(bloomProblem(step.value)).toBeUndefined()
  return new BloomFilter(step.value)
}

const hashesOf = (prefix: string, count: number): KeyHash[] =>
  Array.from({ length: count }, (_, i) => hashOf(Buffer.from(`${prefix}${i}`)))

test.each([1, 52, 1024, 1025, 70_000])('a filter of %i keys knows each of them', (count) => {
  const hashes = hashesOf('key', count)
  const filter = filterOf(hashes)
  expect(hashes.every((hash) => filter.mayContain(hash))).toBe(true)
})

test('it takes few others for one of its own', () => {
  const filter = filterOf(hashesOf('key', 20_000))
  const others = hashesOf('other', 20_000).filter((hash) => filter.mayContain(hash))
  expect(others.length / 20_000).toBeLessThan(0.015)
})

test('it has at least its bits a key, in whole lines', () => {
  const bytesOf = (count: number): number => {
    const builder = new BloomBuilder(10)
    for (const hash of hashesOf('key', count)) builder.add(hash)
    return builder.bytes - HEADER_BYTES
  }
  expect([0, 1, 51, 52, 102, 103].map(bytesOf)).toEqual([64, 64, 64, 128, 128, 192])
})

test('versions of a key count once, keys of which half the hash is the same each', () => {
  const builder = new BloomBuilder(100)
  const hash = (low: number, high: number): KeyHash => Object.assign(new KeyHash(), { low, high })
  const hashes = [hash(7, 1), hash(7, 2 ** 30), hash(9, 2 ** 30)]
  for (const one of hashes) for (let version = 0; version < 50; version++) builder.add(one)
  expect(builder.bytes).toBe(HEADER_BYTES + 64)
  // In lines far apart.
  const apart = [hash(7, 0), hash(7, -1)]
  const filter = filterOf([...hashesOf('key', 200), ...apart])
  expect(apart.map((one) => filter.mayContain(one))).toEqual([true, true])
})

test('bytes that no builder has made are no filter', () => {
  const bits = (length: number, probes: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    bytes[0] = probes
    return bytes
  }
  expect(bloomProblem(bits(65, 6))).toBeUndefined()
  expect(bloomProblem(bits(65, 12))).toBeUndefined()
  expect(bloomProblem(bits(65, 0))).toMatch(/0 probes/)
  expect(bloomProblem(bits(65, 13))).toMatch(/13 probes/)
  expect(bloomProblem(bits(1, 6))).toMatch(/no whole lines/)
  expect(bloomProblem(bits(66, 6))).toMatch(/no whole lines/)
})
