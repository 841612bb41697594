/**
 * What the numbers of the files in a directory tell.
 */
import { type StoreFile, storeFiles } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { StoreState } from './store-state.ts'

/** Above every number that a file in the directory has. */
export function firstFreeFileNumber(options: {
  readonly fs: FileSystem
  readonly directory: string
}): number {
  return firstFreeNumber(storeFiles(options.fs.list(options.directory)))
}

/** The same, of what is there. */
export function firstFreeNumber(files: readonly StoreFile[]): number {
  let next = 1
  for (const { number } of files) {
    if (number >= next) next = number + 1
  }
  return next
}

/**
 * Whether a log stands behind the one at which the store was closed: a writer has opened it since, which wrote nothing that
 * counts, and did not get as far as a manifest of its own.
 */
export function hasLaterLog(files: readonly StoreFile[], { cleanClose }: StoreState): boolean {
  const end = cleanClose?.walNumber ?? Infinity
  return files.some(({ type, number }) => type === 'wal' && number > end)
}
