/**
 * A file system that tells before each operation that changes something, in the moment in which the process could die, and
 * of each operation that failed.
 */
import type {
  DirectoryLock,
  FileStat,
  FileSystem,
  ReadableFile,
  WritableFile,
} from '../../src/env/file-system.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'

/** `what`: the operation and the file, for reading a failure. */
export type Observer = (what: string) => void

export interface ObserverHooks {
  readonly onFailure?: (what: string, error: unknown) => void
  /** Waited for before and after each sync: what must wait for it, and does not, goes ahead meanwhile. */
  readonly pause?: () => Promise<void>
}

export class ObservedFileSystem implements FileSystem {
  readonly kind = 'memory'
  readonly #fs: MemoryFileSystem
  readonly #watch: Watch

  constructor(fs: MemoryFileSystem, observe: Observer, hooks: ObserverHooks = {}) {
    this.#fs = fs
    this.#watch = new Watch(observe, hooks)
  }

  create(path: string): WritableFile {
    const file = this.#watch.run(`create ${path}`, () => this.#fs.create(path))
    return new ObservedFile(file, this.#watch)
  }

  openRead(path: string): ReadableFile {
    return this.#fs.openRead(path)
  }

  stat(path: string): FileStat | undefined {
    return this.#fs.stat(path)
  }

  list(directory: string): string[] {
    return this.#fs.list(directory)
  }

  makeDirectory(directory: string): void {
    this.#watch.run(`makeDirectory ${directory}`, () => this.#fs.makeDirectory(directory))
  }

  rename(from: string, to: string): void {
    this.#watch.run(`rename ${from}`, () => this.#fs.rename(from, to))
  }

  remove(path: string): void {
    this.#watch.run(`remove ${path}`, () => this.#fs.remove(path))
  }

  discard(path: string): Promise<void> {
    return this.#watch.wait(`remove ${path}`, () => this.#fs.discard(path))
  }

  removeDirectory(directory: string): void {
    this.#watch.run(`removeDirectory ${directory}`, () => this.#fs.removeDirectory(directory))
  }

  link(existing: string, path: string): void {
    this.#watch.run(`link ${path}`, () => this.#fs.link(existing, path))
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#watch.wait(`syncDirectory ${directory}`, () => this.#fs.syncDirectory(directory))
  }

  canonicalPath(path: string): string {
    return this.#fs.canonicalPath(path)
  }

  lock(directory: string): Promise<DirectoryLock> {
    return this.#fs.lock(directory)
  }
}

class ObservedFile implements WritableFile {
  readonly #file: WritableFile
  readonly #watch: Watch

  constructor(file: WritableFile, watch: Watch) {
    this.#file = file
    this.#watch = watch
  }

  get path(): string {
    return this.#file.path
  }

  get size(): number {
    return this.#file.size
  }

  append(source: Uint8Array, offset: number, length: number): number {
    return this.#watch.run(`append ${this.path}`, () => this.#file.append(source, offset, length))
  }

  sync(): Promise<void> {
    return this.#watch.wait(`sync ${this.path}`, () => this.#file.sync())
  }

  truncate(size: number): void {
    this.#watch.run(`truncate ${this.path}`, () => this.#file.truncate(size))
  }

  close(): void {
    this.#file.close()
  }
}

class Watch {
  readonly #observe: Observer
  readonly #hooks: ObserverHooks

  constructor(observe: Observer, hooks: ObserverHooks) {
    this.#observe = observe
    this.#hooks = hooks
  }

  run<T>(what: string, operation: () => T): T {
    this.#observe(what)
    try {
      return operation()
    } catch (error) {
      this.#hooks.onFailure?.(what, error)
      throw error
    }
  }

  async wait(what: string, operation: () => Promise<void>): Promise<void> {
    this.#observe(what)
    await this.#hooks.pause?.()
    try {
      await operation()
      await this.#hooks.pause?.()
    } catch (error) {
      this.#hooks.onFailure?.(what, error)
      throw error
    }
  }
}
