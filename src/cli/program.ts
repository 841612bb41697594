/**
 * All commands, and what they have in common.
 */
import fs from 'node:fs'
import path from 'node:path'
import { Command } from 'commander'
import { addApply } from './commands/apply.ts'
import { addBench } from './commands/bench.ts'
import { addChanges } from './commands/changes.ts'
import { addCheckpoint } from './commands/checkpoint.ts'
import { addCompact } from './commands/compact.ts'
import { addConsumers } from './commands/consumers.ts'
import { addCount } from './commands/count.ts'
import { addDelete } from './commands/delete.ts'
import { addDemo } from './commands/demo.ts'
import { addDump } from './commands/dump.ts'
import { addExport } from './commands/export.ts'
import { addGet } from './commands/get.ts'
import { addHistory } from './commands/history.ts'
import { addImport } from './commands/import.ts'
import { addMerge } from './commands/merge.ts'
import { addPut } from './commands/put.ts'
import { addRepair } from './commands/repair.ts'
import { addReplicate } from './commands/replicate.ts'
import { addScan } from './commands/scan.ts'
import { addStats } from './commands/stats.ts'
import { addVerify } from './commands/verify.ts'
import type { Terminal } from './terminal.ts'

const COMMANDS = [
  addGet,
  addPut,
  addDelete,
  addMerge,
  addScan,
  addCount,
  addChanges,
  addApply,
  addStats,
  addHistory,
  addConsumers,
  addVerify,
  addRepair,
  addCompact,
  addCheckpoint,
  addReplicate,
  addImport,
  addExport,
  addDump,
  addBench,
  addDemo,
]

const EXIT_CODES = `
Exit codes:
  0 ok   1 failure   2 usage   3 not found   4 locked by a writer   5 corruption   6 history truncated

Data goes to stdout, everything else to stderr. Commands that only read work beside a running writer.`

export function createProgram(terminal: Terminal): Command {
  const program = new Command('varve')
    .description('Look into, change, follow and copy Varve stores.')
    .version(versionOfPackage())
    .showSuggestionAfterError()
    .showHelpAfterError('(--help shows how)')
    .addHelpText('after', EXIT_CODES)
    .exitOverride()
  for (const add of COMMANDS) add(program, terminal)
  return program
}

/** From dist/cli, and from src/cli as well, the package is two floors up. */
function versionOfPackage(): string {
  const file = path.join(import.meta.dirname, '..', '..', 'package.json')
  return (JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string }).version
}
