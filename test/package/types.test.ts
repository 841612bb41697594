/** The programs of the documents and the examples type-check against the built package, with the oldest and the newest TypeScript. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { installTools, toolFolder } from '../../tools/install.ts'
import { builtPackage, ROOT } from '../cli/built-package.ts'
import { examplesInSources, programsIn } from '../cli/programs.ts'

const CLASSIC_LEVEL = `
declare module 'classic-level' {
  export class ClassicLevel<KDefault = string, VDefault = string> {
    constructor(location: string, options: object)
    iterator(): AsyncIterable<[KDefault, VDefault]>
    close(): Promise<void>
  }
}
`

/** As strict as it gets; the package's own types are checked too. */
const OPTIONS = {
  strict: true,
  noEmit: true,
  skipLibCheck: false,
  module: 'nodenext',
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable'],
  types: ['node'],
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  allowImportingTsExtensions: true,
  resolveJsonModule: true,
}

let directory: string
beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-types-'))
  const modules = path.join(directory, 'node_modules')
  fs.mkdirSync(path.join(modules, '@types'), { recursive: true })
  fs.symlinkSync(builtPackage(), path.join(modules, 'varve'))
  for (const name of ['@types/node', 'undici-types', '@types/cli-progress', 'cli-table3']) {
    fs.symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name))
  }
  fs.writeFileSync(path.join(directory, 'package.json'), '{ "type": "module" }')
  fs.writeFileSync(path.join(directory, 'classic-level.d.ts'), CLASSIC_LEVEL)
  fs.writeFileSync(
    path.join(directory, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: OPTIONS, include: ['**/*.ts'] }),
  )
  for (const [index, { code }] of documents().entries()) {
    fs.writeFileSync(path.join(directory, `program-${index}.ts`), code)
  }
  copyExamples()
}, 120_000)
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

function documents(): { code: string }[] {
  return [...['README.md', 'docs/guide.md'].flatMap(programsIn), ...examplesInSources()]
}

/** As a user would have them: with the package instead of its sources. */
function copyExamples(): void {
  const examples = path.join(ROOT, 'examples')
  const names = fs.readdirSync(examples, { recursive: true, encoding: 'utf8' })
  for (const name of names.filter((each) => each.endsWith('.ts'))) {
    const code = fs
      .readFileSync(path.join(examples, name), 'utf8')
      .replaceAll(/'(\.\.\/)+src\/index\.ts'/g, "'varve'")
    const target = path.join(directory, 'examples', name)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.writeFileSync(target, code)
  }
}

/** What the compiler says. */
function compile(typescript: string): { stdout: string; status: number | null } {
  const { stdout, status } = spawnSync(process.execPath, [path.join(typescript, 'bin', 'tsc')], {
    cwd: directory,
    encoding: 'utf8',
  })
  return { stdout, status }
}

const NOTHING_WRONG = { stdout: '', status: 0 }
const newest = path.join(ROOT, 'node_modules', 'typescript')

test('with TypeScript 7', () => {
  expect(compile(newest)).toEqual(NOTHING_WRONG)
})

test('with TypeScript 5.4', { timeout: 200_000 }, ({ skip }) => {
  const reason = installTools()
  if (reason !== undefined) {
    // The list of skipped tests does not show reasons.
    console.warn(`skipped with TypeScript 5.4: ${reason}`)
    return skip(reason)
  }
  expect(compile(toolFolder('typescript-5.4'))).toEqual(NOTHING_WRONG)
})

test('what does not fit is found', () => {
  const file = path.join(directory, 'program-wrong.ts')
  fs.writeFileSync(file, "import { Varve } from 'varve'\nawait Varve.open('a', { sink: true })\n")
  try {
    expect(compile(newest).stdout).toContain("'sink' does not exist in type 'OpenOptions'")
  } finally {
    fs.rmSync(file)
  }
})
