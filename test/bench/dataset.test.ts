import { describe, expect, test } from 'vitest'
import {
  createKey,
  Dataset,
  keyIndex,
  WrongRead,
  writeKey,
  writeMissingKey,
} from '../../bench/workloads/dataset.ts'
import { createRandom, shuffled, zipfian } from '../../bench/workloads/random.ts'

describe('the dataset of the benchmarks', () => {
  const data = new Dataset(100)

  test('the value of a key passes, any other one is a wrong read', () => {
    expect(() => data.check(7, data.value(7))).not.toThrow()
    expect(() => data.check(7, undefined)).toThrow(WrongRead)
    expect(() => data.check(7, data.value(8))).toThrow(WrongRead)
    expect(() => data.check(7, data.value(7).subarray(1))).toThrow(WrongRead)
    expect(() => data.check(7, data.value(7, 1))).toThrow(WrongRead)
  })

  test('one changed byte at the end is found within 512 reads', () => {
    const changed = Buffer.from(data.value(7))
    changed[99] = (changed[99] as number) ^ 1
    const read = (): void => {
      for (let i = 0; i < 512; i++) data.check(7, changed)
    }
    expect(read).toThrow(WrongRead)
  })

  test('values compress by half', () => {
    const value = data.value(1)
    expect(value.length).toBe(100)
    expect(value.subarray(0, 50).equals(value.subarray(50))).toBe(true)
  })

  test('keys keep the order of their numbers and missing keys lie between them', () => {
    const keys = [0, 1, 9, 10, 123_456_789].map((i) => Buffer.from(writeKey(createKey(), i)))
    expect(keys.map((key) => keyIndex(key))).toEqual([0, 1, 9, 10, 123_456_789])
    expect(keys.toSorted((a, b) => a.compare(b))).toEqual(keys)
    const missing = writeMissingKey(createKey(), 9)
    expect(Buffer.compare(keys[2] as Buffer, missing)).toBe(-1)
    expect(Buffer.compare(missing, keys[3] as Buffer)).toBe(-1)
  })
})

describe('random numbers of the benchmarks', () => {
  test('a shuffle holds every number once, and the same seed gives the same order', () => {
    const order = shuffled(1000, 5)
    expect([...order].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(shuffled(1000, 5)).toEqual(order)
    expect(shuffled(1000, 6)).not.toEqual(order)
  })

  test('zipfian numbers stay in bounds and favour few', () => {
    const draw = zipfian(10_000, 1)
    const counts = new Uint32Array(10_000)
    for (let i = 0; i < 100_000; i++) counts[draw()]! += 1
    const hottest = counts.toSorted().toReversed()
    expect(counts.reduce((sum, each) => sum + each, 0)).toBe(100_000)
    // With theta 0.99 and 10,000 items the first one has about a tenth of all draws.
    expect(hottest[0]).toBeGreaterThan(7000)
    expect(hottest[0]).toBeLessThan(14_000)
  })

  test('numbers below a bound are spread evenly', () => {
    const random = createRandom(3)
    const counts = new Uint32Array(16)
    for (let i = 0; i < 16_000; i++) counts[random.below(16)]! += 1
    expect(Math.min(...counts)).toBeGreaterThan(850)
    expect(Math.max(...counts)).toBeLessThan(1150)
  })
})
