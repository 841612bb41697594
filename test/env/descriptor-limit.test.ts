import { expect, test } from 'vitest'
import { openFilesLimit } from '../../src/env/descriptor-limit.ts'

const limits = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units     
Max processes             127000               127000               processes 
Max open files            ${soft.padEnd(20)} 1048576              files     
`

test.each([
  ['64', 16],
  ['20', 16],
  ['256', 64],
  ['1048576', 512],
  ['unlimited', 512],
])('a process with %s descriptors gives a store %d', (soft, expected) => {
  expect(openFilesLimit(() => limits(soft))).toBe(expected)
})

test('where the system does not tell, a store takes what it would at most', () => {
  expect(openFilesLimit(() => '')).toBe(512)
})
