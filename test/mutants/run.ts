/**
 * Breaks the engine on purpose, one way at a time, in a copy of the sources, and looks whether a test notices:
 * `npm run test:mutants [-- part of a name]`. Fails when a breakage does not fit the source any more, or survives.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { MUTANTS, type Mutant } from './mutants.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts']
/** A test that hangs has a limit of its own; this is for what ends no test at all. */
const RUN_MS_MAX = 15 * 60_000

interface Verdict {
  readonly mutant: Mutant
  /** The test that noticed. */
  readonly caughtBy: string | undefined
  readonly problem: string | undefined
}

/** Names of tests that failed; undefined when the run itself broke. */
type Failures = readonly string[] | undefined

const wanted = process.argv[2]
const mutants = MUTANTS.filter(({ what }) => wanted === undefined || what.includes(wanted))
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-mutants-'))
try {
  process.exitCode = (await main()) ? 0 : 1
} finally {
  fs.rmSync(work, { recursive: true, force: true })
}

async function main(): Promise<boolean> {
  const startedAt = performance.now()
  const files = [...new Set(mutants.flatMap(({ tests }) => tests))]
  const sound = copyTo('sound')
  const failed = await runTests(sound, files)
  if (failed === undefined || failed.length > 0) {
    console.log(`the tests fail without any breakage: ${failed?.join('; ') ?? 'they did not run'}`)
    return false
  }
  const queue = [...mutants]
  const verdicts: Verdict[] = []
  const lane = async (name: string): Promise<void> => {
    const copy = copyTo(name)
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const verdict = await judge(copy, mutant)
      verdicts.push(verdict)
      const result = verdict.caughtBy ?? `NOT CAUGHT: ${verdict.problem}`
      console.log(`${verdicts.length}/${mutants.length} ${mutant.what}: ${result}`)
    }
  }
  const lanes = Math.max(1, Math.min(4, os.availableParallelism()))
  await Promise.all(Array.from({ length: lanes }, (_, index) => lane(`lane-${index}`)))
  const caught = verdicts.filter(({ caughtBy }) => caughtBy !== undefined).length
  console.log('\n| breakage | caught by |\n|---|---|')
  for (const mutant of mutants) {
    const verdict = verdicts.find((one) => one.mutant === mutant)!
    console.log(`| ${mutant.what} | ${verdict.caughtBy ?? `**${verdict.problem}**`} |`)
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  console.log(`\n${caught} of ${mutants.length} breakages caught, in ${seconds} s`)
  return caught === mutants.length
}

function copyTo(name: string): string {
  const copy = path.join(work, name)
  fs.mkdirSync(copy)
  for (const entry of COPIED) {
    fs.cpSync(path.join(ROOT, entry), path.join(copy, entry), { recursive: true })
  }
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'))
  return copy
}

async function judge(copy: string, mutant: Mutant): Promise<Verdict> {
  const file = path.join(copy, mutant.file)
  const source = fs.readFileSync(file, 'utf8')
  const broken = apply(source, mutant)
  if (broken === undefined) {
    return { mutant, caughtBy: undefined, problem: 'it does not fit the source' }
  }
  fs.writeFileSync(file, broken)
  try {
    for (const test of mutant.tests) {
      const failures = await runTests(copy, [test])
      if (failures === undefined) {
        return { mutant, caughtBy: undefined, problem: `${test} did not run` }
      }
      if (failures.length > 0) return { mutant, caughtBy: failures[0], problem: undefined }
    }
    return { mutant, caughtBy: undefined, problem: 'it survives' }
  } finally {
    fs.writeFileSync(file, source)
  }
}

/** Undefined where a piece is not there exactly once. */
function apply(source: string, { changes }: Mutant): string | undefined {
  let broken = source
  for (const [find, replace] of changes) {
    if (broken.split(find).length !== 2) return undefined
    broken = broken.replace(find, () => replace)
  }
  return broken
}

async function runTests(copy: string, files: readonly string[]): Promise<Failures> {
  const report = path.join(copy, 'report.json')
  fs.rmSync(report, { force: true })
  const vitest = path.join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const args = [vitest, 'run', ...files, '--bail=1', '--reporter=json', `--outputFile=${report}`]
  // In a process group of its own: what is killed takes the test's own processes with it.
  const child = spawn(process.execPath, args, { cwd: copy, stdio: 'ignore', detached: true })
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), RUN_MS_MAX)
  await new Promise((resolve) => child.on('exit', resolve))
  clearTimeout(timer)
  if (!fs.existsSync(report)) return undefined
  return failuresOf(JSON.parse(fs.readFileSync(report, 'utf8')) as Report)
}

interface Report {
  readonly success: boolean
  readonly numTotalTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

function failuresOf({ success, numTotalTests, testResults }: Report): Failures {
  const failures = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName }) => `${path.basename(name)}: ${fullName.trim()}`),
  )
  if (numTotalTests === 0 || (!success && failures.length === 0)) return undefined
  return failures
}
