/**
 * Plays single seeds of the model test without shrinking, for looking into one: `npx tsx test/model/play.ts 17 18 19`.
 */
import fc from 'fast-check'
import { playHistory } from './history.ts'
import { historyOf } from './steps.ts'

Reflect.set(globalThis, Symbol.for('varve.paranoid'), true)
const isVerbose = process.env['VERBOSE'] !== undefined
for (const seed of process.argv.slice(2).map(Number)) {
  const [policy, anySteps] = historyOf(seed)
  const [history] = fc.sample(policy, { seed, numRuns: 1 })
  const [steps] = fc.sample(anySteps, { seed, numRuns: 1 })
  const startedAt = performance.now()
  let at = 0
  const watch = setTimeout(() => {
    console.log('seed', seed, 'hangs at step', at, JSON.stringify(steps![at]))
    process.exit(2)
  }, 20_000)
  try {
    await playHistory(history!, steps!, (index) => {
      at = index
      if (isVerbose) console.log(index, JSON.stringify(steps![index]))
    })
    console.log(
      'seed',
      seed,
      'ok',
      steps!.length,
      'steps',
      Math.round(performance.now() - startedAt),
      'ms',
    )
  } catch (error) {
    console.log('seed', seed, 'fails at step', at, 'of', steps!.length, JSON.stringify(steps![at]))
    console.log(String((error as Error).stack).slice(0, 3000))
    process.exitCode = 1
  } finally {
    clearTimeout(watch)
  }
}
