/**
 * The file system of the machine, through node:fs.
 *
 * Writes are positioned and on descriptors opened with O_EXCL, never O_APPEND, where Linux ignores the position. A descriptor
 * is closed only when no asynchronous call uses it any more: the number could be given to another file meanwhile, and a late
 * fdatasync or read would then hit that one.
 */
import fs from 'node:fs'
import path from 'node:path'
import { lockDirectory } from './directory-lock.ts'
import type { FileStat, FileSystem, ReadableFile, WritableFile } from './file-system.ts'
import { systemError } from './system-error.ts'
import { systemCode } from './disk-errors.ts'

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700
/** Windows cannot open a directory, and journals its changes itself. */
const CAN_SYNC_DIRECTORIES: boolean = process.platform !== 'win32'

export function createNodeFileSystem(): FileSystem {
  return {
    kind: 'node',
    create: (file) => new NodeWritableFile(file),
    openRead: (file) => new NodeReadableFile(file),
    stat: statFile,
    list: (directory) => fs.readdirSync(directory).sort(),
    makeDirectory,
    rename: fs.renameSync,
    remove: fs.unlinkSync,
    discard: (file) => fs.promises.unlink(file),
    removeDirectory: (directory) => fs.rmdirSync(directory),
    link: fs.linkSync,
    syncDirectory,
    canonicalPath,
    lock: lockDirectory,
  }
}

/** A descriptor whose closing waits for the calls in flight. */
class Descriptor {
  readonly number: number
  readonly #path: string
  #inFlight = 0
  #isClosed = false

  constructor(number: number, file: string) {
    this.number = number
    this.#path = file
  }

  /** The number, for a synchronous call. */
  use(syscall: string): number {
    if (this.#isClosed) throw systemError('EBADF', syscall, this.#path)
    return this.number
  }

  /** Runs an asynchronous call with a callback of Node's form. */
  call<T>(
    syscall: string,
    start: (number: number, done: (error: Error | null, result?: T) => void) => void,
  ): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const number = this.use(syscall)
      this.#inFlight++
      start(number, (error, result) => {
        this.#inFlight--
        if (this.#isClosed && this.#inFlight === 0) fs.closeSync(number)
        if (error) reject(error)
        else resolve(result)
      })
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#inFlight === 0) fs.closeSync(this.number)
  }
}

class NodeReadableFile implements ReadableFile {
  readonly path: string
  readonly #descriptor: Descriptor
  #size = -1

  constructor(file: string) {
    this.path = file
    this.#descriptor = new Descriptor(fs.openSync(file, 'r'), file)
  }

  get size(): number {
    return this.#size < 0 ? this.refreshSize() : this.#size
  }

  readSync(target: Uint8Array, offset: number, length: number, position: number): number {
    const number = this.#descriptor.use('read')
    let done = fs.readSync(number, target, offset, length, position)
    // A short count is the end of the file, or a read cut at 2 GiB or by a signal: only a further one tells.
    let last = done
    while (last > 0 && done < length) {
      last = fs.readSync(number, target, offset + done, length - done, position + done)
      done += last
    }
    return done
  }

  async read(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    let done = 0
    while (done < length) {
      const taken = await this.#descriptor.call<number>('read', (number, callback) => {
        fs.read(number, target, offset + done, length - done, position + done, callback)
      })
      if (taken === undefined || taken === 0) break
      done += taken
    }
    return done
  }

  refreshSize(): number {
    this.#size = fs.fstatSync(this.#descriptor.use('fstat')).size
    return this.#size
  }

  close(): void {
    this.#descriptor.close()
  }
}

class NodeWritableFile implements WritableFile {
  readonly path: string
  size = 0
  readonly #descriptor: Descriptor

  constructor(file: string) {
    this.path = file
    this.#descriptor = new Descriptor(fs.openSync(file, 'wx', FILE_MODE), file)
  }

  append(source: Uint8Array, offset: number, length: number): number {
    const number = this.#descriptor.use('write')
    const taken = fs.writeSync(number, source, offset, length, this.size)
    this.size += taken
    return taken
  }

  async sync(): Promise<void> {
    await this.#descriptor.call<void>('fdatasync', fs.fdatasync)
  }

  truncate(size: number): void {
    // ftruncate also lengthens; nobody here wants zeros at the end.
    if (size > this.size) throw systemError('EINVAL', 'ftruncate', this.path)
    fs.ftruncateSync(this.#descriptor.use('ftruncate'), size)
    this.size = size
  }

  close(): void {
    this.#descriptor.close()
  }
}

function statFile(file: string): FileStat | undefined {
  try {
    const stat = fs.statSync(file, { throwIfNoEntry: false })
    if (stat === undefined) return undefined
    return {
      isDirectory: stat.isDirectory(),
      size: stat.size,
      inode: stat.ino,
      birthTimeMs: stat.birthtimeMs,
    }
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/**
 * Durable when it returns: a store whose directory vanishes with the power would take synced writes along.
 *
 * Not by `recursive`: where the parent is there and the system still says ENOENT, as under /proc, Node tries again for ever.
 */
function makeDirectory(directory: string): void {
  const missing: string[] = []
  let at = path.resolve(directory)
  do {
    missing.push(at)
    at = path.dirname(at)
  } while (statFile(at) === undefined && at !== path.dirname(at))
  const made = missing.toReversed().filter(makeOne)
  if (!CAN_SYNC_DIRECTORIES) return
  for (const one of made.toReversed()) {
    const number = fs.openSync(path.dirname(one), 'r')
    try {
      fs.fsyncSync(number)
    } finally {
      fs.closeSync(number)
    }
  }
}

/** False where it is there already. */
function makeOne(directory: string): boolean {
  try {
    fs.mkdirSync(directory, { mode: DIRECTORY_MODE })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST' && statFile(directory)?.isDirectory === true) return false
    throw error
  }
}

async function syncDirectory(directory: string): Promise<void> {
  if (!CAN_SYNC_DIRECTORIES) return
  const descriptor = new Descriptor(fs.openSync(directory, 'r'), directory)
  try {
    await descriptor.call<void>('fsync', fs.fsync)
  } finally {
    descriptor.close()
  }
}

function canonicalPath(file: string): string {
  try {
    return fs.realpathSync.native(file)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
    const absolute = path.resolve(file)
    const parent = path.dirname(absolute)
    if (parent === absolute) return absolute
    return path.join(canonicalPath(parent), path.basename(absolute))
  }
}
