import { describe, expect, test } from 'vitest'
import { fuzz } from './fuzzing.ts'
import { RECORD_TARGETS } from './record-targets.ts'
import { SEGMENT_TARGETS } from './segment-targets.ts'

/** `npm run test:fuzz` goes on for longer. */
const RUNS = 200

describe('damaged bytes are answered rightly or with a typed error, within bounds:', () => {
  test.each([...RECORD_TARGETS, ...SEGMENT_TARGETS])('$name', async (target) => {
    const seed = Number(process.env['VARVE_SEED'] ?? 1)
    const { tried } = await fuzz(target, { runs: RUNS, seed })
    expect(tried).toBe(RUNS)
  })
})
