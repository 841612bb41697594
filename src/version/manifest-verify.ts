/**
 * Checks CURRENT and the manifest it names, while the store is open. A writer has synced everything in it, so nothing may be
 * torn; but for an edit that a full disk has taken a part of, behind which nothing is written. Beside a writer, or where one died,
 * an edit or the mark behind it may end as a power cut ends what was not synced.
 */
import { joinPath, manifestFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { recordLength } from '../record/record-frame.ts'
import { RECORD_HEADER_BYTES } from '../record/record-header.ts'
import { readCurrent } from './current-file.ts'
import { FileLifetimes } from './file-lifetimes.ts'
import { loadManifest } from './manifest-reader.ts'

const SECTOR_BYTES = 512
/** A writer beside us may replace CURRENT between our look at it and the one at what it names: then we look again. */
const ATTEMPTS_MAX = 16

export interface ManifestProblem {
  readonly offset?: number
  readonly message: string
}

/** What is wrong with the manifest; nothing when it is whole. Throws VARVE_CORRUPTION for damage that ends reading. */
export async function verifyManifest(
  fs: FileSystem,
  directory: string,
  options: { readonly mayBeTorn: boolean },
): Promise<ManifestProblem[]> {
  for (let attempt = 1; ; attempt++) {
    const number = readCurrent(fs, directory)
    try {
      return await verifyInForce(fs, directory, options)
    } catch (error) {
      if (attempt === ATTEMPTS_MAX || readCurrent(fs, directory) === number) throw error
    }
  }
}

async function verifyInForce(
  fs: FileSystem,
  directory: string,
  { mayBeTorn }: { readonly mayBeTorn: boolean },
): Promise<ManifestProblem[]> {
  const loaded = await loadManifest(fs, directory, new FileLifetimes(() => undefined))
  if (loaded === undefined) return [{ message: 'CURRENT is missing' }]
  const { torn, number, bytes } = loaded
  if (torn === undefined) return []
  const path = joinPath(directory, manifestFileName(number))
  if (mayBeTorn && (await endsUnsynced(fs, path, { from: torn.offset, to: bytes }))) return []
  return [{ offset: torn.offset, message: torn.reason }]
}

/** Whether the record at `from` ends early, or has sectors that never came to the disk; rot leaves neither. */
async function endsUnsynced(
  fs: FileSystem,
  path: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<boolean> {
  if (to - from < RECORD_HEADER_BYTES) return true
  const file = fs.openRead(path)
  try {
    const header = new Uint8Array(RECORD_HEADER_BYTES)
    const isRead = (await file.read(header, 0, header.length, from)) === header.length
    if (!isRead || recordLength(header, 0) > to - from) return true
    const sector = new Uint8Array(SECTOR_BYTES)
    for (let at = from; at < to; ) {
      const length = Math.min(SECTOR_BYTES - (at % SECTOR_BYTES), to - at)
      if ((await file.read(sector, 0, length, at)) < length) return true
      if (sector.subarray(0, length).every((byte) => byte === 0)) return true
      at += length
    }
    return false
  } finally {
    file.close()
  }
}
