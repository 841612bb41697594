/** Where the values of a blob file lie in the cache. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ValueTable } from '../../src/block/value-table.ts'

/** Few enough that they meet, beyond 32 bits and beyond 2^31 too. */
const position = fc.oneof(
  fc.nat({ max: 40 }).map((n) => 20 + n * 16_398),
  fc.nat({ max: 10 }).map((n) => 2 ** 31 + n),
  fc.nat({ max: 10 }).map((n) => n * 2 ** 32),
  fc.nat({ max: 10 }).map((n) => 2 ** 47 - n),
)

test('holds what a map would hold', () => {
  const operation = fc.record({
    what: fc.constantFrom('add', 'add', 'add', 'delete', 'delete', 'clear'),
    position,
    slot: fc.nat({ max: 2 ** 30 }),
    bytes: fc.integer({ min: 1, max: 65_536 }),
  })
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const table = new ValueTable()
      const model = new Map<number, { slot: number; bytes: number }>()
      for (const { what, position: at, slot, bytes } of operations) {
        if (what === 'delete') {
          table.delete(at)
          model.delete(at)
        } else if (what === 'clear' && slot % 8 === 0) {
          table.clear()
          model.clear()
        } else if (!model.has(at)) {
          table.add(at, { slot, bytes })
          model.set(at, { slot, bytes })
        }
        expect(table.size).toBe(model.size)
      }
      for (const [at, { slot, bytes }] of model) {
        const row = table.find(at)
        expect(row).toBeGreaterThanOrEqual(0)
        expect([table.slotAt(row), table.bytesAt(row)]).toEqual([slot, bytes])
      }
      const slots = [...model.values()].map((value) => value.slot)
      expect([...table.slots()].toSorted(ascending)).toEqual(slots.toSorted(ascending))
      for (let n = 0; n < 100; n++) {
        if (!model.has(20 + n * 7)) expect(table.find(20 + n * 7)).toBe(-1)
      }
    }),
    { numRuns: 300 },
  )
})

test('finds every value while thousands come and go', () => {
  const table = new ValueTable()
  const frame = 16_398
  for (let i = 0; i < 20_000; i++) {
    table.add(i * frame, { slot: i, bytes: 16_384 })
    if (i >= 4000) table.delete((i - 4000) * frame)
  }
  expect(table.size).toBe(4000)
  for (let i = 0; i < 20_000; i++) {
    const row = table.find(i * frame)
    expect(row < 0 ? -1 : table.slotAt(row)).toBe(i < 16_000 ? -1 : i)
  }
})

function ascending(a: number, b: number): number {
  return a - b
}
