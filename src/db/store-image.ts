/**
 * What a readOnly store sees: one version with what its log adds to it, read from files that another process may be writing.
 *
 * Every live file is opened with its version, because the writer removes files when *it* does not need them any more; when one
 * has vanished already, everything starts over from the manifest.
 */
import { corruption, hasCode } from '../base/errors.ts'
import type { ByteScale } from '../cdc/history-policy.ts'
import { systemCode } from '../env/disk-errors.ts'
import { readCurrent } from '../version/current-file.ts'
import { isCleanClose } from '../version/epochs.ts'
import type { Version } from '../version/version.ts'
import { type Recovered, VersionSet } from '../version/version-set.ts'
import { throwIfAborted } from './arguments.ts'
import { FilesInUse } from './files-in-use.ts'
import { type FollowedLogs, LogFollower } from './log-follower.ts'
import type { OpenContext } from './open-store.ts'
import { notFound } from './recovery.ts'

/** The writer may move on while we read; so often we start over. */
const ATTEMPTS_MAX = 16

export interface StoreImage {
  readonly version: Version
  readonly manifest: Recovered['manifest']
  readonly replayed: FollowedLogs
}

export class ImageLoader {
  readonly #context: OpenContext
  readonly #follower: LogFollower
  readonly #inUse: FilesInUse

  constructor(context: OpenContext, openSnapshots: () => readonly number[]) {
    const { fs, directory, options, segments } = context
    this.#context = context
    this.#inUse = new FilesInUse(segments)
    const { memtableBytes } = options
    this.#follower = new LogFollower({ fs, directory, memtableBytes, openSnapshots })
  }

  /** The store as it is now; `previous`: of which what has not changed is kept. */
  async load(previous?: StoreImage): Promise<StoreImage> {
    const { options, timers } = this.#context
    for (let attempt = 1; ; attempt++) {
      // Of the open: a refresh long after it goes on, although a time limit for the open has passed.
      if (previous === undefined) throwIfAborted(options.signal)
      try {
        return await this.#loadOnce(previous)
      } catch (error) {
        // Files vanish and logs are cut back under a reader; what is still wrong at the last attempt is wrong.
        const mayPass = systemCode(error) === 'ENOENT' || hasCode(error, 'VARVE_CORRUPTION')
        if (!mayPass || attempt === ATTEMPTS_MAX) throw error
        await timers.nextTurn()
      }
    }
  }

  async #loadOnce(previous: StoreImage | undefined): Promise<StoreImage> {
    const { fs, directory } = this.#context
    if (previous !== undefined && this.#isUnchanged(previous)) {
      return { ...previous, replayed: await this.#follow(previous) }
    }
    const loaded = await VersionSet.load(fs, directory, (version) => this.#inUse.removeAll(version))
    if (loaded === undefined) throw notFound(directory)
    const { version, manifest } = loaded
    try {
      this.#open(loaded)
      return { version, manifest, replayed: await this.#follow(loaded) }
    } catch (error) {
      version.release()
      throw error
    }
  }

  /** A file that is gone is damage, unless the manifest has been added to or replaced meanwhile: then its writer removed it. */
  #open(loaded: Pick<StoreImage, 'version' | 'manifest'>): void {
    try {
      this.#inUse.addAll(loaded.version)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || !this.#isUnchanged(loaded)) throw error
      const file = (error as NodeJS.ErrnoException).path ?? this.#context.directory
      throw corruption('a file that the manifest names is missing', { file }, error)
    }
  }

  #follow({ version, manifest }: Pick<StoreImage, 'version' | 'manifest'>): Promise<FollowedLogs> {
    const { state } = version
    const isClean = isCleanClose(state, manifest.stat)
    return this.#follower.follow(version, isClean ? state.cleanClose : undefined)
  }

  /** Whether the manifest in force is the one that was read, with nothing added. */
  #isUnchanged({ manifest }: Pick<StoreImage, 'manifest'>): boolean {
    const { fs, directory } = this.#context
    if (manifest.torn !== undefined || readCurrent(fs, directory) !== manifest.number) return false
    const stat = fs.stat(manifest.path)
    return stat?.inode === manifest.stat.inode && stat.size === manifest.bytes
  }
}

export function scaleOf({ version, replayed }: StoreImage): ByteScale {
  const { series } = version.state
  const totalBytes = (series.at(-1)?.userBytes ?? 0) + replayed.userBytes
  return { series, latest: replayed.lastSeqno, totalBytes }
}
