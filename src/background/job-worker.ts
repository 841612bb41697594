/**
 * The worker thread: takes jobs, runs them in slices (so that a flush or an abort that comes in is seen soon), and answers.
 * It reads and writes files by itself, through Node's file system.
 */
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '../base/assert.ts'
import { type MergeOperator, mergeOperators } from '../base/merge-operators.ts'
import type { Job } from '../compaction/job.ts'
import { startJob } from '../compaction/run-job.ts'
import { createNodeFileSystem } from '../env/node-file-system.ts'
import { createTimers } from '../env/timers.ts'
import { encodeError } from './error-codec.ts'
import { JobScheduler, type ScheduledJob } from './job-scheduler.ts'
import type { FromWorker, ToWorker } from './worker-protocol.ts'

const SLICE_MS = 10

assert(parentPort !== null, 'the job worker runs in a worker thread')
// The costly assertions are on in both threads, or in none.
Reflect.set(globalThis, Symbol.for('varve.paranoid'), Reflect.get(Object(workerData), 'paranoid'))
const port = parentPort
const fs = createNodeFileSystem()
const scheduler = new JobScheduler({ timers: createTimers(), sliceMs: SLICE_MS })
/** Jobs that were not answered yet; undefined while their operators are being loaded. */
const jobs = new Map<number, ScheduledJob | undefined>()
const aborted = new Set<number>()
/** By URL. */
const modules = new Map<string, Promise<MergeOperator>>()

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'run':
      jobs.set(message.id, undefined)
      void run(message.id, message.job)
      break
    case 'abort':
      if (!jobs.has(message.id)) break
      aborted.add(message.id)
      jobs.get(message.id)?.abort()
      break
  }
})
answer({ type: 'ready' })

async function run(id: number, job: Job): Promise<void> {
  try {
    const operators = await loadOperators(id, job)
    if (operators === undefined) return
    const steps = startJob(job, {
      fs,
      operators,
      historyBufferBytes: 32 * 2 ** 20,
      readAheadBytes: 2 ** 18,
    })
    const scheduled = scheduler.start(steps, { isUrgent: job.type === 'flush' })
    jobs.set(id, scheduled)
    if (aborted.has(id)) scheduled.abort()
    answer({ type: 'done', id, result: await scheduled.done })
  } catch (error) {
    answer({ type: 'failed', id, error: encodeError(error) })
  } finally {
    jobs.delete(id)
    aborted.delete(id)
  }
}

/** Undefined, and the caller told so, when one cannot be had. */
async function loadOperators(
  id: number,
  job: Job,
): Promise<ReadonlyMap<string, MergeOperator> | undefined> {
  const operators = new Map<string, MergeOperator>(Object.entries(mergeOperators))
  for (const { mergeOperator, operatorModule } of job.keyspaces) {
    if (mergeOperator === undefined || operatorModule === undefined) continue
    try {
      const operator = await load(operatorModule)
      if (operator.name !== mergeOperator) {
        throw new Error(`${operatorModule} exports '${operator.name}', not '${mergeOperator}'`)
      }
      operators.set(mergeOperator, operator)
    } catch (error) {
      answer({ type: 'unable', id, error: encodeError(error) })
      return undefined
    }
  }
  return operators
}

function load(module: string): Promise<MergeOperator> {
  let loading = modules.get(module)
  if (loading === undefined) {
    loading = importOperator(module)
    modules.set(module, loading)
  }
  return loading
}

async function importOperator(module: string): Promise<MergeOperator> {
  // A path is no URL on every platform.
  const url =
    module.startsWith('/') || /^[a-z]:\\/i.test(module) ? pathToFileURL(module).href : module
  const exports: { default?: unknown } = await import(url)
  const operator = exports.default as MergeOperator | null | undefined
  if (typeof operator?.merge !== 'function' || typeof operator.name !== 'string') {
    throw new Error(`${module} does not export a merge operator as its default`)
  }
  return operator
}

function answer(message: FromWorker): void {
  port.postMessage(message)
}
