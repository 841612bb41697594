/**
 * Which blob files are garbage, and which have so little left alive that it is worth moving. A file's live bytes are what all
 * segments of the store reference in it, history's too: those keep it alive, but are never rewritten for it.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { CompactPick, KeyspaceSegments, PickerInput } from './picker.ts'

type BlobInput = Pick<PickerInput, 'keyspaces' | 'blobs'>

/** Bytes of frames that segments reference, by blob file. */
function liveBlobBytes(input: BlobInput, without?: ReadonlySet<number>): Map<number, number> {
  const live = new Map<number, number>()
  for (const { files } of input.keyspaces) {
    for (const meta of allSegments(files)) {
      if (without?.has(meta.number) === true) continue
      for (const { file, bytes } of meta.blobReferences) {
        live.set(file, (live.get(file) ?? 0) + bytes)
      }
    }
  }
  return live
}

/** Blob files that no segment, `gone` ones left out, references. */
export function deadBlobs(input: BlobInput, gone: ReadonlySet<number>): number[] {
  if (input.blobs.size === 0) return []
  const live = liveBlobBytes(input, gone)
  return [...input.blobs.keys()].filter((number) => !live.has(number))
}

/** Blob files of which less than the wanted share is alive: any compaction that meets their values moves them. */
export function sparseBlobs(input: BlobInput & Pick<PickerInput, 'options'>): Set<number> {
  const sparse = new Set<number>()
  if (input.blobs.size === 0) return sparse
  const live = liveBlobBytes(input)
  for (const meta of input.blobs.values()) {
    const share = (live.get(meta.number) ?? 0) / Math.max(1, meta.frameBytes)
    if (share < input.options.blobLiveShareMin) sparse.add(meta.number)
  }
  return sparse
}

/** The live segment that references most bytes of the sparse blob file with the most garbage. */
export function pickBlobRewrite(input: PickerInput): CompactPick | undefined {
  const sparse = sparseBlobs(input)
  if (sparse.size === 0) return undefined
  const live = liveBlobBytes(input)
  const garbage = (file: number): number =>
    input.blobs.get(file)!.frameBytes - (live.get(file) ?? 0)
  for (const file of [...sparse].sort((a, b) => garbage(b) - garbage(a) || a - b)) {
    let best: { keyspaceId: number; level: number; meta: SegmentMeta; bytes: number } | undefined
    for (const { id, files } of input.keyspaces) {
      for (let level = 1; level < files.levels.length; level++) {
        for (const meta of files.levels[level]!) {
          const bytes = meta.blobReferences.find((reference) => reference.file === file)?.bytes ?? 0
          if (bytes === 0 || input.busy.has(meta.number)) continue
          if (best === undefined || bytes > best.bytes)
            best = { keyspaceId: id, level, meta, bytes }
        }
      }
    }
    if (best === undefined) continue
    const { keyspaceId, level, meta } = best
    return {
      type: 'compact',
      keyspaceId,
      level,
      outputLevel: level,
      upper: [meta],
      lower: [],
      reason: 'blobs',
    }
  }
  return undefined
}

function* allSegments(files: KeyspaceSegments): Generator<SegmentMeta> {
  for (const level of files.levels) yield* level
  yield* files.history
}
