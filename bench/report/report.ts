/**
 * `npm run bench:report [-- [--several-commits] results.json ...]`: writes docs/benchmarks.md and its plots from the figures of earlier
 * runs of one commit, by default the newest run. With `--several-commits` of more than one, which the page names.
 */
import { parseArgs } from 'node:util'
import { loadResults, mergeResults, newestResults } from '../harness/results.ts'
import { writeDocument } from './document.ts'
import { verdictTable } from './tables.ts'
import { printTable } from './terminal.ts'

const { values, positionals: given } = parseArgs({
  options: { 'several-commits': { type: 'boolean', default: false } },
  allowPositionals: true,
})
const newest = newestResults()
const paths = given.length > 0 || newest === undefined ? given : [newest]
if (paths.length === 0) throw new Error('there are no results yet: npm run bench')
const results = mergeResults(paths.map(loadResults), values['several-commits'] ? 'several' : 'one')
printTable(verdictTable(results))
process.stdout.write(`\n${writeDocument(results)} from ${paths.join(', ')}\n`)
