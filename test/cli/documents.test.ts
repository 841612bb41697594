/**
 * Every program in README.md and docs/guide.md runs as it stands there, against the built package, and prints what is said.
 *
 * A block that follows "prints:" is the whole output of the program before it. `classic-level` is no dependency of ours: a
 * stand-in with its interface takes its place.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { transformSync } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { builtPackage, ended, linesOf, ROOT, Workplace } from './built-package.ts'
import { type Program, programsIn, shellLinesIn } from './programs.ts'

const STAND_IN = `
export class ClassicLevel {
  constructor(location, options) {
    if (options.keyEncoding !== 'buffer' || options.valueEncoding !== 'buffer') throw new Error('not as bytes')
  }
  async *iterator() {
    for (const [key, value] of [['!users!1', 'Ada'], ['a', '1'], ['b', '2']]) {
      yield [Buffer.from(key), Buffer.from(value)]
    }
  }
  async close() {}
}
`

let modules: string
beforeAll(() => {
  modules = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-documents-'))
  fs.mkdirSync(path.join(modules, 'classic-level'))
  fs.symlinkSync(builtPackage(), path.join(modules, 'varve'))
  const standIn = path.join(modules, 'classic-level')
  fs.writeFileSync(path.join(standIn, 'package.json'), '{ "type": "module", "main": "index.js" }')
  fs.writeFileSync(path.join(standIn, 'index.js'), STAND_IN)
})
afterAll(() => fs.rmSync(modules, { recursive: true, force: true }))

function run(program: Program): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-program-'))
  try {
    fs.symlinkSync(modules, path.join(directory, 'node_modules'))
    const { code } = transformSync(program.code, { loader: 'ts', target: 'node20' })
    fs.writeFileSync(path.join(directory, 'program.mjs'), code)
    const { status, stdout, stderr } = spawnSync(process.execPath, ['program.mjs'], {
      cwd: directory,
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return stdout
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

describe.each(['README.md', 'docs/guide.md'])('%s', (document) => {
  const programs = programsIn(document)

  test('has programs', () => {
    expect(programs.length).toBeGreaterThan(0)
    expect(fs.readFileSync(path.join(ROOT, document), 'utf8').split('```ts').length - 1).toBe(
      programs.length,
    )
  })

  test.each(programs.map((program) => [program.line, program] as const))(
    'the program in line %i does what it says',
    (_line, program) => {
      const output = run(program)
      if (program.prints !== undefined) expect(output).toBe(program.prints)
    },
  )
})

describe.each(['README.md', 'docs/guide.md'])('the commands of %s', (document) => {
  const commands = shellLinesIn(document)
    .map((line) => /^(?:npx )?varve ([^|]*)/.exec(line)?.[1]?.trim())
    .filter((command) => command !== undefined)
  let place: Workplace
  beforeAll(() => {
    place = new Workplace()
    place.write('users.ndjson', '{"id":1,"name":"Ada"}\n{"id":42,"name":"Grace"}\n')
  })
  afterAll(() => place.remove())

  test('are there', () => {
    expect(commands.length).toBeGreaterThan(5)
  })

  // One after the other, as they stand there: a later one works on what an earlier one made.
  test.each(commands)('varve %s', async (command) => {
    const args = command.split(/\s+/)
    if (args[0] === 'dump') {
      const store = path.dirname(args[1]!)
      place.ok(['compact', store])
      args[1] = path.join(store, place.files(store, '.seg')[0]!)
    }
    // Of the size only: both take seconds as they stand.
    if (args[0] === 'demo' || args[0] === 'bench') args.push('--entries', '2000')
    if (!args.includes('--follow')) {
      expect(place.run(args)).toMatchObject({ code: 0 })
      return
    }
    const following = place.start(args)
    if (args[0] === 'changes') await linesOf(following, 1)
    else await expect.poll(() => place.run(['count', args[2]!]).code, { timeout: 30_000 }).toBe(0)
    following.kill('SIGINT')
    expect(await ended(following)).toBe(0)
  })
})

test('the guide says of every error code what to do', () => {
  const errors = fs.readFileSync(path.join(ROOT, 'src', 'base', 'errors.ts'), 'utf8')
  const codes = [...errors.matchAll(/^ {2}\| '(VARVE_\w+)'$/gm)].map((match) => match[1]!)
  const guide = fs.readFileSync(path.join(ROOT, 'docs', 'guide.md'), 'utf8')
  const rows = [...guide.matchAll(/^\| `(VARVE_\w+)` \|/gm)].map((match) => match[1]!)
  expect(codes.length).toBeGreaterThan(20)
  expect(rows.toSorted()).toEqual(codes.toSorted())
})

test('the README lists every option', () => {
  const options = fs.readFileSync(path.join(ROOT, 'src', 'db', 'options.ts'), 'utf8')
  const declared = [...options.matchAll(/^ {2}(\w+)\?: /gm)].map((match) => match[1]!)
  const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8')
  const listed = [...readme.matchAll(/^\| `(\w+)`( \*)? \|/gm)].map((match) => match[1]!)
  // Of `signal` there is nothing to say in a table.
  expect(listed.toSorted()).toEqual(
    expect.arrayContaining(declared.filter((name) => name !== 'signal')),
  )
})

test('the copy of a classic-level database has its sublevels as keyspaces', () => {
  const program = programsIn('docs/guide.md').find(({ code }) => code.includes('classic-level'))!
  expect(run(program)).toBe('3 entries in default,users\n')
})
