/**
 * `npm run bench`: installs the peers, compiles, measures, prints the tables and writes bench/results/*.json.
 * `npm run bench -- --help` tells its options.
 */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildBench, installPeers } from './harness/build.ts'
import { onInterrupt } from './harness/interrupt.ts'
import { describeCommit, describeMachine, peerVersions } from './harness/machine.ts'
import { planRound } from './harness/plan.ts'
import { type Results, storeResults } from './harness/results.ts'
import { Runner } from './harness/runner.ts'
import { choicesOf, commandLine, readOptions } from './options.ts'
import { writeDocument } from './report/document.ts'
import { skippingTables } from './report/skipping-tables.ts'
import { engineTable, figureTable, verdictTable } from './report/tables.ts'
import { createProgressDisplay, printTable } from './report/terminal.ts'
import { MAIN_GROUPS, workloads } from './workloads/index.ts'

const options = readOptions(process.argv.slice(2))
installPeers()
const peers = peerVersions()
const choices = choicesOf(options, Object.keys(peers))
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
onInterrupt(cleanUp)
const results: Results = {
  ...run,
  ...(await runner.run(planRound(workloads, choices.plan)).finally(cleanUp)),
}
report(results)

function cleanUp(): void {
  display.end()
  runner.removeData()
  build.remove()
}

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
