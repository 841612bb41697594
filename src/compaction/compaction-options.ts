/** The numbers that steer compaction. db/options.ts sets what a user can set; the others are as measured in the field. */

import { LEVEL_COUNT } from '../version/version-edit.ts'

export interface CompactionOptions {
  /** Segments are cut near this size. */
  readonly segmentBytes: number
  /** Target of the first level below level 0 that is in use: about what the memtables of one compaction hold. */
  readonly baseLevelBytes: number
  /** How much bigger each level is than the one above it. */
  readonly levelRatio: number
  /** Level-0 segments at which they are compacted; at which writers are slowed down; at which they wait. */
  readonly level0Trigger: number
  readonly level0Slowdown: number
  readonly level0Stop: number
  /** A job takes no more input than this, where it has the choice. */
  readonly inputBytesMax: number
  /** Bytes of the level below that one output segment may overlap: bounds what compacting it will cost. */
  readonly overlapBytesMax: number
  /** A segment in which tombstones have this share is worth a compaction of its own. */
  readonly tombstoneShareMin: number
  /** So have held versions, once their snapshots are closed. */
  readonly heldShareMin: number
  /** Level 0 is compacted before its count when tombstones in it delete this share of what would be rewritten. */
  readonly deletedShareMin: number
  /** Blob files with a smaller live share are rewritten. */
  readonly blobLiveShareMin: number
  /** Small history segments in one band at which they are merged. */
  readonly historyMergeCount: number
  readonly historyMergeCountMax: number
}

export const LAST_LEVEL: number = LEVEL_COUNT - 1

export function compactionOptions(sizes: {
  segmentBytes: number
  memtableBytes: number
}): CompactionOptions {
  const { segmentBytes, memtableBytes } = sizes
  return {
    segmentBytes,
    baseLevelBytes: Math.max(4 * memtableBytes, 4 * segmentBytes),
    levelRatio: 10,
    level0Trigger: 4,
    level0Slowdown: 12,
    level0Stop: 20,
    inputBytesMax: 25 * segmentBytes,
    overlapBytesMax: 10 * segmentBytes,
    tombstoneShareMin: 0.5,
    deletedShareMin: 0.25,
    heldShareMin: 0.25,
    blobLiveShareMin: 0.5,
    historyMergeCount: 4,
    historyMergeCountMax: 16,
  }
}
