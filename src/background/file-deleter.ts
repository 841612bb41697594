/**
 * Removes files that no version references any more, one at a time: unlinking a large file takes milliseconds. A file that
 * cannot be removed is left to the next open, which removes every file it does not know; the store never fails for it.
 */
import type { Logger } from '../env/environment.ts'
import {
  blobFileName,
  joinPath,
  manifestFileName,
  segmentFileName,
  walFileName,
} from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Timers } from '../env/timers.ts'

export interface DeletableFile {
  readonly type: 'segment' | 'blob' | 'manifest' | 'wal'
  readonly number: number
}

export interface FileDeleterOptions {
  readonly fs: FileSystem
  readonly directory: string
  readonly timers: Pick<Timers, 'nextTurn'>
  readonly logger: Logger
  /** Before each removal: caches forget the file. */
  readonly onRemove?: (file: DeletableFile) => void
}

export class FileDeleter {
  readonly #options: FileDeleterOptions
  readonly #queue: DeletableFile[] = []
  #running: Promise<void> | undefined

  constructor(options: FileDeleterOptions) {
    this.#options = options
  }

  /** Returns at once. */
  delete(files: readonly DeletableFile[]): void {
    this.#queue.push(...files)
    if (this.#queue.length > 0) this.#running ??= this.#run()
  }

  /** Until everything given so far is gone, or was tried. */
  async drain(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #run(): Promise<void> {
    for (;;) {
      await this.#options.timers.nextTurn()
      const file = this.#queue.shift()
      if (file === undefined) break
      await this.#remove(file)
    }
    this.#running = undefined
  }

  async #remove(file: DeletableFile): Promise<void> {
    const { fs, directory, logger, onRemove } = this.#options
    const path = joinPath(directory, nameOf(file))
    try {
      onRemove?.(file)
      await fs.discard(path)
    } catch (error) {
      if (Reflect.get(Object(error), 'code') === 'ENOENT') return
      logger.warn('a file cannot be removed; the next open tries again', {
        path,
        cause: String(error),
      })
    }
  }
}

function nameOf({ type, number }: DeletableFile): string {
  switch (type) {
    case 'segment':
      return segmentFileName(number)
    case 'blob':
      return blobFileName(number)
    case 'manifest':
      return manifestFileName(number)
    case 'wal':
      return walFileName(number)
  }
}
