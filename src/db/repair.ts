/**
 * `Varve.repair`: makes a damaged store open again with everything that is still readable.
 *
 * ```
 * manifest, as far as it is good ─> every segment and blob file checked ─> the log, as far as it is good
 *   └─ nothing wrong: nothing is changed
 *   └─ damaged segments rewritten from their good blocks, values of lost blob frames left out ─> one new manifest, with the
 *      floor over every hole and a new epoch ─> what was damaged is moved to lost/
 * ```
 *
 * Until the new manifest is in force nothing that was there has changed; the files set aside go after it.
 */
import { NO_COMMIT } from '../base/commit-table.ts'
import { FLAG_BLOB } from '../base/entry-kind.ts'
import { VarveError } from '../base/errors.ts'
import { BlobReader } from '../blob/blob-reader.ts'
import { decodeBlobReference } from '../block/blob-reference.ts'
import { translateDiskError } from '../env/disk-errors.ts'
import { type Environment, resolveEnvironment } from '../env/environment.ts'
import {
  blobFileName,
  joinPath,
  LOST_DIRECTORY,
  segmentFileName,
  walFileName,
} from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { randomBytes } from '../env/random.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { salvageEntries } from '../segment/segment-salvage.ts'
import { verifySegment } from '../segment/segment-verify.ts'
import { SegmentWriter } from '../segment/segment-writer.ts'
import { startEpoch } from '../version/epochs.ts'
import { salvageManifest, type SalvagedManifest } from '../version/manifest-salvage.ts'
import type { Place, SegmentAddition } from '../version/version-edit.ts'
import { VersionSet } from '../version/version-set.ts'
import { listLogs } from '../wal/wal-chain.ts'
import { aborted } from './arguments.ts'
import { checkIsDirectory, checkLocation } from './location.ts'
import { type Checks, checkOptions, isObject, isSignal } from './option-check.ts'
import type { OpenOptions } from './options.ts'
import { notFound, type ReplayedLog, replayLogs, rewriteLogs } from './recovery.ts'

/** What `Varve.repair` found and did. */
export interface RepairReport {
  /** Files of the store that were looked at. */
  filesRead: number
  /** Paths in `lost/`, relative to the store. */
  filesSetAside: string[]
  /** Events that can still be read, from the new floor on. */
  eventsKept: number
  /** Stretches of seqnos, bounds inclusive, of which events are lost. */
  seqnosLost: readonly { from: number; to: number }[]
  /** The history floor afterwards. */
  floor: number
  /** The epoch afterwards: a new one, where anything was damaged. */
  epoch: number
}

/** Options of `Varve.repair`. */
export type RepairOptions = Pick<OpenOptions, 'environment' | 'mergeOperators' | 'signal'>

const CHECKS: Checks = {
  environment: isObject,
  mergeOperators: (value) =>
    Array.isArray(value) ? undefined : { message: 'must be an array', isType: true },
  signal: isSignal,
}
const MEMTABLE_BYTES = 64 * 2 ** 20

export async function repairStore(
  location: string,
  options: RepairOptions = {},
): Promise<RepairReport> {
  checkLocation(location)
  checkOptions(options, CHECKS)
  const environment = resolveEnvironment(options.environment)
  try {
    return await repairLocked(location, environment, options.signal)
  } catch (cause) {
    throw translateDiskError(cause, { operation: 'repair', file: location })
  }
}

async function repairLocked(
  location: string,
  environment: Environment,
  signal: AbortSignal | undefined,
): Promise<RepairReport> {
  const { fs } = environment
  const directory = fs.canonicalPath(location)
  checkIsDirectory(fs, directory)
  if (fs.stat(directory) === undefined) throw notFound(location)
  const lock = await fs.lock(directory)
  try {
    return await new Repair(fs, directory, signal).run()
  } finally {
    await lock.release()
  }
}

interface LostRange {
  readonly from: number
  readonly to: number
}

class Repair {
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #signal: AbortSignal | undefined
  readonly #lostFiles: string[] = []
  readonly #lost: LostRange[] = []
  readonly #additions: SegmentAddition[] = []
  /** Blob files that are whole, or of which the good frames are still wanted. */
  readonly #goodBlobs = new Set<number>()
  readonly #damagedBlobs = new Map<number, BlobReader | undefined>()
  #filesRead = 0
  #isDamaged = false
  #nextFileNumber = 1

  constructor(fs: FileSystem, directory: string, signal: AbortSignal | undefined) {
    this.#fs = fs
    this.#directory = directory
    this.#signal = signal
  }

  async run(): Promise<RepairReport> {
    const manifest = await salvageManifest(this.#fs, this.#directory)
    if (manifest === undefined) throw notFound(this.#directory)
    this.#filesRead++
    this.#isDamaged = manifest.isDamaged
    if (manifest.damagedPath !== undefined) this.#lostFiles.push(manifest.damagedPath)
    this.#nextFileNumber = Math.max(manifest.firstFreeNumber, manifest.version.state.nextFileNumber)
    for (const [number, meta] of manifest.version.blobs) await this.#checkBlob(number, meta)
    for (const [meta, place] of manifest.segments) await this.#checkSegment(meta, place)
    const replayed = await this.#replay(manifest)
    for (const reader of this.#damagedBlobs.values()) reader?.close()
    if (!this.#isDamaged) return this.#report(manifest, replayed, manifest.version.state.floor)
    return this.#install(manifest, replayed)
  }

  // ------------------------------------------------------------------------------------------------ checks

  async #checkBlob(number: number, meta: Parameters<BlobReader['verify']>[0]): Promise<void> {
    this.#checkAborted()
    const path = this.#path(blobFileName(number))
    this.#filesRead++
    if (this.#fs.stat(path) === undefined) {
      this.#isDamaged = true
      this.#damagedBlobs.set(number, undefined)
      return
    }
    const reader = new BlobReader(this.#fs.openRead(path), number, undefined)
    if ((await problemsOf(() => reader.verify(meta))) === 0) {
      this.#goodBlobs.add(number)
      reader.close()
      return
    }
    // Its good frames are read by who refers to them; the file stays for them, and goes when they are gone.
    this.#isDamaged = true
    this.#damagedBlobs.set(number, reader)
    this.#lostFiles.push(path)
  }

  async #checkSegment(meta: SegmentMeta, place: Place): Promise<void> {
    this.#checkAborted()
    const path = this.#path(segmentFileName(meta.number))
    this.#filesRead++
    if (this.#fs.stat(path) === undefined) {
      this.#isDamaged = true
      this.#lose(meta)
      return
    }
    const file = this.#fs.openRead(path)
    try {
      const isWhole = (await problemsOf(() => verifySegment(file, meta))) === 0
      const refersToDamage = meta.blobReferences.some(({ file: blob }) =>
        this.#damagedBlobs.has(blob),
      )
      if (isWhole && !refersToDamage) {
        this.#additions.push({ keyspaceId: meta.keyspaceId, level: place, meta })
        return
      }
      this.#isDamaged = true
      this.#lostFiles.push(path)
      await this.#rewrite(file, meta, place)
    } finally {
      file.close()
    }
  }

  /** Writes what can be read of a damaged segment to a new one, values in damaged blob files among it. */
  async #rewrite(
    file: Parameters<typeof salvageEntries>[0],
    meta: SegmentMeta,
    place: Place,
  ): Promise<void> {
    const number = this.#nextFileNumber++
    const path = this.#path(segmentFileName(number))
    const output = this.#fs.create(path)
    const writer = new SegmentWriter(output, {
      number,
      keyspaceId: meta.keyspaceId,
      order: meta.order,
      blockBytes: 4096,
      compression: 'none',
      bloomBitsPerKey: 10,
    })
    const kept = new Set<number>()
    try {
      const ranges = await salvageEntries(file, meta, {
        entry: ({ key, seqno, kind, value, commitId }, commits) => {
          const whole = this.#resolve(kind, value)
          if (whole === undefined) return
          writer.add(
            key,
            0,
            key.length,
            seqno,
            whole.kind,
            whole.value,
            0,
            whole.value.length,
            commits,
            commitId,
          )
          if (commitId !== NO_COMMIT) kept.add(seqno)
        },
      })
      if (ranges.count > 0) writer.addRangeFragments(ranges)
      const written = writer.finish()
      await output.sync()
      output.close()
      if (written.entries > 0 || written.rangeFragments > 0) {
        this.#additions.push({ keyspaceId: meta.keyspaceId, level: place, meta: written })
      } else {
        this.#fs.remove(path)
      }
      if (kept.size < meta.events) this.#lose(meta)
    } catch (error) {
      output.close()
      this.#fs.remove(path)
      if (!(error instanceof VarveError) || error.code !== 'VARVE_CORRUPTION') throw error
      this.#lose(meta)
    }
  }

  /** A value that lived in a damaged blob file comes back into the segment, if its frame is good; undefined: it is lost. */
  #resolve(kind: number, value: Uint8Array): { kind: number; value: Uint8Array } | undefined {
    if ((kind & FLAG_BLOB) === 0) return { kind, value }
    const location = decodeBlobReference(value, 0, value.length)
    if (location === undefined) return undefined
    if (this.#goodBlobs.has(location.file)) return { kind, value }
    const reader = this.#damagedBlobs.get(location.file)
    if (reader === undefined) return undefined
    try {
      return { kind: kind & ~FLAG_BLOB, value: reader.readSync(location) }
    } catch (error) {
      if (error instanceof VarveError && error.code === 'VARVE_CORRUPTION') return undefined
      throw error
    }
  }

  async #replay(manifest: SalvagedManifest): Promise<ReplayedLog> {
    this.#checkAborted()
    const logs = listLogs(this.#fs, this.#directory)
    this.#filesRead += logs.length
    const options = {
      fs: this.#fs,
      directory: this.#directory,
      memtableBytes: MEMTABLE_BYTES,
      openSnapshots: () => [],
      noteCommit: () => undefined,
    }
    const damage: unknown[] = []
    const replayed = await replayLogs(options, manifest.version, manifest.isClean, (error) => {
      damage.push(error)
    })
    if (damage.length > 0) {
      this.#isDamaged = true
      const { walNumber } = manifest.version.state
      for (const number of logs) {
        if (number >= walNumber) this.#lostFiles.push(this.#path(walFileName(number)))
      }
      this.#lost.push({ from: replayed.lastSeqno + 1, to: replayed.lastSeqno + 1 })
    }
    return replayed
  }

  // --------------------------------------------------------------------------------------------- new files

  async #install(manifest: SalvagedManifest, replayed: ReplayedLog): Promise<RepairReport> {
    const fs = this.#fs
    const directory = this.#directory
    const { state } = manifest.version
    const flushed = state.lastFlushedSeqno
    const lastLost = this.#lost.reduce((last, { to }) => Math.max(last, to), 0)
    const floor = Math.max(state.floor, Math.min(lastLost, replayed.lastSeqno) + 1)
    const logged = await rewriteLogs(
      { fs, directory },
      state.logId,
      () => this.#nextFileNumber++,
      replayed.memtables,
    )
    await fs.syncDirectory(directory)
    const epochs =
      state.role === 'primary'
        ? startEpoch(state, replayed.lastSeqno, randomBytes(12).toString('hex'))
        : state.epochs
    const used = new Set<number>()
    for (const { meta } of this.#additions) {
      for (const { file } of meta.blobReferences) used.add(file)
    }
    const versions = await VersionSet.create(
      { fs, directory },
      {
        ...state,
        floor,
        epochs,
        lastFlushedSeqno: flushed,
        walNumber: logged[0]!.wal.number,
        nextFileNumber: this.#nextFileNumber,
        cleanClose: undefined,
      },
      undefined,
      {
        additions: this.#additions,
        blobAdditions: [...manifest.version.blobs.values()].filter(({ number }) =>
          used.has(number),
        ),
      },
    )
    await this.#setAside(new Set([...used].map((number) => this.#path(blobFileName(number)))))
    // Everything is synced, as after a close: the next open goes on in the epoch that the report names.
    const { wal: last } = logged.at(-1)!
    await versions.markClean({ walNumber: last.number, walBytes: last.size })
    await versions.close()
    for (const { wal } of logged) await wal.close()
    return this.#report(manifest, replayed, floor, epochs.at(-1)!.epoch)
  }

  async #setAside(needed: ReadonlySet<string>): Promise<void> {
    const fs = this.#fs
    const lost = joinPath(this.#directory, LOST_DIRECTORY)
    const paths = this.#lostFiles.filter((path) => !needed.has(path) && fs.stat(path) !== undefined)
    if (paths.length === 0) return
    if (fs.stat(lost) === undefined) fs.makeDirectory(lost)
    for (const path of paths) {
      fs.rename(path, joinPath(lost, path.slice(this.#directory.length + 1)))
    }
    await fs.syncDirectory(lost)
    await fs.syncDirectory(this.#directory)
  }

  #report(
    manifest: SalvagedManifest,
    replayed: ReplayedLog,
    floor: number,
    epoch: number = manifest.version.state.epochs.at(-1)!.epoch,
  ): RepairReport {
    return {
      filesRead: this.#filesRead,
      filesSetAside: this.#isDamaged
        ? this.#lostFiles.map(
            (path) => `${LOST_DIRECTORY}/${path.slice(this.#directory.length + 1)}`,
          )
        : [],
      eventsKept: Math.max(0, replayed.lastSeqno - floor + 1),
      seqnosLost: this.#lost,
      floor,
      epoch,
    }
  }

  #lose(meta: SegmentMeta): void {
    if (meta.events > 0) this.#lost.push({ from: meta.minEventSeqno, to: meta.maxEventSeqno })
  }

  #path(name: string): string {
    return joinPath(this.#directory, name)
  }

  #checkAborted(): void {
    if (this.#signal?.aborted === true) throw aborted(this.#signal)
  }
}

/** Number of problems; damage that ends the check counts as one. Errors of the disk itself are thrown. */
async function problemsOf(check: () => Promise<readonly unknown[]>): Promise<number> {
  try {
    return (await check()).length
  } catch (error) {
    if (error instanceof VarveError && error.code === 'VARVE_CORRUPTION') return 1
    throw error
  }
}
