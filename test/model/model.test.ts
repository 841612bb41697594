import fc from 'fast-check'
import { expect, test } from 'vitest'
import { playHistory } from './history.ts'
import { historyOf, REWRITES_ONE_IN } from './steps.ts'

const SEEDS = Number(process.env['VARVE_MODEL_SEEDS'] ?? 200)
const FIRST_SEED = Number(process.env['VARVE_MODEL_FIRST_SEED'] ?? 1)
const GROUPS = 8

/** Plays one random history; a failure is shrunk and printed with its seed. Answers how many segments compactions took over. */
async function playSeed(seed: number): Promise<number> {
  let copies = 0
  await fc.assert(
    fc.asyncProperty(...historyOf(seed), async (history, steps) => {
      copies += (await playHistory(history, steps)).copies
    }),
    { seed, numRuns: 1, endOnFailure: false, verbose: 1 },
  )
  return copies
}

for (let group = 0; group < GROUPS; group++) {
  test(`a random history equals the model, seeds ${group} modulo ${GROUPS}`, {
    timeout: 600_000,
  }, async () => {
    let played = 0
    let copies = 0
    for (let seed = FIRST_SEED + group; seed < FIRST_SEED + SEEDS; seed += GROUPS) {
      copies += await playSeed(seed)
      played++
    }
    expect(played).toBeGreaterThan(0)
    // With all of its seeds the group that has rewrites cannot miss what they are for.
    if (FIRST_SEED + group === REWRITES_ONE_IN && played >= 20) expect(copies).toBeGreaterThan(20)
  })
}
