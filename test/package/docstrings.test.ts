/** The examples in the docstrings of the public API run, against the built package, and print what their comments say. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { transformSync } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtPackage } from '../cli/built-package.ts'
import { examplesInSources } from '../cli/programs.ts'

/** Runs the examples one after the other in one process, each in a directory of its own; prints what each printed. */
const RUNNER = `
import fs from 'node:fs'
import { format } from 'node:util'

const printed = []
for (let index = 0; index < Number(process.argv[2]); index++) {
  const lines = []
  printed.push(lines)
  console.log = (...values) => lines.push(...format(...values).split('\\n'))
  fs.mkdirSync(new URL('directory-' + index, import.meta.url))
  process.chdir(new URL('directory-' + index, import.meta.url).pathname)
  try {
    await import('./example-' + index + '.mjs')
  } catch (error) {
    lines.push('failed: ' + error.stack)
  }
}
process.stdout.write(JSON.stringify(printed))
`

const examples = examplesInSources()
let printed: string[][]
let project: string
beforeAll(() => {
  project = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-docstrings-'))
  fs.mkdirSync(path.join(project, 'node_modules'))
  fs.symlinkSync(builtPackage(), path.join(project, 'node_modules', 'varve'))
  fs.writeFileSync(path.join(project, 'run.mjs'), RUNNER)
  for (const [index, { code }] of examples.entries()) {
    const script = transformSync(code, { loader: 'ts', target: 'node20' }).code
    fs.writeFileSync(path.join(project, `example-${index}.mjs`), script)
  }
  const { stdout, stderr } = spawnSync(process.execPath, ['run.mjs', `${examples.length}`], {
    cwd: project,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  printed = JSON.parse(stdout) as string[][]
})
afterAll(() => fs.rmSync(project, { recursive: true, force: true }))

test('there are examples, and they print something', () => {
  expect(examples.length).toBeGreaterThan(12)
  for (const { where, prints } of examples) expect(prints, where).not.toEqual([])
})

test.each(examples.map(({ where, prints }, index) => [where, prints, index] as const))(
  '%s',
  (_where, prints, index) => {
    expect(printed[index]).toEqual(prints)
  },
)
