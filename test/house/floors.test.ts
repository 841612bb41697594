/**
 * The house: a file imports only from its own folder or from a lower floor. What must go up is handed down as a callback.
 */
import fs from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { importsOf, readSources, type SourceFile } from './source-code.ts'

/** The folders of each floor, lowest first, as docs/architecture.md has them: `| floor | folders | what lives there |`. */
const FLOORS: readonly (readonly string[])[] = fs
  .readFileSync(new URL('../../docs/architecture.md', import.meta.url), 'utf8')
  .split('\n')
  .map((line) => /^\| (\d+) \| ((?:`[a-z]+\/` ?)+)\|/.exec(line))
  .filter((row) => row !== null)
  .toSorted(([, a], [, b]) => Number(a) - Number(b))
  .map(([, , folders]) => folders!.match(/[a-z]+/g)!)

/** Doors between neighbours on one floor, each one way. */
const DOORS: ReadonlyMap<string, string> = new Map([
  ['batch -> record', 'a commit is a record: its layout begins with the header of one'],
  ['segment -> blob', 'who opens segments also opens the blob files that they refer to'],
])

/** The package's entry point stands on the roof. */
const ROOF = FLOORS.length

function floorOf(folder: string): number {
  return folder === '' ? ROOF : FLOORS.findIndex((folders) => folders.includes(folder))
}

function folderOf(file: string): string {
  const [, folder, ...rest] = file.split('/')
  return rest.length === 0 ? '' : folder!
}

function violations(files: readonly SourceFile[]): string[] {
  const found: string[] = []
  for (const file of files) {
    const folder = folderOf(file.path)
    if (floorOf(folder) < 0) found.push(`${file.path}: folder ${folder} stands on no floor`)
    for (const { specifier, line } of importsOf(file.text)) {
      if (!specifier.startsWith('.') && !specifier.startsWith('/')) continue
      const target = path.posix.join(path.posix.dirname(file.path), specifier)
      const where = `${file.path}:${line} imports ${target}`
      if (!target.startsWith('src/')) found.push(`${where}, which is outside src`)
      else if (!mayImport(folder, folderOf(target))) found.push(where)
    }
  }
  return found
}

function mayImport(folder: string, target: string): boolean {
  if (folder === target || DOORS.has(`${folder} -> ${target}`)) return true
  return floorOf(target) >= 0 && floorOf(target) < floorOf(folder)
}

test('the table of floors names every folder of src, each once', () => {
  const folders = new Set(readSources('src').map(({ path: file }) => folderOf(file)))
  expect(FLOORS.flat().toSorted()).toEqual([...folders].filter((one) => one !== '').toSorted())
})

test('every file imports only from its own folder or a lower floor', () => {
  const files = readSources('src')
  expect(files.length).toBeGreaterThan(20)
  expect(violations(files)).toEqual([])
})

describe('the rule itself', () => {
  const check = (file: string, text: string): string[] => violations([{ path: file, text }])

  test('allows own folder, lower floors, packages and doors', () => {
    expect(check('src/wal/a.ts', "import { b } from './b.ts'")).toEqual([])
    expect(check('src/wal/a.ts', "import { b } from '../base/b.ts'")).toEqual([])
    expect(check('src/wal/a.ts', "import fs from 'node:fs'\nimport crc from 'crc-32'")).toEqual([])
    expect(check('src/batch/a.ts', "import { b } from '../record/b.ts'")).toEqual([])
    expect(check('src/index.ts', "export { Varve } from './db/varve.ts'")).toEqual([])
  })

  test.each([
    ["import { b } from '../version/b.ts'"],
    ["import type { B } from '../version/b.ts'"],
    ["export * from '../version/b.ts'"],
    ["export type { B } from '../version/b.ts'"],
    ["import {\n  b,\n} from '../version/b.ts'"],
    ["import '../version/b.ts'"],
    ["const b = await import('../version/b.ts')"],
    ["let b: import('../version/b.ts').B"],
    ['const b = await import(`../version/b.ts`)'],
    ["new Worker(new URL('../version/b.ts', import.meta.url))"],
    ["import { b } from '../segment/b.ts'"],
    ["import { b } from '../nowhere/b.ts'"],
    ["import { b } from '../index.ts'"],
    ["import { b } from '../../test/b.ts'"],
  ])('catches %s in wal/', (text) => {
    expect(check('src/wal/a.ts', text)).toHaveLength(1)
  })

  test('names the line', () => {
    const text = "// from '../db/x.ts'\n/* import '../db/y.ts' */\nimport { z } from '../db/z.ts'"
    expect(check('src/wal/a.ts', text)).toEqual(['src/wal/a.ts:3 imports src/db/z.ts'])
  })

  test('catches a folder without a floor, and a door used the wrong way', () => {
    expect(check('src/attic/a.ts', '')).toHaveLength(1)
    expect(check('src/record/a.ts', "import { b } from '../batch/b.ts'")).toHaveLength(1)
  })
})
