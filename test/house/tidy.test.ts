/**
 * What keeps the house testable and readable: the outside world comes in through few doors, and no file grows into a drawer
 * for everything.
 */
import { describe, expect, test } from 'vitest'
import { codeOnly, importsOf, lineAt, readSources, type SourceFile } from './source-code.ts'

/** Only these may see the clock, timers, threads, the disk and the process. */
const DOORS = /^src\/(env|background|cli)\//

const FORBIDDEN_MODULES =
  /^(node:)?(fs|fs\/promises|worker_threads|child_process|cluster|net|os|process|perf_hooks|timers|timers\/promises)$/

const FORBIDDEN_CODE: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['Date.now', /\bDate\s*\.\s*now\b/g],
  ['new Date()', /\bnew\s+Date\s*(\(\s*\)|(?![\s(\w]))/g],
  ['performance', /(?<![\w$.#])performance\s*\.\s*\w/g],
  ['Math.random', /\bMath\s*\.\s*random\b/g],
  ['crypto.getRandomValues', /\b(getRandomValues|randomUUID)\b/g],
  ['timers', /(?<![\w$.#])(set|clear)(Timeout|Interval|Immediate)\b/g],
  ['process', /(?<![\w$.#])process\s*(\?\.|\.|\[)/g],
  ['a global by way of globalThis', /\bglobalThis\s*(\?\.|\.|\[)/g],
]

const LINES_MAX = 420
/** Longer files, each with the reason why a second file would make it harder to read. */
const LONG_FILES: ReadonlyMap<string, string> = new Map()

const POOR_NAMES = /(^|-)(utils?|helpers?|managers?|misc|common)(-|\.)/

function violations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => [
    ...(DOORS.test(file.path) ? [] : [...modulesIn(file), ...globalsIn(file)]),
    ...shapeOf(file),
  ])
}

function modulesIn(file: SourceFile): string[] {
  return importsOf(file.text)
    .filter(({ specifier }) => FORBIDDEN_MODULES.test(specifier))
    .map(({ specifier, line }) => `${file.path}:${line} imports ${specifier}`)
}

function globalsIn(file: SourceFile): string[] {
  const code = codeOnly(file.text)
  return FORBIDDEN_CODE.flatMap(([what, pattern]) =>
    [...code.matchAll(pattern)].map(
      (match) => `${file.path}:${lineAt(code, match.index)} uses ${what}`,
    ),
  )
}

function shapeOf(file: SourceFile): string[] {
  const name = file.path.slice(file.path.lastIndexOf('/') + 1)
  const lines = file.text.split('\n').length - 1
  const found: string[] = []
  if (lines > LINES_MAX && !LONG_FILES.has(file.path)) found.push(`${file.path} has ${lines} lines`)
  if (POOR_NAMES.test(name)) found.push(`${file.path} is named after nothing in particular`)
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.[a-z]+$/.test(name)) {
    found.push(`${file.path} is not in kebab-case`)
  }
  return found
}

test('the sources keep to the rules', () => {
  expect(violations(readSources('src'))).toEqual([])
})

test('no exception is listed in vain', () => {
  const files = readSources('src')
  for (const path of LONG_FILES.keys()) {
    const file = files.find((candidate) => candidate.path === path)
    expect(file?.text.split('\n').length, path).toBeGreaterThan(LINES_MAX)
  }
})

describe('the rules themselves', () => {
  const check = (path: string, text: string): string[] => violations([{ path, text }])

  test.each([
    ["import fs from 'node:fs'"],
    ["import fs from 'fs'"],
    ["import type { Stats } from 'node:fs/promises'"],
    ["import { Worker } from 'node:worker_threads'"],
    ['const t = Date.now()'],
    ['const t = Date\n  .now()'],
    ['const t = new Date()'],
    ['const t = performance.now()'],
    ['const r = Math.random()'],
    ['setTimeout(run, 5)'],
    ['setImmediate(run)'],
    ['clearInterval(timer)'],
    ['process.exit(1)'],
    ["const p = process['platform']"],
    ['globalThis.setTimeout(run)'],
    ['const t = `at ${Date.now()}`'],
  ])('catch %s', (text) => {
    expect(check('src/wal/a.ts', text)).toHaveLength(1)
    expect(check('src/background/a.ts', text)).toEqual([])
    expect(check('src/env/a.ts', text)).toEqual([])
  })

  test.each([
    ['// Date.now() would do'],
    ['/** Math.random() */'],
    ["const message = 'the process. It ended; process.exit'"],
    ['const message = `a process. ${name} Date.now`'],
    ['this.process.next()'],
    ['const t = new Date(0)'],
    ['options.setTimeout(5)'],
    ["import { createTimers } from '../env/timers.ts'"],
  ])('let pass %s', (text) => {
    expect(check('src/wal/a.ts', text)).toEqual([])
  })

  test('catch a file that is too long or poorly named, wherever it is', () => {
    expect(check('src/env/a.ts', '\n'.repeat(LINES_MAX + 1))).toHaveLength(1)
    expect(check('src/env/a.ts', '\n'.repeat(LINES_MAX))).toEqual([])
    for (const name of ['utils.ts', 'file-utils.ts', 'helpers.ts', 'lock-manager.ts', 'aB.ts']) {
      expect(check(`src/wal/${name}`, ''), name).toHaveLength(1)
    }
    expect(check('src/wal/commonwealth.ts', '')).toEqual([])
  })
})
