/** Every kind of job by its plain data. See job.ts. */
import { compactJob } from './compact-job.ts'
import { flushJob } from './flush-job.ts'
import type { Job, JobContext, JobSteps } from './job.ts'
import { mergeHistoryJob } from './merge-history-job.ts'

/** The job, ready to take its first step. */
export function startJob(job: Job, context: JobContext): JobSteps {
  switch (job.type) {
    case 'flush':
      return flushJob(job, context)
    case 'compact':
      return compactJob(job, context)
    case 'merge-history':
      return mergeHistoryJob(job, context)
  }
}
