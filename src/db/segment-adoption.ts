/**
 * Segments that no good edit of a damaged manifest speaks of: outputs of flushes and compactions whose edit is lost, or orphans.
 *
 * Each says of itself what it holds. It is taken in where its place in the tree can be told, and nothing that is known
 * contradicts it:
 *
 *  - none of its events is anywhere else: what a job had made and never installed, or what one had replaced, shares events with
 *    what is known;
 *  - history goes to history; what covers keys of segments that are gone has replaced them, and takes the deepest place among
 *    theirs; what is newer than all that lies deeper under its keys goes to level 0;
 *  - there it meets nobody: seqnos in level 0, keys elsewhere.
 */
import { hasCode } from '../base/errors.ts'
import { BlobReader } from '../blob/blob-reader.ts'
import { blobFileName, joinPath, segmentFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { readFooterSteps } from '../segment/opened-segment.ts'
import { runReads } from '../block/read-fully.ts'
import type { SegmentFooter, SegmentOrigin } from '../segment/segment-footer.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import { salvageEvents } from '../segment/segment-salvage.ts'
import { verifySegment } from '../segment/segment-verify.ts'
import { isBefore } from '../version/level-order.ts'
import type { Place, SegmentAddition } from '../version/version-edit.ts'
import type { SeqnoCensus } from './seqno-census.ts'

export interface AdoptionOptions {
  readonly fs: FileSystem
  readonly directory: string
  readonly floor: number
  /** Commits of the logs begin here. */
  readonly firstLoggedSeqno: number
  /** All good segments so far. */
  readonly additions: readonly SegmentAddition[]
  readonly vanished: readonly SegmentAddition[]
  /** Whether a blob file that is known is whole. */
  readonly isGoodBlob: (number: number) => boolean
  /** Blob files that are known. */
  readonly blobs: ReadonlyMap<number, BlobFileMeta>
  /** Events that are known. */
  readonly census: SeqnoCensus
}

export interface Adopted {
  readonly addition: SegmentAddition
  /** Blob files that came with it. */
  readonly blobs: readonly BlobFileMeta[]
}

/**
 * Takes the segment in, its events too. 'useless': it is damaged, or all that it says stands elsewhere. 'unplaced': it has
 * events that nobody else has, and nobody can tell where it belongs.
 */
export async function adoptSegment(
  options: AdoptionOptions,
  number: number,
): Promise<Adopted | 'useless' | 'unplaced'> {
  const { fs, directory, floor, census } = options
  const file = fs.openRead(joinPath(directory, segmentFileName(number)))
  try {
    const footer = await wholeFooter(file, number)
    if (footer === undefined) return 'useless'
    const { meta, origin } = footer
    if (origin !== undefined && isSplit(options, origin)) return 'unplaced'
    const events = await salvageEvents(file, floor)
    const seqnos = events?.seqnos.subarray(0, events.count) ?? new Float64Array(0)
    const known = seqnos.reduce((count, seqno) => count + (census.has(seqno) ? 1 : 0), 0)
    const level = placeFor(options, footer)
    if (known === seqnos.length && (known > 0 || level === 'history')) return 'useless'
    if (known > 0) return 'unplaced'
    const blobs = await blobsOf(options, meta)
    if (level === undefined || blobs === undefined) {
      return seqnos.length > 0 && meta.maxSeqno < options.firstLoggedSeqno ? 'unplaced' : 'useless'
    }
    for (const seqno of seqnos) census.add(seqno)
    return { addition: { keyspaceId: meta.keyspaceId, level, meta }, blobs }
  } finally {
    file.close()
  }
}

/** Whether what the vanished segment held stands in one that was adopted. */
export function isReplaced(
  vanished: SegmentAddition,
  adopted: readonly SegmentAddition[],
): boolean {
  return adopted.some((one) => one.meta.number > vanished.meta.number && doMeet(one, vanished))
}

async function wholeFooter(
  file: ReturnType<FileSystem['openRead']>,
  number: number,
): Promise<SegmentFooter | undefined> {
  try {
    const footer = await runReads(file, readFooterSteps(file.path, file.size))
    const { meta } = footer
    if (meta.number !== number || (await verifySegment(file, meta)).length > 0) return undefined
    return footer
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return undefined
  }
}

/** Of what the job read something is there and something is gone: then it came to its end, and its outputs count, not those. */
function isSplit({ additions }: AdoptionOptions, { inputs }: SegmentOrigin): boolean {
  const present = new Set(additions.map(({ meta }) => meta.number))
  const left = inputs.filter((number) => present.has(number)).length
  return left > 0 && left < inputs.length
}

function placeFor(options: AdoptionOptions, { meta, origin }: SegmentFooter): Place | undefined {
  const { additions, vanished, firstLoggedSeqno } = options
  if (meta.maxSeqno >= firstLoggedSeqno) return undefined
  if (meta.order === 'seqno' || origin?.isHistory === true) return 'history'
  const { keyspaceId } = meta
  const own = { keyspaceId, level: 0 as const, meta }
  const replaced = vanished.flatMap((one) =>
    one.level !== 'history' && doMeet(one, own) ? [one.level] : [],
  )
  const level = Math.max(0, ...replaced)
  // What a flush made, if it is newer than all that lies deeper under its keys.
  const isNewest = additions.every(
    (one) =>
      one.level === 'history' ||
      one.level === 0 ||
      !doMeet(one, own) ||
      one.meta.maxSeqno < meta.minSeqno,
  )
  if (replaced.length === 0 && !isNewest) return undefined
  const isAlone = additions.every(({ keyspaceId: id, level: other, meta: there }) => {
    if (id !== keyspaceId || other !== level) return true
    if (level === 0) return there.maxSeqno < meta.minSeqno || meta.maxSeqno < there.minSeqno
    return isBefore(there, meta) || isBefore(meta, there)
  })
  return isAlone ? (level as Place) : undefined
}

function doMeet(a: SegmentAddition, b: SegmentAddition): boolean {
  if (a.keyspaceId !== b.keyspaceId) return false
  return !isBefore(a.meta, b.meta) && !isBefore(b.meta, a.meta)
}

/** The blob files that it refers to and that are not known yet, whole; undefined when one is not. */
async function blobsOf(
  { fs, directory, blobs, isGoodBlob }: AdoptionOptions,
  { blobReferences }: SegmentMeta,
): Promise<BlobFileMeta[] | undefined> {
  const found: BlobFileMeta[] = []
  for (const { file: number } of blobReferences) {
    if (blobs.has(number)) {
      if (isGoodBlob(number)) continue
      return undefined
    }
    const path = joinPath(directory, blobFileName(number))
    if (fs.stat(path) === undefined) return undefined
    const reader = new BlobReader(fs.openRead(path), number, undefined)
    try {
      found.push(await reader.survey())
    } catch (error) {
      if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
      return undefined
    } finally {
      reader.close()
    }
  }
  return found
}
