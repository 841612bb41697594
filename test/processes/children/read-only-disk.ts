/** Runs in a mount namespace of its own. Prints what is said of a store that cannot be made on a read-only file system. */
import { execFileSync } from 'node:child_process'
import { engine } from './engine.ts'

const mount = process.argv[2]!
execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', mount])
const said = await engine.Varve.open(`${mount}/new/store`).then(
  () => 'nothing',
  (error: unknown) => error,
)
const { code, details } = Object(said) as { code?: string; details?: object }
process.stdout.write(`${JSON.stringify({ code, details })}\n`)
