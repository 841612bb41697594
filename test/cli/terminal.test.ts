/** What commands do at a terminal: styles, a bar, a question. `script` of util-linux lends them one. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { builtPackage, Workplace } from './built-package.ts'

const command = (): string => path.join(builtPackage(), 'dist', 'cli', 'varve.js')

let place: Workplace
beforeAll(() => {
  place = new Workplace()
  place.ok(['put', 's', 'a', '1', '--create'])
  const lines = Array.from(
    { length: 20_000 },
    (_, i) => `{"key":"k${i}","value":"${'v'.repeat(90)}"}\n`,
  )
  place.write('many.ndjson', lines.join(''))
})
afterAll(() => place.remove())

const hasTerminals = spawnSync('script', ['-qec', 'true', '/dev/null'], { input: '' }).status === 0
if (!hasTerminals) console.warn('skipped: there is no `script` (util-linux) to lend a terminal')

/** All that stands on the terminal afterwards, and the exit code. */
function atTerminal(
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string } = {},
): { code: number | null; screen: string } {
  const words = [process.execPath, command(), ...args].map((word) => `'${word}'`).join(' ')
  const { NO_COLOR: _, ...env } = process.env
  const { status, stdout } = spawnSync('script', ['-qec', words, '/dev/null'], {
    cwd: place.directory,
    encoding: 'utf8',
    input: options.input ?? '',
    env: { ...env, ...options.env },
  })
  return { code: status, screen: stdout }
}

describe.runIf(hasTerminals)('at a terminal', () => {
  test('stats has styles, and none with NO_COLOR', () => {
    expect(atTerminal(['stats', 's']).screen).toContain('\u001b[1m')
    const plain = atTerminal(['stats', 's'], { env: { NO_COLOR: '1' } })
    expect(plain.code).toBe(0)
    expect(plain.screen).not.toContain('\u001b')
  })

  test('an import shows how far it is', () => {
    const { code, screen } = atTerminal(['import', 'imported', 'many.ndjson'])
    expect(code).toBe(0)
    expect(screen).toMatch(/import .* \d+ %/)
    expect(screen).toContain('imported 20,000 entries')
  })

  describe('what cannot be undone', () => {
    beforeEach(() => {
      place.ok(['put', 's', 'doomed', 'x', '-k', 'doomed', '--create'])
    })
    const drop = ['delete', 's', '-k', 'doomed', '--drop-keyspace']

    test('is asked for, and done after a yes', () => {
      const { code, screen } = atTerminal(drop, { input: 'y\n' })
      expect(screen).toContain('[y/N]')
      expect(code).toBe(0)
      expect(place.run(['scan', 's', '-k', 'doomed']).code).toBe(3)
    })

    test('is left alone after anything else', () => {
      const { code, screen } = atTerminal(drop, { input: '\n' })
      expect(screen).toContain('Nothing was changed.')
      expect(code).toBe(1)
      expect(place.ok(['scan', 's', '-k', 'doomed'])).toBe('doomed\tx\n')
    })
  })
})

describe('when nobody reads on', () => {
  beforeAll(() => void place.ok(['import', 'piped', 'many.ndjson']))

  test.each([['scan piped'], ['export piped'], ['changes piped'], ['scan piped --ndjson']])(
    '%s ends quietly',
    (args) => {
      const line = `"${process.execPath}" "${command()}" ${args} | head -n 1; exit \${PIPESTATUS[0]}`
      const { stdout, stderr, status } = spawnSync('bash', ['-c', line], {
        cwd: place.directory,
        encoding: 'utf8',
      })
      expect(stdout.trimEnd().split('\n')).toHaveLength(1)
      expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    },
  )
})

test.runIf(fs.existsSync('/dev/full'))('what cannot be written is told of', () => {
  const full = fs.openSync('/dev/full', 'w')
  try {
    const { status, stderr } = spawnSync(process.execPath, [command(), 'get', 's', 'a'], {
      cwd: place.directory,
      encoding: 'utf8',
      stdio: ['ignore', full, 'pipe'],
    })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^varve: .*no space left/) as string,
    })
  } finally {
    fs.closeSync(full)
  }
})
