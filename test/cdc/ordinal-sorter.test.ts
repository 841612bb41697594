import { expect, test } from 'vitest'
import { OrdinalSorter } from '../../src/cdc/ordinal-sorter.ts'

const sorted = (sorter: OrdinalSorter, ordinals: number[], entries: number): number[] => [
  ...sorter.sorted(Int32Array.from(ordinals), ordinals.length, entries),
]

test('ordinals come out ascending, dense or sparse, one call after the other', () => {
  const sorter = new OrdinalSorter()
  for (const entries of [1, 31, 32, 33, 64, 1000, 100_000]) {
    for (const step of [1, 3, 7, 333]) {
      const ascending = Array.from({ length: Math.ceil(entries / step) }, (_, i) => i * step)
      const mixed = ascending.toSorted((a, b) => ((a * 7919) % 1009) - ((b * 7919) % 1009))
      expect(sorted(sorter, mixed, entries)).toEqual(ascending)
      expect(sorted(sorter, ascending, entries)).toEqual(ascending)
    }
  }
})

test('what cannot be, of a damaged index, is sorted as it is', () => {
  const sorter = new OrdinalSorter()
  expect(sorted(sorter, [5, 3, 99, 1], 10)).toEqual([1, 3, 5, 99])
  expect(sorted(sorter, [5, 3, 3, 1], 10)).toEqual([1, 3, 3, 5])
  expect(sorted(sorter, [5, -3, 1], 10)).toEqual([-3, 1, 5])
  expect(sorted(sorter, [4, 2], 10)).toEqual([2, 4])
})
