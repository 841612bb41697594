/** Which plots a run gives, by file name. One without figures is left out. */
import { findCell, type Results } from '../harness/results.ts'
import { summarize } from '../harness/summary.ts'
import { workloads } from '../workloads/index.ts'
import {
  COMMON_COUNT,
  type SkippingCase,
  skippingCases,
  skippingName,
} from '../workloads/skipping.ts'
import type { Workload } from '../workloads/workload.ts'
import { barChart } from './bar-chart.ts'
import { formatTick } from './format.ts'
import { type Axis, lineChart, type Series } from './line-chart.ts'
import { cpusTitle } from './tables.ts'

export interface Plot {
  readonly fileName: string
  readonly caption: string
  readonly svg: string
}

export function plotsOf(results: Results): Plot[] {
  const cpus = Math.min(...results.cells.map((cell) => cell.cpus))
  return [
    ratePlot(results, cpus, 'write', 'Writing'),
    ratePlot(results, cpus, 'read', 'Reading'),
    ratePlot(results, cpus, 'changes', 'Change capture'),
    askedPlot(results, cpus),
    sizePlot(results, cpus),
  ].filter((plot) => plot !== undefined)
}

function ratePlot(
  results: Results,
  cpus: number,
  group: Workload['group'],
  title: string,
): Plot | undefined {
  const rated = workloads.filter((each) => each.group === group && each.metric.name === 'rate')
  const cells = results.cells.filter((cell) => cell.cpus === cpus && !cell.subject.includes(':'))
  const series = [...new Set(cells.map((cell) => cell.subject))]
  const groups = rated
    .map((workload) => ({
      label: shortTitle(workload),
      values: series.map((subject) => {
        const cell = findCell(results, { workload: workload.name, subject, cpus })
        return summarize(cell, 'rate')?.median
      }),
    }))
    .filter((each) => each.values.some((value) => value !== undefined))
  if (groups.length === 0) return undefined
  const caption = `${title}, ${cpusTitle(cpus)}, operations, entries or events per second`
  const svg = barChart({
    title: `${title}, ${cpusTitle(cpus)}`,
    unit: 'per second',
    series,
    groups,
  })
  return { fileName: `${group}.svg`, caption, svg }
}

/** Cost against what is asked for. */
function askedPlot(results: Results, cpus: number): Plot | undefined {
  const biggest = Math.max(0, ...measuredCases(results, cpus).map((each) => each.events))
  const select = (more: Partial<SkippingCase>): Selection => ({
    cases: { events: biggest, keys: 'random', state: 'compacted', skip: true, ...more },
    x: (each) => each.count,
  })
  const flushed = { state: 'flushed' } as const
  const series = [
    seriesOf(results, cpus, 'varve, just flushed', 'varve', select(flushed)),
    seriesOf(results, cpus, 'varve, fully compacted', 'varve', select({})),
    {
      ...seriesOf(results, cpus, 'varve, every block read', 'varve', select({ skip: false })),
      isDashed: true,
    },
    seriesOf(results, cpus, 'lmdb log', 'lmdb', select(flushed)),
    seriesOf(results, cpus, 'classic-level log', 'classic-level', select(flushed)),
    seriesOf(results, cpus, 'sqlite triggers', 'better-sqlite3', select(flushed)),
  ].filter((each) => each.points.length > 1)
  if (series.length === 0) return undefined
  const title = `Reading the last changes of ${formatTick(biggest)}, random keys`
  const svg = lineChart({ title, x: EVENTS_AXIS, y: TIME_AXIS, series })
  return { fileName: 'since-asked.svg', caption: `${title}: cost against what is asked for`, svg }
}

/** Cost against the store's size. */
function sizePlot(results: Results, cpus: number): Plot | undefined {
  const select = (more: Partial<SkippingCase>): Selection => ({
    cases: { count: COMMON_COUNT, keys: 'random', state: 'compacted', skip: true, ...more },
    x: (each) => each.events,
  })
  const series = [
    seriesOf(results, cpus, 'varve, just flushed', 'varve', select({ state: 'flushed' })),
    seriesOf(results, cpus, 'varve, fully compacted', 'varve', select({})),
    {
      ...seriesOf(results, cpus, 'varve, every block read', 'varve', select({ skip: false })),
      isDashed: true,
    },
    seriesOf(results, cpus, 'lmdb log', 'lmdb', select({ state: 'flushed' })),
    seriesOf(results, cpus, 'classic-level log', 'classic-level', select({ state: 'flushed' })),
  ].filter((each) => each.points.length > 1)
  if (series.length === 0) return undefined
  const title = `Reading the last ${formatTick(COMMON_COUNT)} changes, random keys`
  const x: Axis = { label: 'changes in the store', format: formatTick }
  const svg = lineChart({ title, x, y: TIME_AXIS, series })
  return { fileName: 'since-size.svg', caption: `${title}: cost against the store's size`, svg }
}

const EVENTS_AXIS: Axis = { label: 'changes asked for', format: formatTick }
const TIME_AXIS: Axis = { label: 'ms', format: (value) => String(value) }

interface Selection {
  readonly cases: Partial<SkippingCase>
  x(each: SkippingCase): number
}

function seriesOf(
  results: Results,
  cpus: number,
  name: string,
  engine: string,
  selection: Selection,
): Series {
  const wanted = Object.entries(selection.cases) as [keyof SkippingCase, unknown][]
  const points = skippingCases
    .filter((each) => wanted.every(([field, value]) => each[field] === value))
    .flatMap((each) => {
      const ms = passMs(results, cpus, engine, each)
      return ms === undefined ? [] : [{ x: selection.x(each), y: ms }]
    })
  return { name, points }
}

function measuredCases(results: Results, cpus: number): SkippingCase[] {
  return skippingCases.filter((each) => passMs(results, cpus, 'varve', each) !== undefined)
}

function passMs(
  results: Results,
  cpus: number,
  engine: string,
  each: SkippingCase,
): number | undefined {
  const subject = engine === 'varve' ? 'varve:history-all' : engine
  const cell = findCell(results, { workload: skippingName(each), subject, cpus })
  return summarize(cell, 'passMs')?.median
}

function shortTitle(workload: Workload): string {
  const title = workload.title.replace(/ \(.*\)$/, '')
  return title.length <= 46 ? title : `${title.slice(0, 45)}…`
}
