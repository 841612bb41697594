/**
 * A file system in memory that knows what a real disk would still have after a power cut, and that fails on demand.
 *
 * Deterministic: no threads, no timers, every choice from a seed. Asynchronous operations take one turn of the microtask
 * queue; a sync makes durable what was there when it began, and not before it has ended.
 *
 * What is durable: a file's bytes by its own sync, its name by a sync of the directory, each without the other. A hard link
 * is a second name for the same bytes: syncing the file through one name is enough for both, but each name needs a sync of
 * its own directory. `makeDirectory` is durable when it returns, as in node-file-system.ts.
 */
import { isBytes } from '../base/bytes.ts'
import { invalidArgument, VarveError, wrongType } from '../base/errors.ts'
import { checkOptions, isAmount, isInteger } from '../base/option-check.ts'
import type { Fault, FaultPoint } from './fault-plan.ts'
import type {
  DirectoryLock,
  FileStat,
  FileSystem,
  ReadableFile,
  WritableFile,
} from './file-system.ts'
import { type DirectoryChange, MemoryDirectory, type MemoryNode } from './memory-directory.ts'
import { MemoryDisk } from './memory-disk.ts'
import { MemoryFile } from './memory-file.ts'
import { MemoryReadableFile, MemoryWritableFile } from './memory-open-file.ts'
import { systemError } from './system-error.ts'

const CREATE: FaultPoint = { operation: 'create', syscall: 'open' }
const LINK: FaultPoint = { operation: 'create', syscall: 'link' }
const MAKE_DIRECTORY: FaultPoint = { operation: 'create', syscall: 'mkdir' }
const OPEN: FaultPoint = { operation: 'read', syscall: 'open', isOpening: true }
const RENAME: FaultPoint = { operation: 'rename', syscall: 'rename' }
const REMOVE: FaultPoint = { operation: 'remove', syscall: 'unlink' }
const REMOVE_DIRECTORY: FaultPoint = { operation: 'remove', syscall: 'rmdir' }
const SYNC_DIRECTORY: FaultPoint = { operation: 'syncDirectory', syscall: 'fsync' }

/**
 * A disk in memory, for tests: deterministic, and it knows what a real one would still have after a power cut.
 *
 * ```ts
 * const fs = new MemoryFileSystem()
 * const db = await Varve.open('/db', { environment: { fs }, syncIntervalMs: 0 })
 * await db.put('synced', '1', { sync: true })
 * await db.put('not yet', '2')
 *
 * const afterThePowerCut = await Varve.open('/db', { environment: { fs: fs.crash('lost') } })
 * console.log(await afterThePowerCut.has('synced'), await afterThePowerCut.has('not yet')) // true false
 * await afterThePowerCut.close()
 * await db.close()
 * ```
 */
export class MemoryFileSystem implements FileSystem {
  /** With it, background work runs on the calling thread. */
  readonly kind = 'memory'
  readonly #disk = new MemoryDisk()
  readonly #locked = new Set<MemoryDirectory>()
  #root = new MemoryDirectory(1)
  #lastInode = 1
  #lastChange = 0

  /**
   * Mutating operations so far: create, link, write, sync, truncate, rename, remove, directory sync, and every directory
   * that is made or removed. Each counts once, when it begins, whether it then succeeds or not.
   */
  get operationCount(): number {
    return this.#disk.operationCount
  }

  /** Files that are open now, for reading or writing. */
  get openFileCount(): number {
    return this.#disk.openFileCount
  }

  /**
   * The disk as it is found after the power goes now; this file system itself goes on unchanged. What was synced is there; of
   * the rest 'lost' keeps nothing, 'kept' everything, a seed an arbitrary part: any subset of directory changes, and for a
   * file any prefix or mix of 512-byte sectors of its unsynced bytes, the rest old, zero or absent. Nothing is locked in it.
   */
  crash(unsynced: 'lost' | 'kept' | { seed: number }): MemoryFileSystem {
    checkUnsynced(unsynced)
    const image = new MemoryFileSystem()
    const copies = new Map<MemoryNode, MemoryNode>()
    // A generator for each file and change, so that what becomes of one does not hang on how many others there are.
    const seed = typeof unsynced === 'string' ? 0 : unsynced.seed
    const keptShare = seededRandom(seed, 0)()
    const isKept = (change: DirectoryChange): boolean =>
      typeof unsynced === 'string'
        ? unsynced === 'kept'
        : seededRandom(seed, -change.sequence)() < keptShare

    const copyOf = (node: MemoryNode): MemoryNode => {
      const known = copies.get(node)
      if (known !== undefined) return known
      let copy: MemoryNode
      if (node instanceof MemoryDirectory) {
        const names = node.namesAfterCrash(isKept)
        for (const [name, child] of names) names.set(name, copyOf(child))
        copy = new MemoryDirectory(node.inode, names)
      } else {
        const how = typeof unsynced === 'string' ? unsynced : seededRandom(seed, node.inode)
        copy = new MemoryFile(node.inode, node.contentAfterCrash(how))
      }
      copies.set(node, copy)
      return copy
    }

    const root = copyOf(this.#root)
    if (root instanceof MemoryDirectory) image.#root = root
    image.#lastInode = this.#lastInode
    return image
  }

  /**
   * From the `n`-th mutating operation on (counted like `operationCount`), every operation, reads too, fails as if the process
   * had died: with code EIO and 'process died' in its message. Nothing more reaches the disk.
   */
  dieAtOperation(n: number): void {
    if (n === undefined) throw wrongType('n', 'a number', n)
    checkOptions({ n }, { n: isAmount(1) })
    this.#disk.diesAt = n
    if (this.#disk.operationCount >= n) this.#disk.isDead = true
  }

  /** Makes operations fail that match; several faults may be in force. */
  inject(fault: Fault): void {
    this.#disk.faults.add(fault)
  }

  /** Takes back every fault that was injected. */
  clearFaults(): void {
    this.#disk.faults.clear()
  }

  /** Whole path -> bytes, as a reader sees them now; copies, sorted by path. */
  files(): ReadonlyMap<string, Uint8Array> {
    const found: [string, Uint8Array][] = []
    const walk = (directory: MemoryDirectory, path: string): void => {
      for (const [name, node] of directory.names) {
        if (node instanceof MemoryDirectory) walk(node, `${path}/${name}`)
        else found.push([`${path}/${name}`, node.current.toBytes()])
      }
    }
    walk(this.#root, '')
    return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** Replaces bytes that are there, as bit rot would: in every hard link, on disk too, not counted, without fail. */
  corrupt(path: string, offset: number, bytes: Uint8Array): void {
    if (typeof path !== 'string') throw wrongType('path', 'a string', path)
    if (offset === undefined) throw wrongType('offset', 'a number', offset)
    checkOptions({ offset }, { offset: isInteger(0) })
    if (!isBytes(bytes)) throw wrongType('bytes', 'a Uint8Array', bytes)
    const node = this.#find(path)
    if (node instanceof MemoryFile) node.corrupt(offset, bytes)
  }

  create(path: string): WritableFile {
    this.#disk.begin(CREATE, path)
    const { parent, name } = this.#parentOf(path, 'open')
    if (parent.names.has(name)) throw systemError('EEXIST', 'open', path)
    const file = new MemoryFile(++this.#lastInode)
    this.#change(parent, [[name, file]])
    return new MemoryWritableFile(this.#disk, path, file)
  }

  openRead(path: string): ReadableFile {
    this.#disk.beginRead(OPEN, path)
    return new MemoryReadableFile(this.#disk, path, this.#file(path, 'open'))
  }

  stat(path: string): FileStat | undefined {
    this.#disk.checkAlive('stat', path)
    const node = this.#find(path)
    if (node === undefined) return undefined
    const isDirectory = node instanceof MemoryDirectory
    return {
      isDirectory,
      size: isDirectory ? 0 : node.current.size,
      inode: node.inode,
      // There is no clock here; inodes are never used twice, so their order is the order of births.
      birthTimeMs: node.inode,
    }
  }

  list(directory: string): string[] {
    this.#disk.checkAlive('scandir', directory)
    return [...this.#directory(directory, 'scandir').names.keys()].sort()
  }

  makeDirectory(directory: string): void {
    this.#disk.checkAlive('mkdir', directory)
    let parent = this.#root
    for (const name of components(directory)) {
      let node = parent.names.get(name)
      if (node === undefined) {
        this.#disk.begin(MAKE_DIRECTORY, directory)
        node = new MemoryDirectory(++this.#lastInode)
        this.#change(parent, [[name, node]])
        parent.sync(this.#lastChange)
      } else if (node instanceof MemoryFile) {
        throw systemError('EEXIST', 'mkdir', directory)
      }
      parent = node
    }
  }

  rename(from: string, to: string): void {
    this.#disk.begin(RENAME, from, to)
    const file = this.#file(from, 'rename')
    const source = this.#parentOf(from, 'rename')
    const target = this.#parentOf(to, 'rename')
    const replaced = target.parent.names.get(target.name)
    if (replaced instanceof MemoryDirectory) throw systemError('EISDIR', 'rename', to)
    // POSIX: two names of the same file stay as they are.
    if (replaced === file) return
    if (source.parent === target.parent) {
      this.#change(source.parent, [
        [source.name, undefined],
        [target.name, file],
      ])
      return
    }
    const change = this.#change(target.parent, [[target.name, file]])
    this.#change(source.parent, [[source.name, undefined]], { directory: target.parent, change })
  }

  remove(path: string): void {
    this.#disk.begin(REMOVE, path)
    this.#file(path, 'unlink')
    const { parent, name } = this.#parentOf(path, 'unlink')
    this.#change(parent, [[name, undefined]])
  }

  async discard(path: string): Promise<void> {
    this.remove(path)
  }

  removeDirectory(path: string): void {
    this.#disk.begin(REMOVE_DIRECTORY, path)
    if (this.#directory(path, 'rmdir').names.size > 0) throw systemError('ENOTEMPTY', 'rmdir', path)
    const { parent, name } = this.#parentOf(path, 'rmdir')
    this.#change(parent, [[name, undefined]])
  }

  link(existing: string, path: string): void {
    this.#disk.begin(LINK, path)
    const file = this.#file(existing, 'link')
    const { parent, name } = this.#parentOf(path, 'link')
    if (parent.names.has(name)) throw systemError('EEXIST', 'link', path)
    this.#change(parent, [[name, file]])
  }

  async syncDirectory(path: string): Promise<void> {
    this.#disk.begin(SYNC_DIRECTORY, path)
    const directory = this.#directory(path, 'fsync')
    const sequence = this.#lastChange
    await Promise.resolve()
    this.#disk.checkAlive('fsync', path)
    directory.sync(sequence)
  }

  /** Relative paths begin at the root: there is no working directory here. */
  canonicalPath(path: string): string {
    this.#disk.checkAlive('realpath', path)
    return `/${components(path).join('/')}`
  }

  async lock(path: string): Promise<DirectoryLock> {
    this.#disk.checkAlive('lock', path)
    const directory = this.#directory(path, 'lock')
    if (this.#locked.has(directory)) {
      throw new VarveError('VARVE_LOCKED', `${path} is open in this process`, { holder: path })
    }
    this.#locked.add(directory)
    let isHeld = true
    return {
      release: async () => {
        this.#disk.checkAlive('unlock', path)
        if (isHeld) this.#locked.delete(directory)
        isHeld = false
      },
    }
  }

  #change(
    directory: MemoryDirectory,
    names: DirectoryChange['names'],
    requires?: DirectoryChange['requires'],
  ): DirectoryChange {
    const sequence = ++this.#lastChange
    const change = requires === undefined ? { sequence, names } : { sequence, names, requires }
    directory.change(change)
    return change
  }

  #find(path: string): MemoryNode | undefined {
    let node: MemoryNode | undefined = this.#root
    for (const name of components(path)) {
      if (!(node instanceof MemoryDirectory)) return undefined
      node = node.names.get(name)
    }
    return node
  }

  #file(path: string, syscall: string): MemoryFile {
    const node = this.#find(path)
    if (node === undefined) throw systemError('ENOENT', syscall, path)
    if (node instanceof MemoryDirectory) throw systemError('EISDIR', syscall, path)
    return node
  }

  #directory(path: string, syscall: string): MemoryDirectory {
    const node = this.#find(path)
    if (node === undefined) throw systemError('ENOENT', syscall, path)
    if (node instanceof MemoryFile) throw systemError('ENOTDIR', syscall, path)
    return node
  }

  #parentOf(path: string, syscall: string): { parent: MemoryDirectory; name: string } {
    const names = components(path)
    const name = names.pop()
    if (name === undefined) throw systemError('EPERM', syscall, path)
    return { parent: this.#directory(names.join('/'), syscall), name }
  }
}

/** Names from the root on; '.' and '..' are resolved, '..' never above the root. */
function components(path: string): string[] {
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '..') names.pop()
    else if (name !== '' && name !== '.') names.push(name)
  }
  return names
}

/** mulberry32 over a mix of both numbers: [0, 1). */
function seededRandom(seed: number, stream: number): () => number {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35)) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** Else a crash that is misspelt would lose a part of some kind, and its test pass for another reason. */
function checkUnsynced(unsynced: unknown): void {
  if (unsynced === 'lost' || unsynced === 'kept') return
  if (typeof unsynced === 'string') {
    throw invalidArgument(`unsynced must be 'lost', 'kept' or { seed }, got '${unsynced}'`)
  }
  const seed: unknown = Reflect.get(Object(unsynced), 'seed')
  if (typeof seed !== 'number') throw wrongType('unsynced', "'lost', 'kept' or { seed }", unsynced)
  if (!Number.isFinite(seed)) throw invalidArgument(`seed must be a finite number, got ${seed}`)
}
