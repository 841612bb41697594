/** Starts one measurement in a process of its own, pinned to as many CPUs as asked for, and waits for its outcome. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { type Job, type Outcome, OUTCOME_PREFIX } from './job.ts'

export interface ChildOptions {
  /** Compiled child.js. */
  readonly module: string
  /** 0: wherever the system puts it. */
  readonly cpus: number
  readonly clock: 'wall' | 'cpu'
}

/** A hanging measurement ends the run rather than the day. */
const TIMEOUT_MS = 30 * 60_000
const ERROR_TAIL = 4000

const running = new Set<ChildProcess>()

export function runChild(job: Job, options: ChildOptions): Promise<Outcome> {
  const node = [process.execPath, '--expose-gc', options.module, JSON.stringify(job)]
  const [command, ...args] = [...pinning(options.cpus), ...node]
  return new Promise((resolve, reject) => {
    const child = spawn(command as string, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
      env: { ...process.env, BENCH_CLOCK: options.clock },
    })
    running.add(child)
    let output = ''
    let errors = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-ERROR_TAIL)
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      running.delete(child)
      const line = output.split('\n').find((each) => each.startsWith(OUTCOME_PREFIX))
      if (code === 0 && line !== undefined) {
        resolve(JSON.parse(line.slice(OUTCOME_PREFIX.length)) as Outcome)
        return
      }
      const what = `${job.workload} on ${job.engine} (${job.profile})`
      reject(new Error(`${what} ended with ${signal ?? code}:\n${errors}`))
    })
  })
}

/** Ends what is being measured at once: its results are of no use any more. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** The highest CPUs: the first ones take most of the machine's interrupts. */
function pinning(count: number): string[] {
  if (count === 0 || !canPin()) return []
  const all = cpus().length
  const chosen = Array.from({ length: Math.min(count, all) }, (_, i) => all - 1 - i)
  return ['taskset', '-c', chosen.join(',')]
}

let taskset: boolean | undefined

export function canPin(): boolean {
  taskset ??= spawnSync('taskset', ['--version']).status === 0
  return taskset
}
