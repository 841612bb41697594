/**
 * More damage than a test run has time for: `npm run test:corruption [-- flips [cuts of each file [repairs of each store]]]`.
 */
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const [flips = '20000', cuts = '200', repairs = '1000'] = process.argv.slice(2)
const root = path.resolve(import.meta.dirname, '../..')
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs')
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/corruption'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    VARVE_FLIPS: flips,
    VARVE_CUTS_EACH: cuts,
    VARVE_REPAIRS: repairs,
  },
})
process.exitCode = status ?? 1
