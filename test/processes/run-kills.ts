/** Two hundred kills: `npm run test:kill [-- cycles [seed]]`. */
import { randomOf } from '../record/record-samples.ts'
import { moduleUrl, Workshop } from './child-process.ts'
import { killLoop } from './kill-loop.ts'

const cycles = Number(process.argv[2] ?? 200)
const seed = Number(process.argv[3] ?? 1)
// Built first: that is none of the loop's time.
moduleUrl()
const workshop = new Workshop()
try {
  const startedAt = performance.now()
  const killed = await killLoop(workshop, cycles, randomOf(seed))
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  console.log(`${JSON.stringify(killed)} in ${seconds} s`)
} finally {
  await workshop.close()
}
