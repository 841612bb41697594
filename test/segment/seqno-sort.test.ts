import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sortSeqnos } from '../../src/segment/seqno-sort.ts'

function sorted(list: readonly number[]): { seqnos: number[]; rows: number[] } {
  // Longer than what counts, as a builder's columns are.
  const seqnos = Float64Array.from([...list, 7, 7])
  const steps = sortSeqnos(seqnos, list.length)
  for (;;) {
    const step = steps.next()
    if (step.done === true) {
      return { seqnos: Array.from(step.value.seqnos), rows: Array.from(step.value.rows) }
    }
  }
}

/** By seqno, equal ones in the order of their rows. */
function expected(list: readonly number[]): { seqnos: number[]; rows: number[] } {
  const rows = list.map((_, row) => row).sort((a, b) => list[a]! - list[b]! || a - b)
  return { seqnos: rows.map((row) => list[row]!), rows }
}

function shuffledRange(first: number, count: number, step = 1): number[] {
  const list = Array.from({ length: count }, (_, i) => first + i * step)
  for (let i = count - 1; i > 0; i--) {
    const j = (Math.imul(i, 0x9e3779b1) >>> 0) % (i + 1)
    ;[list[i], list[j]] = [list[j]!, list[i]!]
  }
  return list
}

test.each([
  ['nothing', []],
  ['one', [42]],
  ['all seqnos of a range', shuffledRange(1000, 40_000)],
  ['every second one, up to the last for which places are made', shuffledRange(2 ** 40, 5000, 2)],
  ['one of a thousand', shuffledRange(5, 5000, 1000)],
  ['a range beyond 32 bits', shuffledRange(9, 3000, 2 ** 31)],
  ['seqnos that are there twice', [...shuffledRange(1, 300), ...shuffledRange(50, 100)]],
])('events are put in the order of their seqnos: %s', (_, list) => {
  expect(sorted(list)).toEqual(expected(list))
})

test('any seqnos are', () => {
  const seqno = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 2 ** 48 }))
  const dense = fc.uniqueArray(fc.integer({ min: 1000, max: 1100 }), { maxLength: 100 })
  fc.assert(
    fc.property(fc.oneof(fc.array(seqno), dense), (list) => {
      expect(sorted(list)).toEqual(expected(list))
    }),
  )
})
