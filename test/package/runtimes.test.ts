/** The package as it is published, on every runtime that it says it runs on. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtPackage } from '../cli/built-package.ts'
import { installed, runtimes } from './runtimes.ts'

const INSTALL_TEST_MS = 200_000

let project: string
beforeAll(() => {
  project = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-runtimes-'))
  fs.mkdirSync(path.join(project, 'node_modules'))
  fs.symlinkSync(builtPackage(), path.join(project, 'node_modules', 'varve'))
  fs.copyFileSync(path.join(import.meta.dirname, 'smoke.mjs'), path.join(project, 'smoke.mjs'))
})
afterAll(() => fs.rmSync(project, { recursive: true, force: true }))

/** What the smoke program prints on this runtime. */
function smoke(command: string): unknown {
  const location = fs.mkdtempSync(path.join(project, 'store-'))
  const { status, stdout, stderr } = spawnSync(command, ['smoke.mjs', location], {
    cwd: project,
    encoding: 'utf8',
  })
  // Node.js tells that require() of a module is experimental; anything else would be ours.
  const told = stderr.replaceAll(/^.*ExperimentalWarning.*\n.*\n/gm, '')
  expect({ status, stderr: told }).toEqual({ status: 0, stderr: '' })
  return JSON.parse(stdout)
}

// No warnings: where no worker thread could be started, there would be one.
const GOOD = { events: 2705, warnings: [] }

test('the package works on the Node.js that runs the tests', () => {
  expect(smoke(process.execPath)).toEqual(GOOD)
})

test.for(runtimes())(
  'the package works on $name',
  { timeout: INSTALL_TEST_MS },
  (runtime, { skip }) => {
    const found = installed(runtime)
    if ('reason' in found) {
      // The list of skipped tests does not show reasons.
      console.warn(`skipped on ${runtime.name}: ${found.reason}`)
      return skip(found.reason)
    }
    expect(smoke(found.command)).toEqual(GOOD)
  },
)
