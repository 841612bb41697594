/** The command line of a benchmark run. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { canPin } from './harness/child-process.ts'
import { engineOf, isNamed, type PlanChoices, profileOf } from './harness/plan.ts'
import type { Settings } from './harness/results.ts'
import { engineNamed, engines } from './peers/index.ts'
import { GROUPS, MAIN_GROUPS, workloads } from './workloads/index.ts'
import type { Workload } from './workloads/workload.ts'

export interface Choices {
  readonly settings: Settings
  readonly plan: PlanChoices
  readonly dataFolder: string | undefined
  readonly keptFolder: string | undefined
  readonly writesDocument: boolean
}

const FOLDER_OPTIONS: readonly string[] = ['--data', '--fixtures']
const FULL: Settings = { entries: 1_000_000, seconds: 2, rounds: 3, clock: 'wall' }
const QUICK: Settings = { entries: 100_000, seconds: 0.4, rounds: 1, clock: 'wall' }

export interface Options {
  readonly quick: boolean
  readonly docs: boolean
  readonly only: string[]
  readonly groups?: Workload['group'][]
  readonly subjects?: string[]
  readonly cpus?: number[]
  readonly rounds?: number
  readonly entries?: number
  readonly seconds?: number
  readonly data?: string
  readonly fixtures?: string
  readonly clock: Settings['clock']
}

/** Ends the process for `--help`, and with a sentence and exit code 2 when something makes no sense. */
export function readOptions(args: readonly string[]): Options {
  return program().parse(args, { from: 'user' }).opts<Options>()
}

/** `peers`: names of those that are installed. */
export function choicesOf(options: Options, peers: readonly string[]): Choices {
  const { quick, only, groups, subjects } = options
  const base = quick ? QUICK : FULL
  return {
    settings: {
      entries: options.entries ?? base.entries,
      seconds: options.seconds ?? base.seconds,
      rounds: options.rounds ?? base.rounds,
      clock: options.clock,
    },
    plan: {
      subjects: subjects ?? installedEngines(peers).filter((name) => !isExtra(name)),
      extras: subjects === undefined && !quick ? extraSubjects(peers) : [],
      groups: groups ?? (quick && only.length === 0 ? MAIN_GROUPS : GROUPS),
      only,
      cpus: canPin() ? (options.cpus ?? (quick ? [1] : [1, 2])) : [0],
      withHeavy: !quick,
    },
    dataFolder: options.data,
    keptFolder: options.fixtures,
    writesDocument: options.docs,
  }
}

function program(): Command {
  return new Command('npm run bench --')
    .description('measures Varve and its peers, prints the tables and writes bench/results/*.json')
    .option('--quick', 'a small form under three minutes', false)
    .option(
      '--only <names>',
      'workloads; * at the end of a name stands for any rest',
      workloadNames,
      [],
    )
    .option('--groups <groups>', GROUPS.join(', '), groupNames)
    .option('--subjects <engines>', 'engine or engine:profile', subjectNames)
    .option('--cpus <counts>', 'CPUs that a measurement is pinned to; 0 does not pin', cpuCounts)
    .option('--rounds <n>', 'measurements of each, interleaved', wholeNumber)
    .option('--entries <n>', 'entries of a store', wholeNumber)
    .option('--seconds <n>', 'of what is measured for a time', positive)
    .option(
      '--data <folder>',
      "where the stores lie (default: the system's folder for temporary files)",
    )
    .option('--fixtures <folder>', 'prepared stores of peers are kept there, for the next run')
    .addOption(
      new Option('--clock <clock>', 'cpu: CPU time, for a machine that is busy with other things')
        .choices(['wall', 'cpu'])
        .default('wall'),
    )
    .option('--docs', 'writes docs/benchmarks.md from the figures', false)
    .allowExcessArguments(false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
}

/** As it can be repeated elsewhere: folders of this machine are not named. */
export function commandLine(args: readonly string[]): string {
  const shown = args.map((each, i) => {
    if (FOLDER_OPTIONS.includes(args[i - 1] ?? '')) return 'folder'
    const option = FOLDER_OPTIONS.find((name) => each.startsWith(`${name}=`))
    return option === undefined ? each : `${option}=folder`
  })
  return ['npm run bench', ...(args.length > 0 ? ['--', ...shown] : [])].join(' ')
}

/** No row names it; see its adapter. */
const isExtra = (name: string): boolean => name === 'rocksdb'

/** What full runs show beside the engines that are compared. */
function extraSubjects(peers: readonly string[]): string[] {
  const installed = installedEngines(peers)
  const tuned = installed.filter(
    (name) => name !== 'varve' && 'tuned' in engineNamed(name).profiles,
  )
  return [...installed.filter(isExtra), ...tuned.map((name) => `${name}:tuned`)]
}

function installedEngines(peers: readonly string[]): string[] {
  return engines.map(({ name }) => name).filter((name) => name === 'varve' || peers.includes(name))
}

function workloadNames(text: string): string[] {
  return listOf(text, (name) => {
    if (!workloads.some((workload) => isNamed(workload.name, name))) {
      throw new InvalidArgumentError(`No workload is named ${name}.`)
    }
    return name
  })
}

function groupNames(text: string): Workload['group'][] {
  return listOf(text, (name) => {
    const group = GROUPS.find((each) => each === name)
    if (group === undefined) throw new InvalidArgumentError(`No group is named ${name}.`)
    return group
  })
}

function subjectNames(text: string): string[] {
  return listOf(text, (name) => {
    const engine = engines.find((each) => each.name === engineOf(name))
    const profile = profileOf(name)
    if (engine === undefined || (profile !== 'default' && !(profile in engine.profiles))) {
      throw new InvalidArgumentError(`No engine, or no profile of one, is named ${name}.`)
    }
    return name
  })
}

function cpuCounts(text: string): number[] {
  return listOf(text, (count) => (count === '0' ? 0 : wholeNumber(count)))
}

function listOf<T>(text: string, read: (each: string) => T): T[] {
  const names = text.split(',').filter((each) => each !== '')
  if (names.length === 0) throw new InvalidArgumentError('It takes at least one.')
  return names.map(read)
}

function wholeNumber(text: string): number {
  const value = positive(text)
  if (!Number.isInteger(value)) throw new InvalidArgumentError('It takes a whole number.')
  return value
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < Infinity))
    throw new InvalidArgumentError('It takes a positive number.')
  return value
}
