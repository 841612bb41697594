/**
 * Names of the files in a store's directory.
 *
 * ```
 * 000123.seg        segment          MANIFEST-000012   version edits
 * 000124.blob       blob file        CURRENT           names the manifest in force
 * 000125.wal        write-ahead log  LOCK              who has the store open
 * *.tmp             half-written CURRENT or LOCK       lost/   what repair set aside
 * CHECKPOINT        a checkpoint is being made here
 * ```
 *
 * All numbered files draw from one counter, so a number never means two files.
 */

export const CURRENT_FILE = 'CURRENT'
export const LOCK_FILE = 'LOCK'
export const LOST_DIRECTORY = 'lost'
/** Stands in a directory while a checkpoint is made in it: without CURRENT, that is no store. */
export const CHECKPOINT_FILE = 'CHECKPOINT'

export type FileType =
  | 'segment'
  | 'blob'
  | 'wal'
  | 'manifest'
  | 'current'
  | 'lock'
  | 'checkpoint'
  /** Left over from an interrupted replacement; always safe to remove under the lock. */
  | 'temporary'

export interface ParsedFileName {
  readonly type: FileType
  /** 0 where the name has none. */
  readonly number: number
}

/** Only the spelling that we write counts: 0000001.seg is somebody else's file. */
const NUMBERED = /^(\d{6}|[1-9]\d{6,15})\.(seg|blob|wal)$/
const MANIFEST = /^MANIFEST-(\d{6}|[1-9]\d{6,15})$/
const LOCK_ASIDE = /^LOCK-[\w-]+\.tmp$/
const TEMPORARY_SUFFIX = '.tmp'

export function segmentFileName(number: number): string {
  return `${digits(number)}.seg`
}

export function blobFileName(number: number): string {
  return `${digits(number)}.blob`
}

export function walFileName(number: number): string {
  return `${digits(number)}.wal`
}

export function manifestFileName(number: number): string {
  return `MANIFEST-${digits(number)}`
}

/** Where the new content of `name` is written before it is renamed into place. */
export function temporaryFileName(name: string): string {
  return name + TEMPORARY_SUFFIX
}

/** Where a stale LOCK file goes while it is looked at once more; `token` tells apart those who do so at once. */
export function lockAsideName(token: string): string {
  return temporaryFileName(`${LOCK_FILE}-${token}`)
}

/** What a name in a store's directory stands for; undefined for a file that is not ours, which nothing may touch. */
export function parseFileName(name: string): ParsedFileName | undefined {
  const file = NUMBERED.exec(name)
  if (file !== null) {
    return numbered(file[2] === 'seg' ? 'segment' : file[2] === 'blob' ? 'blob' : 'wal', file[1]!)
  }
  if (name === CURRENT_FILE) return { type: 'current', number: 0 }
  if (name === LOCK_FILE) return { type: 'lock', number: 0 }
  if (name === CHECKPOINT_FILE) return { type: 'checkpoint', number: 0 }
  if (name.endsWith(TEMPORARY_SUFFIX)) {
    if (LOCK_ASIDE.test(name)) return { type: 'temporary', number: 0 }
    const replaced = parseFileName(name.slice(0, -TEMPORARY_SUFFIX.length))
    if (replaced === undefined || replaced.type === 'temporary') return undefined
    return { type: 'temporary', number: replaced.number }
  }
  const manifest = MANIFEST.exec(name)
  return manifest === null ? undefined : numbered('manifest', manifest[1]!)
}

/** A file of ours in a store's directory. */
export interface StoreFile extends ParsedFileName {
  readonly name: string
}

/** Those of the names in a directory that are ours, in their order: parsed once, for all who ask what is there. */
export function storeFiles(names: readonly string[]): StoreFile[] {
  const files: StoreFile[] = []
  for (const name of names) {
    const parsed = parseFileName(name)
    if (parsed !== undefined) files.push({ name, type: parsed.type, number: parsed.number })
  }
  return files
}

export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`
}

function digits(number: number): string {
  return String(number).padStart(6, '0')
}

function numbered(type: FileType, text: string): ParsedFileName | undefined {
  const number = Number(text)
  return Number.isSafeInteger(number) ? { type, number } : undefined
}
