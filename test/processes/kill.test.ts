import { afterAll, expect, test } from 'vitest'
import { randomOf } from '../record/record-samples.ts'
import { Workshop } from './child-process.ts'
import { killLoop } from './kill-loop.ts'

/** `npm run test:kill` runs 200. */
const CYCLES = 15
const workshop = new Workshop()
afterAll(() => workshop.close())

test('a process that is killed again and again loses nothing that it acknowledged', {
  timeout: 300_000,
}, async () => {
  const killed = await killLoop(workshop, CYCLES, randomOf(20))
  expect(killed.acknowledged).toBeGreaterThan(CYCLES * 10)
})
