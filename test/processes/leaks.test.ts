import { afterAll, expect, test } from 'vitest'
import { FAST_DISK, Workshop } from './child-process.ts'
import { checkCycles } from './cycles.ts'

/** `npm run test:leaks` runs 10,000. */
const CYCLES = 200
const workshop = new Workshop(FAST_DISK)
afterAll(() => workshop.close())

test('stores that are opened and closed leave neither descriptors nor memory behind', {
  timeout: 300_000,
  skip: process.platform !== 'linux',
}, async () => {
  await checkCycles(workshop, CYCLES)
})

test('what was forgotten open is let go of when it is garbage, with a warning', {
  timeout: 120_000,
}, async () => {
  const nodeOptions = ['--expose-gc']
  const child = workshop.start('forgotten', [workshop.path('forgotten')], { nodeOptions })
  const [found] = await child.results<{ forgotten: number; filesHeld: number }>()
  expect(found).toMatchObject({ warnings: found!.forgotten, openSnapshots: 0, filesLeft: 0 })
  expect(found!.filesHeld).toBeGreaterThan(0)
})
