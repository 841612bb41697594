/**
 * Where a store is.
 */
import { invalidArgument, wrongType } from '../base/errors.ts'
import type { FileSystem } from '../env/file-system.ts'

export function checkLocation(
  location: unknown,
  name: string = 'location',
): asserts location is string {
  if (typeof location !== 'string') throw wrongType(name, 'a string', location)
  if (location === '' || location.includes('\0')) {
    throw invalidArgument(`${name} must be a path of a directory`)
  }
  // The operating system would get another character for it: two locations would be one directory.
  if (!location.isWellFormed()) {
    throw invalidArgument(`${name} has a lone surrogate, which no path has`)
  }
}

/** Whether the directory is there. Throws INVALID_ARGUMENT when a file stands where it should be. */
export function checkIsDirectory(fs: FileSystem, directory: string): boolean {
  const stat = fs.stat(directory)
  if (stat !== undefined && !stat.isDirectory) {
    throw invalidArgument(`${directory} is a file, not a directory`, { file: directory })
  }
  return stat !== undefined
}
