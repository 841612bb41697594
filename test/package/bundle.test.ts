/** A program that esbuild has made one file of, the package in it, runs: with the worker where that was bundled too. */
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { buildSync, type BuildOptions } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtPackage, ROOT } from '../cli/built-package.ts'
import { shellLinesIn } from '../cli/programs.ts'

const PROGRAM = `
import { Varve } from 'varve'

async function main() {
  const warnings = []
  const logger = { debug() {}, info() {}, warn: (message) => warnings.push(message), error: console.error }
  const db = await Varve.open(process.argv[2], { compression: 'lz4', environment: { logger } })
  for (let round = 0; round < 3; round++) {
    await db.put('key', 'value '.repeat(1000) + round)
    await db.flush()
  }
  await db.compact()
  const value = await db.get('key')
  await db.close()
  console.log(JSON.stringify({ bytes: value.length, warnings }))
}

main()
`

let project: string
beforeAll(() => {
  project = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-bundle-'))
  fs.mkdirSync(path.join(project, 'node_modules'))
  fs.symlinkSync(builtPackage(), path.join(project, 'node_modules', 'varve'))
  fs.writeFileSync(path.join(project, 'program.js'), PROGRAM)
})
afterAll(() => fs.rmSync(project, { recursive: true, force: true }))

/** What the bundled program prints. */
function run(folder: string, name: string, options: BuildOptions): unknown {
  const outdir = path.join(project, folder)
  buildSync({
    absWorkingDir: project,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    logLevel: 'silent',
    outdir,
    ...options,
  })
  return runBundled(folder, name)
}

/** Runs it elsewhere, where nothing is but what esbuild wrote. */
function runBundled(folder: string, name: string): unknown {
  const outdir = path.join(project, folder)
  const away = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-bundled-'))
  try {
    fs.cpSync(outdir, away, { recursive: true })
    const args = [path.join(away, name), path.join(away, 'store')]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return JSON.parse(stdout)
  } finally {
    fs.rmSync(away, { recursive: true, force: true })
  }
}

const WITHOUT_WORKER = {
  bytes: 6001,
  warnings: ['no worker thread can be started; background work runs on the calling thread'],
}

test('alone it runs its background work on the calling thread, with one warning', () => {
  const options: BuildOptions = {
    entryPoints: ['program.js'],
    format: 'esm',
    outExtension: { '.js': '.mjs' },
  }
  expect(run('alone', 'program.mjs', options)).toEqual(WITHOUT_WORKER)
})

test('as CommonJS too', () => {
  const options: BuildOptions = {
    entryPoints: ['program.js'],
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
  }
  expect(run('commonjs', 'program.cjs', options)).toEqual(WITHOUT_WORKER)
})

test('with varve/job-worker bundled beside it, it has its worker', () => {
  // As the guide says it.
  const line = shellLinesIn('docs/guide.md').find((each) => each.startsWith('esbuild '))!
  const esbuild = path.join(ROOT, 'node_modules', 'esbuild', 'bin', 'esbuild')
  const args = [...line.split(' ').slice(1), '--log-level=warning']
  execFileSync(esbuild, args, { cwd: project })
  fs.writeFileSync(path.join(project, 'out', 'package.json'), '{ "type": "module" }')
  expect(runBundled('out', 'program.js')).toEqual({ bytes: 6001, warnings: [] })
})

test('the sources that a process loads are of one byte a character, as V8 keeps them', () => {
  const dist = path.join(builtPackage(), 'dist')
  const entries = ['index.js', 'testing/index.js', 'background/job-worker.js']
  const files = new Set(entries.map((entry) => path.join(dist, entry)))
  for (const file of files) {
    const source = fs.readFileSync(file, 'utf8')
    for (const [, specifier] of source.matchAll(/(?:from|import) ["'](\.[^"']+)["']/g)) {
      files.add(path.resolve(path.dirname(file), specifier!))
    }
    expect(source.match(/.*[^\0-\x7f].*/)?.[0], path.relative(dist, file)).toBeUndefined()
  }
  expect(files.size).toBeGreaterThan(entries.length)
})
