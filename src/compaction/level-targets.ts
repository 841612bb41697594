/**
 * How big each level should be. The sizes hang from the last level: each is a ratio smaller than the one below it, so that
 * obsolete data is a fixed share of the whole whatever the size (RocksDB, level_compaction_dynamic_level_bytes). Levels that
 * would be smaller than the base target are left empty: level 0 is compacted right into the *base level*.
 */
import { LEVEL_COUNT } from '../version/version-edit.ts'
import { type CompactionOptions, LAST_LEVEL } from './compaction-options.ts'
import { totalBytes } from './key-span.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'

export interface LevelTargets {
  /** Where level 0 is compacted to. Never below a level that holds anything: newer would come to lie under older. */
  readonly baseLevel: number
  /** Target in bytes by level; Infinity for the levels without one (level 0, those above the base, the last one). */
  readonly targetBytes: readonly number[]
}

export function levelTargets(
  levels: readonly (readonly SegmentMeta[])[],
  options: Pick<CompactionOptions, 'baseLevelBytes' | 'levelRatio'>,
): LevelTargets {
  let firstInUse = LAST_LEVEL
  let largest = 0
  for (let level = LAST_LEVEL; level >= 1; level--) {
    const segments = levels[level] ?? []
    if (segments.length === 0) continue
    firstInUse = level
    largest = Math.max(largest, totalBytes(segments))
  }
  const targets: number[] = Array.from({ length: LEVEL_COUNT }, () => Infinity)
  let baseLevel = LAST_LEVEL
  let target = largest
  // Down from the last level's size: as long as a level is bigger than the base target, one more above it makes sense.
  while (baseLevel > 1 && (target > options.baseLevelBytes || baseLevel > firstInUse)) {
    baseLevel--
    target = target / options.levelRatio
    targets[baseLevel] = Math.max(target, options.baseLevelBytes / options.levelRatio)
  }
  return { baseLevel, targetBytes: targets }
}
