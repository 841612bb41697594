/**
 * Prepared stores: built once per engine and profile in the run's data folder, copied where a measurement writes. Those of peers do
 * not depend on this tree, so they may be kept in a folder of their own from run to run; Varve's never are.
 */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { peerVersion } from '../peers/load-peer.ts'
import { type Fixture, fixtureName, type Job, PREPARE } from './job.ts'

export interface FixtureFolders {
  /** Everything of this run; removed at its end. */
  readonly data: string
  /** Prepared stores of peers, for later runs too. Undefined: they lie with the data. */
  readonly kept: string | undefined
}

export class Fixtures {
  readonly #folders: FixtureFolders
  readonly #run: (job: Job) => Promise<unknown>

  /** `run` carries out a PREPARE job. */
  constructor(folders: FixtureFolders, run: (job: Job) => Promise<unknown>) {
    this.#folders = folders
    this.#run = run
  }

  /** Directory of the fixture, built where it is not there yet. */
  async directory(job: Omit<Job, 'directory'>, fixture: Fixture): Promise<string> {
    const ready = this.#path(job, fixture)
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
    const directory = join(this.#folders.data, 'scratch')
    rmSync(directory, { recursive: true, force: true })
    mkdirSync(this.#folders.data, { recursive: true })
    if (fixture === undefined) mkdirSync(directory)
    else cpSync(fixture, directory, { recursive: true })
    return directory
  }

  removeScratch(): void {
    rmSync(join(this.#folders.data, 'scratch'), { recursive: true, force: true })
  }

  /** What is left in the folder for kept stores stays. */
  removeAll(): void {
    rmSync(this.#folders.data, { recursive: true, force: true })
  }

  #path({ engine, profile, entries }: Omit<Job, 'directory'>, fixture: Fixture): string {
    const { data, kept } = this.#folders
    const folder = kept === undefined || engine === 'varve' ? join(data, 'fixtures') : kept
    const version = peerVersion(engine) ?? 'here'
    return join(folder, `${engine}-${version}-${profile}`, `${entries}-${fixtureName(fixture)}`)
  }
}
