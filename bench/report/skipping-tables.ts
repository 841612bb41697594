/** The segment-skipping benchmark as tables: one a size and distribution of keys. */
import { findCell, type Results } from '../harness/results.ts'
import { summarize } from '../harness/summary.ts'
import { type SkippingCase, skippingCases, skippingName } from '../workloads/skipping.ts'
import { formatBytes, formatCount, formatMetric } from './format.ts'
import type { Table } from './tables.ts'

const SUBJECT = 'varve:history-all'
const PEERS = ['lmdb', 'classic-level', 'better-sqlite3']
const HEAD = [
  'asked for',
  'state',
  'time',
  'again',
  'first event',
  'segments skipped',
  'blocks read',
  'bytes read',
  'memory',
  'every block read',
  ...PEERS.map((peer) => `${peer} log`),
]

export function skippingTables(results: Results): Table[] {
  const cpus = Math.min(...results.cells.map((cell) => cell.cpus))
  const tables = new Map<string, string[][]>()
  for (const each of skippingCases) {
    if (!each.skip) continue
    const row = rowOf(results, cpus, each)
    if (row === undefined) continue
    const title = `${formatCount(each.events)} events, ${each.keys} keys`
    tables.set(title, [...(tables.get(title) ?? []), row])
  }
  return [...tables].map(([title, rows]) => ({ title, head: HEAD, rows }))
}

function rowOf(results: Results, cpus: number, each: SkippingCase): string[] | undefined {
  const figure = (subject: string, skipCase: SkippingCase, metric: string): number | undefined => {
    const cell = findCell(results, { workload: skippingName(skipCase), subject, cpus })
    return summarize(cell, metric)?.median
  }
  const own = (metric: string): number | undefined => figure(SUBJECT, each, metric)
  const ms = (value: number | undefined): string =>
    value === undefined ? '–' : formatMetric('ms', value)
  if (own('passMs') === undefined) return undefined
  const flushed: SkippingCase = { ...each, state: 'flushed' }
  return [
    formatCount(each.count),
    each.state,
    ms(own('passMs')),
    ms(own('againMs')),
    ms(own('firstEventMs')),
    share(own('segmentsSkipped'), own('segmentsTotal')),
    share(own('blocksRead'), own('blocksTotal')),
    formatBytes(own('bytesRead') ?? 0),
    formatBytes(own('rssGrowthBytes') ?? 0),
    ms(figure(SUBJECT, { ...each, skip: false }, 'passMs')),
    ...PEERS.map((peer) => ms(figure(peer, flushed, 'passMs'))),
  ]
}

function share(part: number | undefined, total: number | undefined): string {
  if (part === undefined || total === undefined) return '–'
  return `${formatCount(part)} of ${formatCount(total)}`
}
