/**
 * Segments of which nobody knows the level any more, put together as a tree again: for repair without any manifest.
 *
 * ```
 * good segments ─> those that hold each event once ─> per keyspace ─> seqnos apart: level 0, as they are
 *                                                            └─> else merged into the last level, and history
 * ```
 *
 * A crash may have left both what a job read and what it made. Of two segments that share an event one stays: the newer or the
 * older, whichever choice keeps more events in all.
 */
import { InlineRunner } from '../background/job-runner.ts'
import { LAST_LEVEL } from '../compaction/compaction-options.ts'
import { fileNumberCount } from '../compaction/job.ts'
import { joinPath, segmentFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { createTimers } from '../env/timers.ts'
import type { EventRun } from '../segment/change-reader.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { salvageEvents } from '../segment/segment-salvage.ts'
import type { SegmentAddition } from '../version/version-edit.ts'
import { SeqnoCensus } from './seqno-census.ts'

export interface TreeRebuildOptions {
  readonly fs: FileSystem
  readonly directory: string
  /** Good ones; level 0 stands for any level. */
  readonly segments: readonly SegmentAddition[]
  /** Commits of the logs begin here; whatever is newer stands in the logs. */
  readonly firstLoggedSeqno: number
  /** The floor as far as it is known. */
  readonly floor: number
  /** What is left of one is history. */
  readonly isDropped: (keyspaceId: number) => boolean
  /** Events of the logs; those of the segments that are chosen are added. */
  readonly census: SeqnoCensus
  /** Reserves so many file numbers; returns the first. */
  readonly reserve: (count: number) => number
  readonly signal: AbortSignal | undefined
}

export interface RebuiltTree {
  readonly additions: readonly SegmentAddition[]
  /** Were merged into others. */
  readonly merged: readonly SegmentMeta[]
  /** Were not chosen. */
  readonly spare: readonly SegmentMeta[]
  /** When the newest event in segments was committed; 0 when there is none. */
  readonly lastTimeMs: number
}

interface Candidate {
  readonly addition: SegmentAddition
  readonly events: EventRun | undefined
}

const SEGMENT_BYTES = 64 * 2 ** 20

/** New files are synced when it resolves, their directory is not; nothing that was there has changed. */
export async function rebuildTree(options: TreeRebuildOptions): Promise<RebuiltTree> {
  const { segments, census, floor, isDropped } = options
  const chosen = await choose(options)
  const last = chosen.reduce((seqno, { addition }) => Math.max(seqno, addition.meta.maxSeqno), 0)
  for (const { events } of chosen) countEvents(census, events)
  // As repair will put it: below it events may be dropped.
  const dropFloor = (census.missing({ from: floor, to: last }).at(-1)?.to ?? floor - 1) + 1

  const additions: SegmentAddition[] = []
  const merged: SegmentMeta[] = []
  const live = new Map<number, SegmentMeta[]>()
  for (const { addition } of chosen) {
    const { keyspaceId, level, meta } = addition
    if (level === 'history') additions.push(addition)
    else if (isDropped(keyspaceId)) additions.push({ keyspaceId, level: 'history', meta })
    else if (live.get(keyspaceId)?.push(meta) === undefined) live.set(keyspaceId, [meta])
  }
  for (const [keyspaceId, metas] of live) {
    if (areApart(metas)) {
      additions.push(...metas.map((meta) => ({ keyspaceId, level: 0, meta }) as const))
    } else {
      additions.push(...(await mergeAll(options, { keyspaceId, metas, dropFloor })))
      merged.push(...metas)
    }
  }
  const used = new Set(chosen.map(({ addition }) => addition))
  return {
    additions,
    merged,
    spare: segments.filter((one) => !used.has(one)).map(({ meta }) => meta),
    lastTimeMs: chosen.reduce((timeMs, { events }) => Math.max(timeMs, lastTimeOf(events)), 0),
  }
}

async function choose(options: TreeRebuildOptions): Promise<Candidate[]> {
  const { fs, directory, segments, firstLoggedSeqno, isDropped } = options
  const candidates: Candidate[] = []
  for (const addition of segments.toSorted((a, b) => b.meta.number - a.meta.number)) {
    const { keyspaceId, level, meta } = addition
    if (meta.maxSeqno >= firstLoggedSeqno) continue
    if (meta.events === 0 && (level === 'history' || isDropped(keyspaceId))) continue
    const file = fs.openRead(joinPath(directory, segmentFileName(meta.number)))
    try {
      candidates.push({ addition, events: await salvageEvents(file, 1) })
    } finally {
      file.close()
    }
  }
  const newest = eachEventOnce(candidates)
  const oldest = eachEventOnce(candidates.toReversed())
  return eventCount(oldest) > eventCount(newest) ? oldest : newest
}

/** Those of which no event stands in one before. */
function eachEventOnce(candidates: readonly Candidate[]): Candidate[] {
  const census = new SeqnoCensus()
  return candidates.filter(({ events }) => {
    for (let i = 0; i < (events?.count ?? 0); i++) {
      if (census.has(events!.seqnos[i]!)) return false
    }
    countEvents(census, events)
    return true
  })
}

function countEvents(census: SeqnoCensus, events: EventRun | undefined): void {
  for (let i = 0; i < (events?.count ?? 0); i++) census.add(events!.seqnos[i]!)
}

function eventCount(candidates: readonly Candidate[]): number {
  return candidates.reduce((sum, { events }) => sum + (events?.count ?? 0), 0)
}

function lastTimeOf(events: EventRun | undefined): number {
  let timeMs = 0
  for (let i = 0; i < (events?.commits.count ?? 0); i++) {
    timeMs = Math.max(timeMs, events!.commits.timeMs[i]!)
  }
  return timeMs
}

/** No two of them have seqnos between each other's: as segments of level 0 they are in order. */
function areApart(metas: readonly SegmentMeta[]): boolean {
  const sorted = metas.toSorted((a, b) => a.minSeqno - b.minSeqno)
  return sorted.every((meta, i) => i === 0 || sorted[i - 1]!.maxSeqno < meta.minSeqno)
}

/** Into the last level, with nothing folded: which operator it had is not known. */
async function mergeAll(
  { fs, directory, reserve, signal }: TreeRebuildOptions,
  input: { keyspaceId: number; metas: readonly SegmentMeta[]; dropFloor: number },
): Promise<readonly SegmentAddition[]> {
  const { keyspaceId, metas, dropFloor } = input
  const inputBytes = metas.reduce((sum, { bytes }) => sum + bytes, 0)
  const count = fileNumberCount({ inputBytes, segmentBytes: SEGMENT_BYTES, keyspaces: 1, bands: 0 })
  const runner = new InlineRunner({ fs, timers: createTimers() })
  try {
    const { added } = await runner.run(
      {
        type: 'compact',
        directory,
        firstFileNumber: reserve(count),
        fileNumberCount: count,
        dropFloor,
        snapshots: [],
        bands: [],
        segmentBytes: SEGMENT_BYTES,
        keyspaces: [
          {
            id: keyspaceId,
            // Values stay where they are.
            blobThresholdBytes: Number.POSITIVE_INFINITY,
            compression: 'none',
            bloomBitsPerKey: 10,
            blockBytes: 2048,
          },
        ],
        keyspaceId,
        level: 0,
        outputLevel: LAST_LEVEL,
        upper: metas,
        lower: [],
        deeper: [],
        overlapBytesMax: Number.POSITIVE_INFINITY,
        rewriteBlobFiles: [],
        // They are of any level.
        mayTakeOver: false,
      },
      new Map(),
      signal === undefined ? {} : { signal },
    )
    return added as readonly SegmentAddition[]
  } finally {
    await runner.close()
  }
}
