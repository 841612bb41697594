/** One measurement in a process of its own: `node child.js <job as JSON>`. Prints one line with the outcome. */
import { writeFixture } from './harness/fixture-writer.ts'
import { type Job, type Metrics, OUTCOME_PREFIX, PREPARE } from './harness/job.ts'
import { createContext } from './harness/open-context.ts'
import { workloadNamed } from './workloads/index.ts'

const job = JSON.parse(process.argv[2] as string) as Job
const metrics = await runJob(job)
const peakRssBytes = process.resourceUsage().maxRSS * 1024
process.stdout.write(
  `${OUTCOME_PREFIX}${JSON.stringify({ metrics: { ...metrics, peakRssBytes } })}\n`,
)

async function runJob(job: Job): Promise<Metrics> {
  const context = createContext(job)
  if (job.workload !== PREPARE) return workloadNamed(job.workload).run(context)
  if (job.fixture === undefined) throw new Error('nothing to prepare')
  await writeFixture(context, job.fixture)
  return {}
}
