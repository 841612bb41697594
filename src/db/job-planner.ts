/**
 * Gathers what every job needs to know of the store at the moment it is planned, and sends it to the thread that may run it.
 */
import { isAbsolute, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { JobRunner } from '../background/job-runner.ts'
import { needsCallingThread } from '../background/needs-calling-thread.ts'
import type { MergeOperator } from '../base/merge-operators.ts'
import {
  fileNumberCount,
  type Job,
  type JobBase,
  type JobResult,
  type KeyspaceSettings,
} from '../compaction/job.ts'
import type { KeyspaceDirectory } from './keyspace-directory.ts'

export interface JobPlannerOptions {
  readonly directory: string
  readonly segmentBytes: number
  readonly keyspaces: KeyspaceDirectory
  readonly operators: ReadonlyMap<string, MergeOperator>
  /** Below it events may be dropped: the floor in force, and no open scan stands below. */
  readonly dropFloor: () => number
  /** Ascending. */
  readonly snapshots: () => readonly number[]
  readonly bands: () => readonly number[]
  /** Reserves file numbers; returns the first. */
  readonly reserveFileNumbers: (count: number) => number
  /** Where most jobs run. */
  readonly runner: JobRunner
  /** For jobs with operators that only this thread has. */
  readonly callingThread: JobRunner
  readonly signal: () => AbortSignal
}

export class JobPlanner {
  readonly #options: JobPlannerOptions

  constructor(options: JobPlannerOptions) {
    this.#options = options
  }

  /** The part that all jobs share. `inputBytes`: of what the job reads. */
  base(inputBytes: number): JobBase {
    const { directory, segmentBytes, keyspaces } = this.#options
    const settings = keyspaces.everyone().map((state) => this.#settings(state))
    const bands = this.#options.bands()
    const count = fileNumberCount({
      inputBytes,
      segmentBytes,
      keyspaces: settings.length,
      bands: bands.length,
    })
    return {
      directory,
      firstFileNumber: this.#options.reserveFileNumbers(count),
      fileNumberCount: count,
      dropFloor: this.#options.dropFloor(),
      snapshots: this.#options.snapshots(),
      bands,
      segmentBytes,
      keyspaces: settings,
    }
  }

  run(job: Job): Promise<JobResult> {
    const { runner, callingThread, operators, signal } = this.#options
    const chosen = needsCallingThread(job, operators) ? callingThread : runner
    return chosen.run(job, operators, { signal: signal() })
  }

  #settings(state: ReturnType<KeyspaceDirectory['all']>[number]): KeyspaceSettings {
    const { options, operator } = state
    const module = operator?.module
    return {
      id: state.id,
      mergeOperator: options.mergeOperator,
      operatorModule: module === undefined ? undefined : moduleUrl(module),
      blobThresholdBytes: options.blobThresholdBytes,
      compression: options.compression,
      bloomBitsPerKey: options.bloomBitsPerKey,
      blockBytes: options.blockBytes,
    }
  }
}

/** A module as a worker can import it: URLs as they are, paths as file URLs. */
function moduleUrl(module: string | URL): string {
  if (module instanceof URL) return module.href
  if (/^(file|data|node):/.test(module)) return module
  return isAbsolute(module) || module.startsWith('.') ? pathToFileURL(resolve(module)).href : module
}
