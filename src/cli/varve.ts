#!/usr/bin/env node
/**
 * The command `varve`. Bundled with its libraries into one file at build time; the engine it uses is the package's own.
 */
import { CommanderError } from 'commander'
import { describeError, EXIT, exitCodeOf } from './exit-codes.ts'
import { createProgram } from './program.ts'
import { Terminal } from './terminal.ts'

async function main(): Promise<number> {
  const terminal = new Terminal()
  try {
    await createProgram(terminal).parseAsync(process.argv)
    await terminal.flush()
    return EXIT.ok
  } catch (error) {
    // What was read before the failure is data all the same.
    await terminal.flush()
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    terminal.note(`varve: ${describeError(error)}`)
    return exitCodeOf(error)
  }
}

// Not process.exit: what stands in stdout's buffer is still to be read by whoever reads it.
process.exitCode = await main()
