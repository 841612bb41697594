/** The figures of a run, as they are kept in bench/results and read by the report. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { benchFolder } from '../peers/load-peer.ts'
import type { Metrics } from './job.ts'
import type { Commit, Machine } from './machine.ts'

export interface Cell {
  readonly workload: string
  /** 'engine' or 'engine:profile'. */
  readonly subject: string
  readonly cpus: number
  readonly rounds: Metrics[]
}

export interface Results {
  readonly startedAt: string
  readonly command: string
  readonly machine: Machine
  readonly commit: Commit
  readonly peers: Readonly<Record<string, string>>
  readonly settings: Settings
  readonly cells: readonly Cell[]
  /** Wrong reads and crashes: a run with one of these has failed. */
  readonly failures: string[]
}

export interface Settings {
  readonly entries: number
  readonly seconds: number
  readonly rounds: number
  /** What rates are measured by; see workloads/clock.ts. */
  readonly clock: 'wall' | 'cpu'
}

const FOLDER: string = join(benchFolder(), 'results')

/** Gives the path it was written to. */
export function storeResults(results: Results, label = ''): string {
  mkdirSync(FOLDER, { recursive: true })
  const stamp = results.startedAt.replaceAll(/[:.]/g, '-').slice(0, 19)
  const path = join(FOLDER, `${stamp}-${results.commit.hash}${label}.json`)
  writeFileSync(path, `${JSON.stringify(results, undefined, 1)}\n`)
  return path
}

export function loadResults(path: string): Results {
  return JSON.parse(readFileSync(path, 'utf8')) as Results
}

/**
 * Several runs as one: rounds of the same cell are put together.
 * @param commits `'several'`: the engine was changed between them where nothing is measured, as whoever asks for it knows.
 */
export function mergeResults(
  runs: readonly Results[],
  commits: 'one' | 'several' = 'one',
): Results {
  const [first, ...others] = runs
  if (first === undefined) throw new Error('no results to put together')
  const cells = new Map<string, Cell>()
  for (const run of runs) {
    if (commits === 'one' && run.commit.hash !== first.commit.hash) {
      throw new Error(`figures of ${run.commit.hash} and of ${first.commit.hash} do not mix`)
    }
    for (const cell of run.cells) {
      const key = `${cell.workload}|${cell.subject}|${cell.cpus}`
      const rounds = [...(cells.get(key)?.rounds ?? []), ...cell.rounds]
      cells.set(key, { ...cell, rounds })
    }
  }
  return {
    ...first,
    command: [...new Set(runs.map(({ command }) => command))].join('; '),
    commit: {
      hash: [...new Set(runs.map(({ commit }) => commit.hash))].join(' and '),
      isDirty: runs.some(({ commit }) => commit.isDirty),
    },
    settings: {
      ...first.settings,
      rounds: Math.max(...runs.map(({ settings }) => settings.rounds)),
    },
    cells: [...cells.values()],
    failures: [first, ...others].flatMap(({ failures }) => failures),
  }
}

/** Path of the newest results. */
export function newestResults(): string | undefined {
  mkdirSync(FOLDER, { recursive: true })
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json'))
  const newest = names.sort().at(-1)
  return newest === undefined ? undefined : join(FOLDER, newest)
}

export function findCell(
  results: Pick<Results, 'cells'>,
  cell: Pick<Cell, 'workload' | 'subject' | 'cpus'>,
): Cell | undefined {
  return results.cells.find(
    (each) =>
      each.workload === cell.workload && each.subject === cell.subject && each.cpus === cell.cpus,
  )
}
