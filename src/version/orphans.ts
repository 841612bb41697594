/**
 * Which files in a store's directory nothing needs, and which that are needed are not there.
 *
 * What a crash leaves (outputs of a job whose edit was never applied, a half-written manifest, logs that were replaced) is
 * removed at the next open. But a file that no version names is only an orphan when the version is right: where something that
 * it needs is missing, the manifest may have lost its last edit, and then the "orphans" are the data. So nothing is removed
 * unless everything is there.
 */
import { assert } from '../base/assert.ts'
import { corruption, type VarveError } from '../base/errors.ts'
import {
  blobFileName,
  CHECKPOINT_FILE,
  CURRENT_FILE,
  joinPath,
  segmentFileName,
  type StoreFile,
  storeFiles,
} from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Version } from './version.ts'

/**
 * Names of those files in the directory that nothing needs; `keepsLog` says which logs are needed. Throws VARVE_CORRUPTION when
 * a segment or blob file that the version names is missing.
 */
export function findOrphans(
  directory: string,
  files: readonly StoreFile[],
  options: {
    readonly version: Version
    readonly manifestNumber: number
    readonly keepsLog: (number: number) => boolean
  },
): string[] {
  const { version, manifestNumber, keepsLog } = options
  const isOrphan = ({ type, number }: StoreFile): boolean => {
    switch (type) {
      case 'segment':
        return version.segment(number) === undefined
      case 'blob':
        return !version.blobs.has(number)
      case 'manifest':
        return number !== manifestNumber
      case 'wal':
        return !keepsLog(number)
      case 'temporary':
      case 'checkpoint':
        return true
      case 'current':
      case 'lock':
        return false
    }
  }
  const orphans: string[] = []
  let neededFiles = 0
  for (const file of files) {
    if (isOrphan(file)) orphans.push(file.name)
    else if (file.type === 'segment' || file.type === 'blob') neededFiles++
  }
  // No two files have the same type and number, so as many as there should be are all of them.
  const isWhole = neededFiles === version.segments().length + version.blobs.size
  if (!isWhole) throw missingFile(directory, version, files)
  return orphans
}

/** VARVE_CORRUPTION that names the first file of the version that is not in the directory. */
function missingFile(directory: string, version: Version, files: readonly StoreFile[]): VarveError {
  const found = new Set(files.map(({ name }) => name))
  const segmentNames = version.segments().map(({ number }) => segmentFileName(number))
  const blobNames = [...version.blobs.keys()].map(blobFileName)
  const missing = [...segmentNames, ...blobNames].find((name) => !found.has(name))
  assert(missing !== undefined, 'a file is missing where there are too few')
  return corruption('a file that the manifest names is missing', {
    file: joinPath(directory, missing),
  })
}

/**
 * Whether there is a store in the directory, which exists. VARVE_CORRUPTION when there is no CURRENT but data that only a
 * store can have: it must not be taken for an empty directory. What the crash of a creation leaves is no store yet.
 */
export function hasStore(fs: FileSystem, directory: string): boolean {
  // Not by the list: while a writer replaces it that may miss CURRENT.
  if (fs.stat(joinPath(directory, CURRENT_FILE)) !== undefined) return true
  return isStore(fs, directory, storeFiles(fs.list(directory)))
}

/** The same for who has the lock, by what is in the directory. */
export function isStore(fs: FileSystem, directory: string, files: readonly StoreFile[]): boolean {
  if (files.some(({ type }) => type === 'current')) return true
  refuseUnfinishedCheckpoint(fs, directory)
  for (const { name, type } of files) {
    const path = joinPath(directory, name)
    const isData =
      type === 'segment' ||
      type === 'blob' ||
      (type === 'wal' && (fs.stat(path)?.size ?? 0) > NEW_LOG_BYTES_MAX)
    if (!isData) continue
    throw corruption('CURRENT is missing beside the data of a store', { file: path })
  }
  return false
}

/** To be called where there is no CURRENT: some of the files may be missing, and nothing tells which. */
export function refuseUnfinishedCheckpoint(fs: FileSystem, directory: string): void {
  const file = joinPath(directory, CHECKPOINT_FILE)
  if (fs.stat(file) === undefined) return
  throw corruption('a checkpoint was not completed here: remove the directory', { file })
}

/**
 * What the header record of a log takes at most (62 bytes, 81 behind another log), which is all that a log holds before CURRENT
 * exists, and less than it takes with the shortest commit (49 more).
 */
const NEW_LOG_BYTES_MAX = 96
