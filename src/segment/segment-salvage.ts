/**
 * Saves what can be read of a damaged segment: every entry of every good block, with its event where the change index can
 * still tell its commit. For repair only.
 */
import { U48_MAX } from '../base/bytes.ts'
import { CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import { hasCode } from '../base/errors.ts'
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import { blockEntries } from '../block/block-entries.ts'
import { runReads } from '../block/read-fully.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { BlockSource } from './block-source.ts'
import { commitSteps, type EventRun, eventSteps, readDirectorySteps } from './change-reader.ts'
import { readFooterSteps, wholeSteps } from './opened-segment.ts'
import { visitBlocks } from './segment-blocks.ts'
import type { SegmentFooter } from './segment-footer.ts'
import type { SegmentMeta } from './segment-meta.ts'

export interface SalvagedEntry {
  readonly key: Buffer
  readonly seqno: number
  readonly kind: number
  readonly value: Uint8Array
  /** Row in the commits, NO_COMMIT when it is no event, or nobody can tell. */
  readonly commitId: number
  /** Where it stands in the segment's file order. */
  readonly ordinal: number
}

export interface SalvageVisitor {
  /** Takes a good entry, in file order. */
  entry(entry: SalvagedEntry, commits: CommitTable): void
}

/**
 * Walks the readable entries of the segment and returns its range fragments. Throws VARVE_CORRUPTION when footer or
 * index are damaged: then nothing tells where the blocks are. Damaged range fragments are lost.
 */
export async function salvageEntries(
  file: ReadableFile,
  meta: SegmentMeta,
  visitor: SalvageVisitor,
): Promise<FragmentedRanges> {
  const { path, size } = file
  const opened = await runReads(file, wholeSteps(path, size, meta, true))
  const { commits, commitOf } = await readCommits(file, opened.footer)
  const source = new BlockSource(opened.index, { path, number: meta.number })
  await visitBlocks(file, source, {
    visit: (block) => {
      for (const entry of blockEntries(block.bytes, block.start, block.end)) {
        const ordinal = block.firstOrdinal + entry.slot
        const commitId = commitOf?.[ordinal] ?? NO_COMMIT
        visitor.entry({ ...entry, commitId, ordinal }, commits)
      }
    },
    damaged: () => undefined,
  })
  return opened.ranges
}

/** The segment's events from `floor` on, by its change index; undefined when that cannot be read. */
export async function salvageEvents(
  file: ReadableFile,
  floor: number,
): Promise<EventRun | undefined> {
  try {
    const footer = await runReads(file, readFooterSteps(file.path, file.size))
    const directory = await runReads(file, readDirectorySteps(file.path, footer))
    directory.checkAll(footer.meta.events)
    const window = { from: floor, upTo: U48_MAX, limit: Number.POSITIVE_INFINITY }
    return await runReads(file, eventSteps(file.path, footer, directory, window))
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return undefined
  }
}

/** Without a readable change index the entries still serve reads; their events are lost. */
async function readCommits(
  file: ReadableFile,
  footer: SegmentFooter,
): Promise<{ commits: CommitTable; commitOf: Int32Array | undefined }> {
  try {
    const directory = await runReads(file, readDirectorySteps(file.path, footer))
    return await runReads(file, commitSteps(file.path, footer, directory, true))
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return { commits: new CommitTable(), commitOf: undefined }
  }
}
