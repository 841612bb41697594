/** Which jobs a worker thread cannot run. */
import { type MergeOperator, mergeOperators } from '../base/merge-operators.ts'
import type { FlushJob, Job } from '../compaction/job.ts'

/**
 * Whether a job could have to fold operands with an operator that a worker thread cannot load: neither built in nor in a
 * module of its own. Such a job runs on the calling thread.
 */
export function needsCallingThread(
  job: Job,
  operators: ReadonlyMap<string, MergeOperator>,
): boolean {
  if (job.type === 'merge-history') return false
  for (const keyspace of job.keyspaces) {
    if (job.type === 'compact' && keyspace.id !== job.keyspaceId) continue
    if (job.type === 'flush' && !holdsKeyspace(job, keyspace.id)) continue
    const name = keyspace.mergeOperator
    if (name === undefined || keyspace.operatorModule !== undefined) continue
    const builtIn: MergeOperator | undefined = Object.entries(mergeOperators).find(
      ([builtInName]) => builtInName === name,
    )?.[1]
    const operator = operators.get(name)
    if (operator !== undefined && operator !== builtIn) return true
  }
  return false
}

function holdsKeyspace(job: FlushJob, keyspaceId: number): boolean {
  return job.memtable.keyspaces.some(({ id }) => id === keyspaceId)
}
