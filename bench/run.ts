/**
 * `npm run bench`: installs the peers, compiles, measures, prints the tables and writes bench/results/*.json.
 *
 * ```
 * --quick              a small form under three minutes
 * --only a,b*          workloads by name
 * --groups a,b         write, read, changes, upkeep, skipping, engine
 * --subjects a,b:tuned engines, with a profile or without
 * --cpus 1,2           CPUs that a measurement is pinned to; 0 does not pin
 * --rounds n --entries n --seconds n
 * --data folder        where the stores lie (default: the system's folder for temporary files)
 * --fixtures folder    prepared stores of peers are kept there, for the next run
 * --clock cpu          CPU time instead of wall time, for a machine that is busy with other things
 * --docs               writes docs/benchmarks.md from the figures
 * ```
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildBench, installPeers } from './harness/build.ts'
import { describeCommit, describeMachine, peerVersions } from './harness/machine.ts'
import { planRound } from './harness/plan.ts'
import { type Results, storeResults } from './harness/results.ts'
import { Runner } from './harness/runner.ts'
import { commandLine, readChoices } from './options.ts'
import { writeDocument } from './report/document.ts'
import { skippingTables } from './report/skipping-tables.ts'
import { engineTable, figureTable, verdictTable } from './report/tables.ts'
import { createProgressDisplay, printTable } from './report/terminal.ts'
import { MAIN_GROUPS, workloads } from './workloads/index.ts'

installPeers()
const peers = peerVersions()
const choices = readChoices(process.argv.slice(2), Object.keys(peers))
const build = buildBench()
const dataFolder = mkdtempSync(join(choices.dataFolder ?? tmpdir(), 'varve-bench-'))
const display = createProgressDisplay()
const runner = new Runner({
  settings: choices.settings,
  childModule: build.childModule,
  varveModule: build.varveModule,
  dataFolder,
  keptFolder: choices.keptFolder,
  onProgress: (progress) => display.show(progress),
  onMeasured: (report) => storeResults({ ...run, ...report }),
})
const run: Omit<Results, 'cells' | 'failures'> = {
  startedAt: new Date().toISOString(),
  command: commandLine(process.argv.slice(2)),
  machine: describeMachine(dataFolder),
  commit: describeCommit(),
  peers,
  settings: choices.settings,
}
const results: Results = {
  ...run,
  ...(await runner.run(planRound(workloads, choices.plan)).finally(() => {
    display.end()
    runner.removeData()
    build.remove()
  })),
}
report(results)

function report(results: Results): void {
  for (const cpus of new Set(results.cells.map((cell) => cell.cpus))) {
    const table = figureTable(results, cpus, MAIN_GROUPS)
    if (table.rows.length > 0) printTable(table)
  }
  for (const table of [...skippingTables(results), engineTable(results)]) {
    if (table.rows.length > 0) printTable(table)
  }
  printTable(verdictTable(results))
  process.stdout.write(`\nfigures: ${storeResults(results)}\n`)
  if (choices.writesDocument) process.stdout.write(`document: ${writeDocument(results)}\n`)
  for (const failure of results.failures) process.stderr.write(`\nFAILED: ${failure.trimEnd()}\n`)
  if (results.failures.length > 0) process.exitCode = 1
}
