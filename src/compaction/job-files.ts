/**
 * The files that a job makes: numbers from its reserved range, syncs, removal of all of them when the job comes to nothing.
 *
 * The disk takes as long for 60 MB as a flush for writing them. So of a large file it gets what is written while the job goes on,
 * and little is left to wait for at the end.
 */
import { allDone } from '../base/all-done.ts'
import { assert } from '../base/assert.ts'
import { blobFileName, joinPath, segmentFileName } from '../env/file-names.ts'
import type { FileSystem, WritableFile } from '../env/file-system.ts'
import type { JobBase, JobSteps } from './job.ts'

/** Of a file that is being written so much is synced at a time. */
const SYNC_AHEAD_BYTES = 8 * 2 ** 20

/** The last sync of a file that nobody waits for yet. */
interface SyncAhead {
  /** The file's size when it began. */
  readonly bytes: number
  /** Rejected: final, the file is never synced again. */
  readonly done: Promise<void>
  isDone: boolean
}

export class JobFiles {
  bytesWritten = 0
  readonly #fs: FileSystem
  readonly #job: JobBase
  #next: number
  /** Made so far, open or not. */
  readonly #paths: string[] = []
  readonly #open = new Set<WritableFile>()
  readonly #complete: WritableFile[] = []
  readonly #ahead = new Map<WritableFile, SyncAhead>()

  constructor(fs: FileSystem, job: JobBase) {
    this.#fs = fs
    this.#job = job
    this.#next = job.firstFileNumber
  }

  createSegment(): { number: number; file: WritableFile } {
    return this.#create(segmentFileName)
  }

  createBlob(): { number: number; file: WritableFile } {
    return this.#create(blobFileName)
  }

  /** The file is written to its end: `settle` syncs and closes it. */
  complete(file: WritableFile): void {
    this.bytesWritten += file.size
    this.#complete.push(file)
    this.syncAhead(file)
  }

  /** Begins to sync an open file when much was written since it was last synced. Nothing waits for it before `settle`. */
  syncAhead(file: WritableFile): void {
    const before = this.#ahead.get(file)
    if (before?.isDone === false || file.size < (before?.bytes ?? 0) + SYNC_AHEAD_BYTES) return
    const ahead: SyncAhead = { bytes: file.size, done: file.sync(), isDone: false }
    this.#ahead.set(file, ahead)
    ahead.done.then(
      () => {
        ahead.isDone = true
      },
      // `settle` tells of it.
      () => undefined,
    )
  }

  /** Whether numbers are left for files that could be done without. */
  get hasNumbersToSpare(): boolean {
    const { firstFileNumber, fileNumberCount } = this.#job
    return firstFileNumber + fileNumberCount - this.#next > fileNumberCount / 2
  }

  /**
   * Syncs and closes what is complete, when it is at least `filesMin` files. A job calls it as it goes, so that few files are
   * open, and at its end. Together: a flush of many small keyspaces would wait for each disk's answer else.
   */
  *settle(filesMin = 1): JobSteps<void> {
    if (this.#complete.length < filesMin) return
    const files = this.#complete.splice(0)
    // All of them, also when one fails: a file must not be closed under a sync of its own.
    yield allDone(files.map((file) => this.#sync(file)))
    for (const file of files) {
      this.#open.delete(file)
      this.#ahead.delete(file)
      file.close()
    }
  }

  /** The names of what was made so far survive a power cut, too. */
  *syncDirectory(): JobSteps<void> {
    yield this.#fs.syncDirectory(this.#job.directory)
  }

  mustBeSettled(): void {
    assert(this.#open.size === 0, 'every file of a job is synced and closed when it ends')
  }

  /**
   * What a job that fails with `error` is to tell of: a sync begun ahead that fails, be it later, is final, and what a write met on
   * the same disk is not.
   */
  *reasonFor(error: unknown): JobSteps<unknown> {
    if (this.#ahead.size === 0) return error
    try {
      yield allDone([...this.#ahead.values()].map(({ done }) => done))
    } catch (failedSync) {
      return failedSync
    }
    return error
  }

  /**
   * Best effort: what stays behind is an orphan, which the next open of the store removes. A file under a sync that was begun ahead
   * gives its descriptor back behind that.
   */
  removeAll(): void {
    for (const file of this.#open) attempt(() => file.close())
    this.#open.clear()
    for (const path of this.#paths) attempt(() => this.#fs.remove(path))
  }

  async #sync(file: WritableFile): Promise<void> {
    const ahead = this.#ahead.get(file)
    if (ahead !== undefined) await ahead.done
    if (ahead?.bytes !== file.size) await file.sync()
  }

  #create(name: (number: number) => string): { number: number; file: WritableFile } {
    const { directory, firstFileNumber, fileNumberCount } = this.#job
    const number = this.#next
    assert(number < firstFileNumber + fileNumberCount, 'a job has file numbers enough')
    this.#next = number + 1
    const path = joinPath(directory, name(number))
    const file = this.#fs.create(path)
    this.#paths.push(path)
    this.#open.add(file)
    return { number, file }
  }
}

function attempt(step: () => void): void {
  try {
    step()
  } catch {
    // The error that ended the job is the one to report.
  }
}
