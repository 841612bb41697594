import fc from 'fast-check'
import { expect, test } from 'vitest'
import { playHistory } from './history.ts'
import { policy, step } from './steps.ts'

const SEEDS = Number(process.env['VARVE_MODEL_SEEDS'] ?? 200)
const FIRST_SEED = Number(process.env['VARVE_MODEL_FIRST_SEED'] ?? 1)
const GROUPS = 8

/** Plays one random history; a failure is shrunk and printed with its seed. */
async function playSeed(seed: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      policy,
      fc.array(step, { minLength: 1, maxLength: 220, size: 'max' }),
      (history, steps) => playHistory(history, steps),
    ),
    { seed, numRuns: 1, endOnFailure: false, verbose: 1 },
  )
}

for (let group = 0; group < GROUPS; group++) {
  test(`a random history equals the model, seeds ${group} modulo ${GROUPS}`, {
    timeout: 600_000,
  }, async () => {
    let played = 0
    for (let seed = FIRST_SEED + group; seed < FIRST_SEED + SEEDS; seed += GROUPS) {
      await playSeed(seed)
      played++
    }
    expect(played).toBeGreaterThan(0)
  })
}
