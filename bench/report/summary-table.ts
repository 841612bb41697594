/** The few rows of a run that the README shows: default settings, one CPU. */
import { findCell, type Results } from '../harness/results.ts'
import { summarize } from '../harness/summary.ts'
import { workloadNamed } from '../workloads/index.ts'
import { formatMetric } from './format.ts'
import type { Table } from './tables.ts'

const SUBJECTS = ['varve', 'classic-level', 'lmdb', 'better-sqlite3']
/** What people ask first, whoever is ahead. */
const WORKLOADS = [
  'fillseq',
  'fillrandom',
  'put',
  'putsync100',
  'readrandom',
  'readrandom-awaited',
  'readseq',
  'seekrandom',
  'blobwrite',
  'blobread',
  'cdcfill',
  'cdcscan-1%-compacted',
  'cdcscan-all-compacted',
  'cdcpoll',
  'reopen',
]

/** Undefined where the run has not measured all of them. */
export function summaryTable(results: Results): Table | undefined {
  const rows = WORKLOADS.map((name) => summaryRow(results, name)).filter((row) => row !== undefined)
  if (rows.length < WORKLOADS.length) return undefined
  return { title: 'In short', head: ['work', ...SUBJECTS], rows }
}

function summaryRow(results: Results, workload: string): string[] | undefined {
  const { title, metric } = workloadNamed(workload)
  const figures = SUBJECTS.map((subject) =>
    summarize(findCell(results, { workload, subject, cpus: 1 }), metric.name),
  )
  if (figures[0] === undefined) return undefined
  const unit = metric.name === 'rate' ? ` [${metric.unit}]` : ''
  return [
    `${title}${unit}`,
    ...figures.map((figure) =>
      figure === undefined ? '–' : formatMetric(metric.name, figure.median),
    ),
  ]
}
