/** Ten thousand lives of a store in one process: `npm run test:leaks [-- cycles]`. */
import { checkCycles } from './cycles.ts'
import { FAST_DISK, Workshop } from './child-process.ts'

const workshop = new Workshop(FAST_DISK)
try {
  const startedAt = performance.now()
  const cycled = await checkCycles(workshop, Number(process.argv[2] ?? 10_000))
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  console.log(`${JSON.stringify(cycled)} in ${seconds} s`)
} finally {
  await workshop.close()
}
