/**
 * A file system that tells before each operation that changes something, in the moment in which the process could die.
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

export class ObservedFileSystem implements FileSystem {
  readonly kind = 'memory'
  readonly #fs: MemoryFileSystem
  readonly #observe: Observer

  constructor(fs: MemoryFileSystem, observe: Observer) {
    this.#fs = fs
    this.#observe = observe
  }

  create(path: string): WritableFile {
    this.#observe(`create ${path}`)
    return new ObservedFile(this.#fs.create(path), this.#observe)
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
    this.#observe(`makeDirectory ${directory}`)
    this.#fs.makeDirectory(directory)
  }

  rename(from: string, to: string): void {
    this.#observe(`rename ${from}`)
    this.#fs.rename(from, to)
  }

  remove(path: string): void {
    this.#observe(`remove ${path}`)
    this.#fs.remove(path)
  }

  removeDirectory(directory: string): void {
    this.#observe(`removeDirectory ${directory}`)
    this.#fs.removeDirectory(directory)
  }

  link(existing: string, path: string): void {
    this.#observe(`link ${path}`)
    this.#fs.link(existing, path)
  }

  syncDirectory(directory: string): Promise<void> {
    this.#observe(`syncDirectory ${directory}`)
    return this.#fs.syncDirectory(directory)
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
  readonly #observe: Observer

  constructor(file: WritableFile, observe: Observer) {
    this.#file = file
    this.#observe = observe
  }

  get path(): string {
    return this.#file.path
  }

  get size(): number {
    return this.#file.size
  }

  append(source: Uint8Array, offset: number, length: number): number {
    this.#observe(`append ${this.path}`)
    return this.#file.append(source, offset, length)
  }

  sync(): Promise<void> {
    this.#observe(`sync ${this.path}`)
    return this.#file.sync()
  }

  syncSync(): void {
    this.#observe(`syncSync ${this.path}`)
    this.#file.syncSync()
  }

  truncate(size: number): void {
    this.#observe(`truncate ${this.path}`)
    this.#file.truncate(size)
  }

  close(): void {
    this.#file.close()
  }
}
