/**
 * The manifest as far as it can be read, for repair: the newest one whose header and snapshot are good, with its edits up to
 * the first damage, whether or not CURRENT still names it.
 */
import { corruption, hasCode, VarveError } from '../base/errors.ts'
import { CURRENT_FILE, joinPath, manifestFileName, parseFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { readCurrent } from './current-file.ts'
import { isCleanClose } from './epochs.ts'
import { FileLifetimes } from './file-lifetimes.ts'
import { loadManifestFile, type LoadedManifest } from './manifest-reader.ts'
import { refuseUnfinishedCheckpoint } from './orphans.ts'
import { Version } from './version.ts'
import type { Place } from './version-edit.ts'
import { firstFreeFileNumber } from './version-set.ts'

export interface SalvagedManifest {
  readonly version: Version
  /** Every segment, and where it belongs. */
  readonly segments: readonly (readonly [SegmentMeta, Place])[]
  readonly isClean: boolean
  /** CURRENT or the manifest was not as it should be. */
  readonly isDamaged: boolean
  /** The manifest, when it is damaged. */
  readonly damagedPath: string | undefined
  readonly firstFreeNumber: number
}

/** Undefined where there is no trace of a store. VARVE_CORRUPTION when no manifest can be read at all. */
export async function salvageManifest(
  fs: FileSystem,
  directory: string,
): Promise<SalvagedManifest | undefined> {
  const named = currentOrDamage(fs, directory)
  if (named === undefined) refuseUnfinishedCheckpoint(fs, directory)
  const numbers = fs
    .list(directory)
    .flatMap((name) => {
      const parsed = parseFileName(name)
      return parsed?.type === 'manifest' ? [parsed.number] : []
    })
    .sort((a, b) => b - a)
  if (named === undefined && numbers.length === 0) return undefined
  const candidates =
    typeof named === 'number' ? [named, ...numbers.filter((n) => n !== named)] : numbers
  for (const number of candidates) {
    const lifetimes = new FileLifetimes(() => undefined)
    const loaded = await tryLoad(fs, directory, number, lifetimes)
    if (loaded === undefined) continue
    const version = new Version(loaded.versionId, loaded.parts, lifetimes)
    const isDamaged = number !== named || loaded.damage !== undefined
    return {
      version,
      segments: placesOf(version),
      isClean: !isDamaged && isCleanClose(version.state, loaded.stat),
      isDamaged,
      damagedPath: loaded.damage === undefined ? undefined : loaded.path,
      firstFreeNumber: firstFreeFileNumber({ fs, directory }),
    }
  }
  throw corruption('no manifest can be read', { file: joinPath(directory, CURRENT_FILE) })
}

function currentOrDamage(fs: FileSystem, directory: string): number | 'damaged' | undefined {
  try {
    return readCurrent(fs, directory)
  } catch (error) {
    if (hasCode(error, 'VARVE_CORRUPTION')) return 'damaged'
    throw error
  }
}

async function tryLoad(
  fs: FileSystem,
  directory: string,
  number: number,
  lifetimes: FileLifetimes,
): Promise<(LoadedManifest & { damage: VarveError | undefined }) | undefined> {
  try {
    const path = joinPath(directory, manifestFileName(number))
    return await loadManifestFile(fs, path, number, lifetimes, 'salvage')
  } catch (error) {
    if (hasCode(error, 'VARVE_CORRUPTION')) return undefined
    throw error
  }
}

function placesOf(version: Version): [SegmentMeta, Place][] {
  const places: [SegmentMeta, Place][] = []
  for (const { levels, history } of version.keyspaces.values()) {
    for (const [level, segments] of levels.entries()) {
      for (const meta of segments) places.push([meta, level])
    }
    for (const meta of history) places.push([meta, 'history'])
  }
  return places
}
