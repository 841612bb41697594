/** The sample of crash points that runs with every test run; `npm run test:crash` runs all of them. */
import { expect, test } from 'vitest'
import { STEPS, sweep } from './sweep.ts'

/** Together the four parts sweep 2,000 crash points and more. */
const SEEDS_EACH = 5
const SHARE = 0.12
const AGAIN_SHARE = 0.3
const POINTS_MIN = 500

export function sampleCrashes(part: number): void {
  test(`a sample of crash points is recovered from, part ${part}`, {
    timeout: 600_000,
  }, async () => {
    let points = 0
    for (
      let seed = part * 100 + 1;
      seed <= part * 100 + SEEDS_EACH || points < POINTS_MIN;
      seed++
    ) {
      const swept = await sweep({ seed, steps: STEPS, share: SHARE, againShare: AGAIN_SHARE })
      points += swept.crashes + swept.crashesAgain
    }
    expect(points).toBeGreaterThanOrEqual(POINTS_MIN)
  })
}
