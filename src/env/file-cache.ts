/**
 * Open files to read from that look always open, with a bound on descriptors.
 *
 * A handle opens its file at the first use, and again whenever it was closed for another's sake. Which one is closed is
 * decided by CLOCK: a bit per open file, set by every read, cleared by the hand that passes. When the system runs out of
 * descriptors (they are shared with the rest of the program), half of ours are closed and the opening is tried again.
 *
 * It also watches how long reads take. Reads from the page cache cost 2 us on the calling thread and 20 through the thread
 * pool; reads from a slow device block the whole program. `isDiskFast` says which of the two is to be expected.
 */
import { VarveError } from '../base/errors.ts'
import { OPEN_FILES_MIN, openFilesLimit } from './descriptor-limit.ts'
import { isOutOfDescriptors } from './disk-errors.ts'
import type { FileSystem, ReadableFile, WritableFile } from './file-system.ts'
import { SlowReadWatch } from './slow-read-watch.ts'

export interface FileCacheOptions {
  /** Descriptors in use at most; at least 1. Default: `openFilesLimit`, asked when more are open than it ever forbids. */
  readonly openFilesMax?: number
  /**
   * Opens every file when it is asked for and keeps it: for a reader beside a running writer, who removes files that are still
   * needed here. `openFilesMax` then bounds nothing.
   */
  readonly keepOpen?: boolean
  /** Default: the system's for Node's file system; none, and never a slow disk, for any other. */
  readonly monotonicMs?: () => number
}

export class FileCache {
  /**
   * The same file system, for all who open files themselves: they too get room made for them when descriptors run out.
   */
  readonly fs: FileSystem
  #openFilesMax: number | undefined
  readonly #keepOpen: boolean
  readonly #files = new Map<string, CachedFile>()
  /** Files that hold a descriptor; the CLOCK hand goes round here. */
  readonly #open: CachedFile[] = []
  #hand = 0
  readonly #watch: SlowReadWatch | undefined
  readonly #source: FileSystem
  /** Whether `close` was called: what is in memory can still be read, and should not. */
  isClosed = false

  constructor(fs: FileSystem, options: FileCacheOptions) {
    this.#source = fs
    const { openFilesMax } = options
    this.#openFilesMax = openFilesMax === undefined ? undefined : Math.max(1, openFilesMax)
    this.#keepOpen = options.keepOpen ?? false
    const clock = options.monotonicMs ?? (fs.kind === 'node' ? () => performance.now() : undefined)
    this.#watch = clock && new SlowReadWatch(clock)
    this.fs = {
      ...delegate(fs),
      create: (path) => this.#withRoom((): WritableFile => fs.create(path)),
      openRead: (path) => this.#withRoom(() => fs.openRead(path)),
      list: (directory) => this.#withRoom(() => fs.list(directory)),
      syncDirectory: async (directory) => {
        try {
          await fs.syncDirectory(directory)
        } catch (error) {
          // Only opening the directory can fail so: nothing was synced yet, and trying again is safe.
          if (!isOutOfDescriptors(error) || !this.#closeHalf()) throw error
          await fs.syncDirectory(directory)
        }
      },
    }
  }

  /** Descriptors in use now. */
  get openFileCount(): number {
    return this.#open.length
  }

  /** False for a while after reads have waited for a device: reads of many blocks should then leave the calling thread. */
  get isDiskFast(): boolean {
    return this.#watch === undefined || this.#watch.isFast
  }

  /**
   * The one handle of this file; no I/O before it is used (with `keepOpen`: opened at once). Closing it only gives the
   * descriptor back.
   */
  open(path: string): ReadableFile {
    const known = this.#files.get(path)
    if (known !== undefined) return known
    const file: CachedFile = new CachedFile(path, () => this.#openFile(file), this.#watch)
    if (this.#keepOpen) file.use()
    this.#files.set(path, file)
    return file
  }

  /** Closes the file and forgets it, before it is removed. Reads in flight end well. */
  forget(path: string): void {
    const file = this.#files.get(path)
    if (file === undefined) return
    this.#files.delete(path)
    this.#close(file)
  }

  /** Closes everything; handles are unusable from here on (VARVE_CLOSED). */
  close(): void {
    this.isClosed = true
    for (const file of this.#open) file.drop()
    this.#open.length = 0
    this.#files.clear()
  }

  #openFile(file: CachedFile): ReadableFile {
    // Not EBADF: a read that goes on over the end of the store is no trouble with the disk.
    if (this.isClosed) throw new VarveError('VARVE_CLOSED', 'the store is closed')
    if (!this.#keepOpen && this.#isFull) this.#closeOne()
    const source = this.#withRoom(() => this.#source.openRead(file.path))
    this.#open.push(file)
    return source
  }

  get #isFull(): boolean {
    const count = this.#open.length
    if (this.#openFilesMax === undefined) {
      if (count < OPEN_FILES_MIN) return false
      this.#openFilesMax = openFilesLimit()
    }
    return count >= this.#openFilesMax
  }

  #withRoom<T>(open: () => T): T {
    try {
      return open()
    } catch (error) {
      if (!isOutOfDescriptors(error) || !this.#closeHalf()) throw error
      return open()
    }
  }

  /** True when at least one descriptor was given back. */
  #closeHalf(): boolean {
    if (this.#keepOpen || this.#open.length === 0) return false
    for (let count = Math.ceil(this.#open.length / 2); count > 0; count--) this.#closeOne()
    return true
  }

  #closeOne(): void {
    // Two rounds at most: the first clears the bits.
    for (let steps = 2 * this.#open.length; steps > 0; steps--) {
      if (this.#hand >= this.#open.length) this.#hand = 0
      const file = this.#open[this.#hand]!
      if (!file.wasUsed) {
        this.#close(file)
        return
      }
      file.wasUsed = false
      this.#hand++
    }
  }

  #close(file: CachedFile): void {
    const at = this.#open.indexOf(file)
    if (at < 0) return
    // The order round the clock does not matter, so the last one moves into the hole.
    const last = this.#open.pop()!
    if (last !== file) this.#open[at] = last
    file.drop()
  }
}

class CachedFile implements ReadableFile {
  readonly path: string
  wasUsed = false
  readonly #reopen: () => ReadableFile
  readonly #watch: SlowReadWatch | undefined
  #source: ReadableFile | undefined
  #size = -1

  constructor(path: string, reopen: () => ReadableFile, watch: SlowReadWatch | undefined) {
    this.path = path
    this.#reopen = reopen
    this.#watch = watch
  }

  get size(): number {
    if (this.#size < 0) this.#size = this.use().size
    return this.#size
  }

  readSync(target: Uint8Array, offset: number, length: number, position: number): number {
    const source = this.use()
    const watch = this.#watch
    if (watch === undefined || !watch.isDue()) {
      return source.readSync(target, offset, length, position)
    }
    const startMs = watch.nowMs()
    const taken = source.readSync(target, offset, length, position)
    watch.note(length, watch.nowMs() - startMs)
    return taken
  }

  async read(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return await this.use().read(target, offset, length, position)
  }

  refreshSize(): number {
    this.#size = this.use().refreshSize()
    return this.#size
  }

  close(): void {}

  /** The open file underneath, opened when it is not. */
  use(): ReadableFile {
    this.wasUsed = true
    this.#source ??= this.#reopen()
    return this.#source
  }

  /** Gives the descriptor back. */
  drop(): void {
    this.#source?.close()
    this.#source = undefined
  }
}

function delegate(fs: FileSystem): FileSystem {
  return {
    kind: fs.kind,
    create: (path) => fs.create(path),
    openRead: (path) => fs.openRead(path),
    stat: (path) => fs.stat(path),
    list: (directory) => fs.list(directory),
    makeDirectory: (directory) => fs.makeDirectory(directory),
    rename: (from, to) => fs.rename(from, to),
    remove: (path) => fs.remove(path),
    discard: (path) => fs.discard(path),
    removeDirectory: (directory) => fs.removeDirectory(directory),
    link: (existing, path) => fs.link(existing, path),
    syncDirectory: (directory) => fs.syncDirectory(directory),
    canonicalPath: (path) => fs.canonicalPath(path),
    lock: (directory) => fs.lock(directory),
  }
}
