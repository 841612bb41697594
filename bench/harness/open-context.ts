/** Puts a job, its engine and its store together; in the child process. */
import { engineNamed } from '../peers/index.ts'
import type { Context } from '../workloads/workload.ts'
import type { Job } from './job.ts'

export function createContext(job: Job): Context {
  const engine = engineNamed(job.engine)
  return {
    job,
    engine,
    open: ({ sync = false, changeLog = false, counters = false, forgets = false } = {}) =>
      engine.open({
        directory: job.directory,
        profile: job.profile,
        sync,
        changeLog,
        counters,
        forgets,
        varveModule: job.varveModule,
      }),
  }
}
