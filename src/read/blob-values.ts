/**
 * Values that live in blob files: many are read together, in file order, a few at a time.
 */
import { corruption } from '../base/errors.ts'
import { type BlobLocation, decodeBlobReference } from '../block/blob-reference.ts'
import { inParallel } from './in-parallel.ts'
import type { ReadView } from './read-view.ts'

/** Reads in flight at a time: enough to keep a disk busy, few enough to leave the thread pool to others. */
const READS_MAX = 8
/** Larger values are read away from the calling thread even where the disk is fast. */
export const SYNC_READ_BYTES_MAX = 65_536

/** The reference that stands in an entry with FLAG_BLOB. */
export function blobLocation(bytes: Uint8Array, start: number, end: number): BlobLocation {
  const location = decodeBlobReference(bytes, start, end)
  // The block's checksum was right, so this is what was written.
  if (location === undefined) {
    throw corruption('an entry refers to no possible blob', { file: 'a segment' })
  }
  return location
}

/** Values in the order of `locations`, each of them the caller's own. */
export async function readBlobs(
  view: Pick<ReadView, 'segments' | 'files' | 'scratch'>,
  locations: readonly BlobLocation[],
): Promise<Buffer[]> {
  const { segments, files } = view
  const values: Buffer[] = []
  values.length = locations.length
  const order = locations.map((_, i) => i)
  order.sort((a, b) => {
    const x = locations[a]!
    const y = locations[b]!
    return x.file - y.file || x.offset - y.offset
  })
  const wait = async (at: number, location: BlobLocation): Promise<void> => {
    values[at] = await segments.blob(location.file).read(location)
  }
  await inParallel({ count: order.length, width: READS_MAX }, (i) => {
    const at = order[i]!
    const location = locations[at]!
    // Out of the page cache the thread pool costs ten times the read itself.
    if (!files.isDiskFast || location.length > SYNC_READ_BYTES_MAX) return wait(at, location)
    values[at] = readBlobSync(view, location)
    return undefined
  })
  return values
}

export function readBlobSync(
  { segments, scratch }: Pick<ReadView, 'segments' | 'scratch'>,
  location: BlobLocation,
): Buffer {
  return segments.blob(location.file).readSync(location, scratch.pool.allocate)
}
