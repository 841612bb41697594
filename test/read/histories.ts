/** Arbitrary histories for property tests. */
import fc from 'fast-check'
import { BLOB_MIN, type Place, type Step, type Stretch } from './test-view.ts'

export const keys: fc.Arbitrary<string> = fc
  .tuple(fc.constantFrom('', 'user/', 'user/000'), fc.constantFrom(...Array.from('abcdefghijkl')))
  .map(([prefix, key]) => prefix + key)

const texts = fc
  .tuple(fc.nat(999), fc.boolean())
  .map(([n, isLong]) => (isLong && n % 4 === 0 ? `${n}.`.padEnd(BLOB_MIN + (n % 9), '*') : `${n}.`))

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('put' as const), key: keys, value: texts }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('merge' as const), key: keys, value: texts }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key: keys }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(keys, keys, fc.nat(5))
      .filter(([a, b]) => a !== b)
      .map(([a, b, n]) => ({
        type: 'deleteRange' as const,
        key: a < b ? a : b,
        value: n === 0 ? undefined : a < b ? b : a,
      })),
  },
)

const PLACES: readonly Place[] = [6, 5, 1, 'L0', 'L0', 'L0', 'sealed', 'sealed', 'active']

/** Every place is used or not; the active memtable always is. */
export const histories: fc.Arbitrary<Stretch[]> = fc
  .array(fc.array(steps, { maxLength: 14 }), { minLength: PLACES.length, maxLength: PLACES.length })
  .map((stretches) =>
    stretches
      .map((list, i) => ({ place: PLACES[i]!, steps: list }))
      .filter(({ place, steps: list }) => list.length > 0 || place === 'active'),
  )
