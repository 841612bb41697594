/**
 * `npm run bench:report [results.json ...]`: writes docs/benchmarks.md and its plots from the figures of earlier runs of one engine, by
 * default the newest run.
 */
import { engineOf } from '../harness/machine.ts'
import { loadResults, mergeResults, newestResults } from '../harness/results.ts'
import { writeDocument } from './document.ts'
import { verdictTable } from './tables.ts'
import { printTable } from './terminal.ts'

const newest = newestResults()
if (newest === undefined) throw new Error('there are no results yet: npm run bench')
const given = process.argv.slice(2)
const paths = given.length > 0 ? given : [newest]
const results = mergeResults(paths.map(loadResults), engineOf)
printTable(verdictTable(results))
process.stdout.write(`\n${writeDocument(results)} from ${paths.join(', ')}\n`)
