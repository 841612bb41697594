/** `npm run bench:report [results.json]`: writes docs/benchmarks.md and its plots from the figures of an earlier run, by default the newest. */
import { loadResults, newestResults } from '../harness/results.ts'
import { writeDocument } from './document.ts'
import { verdictTable } from './tables.ts'
import { printTable } from './terminal.ts'

const path = process.argv[2] ?? newestResults()
if (path === undefined) throw new Error('there are no results yet: npm run bench')
const results = loadResults(path)
printTable(verdictTable(results))
process.stdout.write(`\n${writeDocument(results)} from ${path}\n`)
