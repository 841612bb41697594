/** The command line of a benchmark run. */
import { parseArgs } from 'node:util'
import { canPin } from './harness/child-process.ts'
import type { PlanChoices } from './harness/plan.ts'
import type { Settings } from './harness/results.ts'
import { engines } from './peers/index.ts'
import { GROUPS, MAIN_GROUPS } from './workloads/index.ts'
import type { Workload } from './workloads/workload.ts'

export interface Choices {
  readonly settings: Settings
  readonly plan: PlanChoices
  readonly dataFolder: string | undefined
  readonly keptFolder: string | undefined
  readonly writesDocument: boolean
}

const FOLDER_OPTIONS: readonly string[] = ['--data', '--fixtures']
const FULL: Settings = { entries: 1_000_000, seconds: 3, rounds: 5, clock: 'wall' }
const QUICK: Settings = { entries: 100_000, seconds: 0.4, rounds: 1, clock: 'wall' }

export function readChoices(args: readonly string[], peers: readonly string[]): Choices {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      docs: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      groups: { type: 'string' },
      subjects: { type: 'string' },
      cpus: { type: 'string' },
      rounds: { type: 'string' },
      entries: { type: 'string' },
      seconds: { type: 'string' },
      data: { type: 'string' },
      fixtures: { type: 'string' },
      clock: { type: 'string', default: 'wall' },
    },
  })
  const base = values.quick ? QUICK : FULL
  const groups = listOf(values.groups) as Workload['group'][]
  const only = listOf(values.only)
  const subjects = listOf(values.subjects)
  return {
    settings: {
      entries: positive('entries', values.entries, base.entries),
      seconds: positive('seconds', values.seconds, base.seconds),
      rounds: positive('rounds', values.rounds, base.rounds),
      clock: values.clock === 'cpu' ? 'cpu' : 'wall',
    },
    plan: {
      subjects: subjects.length > 0 ? subjects : defaultSubjects(peers, values.quick),
      groups: groups.length > 0 ? groups : values.quick && only.length === 0 ? MAIN_GROUPS : GROUPS,
      only,
      cpus: cpuCounts(values.cpus ?? (values.quick ? '1' : '1,2')),
      withHeavy: !values.quick,
    },
    dataFolder: values.data,
    keptFolder: values.fixtures,
    writesDocument: values.docs,
  }
}

/** As it can be repeated elsewhere: folders of this machine are not named. */
export function commandLine(args: readonly string[]): string {
  const shown = args.map((each, i) =>
    FOLDER_OPTIONS.includes(args[i - 1] ?? '') ? 'folder' : each,
  )
  return ['npm run bench', ...(args.length > 0 ? ['--', ...shown] : [])].join(' ')
}

/** Every engine that is installed, and in full runs the tuned peers beside it. */
function defaultSubjects(peers: readonly string[], isQuick: boolean): string[] {
  const installed = engines.filter(({ name }) => name === 'varve' || peers.includes(name))
  const subjects = installed.map((engine) => engine.name)
  if (isQuick) return subjects.filter((name) => name !== 'rocksdb')
  const tuned = installed.filter(({ name, profiles }) => name !== 'varve' && 'tuned' in profiles)
  return [...subjects, ...tuned.map(({ name }) => `${name}:tuned`)]
}

function cpuCounts(text: string): number[] {
  const counts = listOf(text).map((each) => positive('cpus', each, 0))
  return canPin() ? counts : [0]
}

function listOf(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((each) => each !== '')
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} takes a number, not ${text}`)
  return value
}
