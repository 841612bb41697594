/**
 * `compact()` over a key range, one step at a time: the caller runs the step, applies its edit, and asks again with the new
 * files until nothing is left. Level 0 goes down first, then each level in turn; at last the segments of the last level that
 * still hold what could leave are rewritten. Segments written by flushes or steps since `startedAt` are not rewritten again,
 * so that it ends under steady writes and with snapshots open.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { LAST_LEVEL } from './compaction-options.ts'
import { type KeyRange, meetsRange, spanOf, totalBytes } from './key-span.ts'
import { levelTargets } from './level-targets.ts'
import {
  type CompactPick,
  finishPick,
  type KeyspaceSegments,
  type MovePick,
  pickLevel0,
  type PickerInput,
} from './picker.ts'

/** 'wait': what has to be done next is held by a running job; ask again when one has ended. */
export type ManualStep = CompactPick | MovePick | 'wait' | undefined

export function planManualCompaction(
  input: PickerInput & {
    readonly keyspaceId: number
    readonly files: KeyspaceSegments
    readonly range: KeyRange
    /** The next file number when the compaction was asked for. */
    readonly startedAt: number
  },
): ManualStep {
  const { files, keyspaceId, range, startedAt } = input
  const isInRange = (meta: SegmentMeta): boolean => meetsRange(spanOf(meta), range)

  const level0 = files.levels[0] ?? []
  if (level0.some((meta) => meta.number < startedAt && isInRange(meta))) {
    const { baseLevel } = levelTargets(files.levels, input.options)
    return pickLevel0(input, keyspaceId, files, baseLevel, 'manual') ?? 'wait'
  }
  for (let level = 1; level < LAST_LEVEL; level++) {
    const upper = firstRun((files.levels[level] ?? []).filter(isInRange), input)
    if (upper.length === 0) continue
    const plan = { level, outputLevel: level + 1, upper, reason: 'manual' } as const
    return finishPick(input, keyspaceId, files, plan) ?? 'wait'
  }
  const stale = (files.levels[LAST_LEVEL] ?? []).find(
    (meta) => meta.number < startedAt && isInRange(meta) && mayShrink(meta),
  )
  if (stale === undefined) return undefined
  const plan = {
    level: LAST_LEVEL,
    outputLevel: LAST_LEVEL,
    upper: [stale],
    reason: 'manual',
  } as const
  return finishPick(input, keyspaceId, files, plan) ?? 'wait'
}

function mayShrink(meta: SegmentMeta): boolean {
  return meta.pointTombstones > 0 || meta.rangeFragments > 0 || meta.heldEntries > 0
}

/** Neighbours from the first on, as many as one job should take. */
function firstRun(
  segments: readonly SegmentMeta[],
  input: Pick<PickerInput, 'options'>,
): SegmentMeta[] {
  const run: SegmentMeta[] = []
  for (const meta of segments) {
    if (run.length > 0 && totalBytes(run) + meta.bytes > input.options.inputBytesMax) break
    run.push(meta)
  }
  return run
}
