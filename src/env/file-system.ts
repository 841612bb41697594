/**
 * The engine's only door to the disk.
 *
 * Metadata operations and writes are synchronous: they cost a few microseconds each and their order is what crash safety
 * rests on. Reads come in both forms. Syncs are asynchronous: they take milliseconds and run in the thread pool.
 * Errors of the operating system come as Node's errors with `code` ('ENOENT', 'ENOSPC', 'EIO', 'EMFILE', ...); the floors
 * above translate them. Nothing here retries.
 */

/** An open file to read from. Positions and lengths in bytes. */
export interface ReadableFile {
  /** As it was opened. */
  readonly path: string
  /** Size when it was first asked for, or at the last `refreshSize`. */
  readonly size: number
  /** Reads up to `length` bytes at `position` into `target` from `offset`; returns how many were there. */
  readSync(target: Uint8Array, offset: number, length: number, position: number): number
  /** The same in the thread pool. */
  read(target: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** Looks again how large the file is. */
  refreshSize(): number
  /** Gives the descriptor back. */
  close(): void
}

/** A file that is being written, from its beginning, by appending. */
export interface WritableFile {
  /** As it was created. */
  readonly path: string
  /** Bytes that were accepted so far. */
  readonly size: number
  /**
   * Appends `length` bytes of `source` from `offset` and returns how many were taken. Fewer than asked for is what a disk
   * that fills up does, *without* an error: the caller must look. See `writeFully`.
   */
  append(source: Uint8Array, offset: number, length: number): number
  /** fdatasync. A failure is final: never call it again on this file. */
  sync(): Promise<void>
  /** Cuts the file to `size` bytes; later appends go there. Longer than it is: EINVAL. */
  truncate(size: number): void
  /** Gives the descriptor back; syncs nothing. */
  close(): void
}

/** What is known of a file without opening it. */
export interface FileStat {
  /** False for a file. */
  readonly isDirectory: boolean
  /** In bytes. */
  readonly size: number
  /** With `birthTimeMs` tells these very files from a copy of them. */
  readonly inode: number
  /** When it was made, in ms since the Unix epoch. */
  readonly birthTimeMs: number
}

/** A held lock on a directory. */
export interface DirectoryLock {
  /** Idempotent. */
  release(): Promise<void>
}

/** The engine's only door to the disk. Node's is the default; `varve/testing` has one in memory. */
export interface FileSystem {
  /** 'node' for Node's own: only with it do background workers run. */
  readonly kind: string
  /** Creates a new file with mode 0600; EEXIST when there is one. */
  create(path: string): WritableFile
  /** ENOENT when there is none. */
  openRead(path: string): ReadableFile
  /** Undefined when nothing is there. */
  stat(path: string): FileStat | undefined
  /** Names in the directory, sorted; ENOENT when it is missing. */
  list(directory: string): string[]
  /** Creates the directory and its missing parents with mode 0700. What it created is durable when it returns. */
  makeDirectory(directory: string): void
  /** Replaces what is there. */
  rename(from: string, to: string): void
  /** Removes a file; ENOENT when there is none. */
  remove(path: string): void
  /** The same, off the calling thread where that can be: unlinking a log of 60 MiB takes tens of milliseconds. */
  discard(path: string): Promise<void>
  /** Removes an empty directory. */
  removeDirectory(directory: string): void
  /** A hard link; EXDEV, EPERM, EMLINK or ENOTSUP where that cannot be. */
  link(existing: string, path: string): void
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(directory: string): Promise<void>
  /** The absolute path with every symbolic link resolved, as far as it exists. */
  canonicalPath(path: string): string
  /** Takes the writer's lock; throws VARVE_LOCKED with { holder } when someone has it. */
  lock(directory: string): Promise<DirectoryLock>
}

/** Appends everything or throws: a short write becomes ENOSPC. The file may then hold a part; `file.size` says how much. */
export function writeFully(
  file: WritableFile,
  source: Uint8Array,
  offset: number,
  length: number,
): void {
  let done = 0
  while (done < length) {
    const taken = file.append(source, offset + done, length - done)
    // A short count is followed by the true error on the next call; a count of 0 has no error of its own.
    if (taken <= 0) {
      throw Object.assign(new Error(`ENOSPC: short write, ${file.path}`), { code: 'ENOSPC' })
    }
    done += taken
  }
}
