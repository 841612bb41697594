/**
 * Saves what can be read of a damaged segment: every entry of every good block, with its event where the change index can
 * still tell its commit. For repair only.
 */
import { CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import { blockEntries } from '../block/block-entries.ts'
import type { ReadableFile } from '../env/file-system.ts'
import type { SegmentMeta } from './segment-meta.ts'
import { SegmentReader } from './segment-reader.ts'

export interface SalvagedEntry {
  readonly key: Buffer
  readonly seqno: number
  readonly kind: number
  readonly value: Uint8Array
  /** Row in the commits, NO_COMMIT when it is no event, or nobody can tell. */
  readonly commitId: number
}

export interface SalvageVisitor {
  /** Takes a good entry, in file order. */
  entry(entry: SalvagedEntry, commits: CommitTable): void
}

/**
 * Walks the readable entries of the segment and returns its range fragments. Throws VARVE_CORRUPTION when footer, index or
 * filter are damaged: then nothing tells where the blocks are.
 */
export async function salvageEntries(
  file: ReadableFile,
  meta: SegmentMeta,
  visitor: SalvageVisitor,
): Promise<FragmentedRanges> {
  const reader = new SegmentReader(file, meta, undefined)
  await reader.open()
  const { commits, commitOf } = readCommits(reader)
  await reader.readAllBlocks({
    visit: (block) => {
      for (const entry of blockEntries(block.bytes, block.start, block.end)) {
        const ordinal = block.firstOrdinal + entry.slot
        visitor.entry({ ...entry, commitId: commitOf?.[ordinal] ?? NO_COMMIT }, commits)
      }
    },
    damaged: () => undefined,
  })
  return reader.ranges
}

/** Without a readable change index the entries still serve reads; their events are lost. */
function readCommits(reader: SegmentReader): {
  commits: CommitTable
  commitOf: Int32Array | undefined
} {
  try {
    return reader.commitsByOrdinal()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    return { commits: new CommitTable(), commitOf: undefined }
  }
}
