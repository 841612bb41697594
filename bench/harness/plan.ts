/** Which measurements a run makes, in which order. Pure: the runner carries it out. */
import { engineNamed } from '../peers/index.ts'
import { MAIN_GROUPS } from '../workloads/index.ts'
import type { Workload } from '../workloads/workload.ts'

export interface Measurement {
  readonly workload: Workload
  readonly subject: string
  readonly cpus: number
  /** Where it gets fewer rounds than the run has. */
  readonly roundsMax?: number
}

export interface PlanChoices {
  /** 'engine' or 'engine:profile'; a workload with subjects of its own keeps those whose engine is chosen. */
  readonly subjects: readonly string[]
  /** Shown beside them, once and on the first of the CPU counts: no target names them. */
  readonly extras: readonly string[]
  readonly groups: readonly Workload['group'][]
  /** Names; `*` at the end stands for any rest. Empty: all. */
  readonly only: readonly string[]
  readonly cpus: readonly number[]
  readonly withHeavy: boolean
}

/** Measurements of one round; subjects of a workload stand side by side, so that drift of the machine meets all of them. */
export function planRound(workloads: readonly Workload[], choices: PlanChoices): Measurement[] {
  const round: Measurement[] = []
  for (const workload of workloads) {
    if (!choices.groups.includes(workload.group) || !isChosen(workload.name, choices.only)) continue
    if (workload.isHeavy === true && !choices.withHeavy) continue
    // Main rows are asked for on one CPU and on two, and of tuned peers too; the others once.
    const isBroad = MAIN_GROUPS.includes(workload.group)
    const subjects = isBroad
      ? choices.subjects
      : choices.subjects.filter((subject) => profileOf(subject) === 'default')
    const extras = isBroad ? choices.extras : []
    for (const [i, cpus] of (isBroad ? choices.cpus : choices.cpus.slice(0, 1)).entries()) {
      for (const subject of subjectsOf(workload, subjects)) round.push({ workload, subject, cpus })
      for (const subject of i === 0 ? subjectsOf(workload, extras) : []) {
        round.push({ workload, subject, cpus, roundsMax: 1 })
      }
    }
  }
  return round
}

export function engineOf(subject: string): string {
  return subject.split(':')[0] as string
}

export function profileOf(subject: string): string {
  return subject.split(':')[1] ?? 'default'
}

function isChosen(name: string, only: readonly string[]): boolean {
  return only.length === 0 || only.some((each) => isNamed(name, each))
}

/** `*` at the end of a pattern stands for any rest. */
export function isNamed(name: string, pattern: string): boolean {
  return name === pattern || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)))
}

function subjectsOf(workload: Workload, chosen: readonly string[]): string[] {
  const engines = new Set(chosen.map(engineOf))
  const own = (workload.subjects ?? []).filter((subject) => engines.has(engineOf(subject)))
  const withoutOwn = chosen.filter(
    (subject) => !own.some((each) => engineOf(each) === engineOf(subject)),
  )
  const runs = (subject: string): boolean => workload.runsOn(engineNamed(engineOf(subject)))
  return [...new Set([...own, ...withoutOwn])].filter(runs)
}
