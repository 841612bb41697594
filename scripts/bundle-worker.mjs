/**
 * Makes one file of the worker thread's modules, in the place of the one that tsc wrote: `<out>/background/job-worker.js`. The
 * first flush of a process waits for the thread, which starts in half the time when it has one file to find and not a hundred.
 * Packages stay outside.
 *
 *     node scripts/bundle-worker.mjs [out directory, default dist]
 */
import fs from 'node:fs'
import path from 'node:path'
import { build } from 'rolldown'
import { BUNDLED, OUTPUT } from './bundle-options.mjs'

const root = path.resolve(import.meta.dirname, '..')
const out = path.resolve(process.argv[2] ?? path.join(root, 'dist'))
const file = path.join(out, 'background', 'job-worker.js')

await build({ ...BUNDLED, input: file, output: { ...OUTPUT, file } })
// The map of what was here before is not its own. It gets none: the thread is started without the flags of the program.
fs.rmSync(`${file}.map`, { force: true })
