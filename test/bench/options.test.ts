import { expect, test, vi } from 'vitest'
import { choicesOf, commandLine, readOptions } from '../../bench/options.ts'

test('the command of a run names no folder of this machine', () => {
  const args = ['--data', '/mnt/a', '--fixtures=/mnt/b', '--only', 'put']
  expect(commandLine(args)).toBe('npm run bench -- --data folder --fixtures=folder --only put')
  expect(commandLine([])).toBe('npm run bench')
})

test('what is not asked for has its default, of the quick form or of the whole', () => {
  const whole = choicesOf(readOptions([]), ['lmdb', 'rocksdb'])
  expect(whole.settings).toEqual({ entries: 1_000_000, seconds: 2, rounds: 3, clock: 'wall' })
  expect(whole.plan.subjects).toEqual(['varve', 'lmdb'])
  expect(whole.plan.extras).toEqual(['rocksdb', 'lmdb:tuned'])
  const quick = choicesOf(readOptions(['--quick', '--rounds', '2', '--clock', 'cpu']), [
    'lmdb',
    'rocksdb',
  ])
  expect(quick.settings).toEqual({ entries: 100_000, seconds: 0.4, rounds: 2, clock: 'cpu' })
  expect(quick.plan.subjects).toEqual(['varve', 'lmdb'])
  expect(quick.plan.extras).toEqual([])
  expect(quick.plan.groups).not.toContain('skipping')
})

test('names are those of workloads, groups and engines', () => {
  const { plan } = choicesOf(
    readOptions(['--only', 'fillseq,since/*', '--groups', 'write', '--subjects', 'varve:lz4']),
    [],
  )
  expect(plan.only).toEqual(['fillseq', 'since/*'])
  expect(plan.groups).toEqual(['write'])
  expect(plan.subjects).toEqual(['varve:lz4'])
  expect(plan.extras).toEqual([])
})

test.each([
  ['--only', 'nosuch', 'No workload is named nosuch.'],
  ['--groups', 'write,nosuch', 'No group is named nosuch.'],
  ['--subjects', 'varve:nosuch', 'No engine, or no profile of one, is named varve:nosuch.'],
  ['--subjects', ',', 'It takes at least one.'],
  ['--rounds', '0', 'It takes a positive number.'],
  ['--entries', '1.5', 'It takes a whole number.'],
])('%s %s ends with 2 and a sentence', (option, value, sentence) => {
  const told = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const exit = vi.spyOn(process, 'exit').mockImplementation((code) => {
    throw new Error(`exit ${code}`)
  })
  try {
    expect(() => readOptions([option, value])).toThrow('exit 2')
    expect(told.mock.calls.join('')).toContain(sentence)
  } finally {
    told.mockRestore()
    exit.mockRestore()
  }
})
