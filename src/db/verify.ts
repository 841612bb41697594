/**
 * `verify()`: reads every file of the store from beginning to end, and holds the stream against its promise.
 */
import { hasCode, VarveError } from '../base/errors.ts'
import { blobFileName, joinPath, segmentFileName, walFileName } from '../env/file-names.ts'
import { systemCode } from '../env/disk-errors.ts'
import type { FileSystem, ReadableFile } from '../env/file-system.ts'
import { BlobReader } from '../blob/blob-reader.ts'
import { readSegmentFooter } from '../segment/opened-segment.ts'
import { verifySegment } from '../segment/segment-verify.ts'
import { type LogProblem, type LogToVerify, verifyLog } from '../wal/wal-verify.ts'
import { verifyManifest } from '../version/manifest-verify.ts'
import type { Version } from '../version/version.ts'
import { aborted } from './arguments.ts'
import type { Changes } from './changes.ts'
import { type Checks, checkOptions, isSignal } from '../base/option-check.ts'

/** Options of `verify`. */
export interface VerifyOptions {
  /** Ends it with VARVE_ABORTED. */
  signal?: AbortSignal
  /** Bytes read so far, and in all. What it throws ends the verification, which rejects with that. */
  onProgress?: (done: number, total: number) => void
}

/** Something that `verify` found. */
export interface VerifyProblem {
  /** Path of the file. */
  file: string
  /** Where in it, in bytes, if that is known. */
  offset?: number
  /** As of a VarveError, mostly VARVE_CORRUPTION. */
  code: string
  /** What was expected, and what was found. */
  message: string
}

/** What `verify` tells. */
export interface VerifyReport {
  /** There are no problems. */
  ok: boolean
  /** Every live file of the store. */
  filesChecked: number
  /** All of their bytes. */
  bytesChecked: number
  /** In the order in which they were found. */
  problems: VerifyProblem[]
}

export interface VerifyTarget {
  readonly directory: string
  readonly fs: FileSystem
  /** A segment or blob file of the version: on a readOnly store also one that its writer has removed since. */
  open(path: string): ReadableFile
  /** Another process writes the store: it lets go of logs while they are looked at. */
  readonly isReadOnly: boolean
  readonly version: Version
  readonly changes: Changes
  /** Logs that are in use, with the bytes of each that were acknowledged. */
  logs(): readonly { readonly number: number; readonly bytes: number }[]
  readonly manifest: { readonly path: string; readonly mayBeTorn: boolean }
}

const CHECKS: Checks = {
  signal: isSignal,
  onProgress: (value) =>
    typeof value === 'function' ? undefined : { message: 'must be a function', isType: true },
}

export async function verifyStore(
  target: VerifyTarget,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  checkOptions(options, CHECKS)
  const run = new Verification(target, options)
  const version = target.version.acquire()
  try {
    return await run.run(version)
  } finally {
    version.release()
  }
}

class Verification {
  readonly #target: VerifyTarget
  readonly #options: VerifyOptions
  readonly #report: VerifyReport = { ok: true, filesChecked: 0, bytesChecked: 0, problems: [] }
  #total = 0
  /** What the caller ended it with, by the signal or out of `onProgress`: no problem of the file that was being read. */
  #ended: { readonly by: unknown } | undefined
  readonly #onBytes = (bytes: number): void => {
    this.#report.bytesChecked += bytes
    try {
      this.#options.onProgress?.(Math.min(this.#report.bytesChecked, this.#total), this.#total)
      this.#checkAborted()
    } catch (error) {
      this.#ended = { by: error }
      throw error
    }
  }

  constructor(target: VerifyTarget, options: VerifyOptions) {
    this.#target = target
    this.#options = options
  }

  async run(version: Version): Promise<VerifyReport> {
    const { fs, directory, manifest } = this.#target
    const logs = this.#target.logs()
    const segments = version.segments()
    const isLive = new Set([...version.keyspaces.values()].flatMap(({ levels }) => levels.flat()))
    const blobs = [...version.blobs.values()]
    for (const { bytes } of [...segments, ...blobs, ...logs]) this.#total += bytes
    this.#checkAborted()
    await this.#file(manifest.path, () => verifyManifest(fs, directory, manifest))
    for (const log of logs) {
      const path = joinPath(directory, walFileName(log.number))
      const { number, bytes } = log
      await this.#file(path, () =>
        this.#log({ fs, path, number, bytes, logId: version.state.logId }),
      )
      this.#onBytes(log.bytes)
    }
    for (const meta of segments) {
      const path = joinPath(directory, segmentFileName(meta.number))
      await this.#file(path, async () => {
        const file = this.#target.open(path)
        try {
          const problems = await verifySegment(file, meta, this.#onBytes)
          return problems.length > 0 || !isLive.has(meta) ? problems : misplaced(file)
        } finally {
          file.close()
        }
      })
    }
    for (const meta of blobs) {
      const path = joinPath(directory, blobFileName(meta.number))
      await this.#file(path, async () => {
        const file = this.#target.open(path)
        try {
          return await new BlobReader(file, meta.number, undefined).verify(meta, this.#onBytes)
        } finally {
          file.close()
        }
      })
    }
    if (this.#report.problems.length === 0) await this.#stream()
    this.#report.ok = this.#report.problems.length === 0
    return this.#report
  }

  async #file(
    path: string,
    check: () => Promise<readonly { offset?: number | undefined; message: string }[]>,
  ): Promise<void> {
    this.#report.filesChecked++
    try {
      for (const { offset, message } of await check()) {
        // Not what a reader makes of the end that it was brought to.
        if (this.#ended === undefined) this.#problem(path, offset, 'VARVE_CORRUPTION', message)
      }
    } catch (error) {
      if (this.#ended === undefined) this.#caught(path, error)
    }
    if (this.#ended !== undefined) throw this.#ended.by
  }

  async #log(log: LogToVerify): Promise<LogProblem[]> {
    try {
      return await verifyLog(log)
    } catch (error) {
      if (this.#target.isReadOnly && systemCode(error) === 'ENOENT') return []
      throw error
    }
  }

  /** Every seqno from the floor to the latest stands exactly once: a scan without filters checks that itself. */
  async #stream(): Promise<void> {
    const { changes, directory } = this.#target
    const scan = changes.scan(changes.floor)
    try {
      let expected = changes.floor
      for (;;) {
        const batch = await scan.nextBatch()
        if (batch.length === 0) break
        for (const { seqno } of batch) {
          if (seqno !== expected) {
            this.#problem(directory, undefined, 'VARVE_CORRUPTION', `seqno ${expected} is missing`)
            return
          }
          expected++
        }
        this.#checkAborted()
      }
    } catch (error) {
      this.#caught(directory, error)
    } finally {
      await scan.close()
    }
  }

  #caught(path: string, error: unknown): void {
    if (hasCode(error, 'VARVE_ABORTED')) throw error
    if (!(error instanceof Error)) throw error
    const details = error instanceof VarveError ? error.details : {}
    const { file, offset } = details
    this.#problem(
      typeof file === 'string' ? file : path,
      typeof offset === 'number' ? offset : undefined,
      error instanceof VarveError ? error.code : 'VARVE_IO',
      error.message,
    )
  }

  #problem(file: string, offset: number | undefined, code: string, message: string): void {
    this.#report.problems.push({ file, ...(offset === undefined ? {} : { offset }), code, message })
  }

  #checkAborted(): void {
    const { signal } = this.#options
    if (signal?.aborted === true) throw aborted(signal)
  }
}

/** A good segment of a level that says of itself that it is history: what is in it was moved on, or deleted. */
function misplaced(file: ReadableFile): { message: string }[] {
  const isHistory = readSegmentFooter(file).origin?.isHistory === true
  return isHistory ? [{ message: 'a segment of history stands among those that are read' }] : []
}
