/** Holds the figures of a run against targets.ts. */
import { findCell, type Results } from '../harness/results.ts'
import { summarize } from '../harness/summary.ts'
import { BEST_PEER, limitTargets, type RatioTarget, ratioTargets } from '../targets.ts'
import { workloadNamed } from '../workloads/index.ts'
import type { Workload } from '../workloads/workload.ts'
import { formatMetric } from './format.ts'

export interface Verdict {
  readonly cpus: number
  readonly title: string
  readonly against: string
  /** Ratio or figure, as printed. */
  readonly found: string
  readonly atLeast: string
  readonly aim: string
  readonly grade: 'aim' | 'pass' | 'fail'
}

/** One verdict per row and number of CPUs that the run has figures for. */
export function judge(results: Results): Verdict[] {
  const cpuCounts = [...new Set(results.cells.map((cell) => cell.cpus))].toSorted((a, b) => a - b)
  return cpuCounts.flatMap((cpus) => [...judgeRatios(results, cpus), ...judgeLimits(results, cpus)])
}

function judgeRatios(results: Results, cpus: number): Verdict[] {
  const verdicts: Verdict[] = []
  for (const target of ratioTargets) {
    const workload = workloadNamed(target.workload)
    const metric = target.metric ?? workload.metric.name
    const own = figure(results, target.workload, target.subject ?? 'varve', cpus, metric)
    const peer = peerFigure(results, target, cpus, metric)
    if (own === undefined || peer === undefined) continue
    const { atLeast, aim } = cpus === 2 && target.two !== undefined ? target.two : target
    const ratio = workload.metric.better === 'higher' ? own / peer.value : peer.value / own
    verdicts.push({
      cpus,
      title: workload.title,
      against: describePeer(target, peer.name),
      found: times(ratio),
      atLeast: times(atLeast),
      aim: times(aim),
      grade: ratio >= aim ? 'aim' : ratio >= atLeast ? 'pass' : 'fail',
    })
  }
  return verdicts
}

function judgeLimits(results: Results, cpus: number): Verdict[] {
  const verdicts: Verdict[] = []
  for (const target of limitTargets) {
    if (target.cpus !== undefined && target.cpus !== cpus) continue
    const { title } = workloadNamed(target.workload)
    const subject = target.subject ?? anySubject(results, target.workload, cpus)
    const found = figure(results, target.workload, subject, cpus, target.metric)
    if (found === undefined) continue
    verdicts.push({
      cpus,
      title: `${title}: ${target.metric}`,
      against: 'a limit',
      found: formatMetric(target.metric, found),
      atLeast: `at most ${formatMetric(target.metric, target.atMost)}`,
      aim: formatMetric(target.metric, target.aim),
      grade: found <= target.aim ? 'aim' : found <= target.atMost ? 'pass' : 'fail',
    })
  }
  return verdicts
}

function peerFigure(
  results: Results,
  target: RatioTarget,
  cpus: number,
  metric: string,
): { name: string; value: number } | undefined {
  const workload = workloadNamed(target.peerWorkload ?? target.workload)
  if (target.peer !== BEST_PEER) {
    const value = figure(results, workload.name, target.peer, cpus, metric)
    return value === undefined ? undefined : { name: target.peer, value }
  }
  let best: { name: string; value: number } | undefined
  for (const cell of results.cells) {
    const isPeer = cell.workload === workload.name && cell.cpus === cpus
    if (!isPeer || cell.subject.startsWith('varve') || cell.subject.includes(':')) continue
    const value = figure(results, workload.name, cell.subject, cpus, metric)
    if (value !== undefined && (best === undefined || isBetter(workload, value, best.value))) {
      best = { name: cell.subject, value }
    }
  }
  return best
}

function isBetter(workload: Workload, value: number, than: number): boolean {
  return workload.metric.better === 'higher' ? value > than : value < than
}

/** Workloads of the engine alone may run under a profile of their own. */
function anySubject(results: Results, workload: string, cpus: number): string {
  if (findCell(results, { workload, subject: 'varve', cpus }) !== undefined) return 'varve'
  const own = results.cells.find(
    (cell) => cell.workload === workload && cell.cpus === cpus && cell.subject.startsWith('varve:'),
  )
  return own?.subject ?? 'varve'
}

function figure(
  results: Results,
  workload: string,
  subject: string,
  cpus: number,
  metric: string,
): number | undefined {
  return summarize(findCell(results, { workload, subject, cpus }), metric)?.median
}

function describePeer(target: RatioTarget, name: string): string {
  const best = target.peer === BEST_PEER ? ' (best)' : ''
  const of = target.peerWorkload === undefined ? '' : ` ${target.peerWorkload}`
  return `${name}${of}${best}`
}

function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 1)}x`
}
