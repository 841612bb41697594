/**
 * What to compact next. Pure: looks at the files of the store and says which job would do the most good; takes nothing that a
 * running job holds.
 *
 * In this order:
 *  1. the level that is furthest over its target (level 0: over its number of segments, or over its bytes where the disk is
 *     bounded: space-budget.ts), in any keyspace;
 *  2. segments with many tombstones, which are pushed down to where they vanish; of level 0 when what they delete is a good
 *     part of what would be rewritten;
 *  3. segments with versions that were held for snapshots now closed: rewritten where they are;
 *  4. blob files of which little is alive: the segment with the most references is rewritten, the values move;
 *  5. small history segments of one band, merged.
 *
 * Two jobs never touch the same keys of the same level: inputs are contiguous runs, and every segment of the output level that
 * meets the run is an input too.
 */
import { compare } from '../base/bytes.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import { deadBlobs, pickBlobRewrite } from './blob-picker.ts'
import { type CompactionOptions, LAST_LEVEL } from './compaction-options.ts'
import { pickHistoryMerge } from './history-picker.ts'
import { overlapping, spanOf, spanOfAll, spansMeet, totalBytes } from './key-span.ts'
import { levelTargets } from './level-targets.ts'
import { level0Bytes } from './space-budget.ts'

/** As Version gives them for a keyspace. */
export interface KeyspaceSegments {
  /** Level 0 newest first, the others by key. */
  readonly levels: readonly (readonly SegmentMeta[])[]
  /** By smallest event seqno. */
  readonly history: readonly SegmentMeta[]
}

export type PickReason = 'level0' | 'size' | 'tombstones' | 'held' | 'blobs' | 'manual'

/** Rewrites `upper` (of `level`) together with `lower` (of `outputLevel`). */
export interface CompactPick {
  readonly type: 'compact'
  readonly keyspaceId: number
  readonly level: number
  readonly outputLevel: number
  readonly upper: readonly SegmentMeta[]
  readonly lower: readonly SegmentMeta[]
  readonly reason: PickReason
}

/** The segments change their level by an edit: nothing is read or written. */
export interface MovePick {
  readonly type: 'move'
  readonly keyspaceId: number
  readonly level: number
  readonly outputLevel: number
  readonly segments: readonly SegmentMeta[]
}

export interface MergeHistoryPick {
  readonly type: 'merge-history'
  readonly keyspaceId: number
  readonly inputs: readonly SegmentMeta[]
}

export type CompactionPick = CompactPick | MovePick | MergeHistoryPick

export interface PickerInput {
  readonly keyspaces: readonly { readonly id: number; readonly files: KeyspaceSegments }[]
  readonly blobs: ReadonlyMap<number, BlobFileMeta>
  /** Numbers of the segments that running jobs read. */
  readonly busy: ReadonlySet<number>
  /** Seqnos of the open snapshots, ascending. */
  readonly snapshots: readonly number[]
  /** Boundaries of the history bands, ascending. */
  readonly bands: readonly number[]
  /** Bytes of level 0, all keyspaces together, from which on it is compacted however few its segments are. */
  readonly level0Bytes: number
  readonly options: CompactionOptions
}

/** The most useful job, or undefined when nothing needs one. */
export function pickCompaction(input: PickerInput): CompactionPick | undefined {
  return (
    pickBySize(input) ??
    pickDeletedLevel0(input) ??
    pickSegment(input, hasManyTombstones) ??
    pickSegment(input, hasReleasedVersions) ??
    pickBlobRewrite(input) ??
    pickHistoryMerge(input)
  )
}

/** What an edit may remove at once: history segments below the drop floor, blob files that nothing references. */
export function pickExpired(
  input: Pick<PickerInput, 'keyspaces' | 'blobs' | 'busy'> & { readonly dropFloor: number },
): { segments: { keyspaceId: number; number: number }[]; blobs: number[] } {
  const segments: { keyspaceId: number; number: number }[] = []
  const gone = new Set<number>()
  for (const { id, files } of input.keyspaces) {
    for (const meta of files.history) {
      if (meta.maxEventSeqno >= input.dropFloor || input.busy.has(meta.number)) continue
      segments.push({ keyspaceId: id, number: meta.number })
      gone.add(meta.number)
    }
  }
  return { segments, blobs: deadBlobs(input, gone) }
}

export interface WritePressure {
  readonly level0Count: number
  readonly isSlow: boolean
  readonly isStopped: boolean
}

/** How far level 0 has fallen behind in the worst keyspace. */
export function writePressure(
  keyspaces: PickerInput['keyspaces'],
  options: CompactionOptions,
): WritePressure {
  let level0Count = 0
  for (const { files } of keyspaces) {
    level0Count = Math.max(level0Count, files.levels[0]?.length ?? 0)
  }
  return {
    level0Count,
    isSlow: level0Count >= options.level0Slowdown,
    isStopped: level0Count >= options.level0Stop,
  }
}

/** Bytes by which the levels are over their targets: about what compaction still has to move. */
export function pendingCompactionBytes(
  input: Pick<PickerInput, 'keyspaces' | 'options' | 'level0Bytes'>,
): number {
  const { options } = input
  const isHeavy = heavyLevel0(input)
  let pending = 0
  for (const { files } of input.keyspaces) {
    const { targetBytes } = levelTargets(files.levels, options)
    const level0 = files.levels[0] ?? []
    if (level0.length >= options.level0Trigger || isHeavy(files)) pending += totalBytes(level0)
    for (let level = 1; level < LAST_LEVEL; level++) {
      const over = totalBytes(files.levels[level] ?? []) - targetBytes[level]!
      if (over > 0) pending += over
    }
  }
  return pending
}

interface Candidate {
  readonly keyspaceId: number
  readonly files: KeyspaceSegments
  readonly level: number
  readonly score: number
  readonly baseLevel: number
}

function pickBySize(input: PickerInput): CompactPick | MovePick | undefined {
  const candidates: Candidate[] = []
  const isHeavy = heavyLevel0(input)
  for (const { id, files } of input.keyspaces) {
    const { baseLevel, targetBytes } = levelTargets(files.levels, input.options)
    for (let level = 0; level < LAST_LEVEL; level++) {
      const idle = (files.levels[level] ?? []).filter((meta) => !input.busy.has(meta.number))
      const score =
        level === 0
          ? Math.max(idle.length / input.options.level0Trigger, isHeavy(files) ? 1 : 0)
          : totalBytes(idle) / targetBytes[level]!
      if (score >= 1) candidates.push({ keyspaceId: id, files, level, score, baseLevel })
    }
  }
  candidates.sort((a, b) => b.score - a.score || a.level - b.level)
  for (const candidate of candidates) {
    const pick =
      candidate.level === 0
        ? pickLevel0(input, candidate.keyspaceId, candidate.files, candidate.baseLevel)
        : pickLevel(input, candidate)
    if (pick !== undefined) return pick
  }
  return undefined
}

/**
 * Whether a keyspace's level 0 is to be compacted for its bytes: where all of them together are over the bound, the largest is, so
 * that a hundred small ones do not wait for a count that none of them reaches.
 */
function heavyLevel0(
  input: Pick<PickerInput, 'keyspaces' | 'level0Bytes'>,
): (files: KeyspaceSegments) => boolean {
  let total = 0
  let largest = 0
  for (const { files } of input.keyspaces) {
    const bytes = level0Bytes(files.levels)
    total += bytes
    largest = Math.max(largest, bytes)
  }
  if (total === 0 || total < input.level0Bytes) return () => false
  return (files) => level0Bytes(files.levels) === largest
}

/**
 * The oldest segment of level 0 and, over and over, whatever of level 0 meets it: an older segment that stayed behind while a
 * newer one of the same keys went down would answer in its place.
 */
export function pickLevel0(
  input: PickerInput,
  keyspaceId: number,
  files: KeyspaceSegments,
  baseLevel: number,
  reason: PickReason = 'level0',
): CompactPick | MovePick | undefined {
  const level0 = files.levels[0] ?? []
  const oldest = level0[level0.length - 1]
  if (oldest === undefined || level0.some((meta) => input.busy.has(meta.number))) return undefined
  const upper = closure(level0, oldest)
  return finishPick(input, keyspaceId, files, { level: 0, outputLevel: baseLevel, upper, reason })
}

/**
 * Level 0 below its count, when compacting it makes much vanish: a store that was emptied and is left alone would keep it all
 * otherwise. A tombstone is reckoned to delete one entry, a range the segments below that it covers whole; those of deeper levels
 * vanish as the tombstones are pushed further down. Where that is not so, the job costs no more than a few entries a tombstone.
 */
function pickDeletedLevel0(input: PickerInput): CompactPick | MovePick | undefined {
  for (const { id, files } of input.keyspaces) {
    if ((files.levels[0] ?? []).every((meta) => tombstoneShare(meta) === 0)) continue
    const { baseLevel } = levelTargets(files.levels, input.options)
    const pick = pickLevel0(input, id, files, baseLevel, 'tombstones')
    if (pick !== undefined && deletesMuch(pick, files, input.options)) return pick
  }
  return undefined
}

function deletesMuch(
  pick: CompactPick | MovePick,
  { levels }: KeyspaceSegments,
  options: CompactionOptions,
): boolean {
  const upper = pick.type === 'compact' ? pick.upper : pick.segments
  const lower = pick.type === 'compact' ? pick.lower : []
  const share = options.deletedShareMin
  let tombstones = 0
  let entries = 0
  for (const meta of upper) tombstones += meta.pointTombstones
  for (const meta of [...upper, ...lower]) entries += meta.entries - meta.pointTombstones
  if (tombstones > 0 && tombstones >= share * entries) return true
  const below = [...lower, ...levels.slice(pick.outputLevel + 1).flat()]
  const covered = below.filter((meta) => upper.some((above) => coversWhole(above, meta)))
  return covered.length > 0 && totalBytes(covered) >= share * totalBytes([...upper, ...lower])
}

/** Whether everything of `meta` lies under range tombstones of `above`, as far as their hull tells. */
function coversWhole(above: SegmentMeta, meta: SegmentMeta): boolean {
  const { coverStart, coverEnd, rangeFragments } = above
  if (rangeFragments === 0 || coverStart === undefined || meta.firstKey === undefined) return false
  if (compare(coverStart, meta.firstKey) > 0) return false
  return coverEnd === undefined || compare(meta.lastKey!, coverEnd) < 0
}

/** `seed` and everything of the level that meets the span of what was taken so far, in the level's order. */
function closure(level: readonly SegmentMeta[], seed: SegmentMeta): SegmentMeta[] {
  const taken = new Set([seed])
  let span = spanOf(seed)
  for (;;) {
    const before = taken.size
    for (const meta of level) if (spansMeet(spanOf(meta), span)) taken.add(meta)
    if (taken.size === before) return level.filter((meta) => taken.has(meta))
    span = spanOfAll([...taken])
  }
}

/** The segment of the level that costs least to push down, for what it brings. */
function pickLevel(input: PickerInput, candidate: Candidate): CompactPick | MovePick | undefined {
  const { files, level, keyspaceId } = candidate
  const below = files.levels[level + 1] ?? []
  const ranked = (files.levels[level] ?? [])
    .map((meta) => {
      const cost = totalBytes(overlapping(below, spanOf(meta)))
      // Tombstones are worth pushing down: they make what is below them vanish.
      const weight = meta.bytes * (1 + tombstoneShare(meta))
      return { meta, ratio: cost / Math.max(1, weight) }
    })
    .sort((a, b) => a.ratio - b.ratio || a.meta.number - b.meta.number)
  for (const { meta } of ranked) {
    const pick = pushDown(input, keyspaceId, files, level, meta, 'size')
    if (pick !== undefined) return pick
  }
  return undefined
}

/** Takes a segment one level down, with its neighbours as far as they come free of charge. */
function pushDown(
  input: PickerInput,
  keyspaceId: number,
  files: KeyspaceSegments,
  level: number,
  meta: SegmentMeta,
  reason: PickReason,
): CompactPick | MovePick | undefined {
  const upper = [meta]
  const segments = files.levels[level]!
  const below = files.levels[level + 1] ?? []
  const lower = overlapping(below, spanOf(meta))
  let bytes = totalBytes(upper) + totalBytes(lower)
  const at = segments.indexOf(meta)
  // A neighbour is free when the segments of the level below that it meets are inputs already.
  for (const step of [1, -1]) {
    if (lower.length === 0) break
    for (let i = at + step; i >= 0 && i < segments.length; i += step) {
      const next = segments[i]!
      bytes += next.bytes
      if (bytes > input.options.inputBytesMax || input.busy.has(next.number)) break
      if (overlapping(below, spanOf(next)).some((m) => !lower.includes(m))) break
      if (overlapping(below, spanOfAll([...upper, next])).length !== lower.length) break
      if (step > 0) upper.push(next)
      else upper.unshift(next)
    }
  }
  return finishPick(input, keyspaceId, files, { level, outputLevel: level + 1, upper, reason })
}

/** Adds the overlap of the output level; undefined when a running job holds any of it. */
export function finishPick(
  input: Pick<PickerInput, 'busy' | 'options'>,
  keyspaceId: number,
  files: KeyspaceSegments,
  plan: { level: number; outputLevel: number; upper: readonly SegmentMeta[]; reason: PickReason },
): CompactPick | MovePick | undefined {
  const { level, outputLevel, upper, reason } = plan
  const span = spanOfAll(upper)
  const lower = level === outputLevel ? [] : overlapping(files.levels[outputLevel] ?? [], span)
  for (const meta of upper) if (input.busy.has(meta.number)) return undefined
  for (const meta of lower) if (input.busy.has(meta.number)) return undefined
  if (lower.length === 0 && level !== outputLevel && canMove(input, files, outputLevel, upper)) {
    return { type: 'move', keyspaceId, level, outputLevel, segments: upper }
  }
  return { type: 'compact', keyspaceId, level, outputLevel, upper, lower, reason }
}

/** Whether rewriting would change nothing: one segment that meets no other, with nothing in it that could be dropped there. */
function canMove(
  input: Pick<PickerInput, 'options'>,
  files: KeyspaceSegments,
  outputLevel: number,
  upper: readonly SegmentMeta[],
): boolean {
  const meta = upper[0]
  if (meta === undefined || upper.length !== 1) return false
  const deeper = files.levels.slice(outputLevel + 1)
  const span = spanOf(meta)
  const isBottom = deeper.every((level) => overlapping(level, span).length === 0)
  if (isBottom && (meta.pointTombstones > 0 || meta.rangeFragments > 0)) return false
  // A folded operand without a base meets its base, or that there is none, at the bottom: rewritten it is a plain value.
  if (isBottom && meta.derivedEntries > 0) return false
  if (meta.heldEntries > 0) return false
  const grandparents = overlapping(files.levels[outputLevel + 1] ?? [], span)
  return totalBytes(grandparents) <= input.options.overlapBytesMax
}

function tombstoneShare(meta: SegmentMeta): number {
  const tombstones = meta.pointTombstones + 2 * meta.rangeFragments
  return tombstones === 0 ? 0 : Math.min(1, tombstones / Math.max(1, meta.entries))
}

type SegmentTest = (
  input: PickerInput,
  files: KeyspaceSegments,
  level: number,
  meta: SegmentMeta,
) => 'down' | 'rewrite' | undefined

function pickSegment(input: PickerInput, test: SegmentTest): CompactPick | MovePick | undefined {
  const reason = test === hasManyTombstones ? 'tombstones' : 'held'
  for (const { id, files } of input.keyspaces) {
    for (let level = 1; level <= LAST_LEVEL; level++) {
      for (const meta of files.levels[level] ?? []) {
        if (input.busy.has(meta.number)) continue
        const what = test(input, files, level, meta)
        if (what === undefined) continue
        const pick =
          what === 'down'
            ? pushDown(input, id, files, level, meta, reason)
            : finishPick(input, id, files, { level, outputLevel: level, upper: [meta], reason })
        if (pick !== undefined) return pick
      }
    }
  }
  return undefined
}

/** Tombstones are pushed down while there is something deeper that they can meet, else rewritten away. */
function hasManyTombstones(
  input: PickerInput,
  files: KeyspaceSegments,
  level: number,
  meta: SegmentMeta,
): 'down' | 'rewrite' | undefined {
  if (tombstoneShare(meta) < input.options.tombstoneShareMin) return undefined
  const span = spanOf(meta)
  const isBottom = files.levels
    .slice(level + 1)
    .every((deeper) => overlapping(deeper, span).length === 0)
  if (!isBottom) return 'down'
  // What stays at the bottom stays for a snapshot's sake; while one sees into the segment, rewriting it would not help.
  return isSeenInto(input.snapshots, meta) ? undefined : 'rewrite'
}

function hasReleasedVersions(
  input: PickerInput,
  _files: KeyspaceSegments,
  _level: number,
  meta: SegmentMeta,
): 'rewrite' | undefined {
  if (meta.heldEntries === 0 || isSeenInto(input.snapshots, meta)) return undefined
  const share = meta.heldEntries / Math.max(1, meta.entries)
  return share >= input.options.heldShareMin ? 'rewrite' : undefined
}

/** Whether a snapshot lies between two seqnos of the segment. */
function isSeenInto(snapshots: readonly number[], meta: SegmentMeta): boolean {
  return snapshots.some((snapshot) => snapshot >= meta.minSeqno && snapshot < meta.maxSeqno)
}
