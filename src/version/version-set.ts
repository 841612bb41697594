/**
 * The newest version, and the manifest that outlives the process.
 *
 * ```
 * apply(edit) ─> next version, in memory ─> appended to the manifest ─> synced ─> current
 *                                      └─ or, at the first edit after opening, when the manifest has grown, or when it
 *                                         could not be written: a whole new manifest, then CURRENT by rename
 * ```
 *
 * Invariants: edits take effect one at a time, in the order of the calls, and not before they are durable. CURRENT never names
 * a manifest that is not durable. After a refused write (a full disk) nothing is appended behind what may be half an edit. A
 * failed sync is final: what is on disk is not known, so nothing more may be built on it.
 */
import { allDone } from '../base/all-done.ts'
import { assert } from '../base/assert.ts'
import { hasCode, VarveError } from '../base/errors.ts'
import { systemCode } from '../env/disk-errors.ts'
import { joinPath, manifestFileName, type StoreFile, storeFiles } from '../env/file-names.ts'
import type { FileStat, FileSystem } from '../env/file-system.ts'
import { applyEdit } from './apply-edit.ts'
import { installCurrent, prepareCurrent } from './current-file.ts'
import { isCleanClose } from './epochs.ts'
import { FileLifetimes, filesAddedBy, type UnreachableFile } from './file-lifetimes.ts'
import { firstFreeFileNumber, firstFreeNumber, hasLaterLog } from './file-numbers.ts'
import { installEdit } from './install-edit.ts'
import { loadManifest, type LoadedManifest } from './manifest-reader.ts'
import { ManifestWriter } from './manifest-writer.ts'
import { snapshotEdits } from './snapshot-edits.ts'
import type { StoreState } from './store-state.ts'
import { Version, type VersionParts } from './version.ts'
import type { VersionEdit } from './version-edit.ts'
import { encodeEdit, type StoredEdit } from './version-edit-codec.ts'

export interface VersionSetOptions {
  readonly fs: FileSystem
  readonly directory: string
  /** What is in the directory, where that is known and nobody else changes it. */
  readonly files?: readonly StoreFile[] | undefined
  /**
   * Files that no version references any more, each once; also those of an edit that could not be written. Called while an
   * edit takes effect or fails, or a version is released; must not throw. Not called for files that were removed before the store was opened: they are orphans, see orphans.ts.
   */
  readonly onUnreachable?: (files: readonly UnreachableFile[]) => void
}

/** What opening found, beside the version. */
export interface Recovered {
  readonly versions: VersionSet
  /** The store was closed cleanly and these are the very files: the log ends where the record says. */
  readonly wasClosed: boolean
  /** And no writer has begun to take them over since. */
  readonly isClean: boolean
  /** What is in the directory. */
  readonly files: readonly StoreFile[]
  readonly manifest: Pick<LoadedManifest, 'number' | 'path' | 'bytes' | 'stat' | 'torn'>
}

/** An edit, or one that depends on the version it is applied to: called when its turn comes. */
export type EditSource = VersionEdit | ((current: Version) => VersionEdit)

const NO_FILES_AT_ALL: Omit<VersionParts, 'state'> = {
  keyspaces: new Map(),
  blobs: new Map(),
  blobLiveBytes: new Map(),
}
/** A manifest may grow to so many times its snapshot, and to so many bytes, before it is written anew. */
const GROWTH_FACTOR = 4
const GROWTH_BYTES_MIN: number = 1 << 20
/** A reader beside a writer starts over so often; each time the writer has moved on a whole manifest. */
const LOAD_ATTEMPTS_MAX = 16

export class VersionSet {
  #current: Version
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #lifetimes: FileLifetimes
  readonly #onUnreachable: (files: readonly UnreachableFile[]) => void
  #nextFileNumber: number
  #manifestNumber: number
  /** The open manifest; undefined until the first edit. */
  #writer: ManifestWriter | undefined
  #snapshotBytes = 0
  /** Ends with the edit that was asked for last. */
  #queue: Promise<void> = Promise.resolve()
  #failure: unknown
  #isClosed = false

  private constructor(
    options: VersionSetOptions,
    current: Version,
    lifetimes: FileLifetimes,
    numbers: { readonly manifest: number; readonly nextFile: number },
  ) {
    this.#fs = options.fs
    this.#directory = options.directory
    this.#onUnreachable = options.onUnreachable ?? (() => undefined)
    this.#current = current
    this.#lifetimes = lifetimes
    this.#manifestNumber = numbers.manifest
    this.#nextFileNumber = numbers.nextFile
  }

  /**
   * Writes the first manifest of a store and CURRENT; durable when it resolves. The log that the state names must have been
   * synced before, and so must the files, which are only given for a copy of a store: the set is good for closing then. `edit`
   * is what a repair adds.
   */
  static async create(
    options: VersionSetOptions,
    state: StoreState,
    files: Omit<VersionParts, 'state'> = NO_FILES_AT_ALL,
    edit: VersionEdit = {},
  ): Promise<VersionSet> {
    const { lifetimes, start } = lifetimesFor(options)
    lifetimes.begin(0)
    const { keyspaces, blobs, blobLiveBytes } = files
    const parts = { state, keyspaces, blobs, blobLiveBytes }
    const nextFile = Math.max(state.nextFileNumber, firstFreeFileNumber(options))
    const current = new Version(0, parts, lifetimes)
    const versions = new VersionSet(options, current, lifetimes, { manifest: 0, nextFile })
    start()
    await versions.apply(edit)
    return versions
  }

  /**
   * Reads the store for a writer, which holds the lock; undefined where there is none. Writes nothing: the first edit that is
   * applied writes a whole new manifest, and must come before anything that hangs on it.
   */
  static async recover(options: VersionSetOptions): Promise<Recovered | undefined> {
    const { lifetimes, start } = lifetimesFor(options)
    const loaded = await loadManifest(options.fs, options.directory, lifetimes)
    if (loaded === undefined) return undefined
    const current = new Version(loaded.versionId, loaded.parts, lifetimes)
    const { state } = current
    const files = options.files ?? storeFiles(options.fs.list(options.directory))
    // Also beyond what a crash left behind: a number never means two files.
    const nextFile = Math.max(state.nextFileNumber, firstFreeNumber(files))
    const numbers = { manifest: loaded.number, nextFile }
    const versions = new VersionSet(options, current, lifetimes, numbers)
    start()
    const wasClosed = isCleanClose(state, loaded.stat)
    const isClean = wasClosed && !hasLaterLog(files, state)
    return { versions, wasClosed, isClean, files, manifest: loaded }
  }

  /**
   * Reads the store beside a writer in another process, which may replace CURRENT and remove the manifest meanwhile: starts
   * over a bounded number of times. Undefined where there is no store. Changes nothing on disk. `onReleased` is called when the
   * last reference to the version is gone.
   */
  static async load(
    fs: FileSystem,
    directory: string,
    onReleased: (version: Version) => void = () => undefined,
  ): Promise<{ version: Version; manifest: Recovered['manifest'] } | undefined> {
    for (let attempt = 1; ; attempt++) {
      const lifetimes = new LoadedLifetimes()
      try {
        const loaded = await loadManifest(fs, directory, lifetimes)
        if (loaded === undefined) return undefined
        const version = new Version(loaded.versionId, loaded.parts, lifetimes)
        lifetimes.onEnd = () => onReleased(version)
        return { version, manifest: loaded }
      } catch (error) {
        const mayPass = hasCode(error, 'VARVE_CORRUPTION') || systemCode(error) === 'ENOENT'
        if (!mayPass || attempt === LOAD_ATTEMPTS_MAX) throw error
      }
    }
  }

  /** The newest version. Acquire it to keep using it across an await. */
  get current(): Version {
    return this.#current
  }

  get manifestNumber(): number {
    return this.#manifestNumber
  }

  /** Path of the manifest in force. */
  get manifestPath(): string {
    return joinPath(this.#directory, manifestFileName(this.#manifestNumber))
  }

  /** It may end with a part of an edit that was refused, or of one of the writer before: the next edit makes a new one. */
  get mayEndTorn(): boolean {
    return this.#writer === undefined || this.#writer.isBroken
  }

  /** The error after which nothing is applied any more: a failed sync, or an I/O error that leaves the disk unknown. */
  get failure(): unknown {
    return this.#failure
  }

  /** A number for a new file, never used before. Durable with the next edit. */
  allocateFileNumber(): number {
    return this.reserveFileNumbers(1)
  }

  /** The first of `count` numbers for new files. */
  reserveFileNumbers(count: number): number {
    const first = this.#nextFileNumber
    this.#nextFileNumber += count
    return first
  }

  /**
   * Makes the next version: resolves when the edit is durable and in effect. May be called at any time; edits take their turn
   * in the order of the calls. Rejects with Node's error when it could not be written; then nothing has changed, `failure` says
   * whether the next one can do better. An edit that does not fit the current version is our bug.
   */
  apply(edit: EditSource): Promise<Version> {
    return this.#enqueue(() => this.#apply(edit, false))
  }

  /** The same, with a whole new manifest. */
  rewrite(edit: EditSource = {}): Promise<Version> {
    return this.#enqueue(() => this.#apply(edit, true))
  }

  /**
   * The edit by which a writer takes the store over, in a whole new manifest. `syncLogs` makes the logs durable that the edit
   * names: side by side with the manifest, and before that is in force. Its failure is final.
   */
  takeOver(edit: EditSource, syncLogs: () => Promise<void>): Promise<Version> {
    return this.#enqueue(() => this.#apply(edit, true, syncLogs))
  }

  /**
   * The last edit before a close: records where the log ends, and these very files. The log must be durable up to there. Anything
   * that is applied afterwards takes the record away.
   */
  markClean(log: { readonly walNumber: number; readonly walBytes: number }): Promise<Version> {
    return this.#enqueue(async () => {
      // The record names the file that it stands in, so that file must be there first.
      if (this.#needsNewManifest()) await this.#apply({}, true)
      const stat: FileStat | undefined = this.#fs.stat(this.manifestPath)
      assert(stat !== undefined, 'the manifest in force exists')
      const cleanClose = {
        ...log,
        manifestInode: stat.inode,
        manifestBirthTimeMs: stat.birthTimeMs,
      }
      return this.#apply({ state: { cleanClose } }, false)
    })
  }

  /** Waits for edits that were asked for and closes the manifest. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#queue
    this.#lifetimes.endAll()
    this.#writer?.close()
    this.#writer = undefined
  }

  #enqueue(run: () => Promise<Version>): Promise<Version> {
    if (this.#isClosed) {
      return Promise.reject(new VarveError('VARVE_CLOSED', 'the store is closed'))
    }
    const result = this.#queue.then(run)
    this.#queue = result.then(ignore, ignore)
    return result
  }

  async #apply(
    source: EditSource,
    isRewrite: boolean,
    syncLogs?: () => Promise<void>,
  ): Promise<Version> {
    if (this.#failure !== undefined) throw this.#failure
    const edit = typeof source === 'function' ? source(this.#current) : source
    const old = this.#manifestNumber
    const isNew = isRewrite || this.#needsNewManifest()
    // Before the edit says which numbers are taken.
    const manifestNumber = isNew ? this.allocateFileNumber() : old
    const state = { ...edit.state, nextFileNumber: this.#nextFileNumber }
    const applied = applyEdit(
      this.#current,
      { ...edit, state },
      {
        lifetimes: this.#lifetimes,
        isStored: false,
        fail: (reason) => assert(false, `version edit: ${reason}`) as never,
      },
    )
    const next = new Version(this.#current.id + 1, applied.parts, this.#lifetimes)
    try {
      if (isNew) await this.#writeManifest(next, manifestNumber, syncLogs)
      else await this.#append(applied.edit)
    } catch (error) {
      // Known not to be in force: a full disk needs the room of what the edit was to add.
      if (this.#failure === undefined) this.#onUnreachable(filesAddedBy(applied.edit))
      throw error
    }
    const added = applied.added.map(({ meta }) => meta)
    next.inheritEventSegments(this.#current, { removed: applied.removed, added })
    const previous = this.#current
    this.#current = next
    installEdit(this.#lifetimes, applied, next.id)
    previous.release()
    if (isNew && old > 0) this.#onUnreachable([{ type: 'manifest', number: old }])
    return next
  }

  #needsNewManifest(): boolean {
    const bytesMax = Math.max(GROWTH_BYTES_MIN, GROWTH_FACTOR * this.#snapshotBytes)
    return this.mayEndTorn || this.#writer!.size > bytesMax
  }

  async #append(edit: StoredEdit): Promise<void> {
    const writer = this.#writer!
    await this.#attempt(async (onSyncing, onSynced) => {
      writer.append(encodeEdit(edit))
      onSyncing()
      await writer.sync()
      onSynced()
      writer.mark()
    })
  }

  /** Writes `next` whole to a new manifest and puts it in force, when `syncLogs` has ended too. */
  async #writeManifest(
    next: Version,
    number: number,
    syncLogs: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const fs = this.#fs
    const directory = this.#directory
    const edits = snapshotEdits(next).map(encodeEdit)
    const path = joinPath(directory, manifestFileName(number))
    let writer: ManifestWriter | undefined
    let mayBeInForce = false
    try {
      await this.#attempt(async (onSyncing, onSynced) => {
        writer = new ManifestWriter(fs.create(path), number)
        writer.writeSnapshot(edits)
        const prepared = prepareCurrent(fs, directory, number)
        try {
          onSyncing()
          // Side by side: opening a store waits for little else. The directory before the rename too: else a power cut can
          // keep a CURRENT that names a manifest which the directory has lost.
          await allDone([syncLogs(), writer.sync(), prepared.sync(), fs.syncDirectory(directory)])
        } finally {
          prepared.close()
        }
        onSynced()
        installCurrent(fs, directory)
        mayBeInForce = true
        onSyncing()
        await fs.syncDirectory(directory)
        onSynced()
        writer.mark()
      })
    } catch (error) {
      writer?.close()
      if (writer !== undefined && !mayBeInForce && this.#failure === undefined) {
        this.#removeAttempt(path)
      }
      throw error
    }
    this.#writer?.close()
    this.#writer = writer
    this.#manifestNumber = number
    this.#snapshotBytes = writer!.size
  }

  /** The space is needed now; what cannot be removed is an orphan for the next open. */
  #removeAttempt(path: string): void {
    try {
      this.#fs.remove(path)
    } catch (error) {
      if (systemCode(error) === 'EIO') this.#failure = error
    }
  }

  /** Runs steps that write; remembers failures after which the disk is in an unknown state. */
  async #attempt(
    steps: (onSyncing: () => void, onSynced: () => void) => Promise<void>,
  ): Promise<void> {
    let isSyncing = false
    try {
      await steps(
        () => (isSyncing = true),
        () => (isSyncing = false),
      )
    } catch (error) {
      if (isSyncing || systemCode(error) === 'EIO') this.#failure = error
      throw error
    }
  }
}

/** Of one version that was read, from a store that somebody else writes: nothing is ever removed for it. */
class LoadedLifetimes extends FileLifetimes {
  /** The version has no reference any more. */
  onEnd: () => void = () => undefined

  constructor() {
    super(() => undefined)
  }

  override end(version: number): void {
    super.end(version)
    this.onEnd()
  }
}

/** Lifetimes that say nothing of files that go while a manifest is read. */
function lifetimesFor(options: VersionSetOptions): { lifetimes: FileLifetimes; start: () => void } {
  let isStarted = false
  const lifetimes = new FileLifetimes((files) => {
    if (isStarted) options.onUnreachable?.(files)
  })
  return { lifetimes, start: () => (isStarted = true) }
}

function ignore(): void {}
