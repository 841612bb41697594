/** The tables of a run, as plain rows; terminal.ts and markdown.ts set them. */
import { findCell, type Results } from '../harness/results.ts'
import { summarize } from '../harness/summary.ts'
import { workloads } from '../workloads/index.ts'
import type { Workload } from '../workloads/workload.ts'
import { formatMetric } from './format.ts'
import { judge } from './verdicts.ts'

export interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** One row a workload, one column a subject. */
export function figureTable(
  results: Results,
  cpus: number,
  groups: readonly Workload['group'][],
): Table {
  const chosen = workloads.filter((workload) => groups.includes(workload.group))
  const names = new Set(chosen.map((workload) => workload.name))
  const cells = results.cells.filter((cell) => cell.cpus === cpus && names.has(cell.workload))
  const subjects = [...new Set(cells.map((cell) => cell.subject))]
  const rows = chosen
    .filter((workload) => cells.some((cell) => cell.workload === workload.name))
    .map((workload) => [
      `${workload.title} [${workload.metric.unit}]`,
      ...subjects.map((subject) => figureText(results, workload, subject, cpus)),
    ])
  return { title: cpusTitle(cpus), head: ['work', ...subjects], rows }
}

/** Every figure of the workloads that are Varve's alone. */
export function engineTable(results: Results): Table {
  const rows: string[][] = []
  for (const workload of workloads.filter((each) => each.group === 'engine')) {
    for (const cell of results.cells.filter((each) => each.workload === workload.name)) {
      const names = [...new Set(cell.rounds.flatMap((round) => Object.keys(round)))]
      const figures = names.map((name) => {
        const summary = summarize(cell, name)
        return summary === undefined ? name : `${name} ${formatMetric(name, summary.median)}`
      })
      rows.push([workload.title, cell.subject, figures.join(', ')])
    }
  }
  return { title: 'The engine alone', head: ['work', 'settings', 'figures'], rows }
}

export function verdictTable(results: Results): Table {
  const rows = judge(results).map((verdict) => [
    cpusTitle(verdict.cpus),
    verdict.title,
    verdict.against,
    verdict.found,
    verdict.atLeast,
    verdict.aim,
    verdict.grade,
  ])
  const head = ['on', 'work', 'against', 'found', 'at least', 'aim', 'verdict']
  return { title: 'Held against the targets', head, rows }
}

export function cpusTitle(cpus: number): string {
  if (cpus === 0) return 'not pinned'
  return cpus === 1 ? 'one CPU' : `${cpus} CPUs`
}

function figureText(results: Results, workload: Workload, subject: string, cpus: number): string {
  const cell = findCell(results, { workload: workload.name, subject, cpus })
  const summary = summarize(cell, workload.metric.name)
  if (summary === undefined) return '–'
  const figure = formatMetric(workload.metric.name, summary.median)
  const isAlone = (cell?.rounds.length ?? 0) < 2
  return isAlone ? figure : `${figure} ±${Math.round(summary.spread * 50)} %`
}
