/** Prepared stores: built once per engine and profile in the run's data folder, copied where a measurement writes. */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Fixture, fixtureName, type Job, PREPARE } from './job.ts'

export class Fixtures {
  readonly #folder: string
  readonly #run: (job: Job) => Promise<unknown>

  /** `run` carries out a PREPARE job. */
  constructor(folder: string, run: (job: Job) => Promise<unknown>) {
    this.#folder = folder
    this.#run = run
  }

  /** Directory of the fixture, built where it is not there yet. */
  async directory(job: Omit<Job, 'directory'>, fixture: Fixture): Promise<string> {
    const owner = `${job.engine}-${job.profile}`
    const ready = join(this.#folder, 'fixtures', owner, fixtureName(fixture))
    if (existsSync(ready)) return ready
    const unfinished = `${ready}.unfinished`
    rmSync(unfinished, { recursive: true, force: true })
    mkdirSync(unfinished, { recursive: true })
    await this.#run({ ...job, workload: PREPARE, fixture, directory: unfinished })
    renameSync(unfinished, ready)
    return ready
  }

  /** A directory for one measurement; empty, or a copy of `fixture`. Remove it afterwards. */
  scratch(fixture?: string): string {
    const directory = join(this.#folder, 'scratch')
    rmSync(directory, { recursive: true, force: true })
    mkdirSync(this.#folder, { recursive: true })
    if (fixture === undefined) mkdirSync(directory)
    else cpSync(fixture, directory, { recursive: true })
    return directory
  }

  removeScratch(): void {
    rmSync(join(this.#folder, 'scratch'), { recursive: true, force: true })
  }

  removeAll(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
