/** What every command does with arguments that are wrong, and with a store that is not there. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Workplace } from './built-package.ts'

let place: Workplace
beforeAll(() => {
  place = new Workplace()
  place.ok(['put', 's', 'a', '1', '--create'])
})
afterAll(() => place.remove())

/** Every command with the least that it needs, `s` being the store. */
const CALLS: readonly (readonly string[])[] = [
  ['get', 's', 'a'],
  ['put', 's', 'b', '2'],
  ['delete', 's', 'b'],
  ['merge', 's', 'a', '1'],
  ['scan', 's'],
  ['count', 's'],
  ['changes', 's'],
  ['apply', 'replica', '/dev/null'],
  ['stats', 's'],
  ['history', 's'],
  ['consumers', 'ls', 's'],
  ['consumers', 'drop', 's', 'name'],
  ['verify', 's'],
  ['repair', 's'],
  ['compact', 's'],
  ['checkpoint', 's', 'copy'],
  ['replicate', 's', 'replica'],
  ['import', 's', 'file'],
  ['export', 's'],
  ['dump', 's/CURRENT'],
  ['bench'],
  ['demo'],
]

/** A command, or command and subcommand, without its arguments. */
function commandOf(call: readonly string[]): readonly string[] {
  return call.slice(0, call[0] === 'consumers' ? 2 : 1)
}

const named = (calls: typeof CALLS): (readonly [string, readonly string[]])[] =>
  calls.map((call) => [commandOf(call).join(' '), call])

test.each(named(CALLS))('%s ends with 2 for an option that it does not have', (_name, call) => {
  const outcome = place.run([...call, '--no-such-option'])
  expect(outcome).toMatchObject({ code: 2, stdout: '' })
  expect(outcome.stderr).toContain("unknown option '--no-such-option'")
})

const withArguments = CALLS.filter((call) => call.length > commandOf(call).length)
test.each(named(withArguments))('%s ends with 2 when its arguments are missing', (_name, call) => {
  expect(place.run(commandOf(call))).toMatchObject({ code: 2, stdout: '' })
})

const onStores = CALLS.filter((call) => call.includes('s'))
test.each(named(onStores))('%s ends with 3 where there is no store', (_name, call) => {
  const asks = call[0] === 'repair' || call[1] === 'drop'
  const missing = call.map((word) => (word === 's' ? 'nowhere' : word))
  const outcome = place.run([...missing, ...(asks ? ['--yes'] : [])])
  expect(outcome).toMatchObject({ code: 3, stdout: '' })
  expect(outcome.stderr).toMatch(/^varve: There is no (store in|directory|file)/)
})

test('arguments that are too many are refused', () => {
  expect(place.run(['get', 's', 'a', 'b'])).toMatchObject({ code: 2, stdout: '' })
})

test('no command at all shows the help and ends with 2', () => {
  expect(place.run([])).toMatchObject({ code: 2 })
  expect(place.run(['--help']).stdout).toContain('Usage: varve')
})

test('a file in the place of the store is no store', () => {
  place.write('file.txt', 'x')
  expect(place.run(['stats', 'file.txt']).code).toBe(2)
  expect(place.run(['put', 'file.txt', 'a', 'b', '--create']).code).toBe(2)
})
