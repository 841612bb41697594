/** Starts the programs of children/ as processes of their own, on the package as it is published. */
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'
import { builtPackage } from '../cli/built-package.ts'

export interface ChildOptions {
  /** A command that starts node: `sh -c 'ulimit …; exec "$@"' sh`. */
  readonly prefix?: readonly string[]
  readonly nodeOptions?: readonly string[]
}

export class Child {
  readonly process: ChildProcess
  /** Resolves when it has ended, with what it was killed by or ended with. */
  readonly ended: Promise<number | NodeJS.Signals | null>
  #text = ''
  #errors = ''
  readonly #lines: string[] = []
  #wake: () => void = () => undefined
  #hasEnded = false

  constructor(program: string, args: readonly string[], options: ChildOptions) {
    const node = [process.execPath, ...(options.nodeOptions ?? []), program, ...args]
    const [command, ...rest] = [...(options.prefix ?? []), ...node]
    this.process = spawn(command!, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, VARVE_MODULE: moduleUrl() },
    })
    this.process.stdout!.on('data', (chunk: Buffer) => this.#take(chunk.toString('utf8')))
    this.process.stderr!.on('data', (chunk: Buffer) => (this.#errors += chunk.toString('utf8')))
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', reject)
      this.process.once('close', (code, signal) => {
        this.#hasEnded = true
        this.#wake()
        resolve(signal ?? code)
      })
    })
  }

  get pid(): number {
    return this.process.pid!
  }

  get errors(): string {
    return this.#errors
  }

  /** The next line of its output; undefined at the end. Half a line, of one that was killed, is none. */
  async line(): Promise<string | undefined> {
    while (this.#lines.length === 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#lines.shift()
  }

  /** Its output as JSON lines, when it has ended well. */
  async results<T>(): Promise<T[]> {
    const end = await this.ended
    if (end !== 0) throw new Error(`the child ended with ${end}: ${this.#errors}`)
    return this.#lines.map((line) => JSON.parse(line) as T)
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.ended
  }

  #take(text: string): void {
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop()!
    this.#lines.push(...lines)
    this.#wake()
  }
}

/** A file system in memory where there is one: for what syncs often and is not about the disk. */
export const FAST_DISK: string = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir()

/** A directory for one test file: what its children are built into, and its stores. */
export class Workshop {
  readonly directory: string
  readonly #children: Child[] = []
  readonly #built = new Map<string, string>()

  constructor(disk: string = os.tmpdir()) {
    this.directory = fs.realpathSync(fs.mkdtempSync(path.join(disk, 'varve-proc-')))
  }

  start(name: string, args: readonly string[], options: ChildOptions = {}): Child {
    const child = new Child(this.#program(name), args, options)
    this.#children.push(child)
    return child
  }

  path(name: string): string {
    return path.join(this.directory, name)
  }

  async close(): Promise<void> {
    for (const child of this.#children) await child.kill()
    fs.rmSync(this.directory, { recursive: true, force: true })
  }

  #program(name: string): string {
    const known = this.#built.get(name)
    if (known !== undefined) return known
    const outfile = this.path(`${name}.mjs`)
    buildSync({
      entryPoints: [path.join(import.meta.dirname, 'children', `${name}.ts`)],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
    })
    this.#built.set(name, outfile)
    return outfile
  }
}

/** What children import the engine from. */
export function moduleUrl(): string {
  return pathToFileURL(path.join(builtPackage(), 'dist', 'index.js')).href
}
