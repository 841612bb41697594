/**
 * Removes a store's files: those that carry one of our names, and nothing else.
 */
import { type Environment, resolveEnvironment } from '../env/environment.ts'
import { translateDiskError } from '../env/disk-errors.ts'
import {
  CURRENT_FILE,
  joinPath,
  LOCK_FILE,
  LOST_DIRECTORY,
  parseFileName,
} from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { checkIsDirectory, checkLocation } from './location.ts'
import { type Checks, checkOptions, isObject } from '../base/option-check.ts'

const CHECKS: Checks = { environment: isObject }

export async function destroyStore(
  location: string,
  options?: { environment?: Partial<Environment> },
): Promise<void> {
  checkLocation(location)
  checkOptions(options, CHECKS)
  const { fs } = resolveEnvironment(options?.environment)
  try {
    const directory = fs.canonicalPath(location)
    if (!checkIsDirectory(fs, directory)) return
    const lock = await fs.lock(directory)
    try {
      removeFiles(fs, directory)
    } finally {
      await lock.release()
    }
    await removeDirectoryIfEmpty(fs, directory)
  } catch (cause) {
    throw translateDiskError(cause, { operation: 'destroy', file: location })
  }
}

function removeFiles(fs: FileSystem, directory: string): void {
  const names = fs.list(directory)
  if (names.includes(LOST_DIRECTORY)) removeLost(fs, joinPath(directory, LOST_DIRECTORY))
  // CURRENT first: an interrupted destroy leaves a directory without a store, never a store without files.
  if (names.includes(CURRENT_FILE)) fs.remove(joinPath(directory, CURRENT_FILE))
  for (const name of names) {
    if (name === CURRENT_FILE || name === LOCK_FILE) continue
    if (parseFileName(name) !== undefined) fs.remove(joinPath(directory, name))
  }
}

/** What repairs set aside were our files too. */
function removeLost(fs: FileSystem, lost: string): void {
  if (fs.stat(lost)?.isDirectory !== true) return
  for (const name of fs.list(lost)) {
    if (parseFileName(name) !== undefined) fs.remove(joinPath(lost, name))
  }
  if (fs.list(lost).length === 0) fs.removeDirectory(lost)
}

async function removeDirectoryIfEmpty(fs: FileSystem, directory: string): Promise<void> {
  const rest = fs.list(directory)
  if (rest.length === 1 && rest[0] === LOCK_FILE) fs.remove(joinPath(directory, LOCK_FILE))
  else if (rest.length > 0) return
  fs.removeDirectory(directory)
}
