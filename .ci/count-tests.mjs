// Prints "N passed, N failed" from the report of vitest's JSON reporter. A file that could not even be loaded has no tests to
// count; it counts as one that failed. Without a report the run itself failed.
import { existsSync, readFileSync } from 'node:fs'

const file = process.argv[2]
let passed = 0
let failed = 1
if (file !== undefined && existsSync(file)) {
  const report = JSON.parse(readFileSync(file, 'utf8'))
  const unloadable = report.testResults.filter(
    (result) => result.status === 'failed' && result.assertionResults.length === 0,
  )
  passed = report.numPassedTests
  failed = report.numFailedTests + unloadable.length
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
