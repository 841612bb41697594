/** Two sides of a comparison, row by row. */
import { median, quantile } from 'simple-statistics'
import { workloadNamed } from '../workloads/index.ts'
import { type Cell, findCell } from './results.ts'

export interface Comparison {
  readonly workload: string
  readonly subject: string
  readonly cpus: number
  readonly before: number
  readonly after: number
  /** Above 1: better now. */
  readonly ratio: number
  /** Part of the figure that rounds of one side differ by: the distance of its quartiles. */
  readonly noise: number
}

/** Smaller changes than this are no finding, however quiet the machine. */
const TOLERANCE = 0.05

export function compareCells(older: readonly Cell[], newer: readonly Cell[]): Comparison[] {
  const comparisons: Comparison[] = []
  for (const cell of newer) {
    const other = findCell({ cells: older }, cell)
    const { metric } = workloadNamed(cell.workload)
    const before = valuesOf(other, metric.name)
    const after = valuesOf(cell, metric.name)
    if (before.length === 0 || after.length === 0) continue
    const ratio = median(after) / median(before)
    comparisons.push({
      workload: cell.workload,
      subject: cell.subject,
      cpus: cell.cpus,
      before: median(before),
      after: median(after),
      ratio: metric.better === 'higher' ? ratio : 1 / ratio,
      noise: Math.max(noiseOf(before), noiseOf(after)),
    })
  }
  return comparisons
}

export function isRegression({ ratio, noise }: Comparison): boolean {
  return ratio < 1 - Math.max(TOLERANCE, noise)
}

function valuesOf(cell: Cell | undefined, metric: string): number[] {
  return (cell?.rounds ?? []).map((round) => round[metric]).filter((value) => value !== undefined)
}

function noiseOf(values: readonly number[]): number {
  const all = [...values]
  return (quantile(all, 0.75) - quantile(all, 0.25)) / median(all)
}
