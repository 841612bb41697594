/**
 * Merges segments of one keyspace into new ones of the output level, and sorts what leaves the live tree into history.
 */
import { assert } from '../base/assert.ts'
import { NO_COMMIT } from '../base/commit-table.ts'
import { FLAG_DERIVED } from '../base/entry-kind.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { BlobSink, BlobSource } from './blob-sink.ts'
import { DeeperLevels } from './deeper-levels.ts'
import { EntrySorter } from './entry-sorter.ts'
import { EventTally } from './event-tally.ts'
import { ForwardMerge, SegmentRun } from './forward-merge.ts'
import { HistorySorter } from './history-sorter.ts'
import { HistoryWriter } from './history-writer.ts'
import { InputSegments } from './input-segments.ts'
import type { CompactJob, JobContext, JobSteps } from './job.ts'
import { JobFiles } from './job-files.ts'
import { LevelOutput } from './level-output.ts'
import { SegmentSink } from './segment-sink.ts'
import { SortedCover } from './sorted-cover.ts'
import { Takeover } from './takeover.ts'
import { chooseTakeovers } from './takeover-choice.ts'

/** An entry is as much work as so many bytes; a slice is about a thousand small entries. */
const ENTRY_WORK = 256
const SLICE_WORK: number = 1024 * ENTRY_WORK

export function* compactJob(job: CompactJob, context: JobContext): JobSteps {
  const files = new JobFiles(context.fs, job)
  const inputs = new InputSegments(context, job.directory)
  const source = new BlobSource(context.fs, job.directory)
  const segments = new SegmentSink(files)
  const keyspace = job.keyspaces.find(({ id }) => id === job.keyspaceId)
  assert(keyspace !== undefined, 'a compaction knows its keyspace')
  const blobs = new BlobSink(files, source, {
    thresholdBytes: keyspace.blobThresholdBytes,
    rewrite: job.rewriteBlobFiles,
  })
  const metas = [...job.upper, ...job.lower]
  const snapshots = snapshotsWithin(job.snapshots, metas)
  const eventsIn = new EventTally()
  const eventsOut = new EventTally()
  let isDone = false
  try {
    const taken = yield* chooseTakeovers(job, inputs, snapshots)
    const takeover = yield* Takeover.begin(segments, inputs, {
      taken,
      replaced: metas,
      tally: eventsOut,
    })
    const ranges = inputs.ranges(metas, snapshots)
    const deeper = new DeeperLevels(job.deeper)
    const history = new HistorySorter(
      new HistoryWriter(segments, {
        keyspace,
        bands: job.bands,
        segmentBytes: job.segmentBytes,
        tally: eventsOut,
      }),
      context.historyBufferBytes,
    )
    const output = new LevelOutput(
      { segments, history, blobs, tally: eventsOut },
      {
        keyspace,
        level: job.outputLevel,
        segmentBytes: job.segmentBytes,
        below: job.deeper[0] ?? [],
        overlapBytesMax: job.overlapBytesMax,
        ranges,
        deeper,
        snapshots,
      },
    )
    const sorter = new EntrySorter(
      {
        snapshots,
        dropFloor: job.dropFloor,
        operator:
          keyspace.mergeOperator === undefined
            ? undefined
            : context.operators.get(keyspace.mergeOperator),
        ranges: ranges.count > 0 ? new SortedCover(ranges) : undefined,
        readBlob: (bytes, start, end) => source.read(bytes, start, end),
        isBottom: (key, start, end) => deeper.isBottom(key, start, end),
        borrowValues: false,
      },
      output,
    )
    const merge = yield* mergeOf(job, inputs, takeover)
    const { dropFloor } = job
    let entries = 0
    let work = 0
    for (let run = merge?.current; run !== undefined; run = merge!.current) {
      const entry = run.iterator
      const commitId = run.commitOf[entry.ordinal]!
      if (entry.seqno >= dropFloor && (entry.kind & FLAG_DERIVED) === 0) {
        assert(
          commitId !== NO_COMMIT || !run.hasEvents,
          'an event at or above the drop floor has its commit',
        )
        eventsIn.add(entry.seqno)
      }
      // The event has its home in the copy: here it is no more than a value to read.
      if (!run.hasEvents) entry.kind |= FLAG_DERIVED
      sorter.accept(entry, run.commits, commitId, merge!.isSameKey)
      entries++
      work += ENTRY_WORK + entry.valueEnd - entry.valueStart
      merge!.next()
      if (work >= SLICE_WORK) {
        work = 0
        if (history.isFull) yield* history.flush()
        yield* segments.settle()
        yield undefined
      }
    }
    sorter.finish()
    output.finish()
    yield* history.flush()
    blobs.finish()
    yield* segments.settle()
    if (takeover !== undefined) yield* takeover.finish()
    assert(
      entries === metas.reduce((sum, meta) => sum + meta.entries, 0),
      'a compaction meets every entry',
    )
    eventsOut.mustEqual(eventsIn, 'compaction')
    assert(segments.events === eventsIn.count, 'a compaction indexes every event')
    files.mustBeSettled()
    isDone = true
    return {
      added: segments.added,
      removed: metas.map((meta) => meta.number),
      blobs: blobs.metas,
      bytesRead:
        metas.reduce((sum, meta) => sum + meta.bytes, 0) +
        source.bytesRead +
        (takeover?.bytesRead ?? 0),
      bytesWritten: files.bytesWritten,
      entries,
    }
  } catch (error) {
    throw yield* files.reasonFor(error)
  } finally {
    inputs.close()
    source.close()
    if (!isDone) files.removeAll()
  }
}

/** Snapshots that see some of the inputs but not all: others make no difference. */
function snapshotsWithin(
  snapshots: readonly number[],
  metas: readonly SegmentMeta[],
): readonly number[] {
  let smallest = Infinity
  let largest = 0
  for (const meta of metas) {
    smallest = Math.min(smallest, meta.minSeqno)
    largest = Math.max(largest, meta.maxSeqno)
  }
  return snapshots.filter((snapshot) => snapshot >= smallest && snapshot < largest)
}

/** Undefined when the inputs hold nothing but range fragments. */
function* mergeOf(
  job: CompactJob,
  inputs: InputSegments,
  takeover: Takeover | undefined,
): JobSteps<ForwardMerge | undefined> {
  const upper = job.level === 0 ? job.upper.map((meta) => [meta]) : [job.upper]
  const groups = [...upper, job.lower].filter((metas) => metas.some((meta) => meta.entries > 0))
  if (groups.length === 0) return undefined
  const runs: SegmentRun[] = []
  for (const metas of groups) {
    const isTaken = takeover?.has(metas[0]!) === true
    runs.push(
      isTaken
        ? SegmentRun.withoutEvents(inputs, metas[0]!)
        : yield* SegmentRun.begin(inputs, metas),
    )
  }
  let first: Uint8Array | undefined
  let last: Uint8Array | undefined
  for (const { firstKey, lastKey } of groups.flat()) {
    if (firstKey === undefined || lastKey === undefined) continue
    if (first === undefined || Buffer.compare(firstKey, first) < 0) first = firstKey
    if (last === undefined || Buffer.compare(lastKey, last) > 0) last = lastKey
  }
  assert(first !== undefined && last !== undefined, 'segments with entries have key bounds')
  return new ForwardMerge(runs, { first, last })
}
