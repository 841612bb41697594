/** What a table shows of several rounds. */
import { max, median, min } from 'simple-statistics'
import type { Cell } from './results.ts'

export interface Summary {
  readonly median: number
  /** From the lowest to the highest round, as a part of the median. */
  readonly spread: number
}

/** Undefined where no round has this metric. */
export function summarize(cell: Cell | undefined, metric: string): Summary | undefined {
  const values: number[] = []
  for (const round of cell?.rounds ?? []) {
    const value = round[metric]
    if (value !== undefined && Number.isFinite(value)) values.push(value)
  }
  if (values.length === 0) return undefined
  const middle = median(values)
  return { median: middle, spread: middle === 0 ? 0 : (max(values) - min(values)) / middle }
}
