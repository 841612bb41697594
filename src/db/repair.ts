/**
 * `Varve.repair`: makes a damaged store open again with everything that is still readable.
 *
 * ```
 * manifest, as far as it is good ─> every segment and blob file checked ─> the log, and what stands behind damage in it
 *   └─ nothing wrong: nothing is changed
 *   └─ damaged segments rewritten from their good entries, values of lost blob frames left out ─> census: which seqnos are
 *      there ─> segments of lost edits taken in ─> one new manifest, with the floor over every hole and a new epoch ─> what was damaged is moved to lost/
 * ```
 *
 * Until the new manifest is in force nothing that was there has changed; the files set aside go after it. What is lost may have
 * been a newer version, or a deletion: then an older version shows again. `seqnosLost` says where that may be so.
 */
import { hasCode } from '../base/errors.ts'
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
import { startEpoch } from '../version/epochs.ts'
import { salvageManifest, type SalvagedManifest } from '../version/manifest-salvage.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import type { SegmentAddition } from '../version/version-edit.ts'
import type { StoreState } from '../version/store-state.ts'
import { VersionSet } from '../version/version-set.ts'
import { listLogs } from '../wal/wal-chain.ts'
import { salvageWal } from '../wal/wal-salvage.ts'
import type { WalWriter } from '../wal/wal-writer.ts'
import { aborted } from './arguments.ts'
import { checkIsDirectory, checkLocation } from './location.ts'
import { LogReplay, type ReplayedLog } from './log-replay.ts'
import { type Checks, checkOptions, isObject, isSignal } from '../base/option-check.ts'
import type { OpenOptions } from './options.ts'
import { notFound, replayLogs, rewriteLogs } from './recovery.ts'
import { consumersAbove, firstLogged, holesIn, withUnknownKeyspaces } from './repaired-state.ts'
import { adoptSegment, isReplaced } from './segment-adoption.ts'
import { rebuildManifest } from './manifest-rebuild.ts'
import { rebuildTree } from './tree-rebuild.ts'
import { SegmentRepair } from './segment-repair.ts'
import { joined, SeqnoCensus, type SeqnoRange } from './seqno-census.ts'

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
  if (!checkIsDirectory(fs, directory)) throw notFound(location)
  const lock = await fs.lock(directory)
  try {
    const found = await new Repair(fs, directory, signal).run(await salvageManifest(fs, directory))
    // What the manifest tells is not enough to place every segment: the segments alone are.
    return found ?? (await new Repair(fs, directory, signal).run(undefined))!
  } finally {
    await lock.release()
  }
}

/** What the new manifest begins with. */
interface InstalledTree {
  readonly additions: readonly SegmentAddition[]
  readonly blobs: ReadonlyMap<number, BlobFileMeta>
  /** Segments that others have replaced. */
  readonly merged: readonly SegmentMeta[]
  readonly lastTimeMs: number
}

class Repair {
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #signal: AbortSignal | undefined
  readonly #damagedFiles: string[] = []
  readonly #lost: SeqnoRange[] = []
  /** As the report names them. */
  readonly #filesSetAside: string[] = []
  /** The logs are damaged, and no seqno is missing before their end. */
  #isEndLost = false
  #filesRead = 0
  #isDamaged = false
  #nextFileNumber = 1

  constructor(fs: FileSystem, directory: string, signal: AbortSignal | undefined) {
    this.#fs = fs
    this.#directory = directory
    this.#signal = signal
  }

  /** `salvaged`: undefined where it is to do without any manifest. Undefined when it is to be tried so. */
  async run(salvaged: SalvagedManifest | undefined): Promise<RepairReport | undefined> {
    const manifest = salvaged ?? (await rebuildManifest(this.#fs, this.#directory))
    if (manifest === undefined) throw notFound(this.#directory)
    this.#filesRead++
    this.#isDamaged = manifest.isDamaged
    this.#damagedFiles.push(...manifest.damagedPaths)
    const { state } = manifest.version
    this.#nextFileNumber = Math.max(manifest.firstFreeNumber, state.nextFileNumber)
    const segments = new SegmentRepair({
      fs: this.#fs,
      directory: this.#directory,
      floor: state.floor,
      allocate: () => this.#nextFileNumber++,
      checkAborted: () => this.#checkAborted(),
    })
    try {
      for (const meta of manifest.version.blobs.values()) await segments.checkBlob(meta)
      for (const [meta, place] of manifest.segments) await segments.checkSegment(meta, place)
    } finally {
      segments.close()
    }
    this.#filesRead += segments.filesRead
    this.#isDamaged ||= segments.isDamaged
    this.#damagedFiles.push(...segments.damagedFiles)
    const replayed = await this.#replay(manifest)
    if (this.#isDamaged) return this.#install(manifest, segments, replayed)
    const { epochs, floor } = state
    return this.#report({ floor, epoch: epochs.at(-1)!.epoch, last: replayed.lastSeqno }, [])
  }

  // ------------------------------------------------------------------------------------------------ the logs

  /**
   * As recovery replays it; where it refuses to, everything that can be read. So too where the manifest is not the last one
   * that was in force, and the logs that this had named go on behind those which are known.
   */
  async #replay({ version, isClean, isDamaged }: SalvagedManifest): Promise<ReplayedLog> {
    this.#checkAborted()
    const fs = this.#fs
    const directory = this.#directory
    const { state } = version
    const logs = listLogs(fs, directory)
    this.#filesRead += logs.length
    const options = {
      fs,
      directory,
      memtableBytes: MEMTABLE_BYTES,
      openSnapshots: () => [],
      noteCommit: () => undefined,
    }
    const salvaged = async (): Promise<ReplayedLog> => {
      const replay = new LogReplay(options, state)
      await salvageWal({ ...state, fs, directory }, (commit) => replay.take(commit))
      return replay.result()
    }
    const isWhole = (replayed: ReplayedLog): boolean =>
      holesIn(replayed, state.lastFlushedSeqno).length === 0
    try {
      const replayed = await replayLogs(options, version, isClean)
      if (!isDamaged) return replayed
      const all = await salvaged()
      return all.lastSeqno > replayed.lastSeqno && isWhole(all) ? all : replayed
    } catch (error) {
      if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    }
    this.#isDamaged = true
    for (const number of logs) {
      if (number >= state.walNumber) this.#damagedFiles.push(this.#path(walFileName(number)))
    }
    const replayed = await salvaged()
    this.#isEndLost = isWhole(replayed)
    return replayed
  }

  // --------------------------------------------------------------------------------------------- new files

  async #install(
    manifest: SalvagedManifest,
    segments: SegmentRepair,
    replayed: ReplayedLog,
  ): Promise<RepairReport | undefined> {
    const fs = this.#fs
    const directory = this.#directory
    const { state } = manifest.version
    const census = new SeqnoCensus()
    for (const { firstSeqno, lastSeqno } of replayed.memtables) {
      census.addRange({ from: firstSeqno, to: lastSeqno })
    }
    const tree = manifest.isRebuilt
      ? await this.#rebuild(manifest, segments, replayed, census)
      : await this.#adopt(manifest, segments, replayed, census)
    if (tree === undefined) {
      segments.discard()
      return undefined
    }
    const { additions, lastTimeMs } = tree
    const lastFlushedSeqno = additions.reduce(
      (seqno, { meta }) => Math.max(seqno, meta.maxSeqno),
      state.lastFlushedSeqno,
    )
    const last = Math.max(replayed.lastSeqno, lastFlushedSeqno)
    // At least one record, and nobody knows how many more. Where segments go on behind it, it is no end: the manifest is damaged,
    // and does not tell that they were flushed.
    if (this.#isEndLost && last === replayed.lastSeqno) {
      this.#lost.push({ from: last + 1, to: last + 1 })
    }
    this.#lost.push(...census.missing({ from: state.floor, to: last }), ...segments.uncertain)
    const lost = joined(this.#lost)
    const lastLost = Math.max(lost.at(-1)?.to ?? 0, census.lastTwice)
    const floor = Math.max(state.floor, Math.min(lastLost, last) + 1)
    const epochs =
      state.role === 'primary'
        ? startEpoch(state, last, randomBytes(12).toString('hex'))
        : state.epochs
    const logged = await rewriteLogs(
      { fs, directory },
      state.logId,
      () => this.#nextFileNumber++,
      replayed.memtables,
    )
    const repaired: StoreState = {
      ...state,
      floor,
      epochs,
      lastFlushedSeqno,
      lastFlushedTimeMs: Math.max(state.lastFlushedTimeMs, lastTimeMs),
      ...withUnknownKeyspaces(state, additions, replayed),
      consumers: consumersAbove(floor, state.consumers, replayed),
      walNumber: logged[0]!.wal.number,
      nextFileNumber: this.#nextFileNumber,
      cleanClose: undefined,
    }
    try {
      await this.#putInForce(repaired, tree, logged.at(-1)!.wal)
    } finally {
      for (const { wal } of logged) await wal.close()
    }
    return this.#report({ floor, epoch: epochs.at(-1)!.epoch, last }, lost)
  }

  /** The new manifest, of which `end` is the last log; then what it does without goes. */
  async #putInForce(
    state: StoreState,
    { additions, blobs, merged }: InstalledTree,
    end: WalWriter,
  ): Promise<void> {
    const fs = this.#fs
    const directory = this.#directory
    await fs.syncDirectory(directory)
    const used = new Set(
      additions.flatMap(({ meta }) => meta.blobReferences.map(({ file }) => file)),
    )
    const versions = await VersionSet.create({ fs, directory }, state, undefined, {
      additions,
      blobAdditions: [...blobs.values()].filter(({ number }) => used.has(number)),
    })
    try {
      for (const { number } of merged) fs.remove(this.#path(segmentFileName(number)))
      await this.#setAside(new Set([...used].map((number) => this.#path(blobFileName(number)))))
      // Everything is synced, as after a close: the next open goes on in the epoch that the report names.
      await versions.markClean({ walNumber: end.number, walBytes: end.size })
    } finally {
      await versions.close()
    }
  }

  /** Of segments alone, without any manifest. */
  async #rebuild(
    { version }: SalvagedManifest,
    segments: SegmentRepair,
    replayed: ReplayedLog,
    census: SeqnoCensus,
  ): Promise<InstalledTree> {
    const tree = await rebuildTree({
      fs: this.#fs,
      directory: this.#directory,
      segments: segments.additions,
      firstLoggedSeqno: firstLogged(replayed),
      floor: version.state.floor,
      isDropped: (id) =>
        version.state.keyspaces.some((one) => one.id === id && one.droppedAt !== undefined),
      census,
      reserve: (count) => {
        const first = this.#nextFileNumber
        this.#nextFileNumber += count
        return first
      },
      signal: this.#signal,
    })
    for (const { number } of tree.spare) {
      this.#damagedFiles.push(this.#path(segmentFileName(number)))
    }
    return { ...tree, blobs: version.blobs }
  }

  /** Takes in what lost edits had made; undefined when that has events and its place cannot be told. */
  async #adopt(
    { version, unknown, vanished }: SalvagedManifest,
    segments: SegmentRepair,
    replayed: ReplayedLog,
    census: SeqnoCensus,
  ): Promise<InstalledTree | undefined> {
    const { floor } = version.state
    await segments.count(census)
    const additions = [...segments.additions]
    const blobs = new Map(version.blobs)
    const adopted: SegmentAddition[] = []
    const surveyed = new Set<number>()
    const options = {
      fs: this.#fs,
      directory: this.#directory,
      floor,
      firstLoggedSeqno: firstLogged(replayed),
      additions,
      vanished,
      isGoodBlob: (number: number) => surveyed.has(number) || segments.isGoodBlob(number),
      blobs,
      census,
    }
    for (const number of unknown) {
      this.#checkAborted()
      this.#filesRead++
      const one = await adoptSegment(options, number)
      if (one === 'unplaced') return undefined
      if (one === 'useless') {
        this.#damagedFiles.push(this.#path(segmentFileName(number)))
        continue
      }
      adopted.push(one.addition)
      additions.push(one.addition)
      this.#filesRead += one.blobs.length
      for (const blob of one.blobs) {
        blobs.set(blob.number, blob)
        surveyed.add(blob.number)
      }
    }
    for (const one of vanished) if (!isReplaced(one, adopted)) segments.lose(one.meta, one.level)
    return { additions, blobs, merged: [], lastTimeMs: 0 }
  }

  /** Files that are still needed stay where they are. */
  async #setAside(needed: ReadonlySet<string>): Promise<void> {
    const fs = this.#fs
    const lost = joinPath(this.#directory, LOST_DIRECTORY)
    const paths = this.#damagedFiles.filter(
      (path) => !needed.has(path) && fs.stat(path) !== undefined,
    )
    if (paths.length === 0) return
    if (fs.stat(lost) === undefined) fs.makeDirectory(lost)
    for (const path of paths) {
      const name = path.slice(this.#directory.length + 1)
      fs.rename(path, joinPath(lost, name))
      this.#filesSetAside.push(`${LOST_DIRECTORY}/${name}`)
    }
    await fs.syncDirectory(lost)
    await fs.syncDirectory(this.#directory)
  }

  #report(
    { floor, epoch, last }: { floor: number; epoch: number; last: number },
    seqnosLost: readonly SeqnoRange[],
  ): RepairReport {
    return {
      filesRead: this.#filesRead,
      filesSetAside: this.#filesSetAside,
      eventsKept: Math.max(0, last - floor + 1),
      seqnosLost,
      floor,
      epoch,
    }
  }

  #path(name: string): string {
    return joinPath(this.#directory, name)
  }

  #checkAborted(): void {
    if (this.#signal?.aborted === true) throw aborted(this.#signal)
  }
}
