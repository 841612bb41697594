import { type Comparison, isRegression } from '../harness/comparison.ts'
import { workloadNamed } from '../workloads/index.ts'
import { formatMetric } from './format.ts'
import type { Table } from './tables.ts'

export function comparisonTable(comparisons: readonly Comparison[], commit: string): Table {
  const rows = comparisons.map((each) => {
    const { title, metric } = workloadNamed(each.workload)
    const verdict = isRegression(each) ? 'worse' : each.ratio > 1 + each.noise ? 'better' : 'same'
    return [
      title,
      formatMetric(metric.name, each.before),
      formatMetric(metric.name, each.after),
      `${each.ratio.toFixed(2)}x`,
      `${Math.round(each.noise * 100)} %`,
      verdict,
    ]
  })
  const head = ['work', commit, 'this tree', 'ratio', 'noise', 'verdict']
  return { title: `This working tree against ${commit}`, head, rows }
}
