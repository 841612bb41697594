/**
 * The manifest as far as it can be read, for repair: the newest one whose header and snapshot are good, with its edits before
 * damage and those behind it that still fit, whether or not CURRENT still names it.
 */
import { hasCode } from '../base/errors.ts'
import { BlobReader } from '../blob/blob-reader.ts'
import {
  blobFileName,
  joinPath,
  manifestFileName,
  parseFileName,
  segmentFileName,
  walFileName,
} from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import { readCurrent } from './current-file.ts'
import { isCleanClose } from './epochs.ts'
import { FileLifetimes } from './file-lifetimes.ts'
import { loadManifestFile, type LoadedManifest, type SalvagedEdits } from './manifest-reader.ts'
import { refuseUnfinishedCheckpoint } from './orphans.ts'
import { Version } from './version.ts'
import type { Place, SegmentAddition } from './version-edit.ts'
import { firstFreeFileNumber } from './file-numbers.ts'

export interface SalvagedManifest {
  readonly version: Version
  /** Every segment, and where it belongs. */
  readonly segments: readonly (readonly [SegmentMeta, Place])[]
  readonly isClean: boolean
  /** CURRENT or the manifest was not as it should be, or what it names is gone. */
  readonly isDamaged: boolean
  /** The manifest when it is damaged, and what else cannot be read. */
  readonly damagedPaths: readonly string[]
  /** Segments that are gone, and that a lost edit may have removed. */
  readonly vanished: readonly SegmentAddition[]
  /** Segments in the directory that no good edit speaks of, the newest first: only where edits are lost. */
  readonly unknown: readonly number[]
  readonly firstFreeNumber: number
  /** No manifest could be read: level 0 of a segment stands for any. */
  readonly isRebuilt: boolean
}

/** Undefined when no manifest can be read. */
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
  const candidates =
    typeof named === 'number' ? [named, ...numbers.filter((n) => n !== named)] : numbers
  for (const number of candidates) {
    const lifetimes = new FileLifetimes(() => undefined)
    const loaded = await tryLoad(fs, directory, number, lifetimes)
    if (loaded === undefined) continue
    const version = new Version(loaded.versionId, loaded.parts, lifetimes)
    const isWhole = number === named && loaded.damage === undefined
    const isDamaged = !isWhole || loaded.isCutOff
    return {
      version,
      segments: placesOf(version),
      isClean: isWhole && isCleanClose(version.state, loaded.stat),
      isDamaged,
      damagedPaths: loaded.damage === undefined ? [] : [loaded.path],
      vanished: loaded.vanished,
      unknown: isDamaged ? unknownSegments(fs, directory, loaded.named) : [],
      firstFreeNumber: firstFreeFileNumber({ fs, directory }),
      isRebuilt: false,
    }
  }
  return undefined
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
): Promise<(LoadedManifest & SalvagedEdits) | undefined> {
  try {
    const path = joinPath(directory, manifestFileName(number))
    return await loadManifestFile(fs, path, number, lifetimes, {
      isThere: (segment) => fs.stat(joinPath(directory, segmentFileName(segment))) !== undefined,
      isLogThere: (log) => fs.stat(joinPath(directory, walFileName(log))) !== undefined,
      blob: (blob) => surveyBlob(fs, directory, blob),
    })
  } catch (error) {
    if (hasCode(error, 'VARVE_CORRUPTION')) return undefined
    throw error
  }
}

/** As it stands on the disk; for one that is damaged or gone, something that it will be held against, and found wanting. */
export async function surveyBlob(
  fs: FileSystem,
  directory: string,
  number: number,
): Promise<BlobFileMeta> {
  const path = joinPath(directory, blobFileName(number))
  const unknown = { number, bytes: fs.stat(path)?.size ?? 0, frames: 0, frameBytes: 0 }
  if (fs.stat(path) === undefined) return unknown
  const reader = new BlobReader(fs.openRead(path), number, undefined)
  try {
    return await reader.survey()
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return unknown
  } finally {
    reader.close()
  }
}

function unknownSegments(fs: FileSystem, directory: string, named: ReadonlySet<number>): number[] {
  const numbers: number[] = []
  for (const name of fs.list(directory)) {
    const parsed = parseFileName(name)
    if (parsed?.type === 'segment' && !named.has(parsed.number)) numbers.push(parsed.number)
  }
  return numbers.sort((a, b) => b - a)
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
