/**
 * What the numbers of the files in a directory tell.
 */
import { parseFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { StoreState } from './store-state.ts'

/** Above every number that a file in the directory has. */
export function firstFreeFileNumber(options: {
  readonly fs: FileSystem
  readonly directory: string
}): number {
  return firstFreeNumber(options.fs.list(options.directory))
}

/** The same, of its names. */
export function firstFreeNumber(names: readonly string[]): number {
  let next = 1
  for (const name of names) {
    next = Math.max(next, (parseFileName(name)?.number ?? 0) + 1)
  }
  return next
}

/**
 * Whether a log stands behind the one at which the store was closed: a writer has opened it since, which wrote nothing that
 * counts, and did not get as far as a manifest of its own.
 */
export function hasLaterLog(names: readonly string[], { cleanClose }: StoreState): boolean {
  const end = cleanClose?.walNumber ?? Infinity
  return names.some((name) => {
    const parsed = parseFileName(name)
    return parsed?.type === 'wal' && parsed.number > end
  })
}
