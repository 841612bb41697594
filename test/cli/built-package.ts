/**
 * The package as it is published, built once for each state of the sources: what the tests of the command line, of the package
 * and of the documents run.
 */
import {
  execFileSync,
  spawn,
  spawnSync,
  type ChildProcessWithoutNullStreams,
} from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

export const ROOT: string = path.resolve(import.meta.dirname, '../..')
const CACHE = path.join(ROOT, 'node_modules', '.cache', 'varve-package')
const FILES = ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', ...documents()]

/** What the package's build runs behind the compiler. */
const SCRIPTS = [
  'scripts/bundle-worker.mjs',
  'scripts/bundle-library.mjs',
  'scripts/bundle-cli.mjs',
  'scripts/prune-dist.mjs',
]

/** What else the build depends on. */
const SETTINGS = ['scripts/bundle-options.mjs', 'tsconfig.build.json', 'tsconfig.json']

/** As `files` of package.json has them. */
function documents(): string[] {
  return ['docs', 'docs/benchmarks'].flatMap((folder) =>
    fs
      .readdirSync(path.join(ROOT, folder))
      .filter((name) => /\.(md|svg)$/.test(name))
      .map((name) => `${folder}/${name}`),
  )
}

/** Its directory: package.json, documents, dist, and a node_modules beside it with what it depends on. */
export function builtPackage(): string {
  const target = path.join(CACHE, stateOfSources())
  if (fs.existsSync(target)) return target
  fs.mkdirSync(CACHE, { recursive: true })
  // Two test files may build at once: each builds for itself, and the first one to finish is taken.
  const directory = fs.mkdtempSync(path.join(CACHE, 'building-'))
  for (const name of FILES) fs.cpSync(path.join(ROOT, name), path.join(directory, name))
  const dist = path.join(directory, 'dist')
  const options = { cwd: ROOT, stdio: 'pipe' } as const
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', dist], options)
  for (const script of SCRIPTS) execFileSync(process.execPath, [script, dist], options)
  const others = fs.readdirSync(CACHE).filter((name) => !name.startsWith('building-'))
  for (const name of others) fs.rmSync(path.join(CACHE, name), { recursive: true, force: true })
  try {
    fs.renameSync(directory, target)
  } catch (error) {
    if (!fs.existsSync(target)) throw error
    fs.rmSync(directory, { recursive: true, force: true })
  }
  return target
}

function stateOfSources(): string {
  const hash = createHash('sha256')
  const names = fs.readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  const files = names.map((name) => path.join('src', name)).concat(FILES, SCRIPTS, SETTINGS)
  for (const name of files.toSorted()) {
    const file = path.join(ROOT, name)
    if (!fs.statSync(file).isFile()) continue
    hash.update(name).update('\0').update(fs.readFileSync(file))
  }
  return hash.digest('hex').slice(0, 20)
}

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A directory to work in, and the built command to run there. */
export class Workplace {
  readonly directory: string = fs.mkdtempSync(path.join(os.tmpdir(), 'varve-cli-'))
  readonly #command: string = path.join(builtPackage(), 'dist', 'cli', 'varve.js')

  run(args: readonly string[], input: string | Buffer = ''): Outcome {
    const { status, stdout, stderr } = spawnSync(process.execPath, [this.#command, ...args], {
      cwd: this.directory,
      input,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    })
    return { code: status, stdout, stderr }
  }

  /** Its stdout; fails with what it said when it did not end well. */
  ok(args: readonly string[], input: string | Buffer = ''): string {
    const { code, stdout, stderr } = this.run(args, input)
    if (code !== 0) throw new Error(`varve ${args.join(' ')} ended with ${code}: ${stderr}`)
    return stdout
  }

  start(args: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [this.#command, ...args], { cwd: this.directory })
  }

  write(name: string, content: string | Buffer): string {
    fs.writeFileSync(this.path(name), content)
    return name
  }

  read(name: string): string {
    return fs.readFileSync(this.path(name), 'utf8')
  }

  path(...names: string[]): string {
    return path.join(this.directory, ...names)
  }

  /** Names of a store's files with this ending. */
  files(store: string, ending: string): string[] {
    return fs.readdirSync(this.path(store)).filter((name) => name.endsWith(ending))
  }

  remove(): void {
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

/** The objects of NDJSON. */
export function parseLines<T = Record<string, unknown>>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

/** Resolves once `process` has written `lines` whole lines to stdout, with all it has written. */
export function linesOf(process: ChildProcessWithoutNullStreams, lines: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    let errors = ''
    process.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString('utf8')
    })
    process.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      if (text.split('\n').length > lines) resolve(text)
    })
    process.on('exit', (code) => reject(new Error(`ended with ${code} after: ${text}${errors}`)))
  })
}

export function ended(process: ChildProcessWithoutNullStreams): Promise<number | null> {
  if (process.exitCode !== null) return Promise.resolve(process.exitCode)
  return new Promise((resolve) => process.once('exit', (code) => resolve(code)))
}
