/**
 * Open files of the file system in memory. As on a real one, they go on after their name was renamed or removed.
 */
import type { FaultPoint } from './fault-plan.ts'
import type { ReadableFile, WritableFile } from './file-system.ts'
import type { MemoryDisk } from './memory-disk.ts'
import type { MemoryFile } from './memory-file.ts'
import { systemError } from './system-error.ts'

const READ: FaultPoint = { operation: 'read', syscall: 'read' }
const WRITE: FaultPoint = { operation: 'write', syscall: 'write', isPartible: true }
const TRUNCATE: FaultPoint = { operation: 'write', syscall: 'ftruncate' }
const SYNC: FaultPoint = { operation: 'sync', syscall: 'fdatasync' }

export class MemoryReadableFile implements ReadableFile {
  readonly path: string
  size: number
  readonly #disk: MemoryDisk
  readonly #file: MemoryFile
  #isOpen = true

  constructor(disk: MemoryDisk, path: string, file: MemoryFile) {
    this.path = path
    this.#disk = disk
    this.#file = file
    this.size = file.current.size
    disk.openFileCount++
  }

  readSync(target: Uint8Array, offset: number, length: number, position: number): number {
    this.#disk.beginRead(READ, this.path)
    if (!this.#isOpen) throw systemError('EBADF', 'read', this.path)
    return this.#file.current.read(target, offset, length, position)
  }

  async read(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return this.readSync(target, offset, length, position)
  }

  refreshSize(): number {
    this.#disk.checkAlive('fstat', this.path)
    if (!this.#isOpen) throw systemError('EBADF', 'fstat', this.path)
    this.size = this.#file.current.size
    return this.size
  }

  close(): void {
    if (this.#isOpen) this.#disk.openFileCount--
    this.#isOpen = false
  }
}

export class MemoryWritableFile implements WritableFile {
  readonly path: string
  readonly #disk: MemoryDisk
  readonly #file: MemoryFile
  #isOpen = true

  constructor(disk: MemoryDisk, path: string, file: MemoryFile) {
    this.path = path
    this.#disk = disk
    this.#file = file
    disk.openFileCount++
  }

  get size(): number {
    return this.#file.current.size
  }

  append(source: Uint8Array, offset: number, length: number): number {
    const isShort = this.#disk.begin(WRITE, this.path)
    this.#checkOpen('write')
    const taken = isShort ? length >>> 1 : length
    this.#file.current.append(source, offset, taken)
    return taken
  }

  async sync(): Promise<void> {
    this.#beginSync()
    const mark = this.#file.beginSync()
    await Promise.resolve()
    this.#disk.checkAlive('fdatasync', this.path)
    this.#file.endSync(mark)
  }

  truncate(size: number): void {
    this.#disk.begin(TRUNCATE, this.path)
    this.#checkOpen('ftruncate')
    this.#file.truncate(size, this.path)
  }

  close(): void {
    if (this.#isOpen) this.#disk.openFileCount--
    this.#isOpen = false
  }

  #beginSync(): void {
    this.#checkOpen('fdatasync')
    try {
      this.#disk.begin(SYNC, this.path)
    } catch (error) {
      this.#file.failSync()
      throw error
    }
  }

  #checkOpen(syscall: string): void {
    if (!this.#isOpen) throw systemError('EBADF', syscall, this.path)
  }
}
