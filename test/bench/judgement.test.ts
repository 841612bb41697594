import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compareCells, isRegression } from '../../bench/harness/comparison.ts'
import { planRound } from '../../bench/harness/plan.ts'
import { type Cell, mergeResults, type Results } from '../../bench/harness/results.ts'
import { summarize } from '../../bench/harness/summary.ts'
import { writeGeneratedPart } from '../../bench/report/generated-part.ts'
import { markdownTable } from '../../bench/report/markdown.ts'
import { plotsOf } from '../../bench/report/plots.ts'
import { summaryTable } from '../../bench/report/summary-table.ts'
import { verdictTable } from '../../bench/report/tables.ts'
import { judge } from '../../bench/report/verdicts.ts'
import { limitTargets, ratioTargets } from '../../bench/targets.ts'
import { workloadNamed, workloads } from '../../bench/workloads/index.ts'

function cell(workload: string, subject: string, values: number[], cpus = 1): Cell {
  const { metric } = workloadNamed(workload)
  return { workload, subject, cpus, rounds: values.map((value) => ({ [metric.name]: value })) }
}

function resultsOf(...cells: Cell[]): Results {
  return {
    startedAt: '2024-01-01T00:00:00.000Z',
    command: 'npm run bench',
    machine: { cpu: '', cpuCount: 2, memoryGiB: 1, system: '', node: '', fileSystem: '' },
    commit: { hash: 'abc', isDirty: false },
    peers: {},
    settings: { entries: 1, seconds: 1, rounds: 1, clock: 'wall' },
    cells,
    failures: [],
  }
}

describe('targets', () => {
  test('every row names a workload and a metric that exist', () => {
    for (const { workload, peerWorkload } of ratioTargets) {
      expect(workloadNamed(workload).name).toBe(workload)
      if (peerWorkload !== undefined) workloadNamed(peerWorkload)
    }
    for (const { workload } of limitTargets) workloadNamed(workload)
  })

  test('names of workloads are unique', () => {
    expect(new Set(workloads.map(({ name }) => name)).size).toBe(workloads.length)
  })
})

describe('verdicts', () => {
  const grades = (results: Results): string[] => judge(results).map((verdict) => verdict.grade)

  test('a ratio passes at its least, and reaches its aim above', () => {
    const peer = cell('put', 'classic-level', [100])
    expect(grades(resultsOf(peer, cell('put', 'varve', [399])))).toEqual(['fail'])
    expect(grades(resultsOf(peer, cell('put', 'varve', [400])))).toEqual(['pass'])
    expect(grades(resultsOf(peer, cell('put', 'varve', [600])))).toEqual(['aim'])
  })

  test('where less is better the ratio is turned round', () => {
    const peer = cell('reopen', 'classic-level', [10])
    expect(grades(resultsOf(peer, cell('reopen', 'varve', [11])))).toEqual(['fail'])
    expect(grades(resultsOf(peer, cell('reopen', 'varve', [5])))).toEqual(['aim'])
  })

  test('the best peer is found, tuned ones left out', () => {
    const results = resultsOf(
      cell('fillseq', 'varve', [300]),
      cell('fillseq', 'lmdb', [100]),
      cell('fillseq', 'better-sqlite3', [190]),
      cell('fillseq', 'lmdb:tuned', [1000]),
    )
    expect(judge(results)).toMatchObject([{ against: 'better-sqlite3 (best)', found: '1.58x' }])
  })

  test('two CPUs have their own numbers where a row says so', () => {
    const results = resultsOf(
      cell('fillrandom', 'varve', [200], 2),
      cell('fillrandom', 'classic-level', [100], 2),
    )
    expect(judge(results)).toMatchObject([{ atLeast: '3.00x', grade: 'fail' }])
  })

  test('medians of the rounds are compared', () => {
    const results = resultsOf(
      cell('put', 'varve', [1, 500, 10_000]),
      cell('put', 'classic-level', [100, 100, 100]),
    )
    expect(judge(results)).toMatchObject([{ found: '5.00x', grade: 'pass' }])
    expect(summarize(results.cells[0], 'rate')?.median).toBe(500)
  })

  test('a row without figures is left out', () => {
    expect(judge(resultsOf(cell('put', 'varve', [1])))).toEqual([])
  })
})

describe('several runs', () => {
  test('are read as one, with the rounds of all', () => {
    const merged = mergeResults([
      resultsOf(cell('put', 'varve', [1, 2])),
      { ...resultsOf(cell('put', 'varve', [3]), cell('put', 'lmdb', [4])), failures: ['a'] },
    ])
    expect(merged.cells).toEqual([cell('put', 'varve', [1, 2, 3]), cell('put', 'lmdb', [4])])
    expect(merged.failures).toEqual(['a'])
  })

  test('do not mix with those of another', () => {
    const other = { ...resultsOf(), commit: { hash: 'def', isDirty: false } }
    expect(() => mergeResults([resultsOf(), other])).toThrow('do not mix')
  })

  test('of several commits are read as one where that is asked for, which names them', () => {
    const other = {
      ...resultsOf(cell('put', 'varve', [2])),
      commit: { hash: 'def', isDirty: true },
    }
    const merged = mergeResults([resultsOf(cell('put', 'varve', [1])), other], 'several')
    expect(merged.commit).toEqual({ hash: `${resultsOf().commit.hash} and def`, isDirty: true })
    expect(merged.cells).toEqual([cell('put', 'varve', [1, 2])])
  })
})

describe('comparison of two commits', () => {
  const compared = (before: number[], after: number[], workload = 'put') =>
    compareCells([cell(workload, 'varve', before)], [cell(workload, 'varve', after)]).map(
      isRegression,
    )

  test('slower than the noise explains is a regression', () => {
    expect(compared([100, 101, 99], [80, 81, 79])).toEqual([true])
    expect(compared([100, 101, 99], [97, 98, 96])).toEqual([false])
    expect(compared([60, 100, 140], [50, 80, 120])).toEqual([false])
  })

  test('more milliseconds are worse', () => {
    expect(compared([10, 10, 10], [14, 14, 14], 'reopen')).toEqual([true])
    expect(compared([10, 10, 10], [8, 8, 8], 'reopen')).toEqual([false])
  })
})

describe('the plan', () => {
  const choices = {
    subjects: ['varve', 'lmdb', 'lmdb:tuned'],
    extras: [],
    groups: ['read', 'skipping'] as const,
    only: [],
    cpus: [1, 2],
    withHeavy: false,
  }

  test('an engine runs only what it can', () => {
    const round = planRound(workloads, choices)
    const subjects = round
      .filter(({ workload, cpus }) => workload.name === 'readrandom-awaited' && cpus === 1)
      .map(({ subject }) => subject)
    expect(subjects).toEqual(['varve'])
  })

  test('subjects of one workload stand side by side, on one CPU and on two', () => {
    const round = planRound(workloads, { ...choices, only: ['readrandom'] })
    expect(round.map(({ subject, cpus }) => `${subject} ${cpus}`)).toEqual([
      'varve 1',
      'lmdb 1',
      'lmdb:tuned 1',
      'varve 2',
      'lmdb 2',
      'lmdb:tuned 2',
    ])
  })

  test('extras stand beside them once, on the first count of CPUs', () => {
    const round = planRound(workloads, {
      ...choices,
      subjects: ['varve', 'lmdb'],
      extras: ['lmdb:tuned'],
      only: ['readrandom'],
    })
    expect(round.map(({ subject, cpus, roundsMax }) => `${subject} ${cpus} ${roundsMax}`)).toEqual([
      'varve 1 undefined',
      'lmdb 1 undefined',
      'lmdb:tuned 1 1',
      'varve 2 undefined',
      'lmdb 2 undefined',
    ])
  })

  test('the skipping benchmark runs once, without tuned peers', () => {
    const round = planRound(workloads, { ...choices, only: ['since/1000000/random/flushed/100'] })
    expect(round.map(({ subject, cpus }) => `${subject} ${cpus}`)).toEqual([
      'varve:history-all 1',
      'lmdb 1',
    ])
  })
})

describe('the report', () => {
  const results = resultsOf(
    cell('fillseq', 'varve', [300_000]),
    cell('fillseq', 'lmdb', [100_000]),
    cell('since/1000000/random/flushed/100', 'varve:history-all', [0.2]),
    cell('since/1000000/random/flushed/1000', 'varve:history-all', [0.9]),
  )

  test('a table of verdicts becomes Markdown', () => {
    expect(markdownTable(verdictTable(results)).split('\n')[2]).toBe(
      '| one CPU | fillseq, batches of 1000 | lmdb (best) | 3.00x | 1.50x | 2.50x | aim |',
    )
  })

  test('the short table stands only where a run has all of its rows', () => {
    expect(summaryTable(results)).toBeUndefined()
    const all = workloads.flatMap(({ name }) => [cell(name, 'varve', [2]), cell(name, 'lmdb', [1])])
    const table = summaryTable(resultsOf(...all))
    expect(table?.rows[0]).toEqual(['fillseq, batches of 1000 [ops/s]', '2', '–', '1', '–'])
    expect(table?.rows.at(-1)?.[1]).toBe('2.00 ms')
  })

  test('what people wrote around a generated part stays', () => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-part-'))
    const path = join(folder, 'page.md')
    const begin = '<!-- generated by `npm run bench`: begin -->'
    const end = '<!-- generated: end -->'
    try {
      writeFileSync(path, `before\n${begin}\nold\n${end}\nbehind\n`)
      writeGeneratedPart(path, 'new')
      writeGeneratedPart(path, 'newer')
      expect(readFileSync(path, 'utf8')).toBe(`before\n${begin}\n\nnewer\n\n${end}\nbehind\n`)
      writeFileSync(path, 'no marks')
      expect(() => writeGeneratedPart(path, 'new')).toThrow('lost its marks')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('plots are whole SVG documents that know the dark mode', () => {
    const plots = plotsOf(results)
    expect(plots.map(({ fileName }) => fileName)).toEqual(['write.svg', 'since-asked.svg'])
    for (const { svg } of plots) {
      expect(svg).toMatch(/^<svg [^]*<\/svg>\n$/)
      expect(svg).toContain('prefers-color-scheme: dark')
      expect(svg).not.toContain('NaN')
    }
  })
})
