import { expect, test } from 'vitest'
import * as varve from '../../src/index.ts'
import * as testing from '../../src/testing/index.ts'

// What contract.test-d.ts cannot see: a name may have its type and yet be missing when the program runs.

test('varve exports its functions and classes', () => {
  for (const name of ['Varve', 'VarveError', 'replicate', 'encodeCounter', 'decodeCounter']) {
    expect(Reflect.get(varve, name), name).toBeTypeOf('function')
  }
  const names = Object.values(varve.mergeOperators).map((operator) => operator.name)
  expect(new Set(names)).toEqual(new Set(['append', 'counter', 'jsonMergePatch', 'max', 'min']))
})

test('varve/testing exports a disk and a clock', () => {
  expect(new testing.MemoryFileSystem().kind).toBe('memory')
  expect(new testing.ManualClock(5).now()).toBe(5)
})
