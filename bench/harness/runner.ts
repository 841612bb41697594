/**
 * Carries out a plan in interleaved rounds: round by round, never engine by engine, so that a machine that grows slower
 * or faster during the hour does so for everyone.
 */
import { type ChildOptions, runChild } from './child-process.ts'
import { Fixtures } from './fixtures.ts'
import type { Job, Metrics } from './job.ts'
import { engineOf, type Measurement, profileOf } from './plan.ts'
import type { Cell, Settings } from './results.ts'

export interface RunnerOptions {
  readonly settings: Settings
  readonly childModule: string
  readonly varveModule: string
  readonly dataFolder: string
  /** Where prepared stores of peers are kept from run to run. */
  readonly keptFolder?: string | undefined
  onProgress(progress: Progress): void
  /** After each measurement, so that a run which is cut short leaves its figures. */
  onMeasured?(report: RunReport): void
}

export interface Progress {
  readonly done: number
  readonly total: number
  readonly current: string
}

export interface RunReport {
  readonly cells: Cell[]
  readonly failures: string[]
}

/** A measurement that has taken this long in all gets no further round beyond the second. */
const CELL_SECONDS_MAX = 40
const ROUNDS_MIN = 2

export class Runner {
  readonly #options: RunnerOptions
  readonly #fixtures: Fixtures
  readonly #cells = new Map<string, Cell>()
  readonly #secondsSpent = new Map<string, number>()
  readonly #failures: string[] = []

  constructor(options: RunnerOptions) {
    this.#options = options
    const folders = { data: options.dataFolder, kept: options.keptFolder }
    this.#fixtures = new Fixtures(folders, (job) => runChild(job, this.#child(0)))
  }

  async run(round: readonly Measurement[]): Promise<RunReport> {
    const { rounds } = this.#options.settings
    const roundsOf = (each: Measurement): number => Math.min(rounds, roundsAtMost(each))
    const total = round.reduce((sum, each) => sum + roundsOf(each), 0)
    let done = 0
    for (let n = 0; n < rounds; n++) {
      for (const measurement of round.filter((each) => n < roundsOf(each))) {
        const current = `${measurement.workload.name} · ${measurement.subject}`
        this.#options.onProgress({ done: done++, total, current })
        await this.measure(measurement)
        this.#options.onMeasured?.(this.report())
      }
    }
    this.#options.onProgress({ done: total, total, current: '' })
    return this.report()
  }

  report(): RunReport {
    return { cells: [...this.#cells.values()], failures: this.#failures }
  }

  removeData(): void {
    this.#fixtures.removeAll()
  }

  /** One more round of a measurement. A failure is noted and does not end the run, but it is not tried again. */
  async measure(measurement: Measurement): Promise<void> {
    const key = cellKey(measurement)
    if (this.#isSpent(measurement)) return
    try {
      const job = await this.#prepare(measurement)
      const start = performance.now()
      const { metrics } = await runChild(job, this.#child(measurement.cpus))
      const seconds = (performance.now() - start) / 1000
      this.#secondsSpent.set(key, (this.#secondsSpent.get(key) ?? 0) + seconds)
      const cell = this.#cells.get(key)
      if (cell === undefined) this.#cells.set(key, createCell(measurement, metrics))
      else cell.rounds.push(metrics)
    } catch (error) {
      this.#failures.push(error instanceof Error ? error.message : String(error))
      this.#secondsSpent.set(key, Infinity)
    } finally {
      this.#fixtures.removeScratch()
    }
  }

  async #prepare({ workload, subject }: Measurement): Promise<Job> {
    const { settings, varveModule } = this.#options
    const job: Omit<Job, 'directory'> = {
      workload: workload.name,
      engine: engineOf(subject),
      profile: profileOf(subject),
      entries: settings.entries,
      seconds: settings.seconds,
      varveModule,
    }
    const fixture =
      workload.fixture === undefined
        ? undefined
        : await this.#fixtures.directory(job, workload.fixture)
    const isShared = fixture !== undefined && workload.changesFixture !== true
    return { ...job, directory: isShared ? fixture : this.#fixtures.scratch(fixture) }
  }

  #isSpent(measurement: Measurement): boolean {
    const key = cellKey(measurement)
    const seconds = this.#secondsSpent.get(key) ?? 0
    const rounds = this.#cells.get(key)?.rounds.length ?? 0
    if (rounds >= roundsAtMost(measurement)) return true
    return seconds === Infinity || (rounds >= ROUNDS_MIN && seconds > CELL_SECONDS_MAX)
  }

  #child(cpus: number): ChildOptions {
    const { childModule, settings } = this.#options
    return { module: childModule, cpus, clock: settings.clock }
  }
}

function roundsAtMost({ workload, roundsMax }: Measurement): number {
  return Math.min(roundsMax ?? Infinity, workload.roundsMax ?? Infinity)
}

function cellKey({ workload, subject, cpus }: Measurement): string {
  return `${workload.name}|${subject}|${cpus}`
}

function createCell({ workload, subject, cpus }: Measurement, metrics: Metrics): Cell {
  return { workload: workload.name, subject, cpus, rounds: [metrics] }
}
