/** The package as npm packs it installs into an empty project and works there: by import, by require, as a command. */
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtPackage, ROOT } from './built-package.ts'

let project: string
let packed: string[]

function npm(args: readonly string[], cwd: string): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Packs a directory; returns the tarball and the names in it. */
function pack(directory: string): { file: string; names: string[] } {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', project, directory]
  const [report] = JSON.parse(npm(args, project)) as {
    filename: string
    files: { path: string }[]
  }[]
  return { file: `./${report!.filename}`, names: report!.files.map((file) => file.path) }
}

beforeAll(() => {
  project = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-project-'))
  fs.writeFileSync(path.join(project, 'package.json'), '{ "private": true }')
  const varve = pack(builtPackage())
  packed = varve.names
  // Its one dependency comes from here too: a test asks no registry.
  const dependency = pack(path.join(ROOT, 'node_modules', 'crc-32'))
  npm(['install', '--offline', '--no-audit', '--no-fund', dependency.file, varve.file], project)
}, 120_000)
afterAll(() => fs.rmSync(project, { recursive: true, force: true }))

function firstProgram(): string {
  const readme = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8')
  return /<!-- example: first-program -->\n```ts\n([\s\S]*?)```/.exec(readme)![1]!
}

function run(name: string, code: string, flags: readonly string[] = []): string {
  fs.writeFileSync(path.join(project, name), code)
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, name], {
    cwd: project,
    encoding: 'utf8',
  })
  expect({ status, stderr: stderr.replaceAll(/^.*ExperimentalWarning.*\n.*\n/gm, '') }).toEqual({
    status: 0,
    stderr: '',
  })
  fs.rmSync(path.join(project, 'my-store'), { recursive: true })
  return stdout
}

test('it installs one package besides itself', () => {
  const installed = fs
    .readdirSync(path.join(project, 'node_modules'))
    .filter((name) => !name.startsWith('.'))
  expect(installed.toSorted()).toEqual(['crc-32', 'varve'])
})

test('it carries what it needs and nothing of the workshop', () => {
  expect(packed).toEqual(
    expect.arrayContaining([
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/varve.js',
      'dist/cli/NOTICES.txt',
      'LICENSE',
    ]),
  )
  expect(packed.filter((name) => /^(src|test|bench|scripts|docs\/api)\//.test(name))).toEqual([])
})

test('it has one file for each thing that is run, and no more types than the exported ones need', () => {
  expect(packed.filter((name) => name.endsWith('.js')).toSorted()).toEqual([
    'dist/background/command.js',
    'dist/background/common.js',
    'dist/background/job-worker.js',
    'dist/background/library.js',
    'dist/cli/varve.js',
    'dist/index.js',
    'dist/testing/index.js',
  ])
  expect(packed.filter((name) => /^dist\/(blob|cli|record)\/.*\.d\.ts$/.test(name))).toEqual([])
})

test('the documents that the README and the command point to are in it, with all that they link to', () => {
  const documents = packed.filter((name) => name.endsWith('.md'))
  expect(documents).toContain('docs/ndjson.md')
  for (const name of documents) {
    const text = fs.readFileSync(path.join(ROOT, name), 'utf8')
    for (const [, target] of text.matchAll(/\]\(([^):#]+)(?:#[^)]*)?\)/g)) {
      expect(packed, name).toContain(path.posix.join(path.posix.dirname(name), target!))
    }
  }
})

test('with --enable-source-maps a trace leads to the sources', () => {
  const code = `
    import fs from 'node:fs'
    import { Varve } from 'varve'
    fs.mkdirSync('my-store')
    const { stack } = await Varve.open('').catch((error) => error)
    console.log(stack)`
  const trace = run('trace.mjs', code, ['--enable-source-maps'])
  expect(trace).toMatch(/varve\/src\/db\/location\.ts:\d+:\d+/)
  expect(trace).not.toContain('library.js')
})

test('the first program of the README runs by import', () => {
  expect(run('program.mjs', firstProgram())).toContain('5 MergeOperand visits\n')
})

test('the first program of the README runs by require', () => {
  const code = firstProgram().replace(/^import (\{.*\}) from ('varve')$/m, 'const $1 = require($2)')
  expect(run('program.cjs', `(async () => {\n${code}\n})()\n`)).toContain('5 MergeOperand visits\n')
})

test('the library and what it is tested with are few files, and of one piece', () => {
  const code = `
    import fs from 'node:fs'
    import { Varve, VarveError } from 'varve'
    import { MemoryFileSystem } from 'varve/testing'
    const options = { environment: { fs: new MemoryFileSystem() } }
    const db = await Varve.open('/store', options)
    const error = await Varve.open('/store', options).catch((error) => error)
    console.log(error instanceof VarveError, error.code)
    await db.close()
    fs.mkdirSync('my-store')
    const modules = import.meta.resolve('varve')
    console.log(fs.readFileSync(new URL(modules), 'utf8'))`
  expect(run('halves.mjs', code)).toBe(
    "true VARVE_LOCKED\nexport * from './background/library.js'\n\n",
  )
})

test('the command is there', () => {
  const command = path.join(project, 'node_modules', '.bin', 'varve')
  const version = (
    JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }
  ).version
  expect(execFileSync(command, ['--version'], { encoding: 'utf8' })).toBe(`${version}\n`)
  // These two need nothing that is not in the package.
  for (const name of ['demo', 'bench']) {
    const args = [name, '-n', '500', '--json']
    expect(JSON.parse(execFileSync(command, args, { encoding: 'utf8' }))).toBeTypeOf('object')
  }
  execFileSync(command, ['put', 'store', 'a', '1', '--create'], { cwd: project, stdio: 'pipe' })
  expect(execFileSync(command, ['get', 'store', 'a'], { cwd: project, encoding: 'utf8' })).toBe(
    '1\n',
  )
})
