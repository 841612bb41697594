/**
 * `npm run bench:compare -- <commit> [options of npm run bench]`: this working tree against another commit, by the same harness,
 * interleaved measurement by measurement, so that the machine's moods meet both. Ends with an error when something
 * became slower than the noise explains.
 */
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildBench, buildEngine, projectFolder, runCommand } from './harness/build.ts'
import { compareCells, isRegression } from './harness/comparison.ts'
import { onInterrupt } from './harness/interrupt.ts'
import { planRound } from './harness/plan.ts'
import { Runner } from './harness/runner.ts'
import { choicesOf, readOptions } from './options.ts'
import { comparisonTable } from './report/comparison-table.ts'
import { createProgressDisplay, printTable } from './report/terminal.ts'
import { workloads } from './workloads/index.ts'

const [commit, ...args] = process.argv.slice(2)
if (commit === undefined || commit.startsWith('-')) {
  process.stderr.write('usage: npm run bench:compare -- <commit> [options of npm run bench]\n')
  process.exit(2)
}
const quick = args.some((arg) => arg.startsWith('--only')) ? [] : ['--quick']
const options = ['--subjects', 'varve', '--cpus', '1', '--rounds', '5', ...quick, ...args]
const choices = choicesOf(readOptions(options), [])
const folder = mkdtempSync(join(choices.dataFolder ?? tmpdir(), 'varve-compare-'))
const checkout = join(folder, 'checkout')
const display = createProgressDisplay()
const build = buildBench()
onInterrupt(cleanUp)
try {
  runCommand('git', ['worktree', 'add', '--detach', checkout, commit], projectFolder)
  const modules = join(checkout, 'node_modules')
  if (!existsSync(modules)) symlinkSync(join(projectFolder, 'node_modules'), modules)
  const sides = [
    { name: 'then', varveModule: buildEngine(checkout) },
    { name: 'now', varveModule: build.varveModule },
  ]
  const runners = sides.map(
    ({ name, varveModule }) =>
      new Runner({
        settings: choices.settings,
        childModule: build.childModule,
        varveModule,
        dataFolder: join(folder, name),
        onProgress: () => undefined,
      }),
  )
  const round = planRound(workloads, choices.plan)
  const total = round.length * choices.settings.rounds
  for (let n = 0; n < total; n++) {
    const measurement = round[n % round.length] as (typeof round)[number]
    display.show({ done: n, total, current: measurement.workload.name })
    // Turn by turn, and each first as often as the other.
    const order = n % 2 === 0 ? runners : runners.toReversed()
    for (const runner of order) await runner.measure(measurement)
  }
  display.end()
  const [then, now] = runners.map((runner) => runner.report())
  if (then === undefined || now === undefined) throw new Error('there are two sides')
  const comparisons = compareCells(then.cells, now.cells)
  printTable(comparisonTable(comparisons, commit))
  for (const failure of [...then.failures, ...now.failures]) process.stderr.write(`\n${failure}\n`)
  const failures = then.failures.length + now.failures.length
  if (failures > 0 || comparisons.some(isRegression)) process.exitCode = 1
} finally {
  cleanUp()
}

function cleanUp(): void {
  display.end()
  runCommand('git', ['worktree', 'remove', '--force', checkout], projectFolder)
  rmSync(folder, { recursive: true, force: true })
  build.remove()
}
