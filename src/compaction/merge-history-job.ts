/**
 * Merges history segments of one keyspace into few, cut at the bands. In windows: of each input the next events by its change
 * index, as far as all inputs were looked at; gathered, ordered by seqno, written. Events below the drop floor stay behind.
 */
import { assert } from '../base/assert.ts'
import type { EventRun } from '../segment/change-reader.ts'
import { EntryArena } from '../segment/entry-arena.ts'
import type { SegmentReader } from '../segment/segment-reader.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { EventTally } from './event-tally.ts'
import { sortedOrder } from './history-sorter.ts'
import { HistoryWriter } from './history-writer.ts'
import { InputSegments } from './input-segments.ts'
import type { JobContext, JobSteps, MergeHistoryJob } from './job.ts'
import { JobFiles } from './job-files.ts'
import { SegmentSink } from './segment-sink.ts'

const SLICE_ENTRIES = 1024
const WINDOW_EVENTS_MAX = 16_384
const WINDOW_BYTES = 8 * 1024 * 1024

interface Input {
  readonly meta: SegmentMeta
  readonly reader: SegmentReader
}

/** What one input has for a window: the first `count` of `run`, at rows [row, row + count) of the arena. */
interface Share {
  readonly input: Input
  readonly run: EventRun
  readonly count: number
  row: number
  /** How many were written. */
  done: number
}

export function* mergeHistoryJob(job: MergeHistoryJob, context: JobContext): JobSteps {
  const files = new JobFiles(context.fs, job)
  const segments = new SegmentSink(files)
  const sources = new InputSegments(context, job.directory)
  const keyspace = job.keyspaces.find(({ id }) => id === job.keyspaceId)
  assert(keyspace !== undefined, 'a merge of history knows its keyspace')
  const eventsIn = new EventTally()
  const eventsOut = new EventTally()
  const writer = new HistoryWriter(segments, {
    keyspace,
    bands: job.bands,
    segmentBytes: job.segmentBytes,
    tally: eventsOut,
  })
  let isDone = false
  try {
    const inputs = job.inputs.map((meta) => ({ meta, reader: sources.open(meta) }))
    const last = Math.max(...job.inputs.map((meta) => meta.maxEventSeqno))
    const arena = new EntryArena({ limitBytes: 2 * WINDOW_BYTES })
    const limitMax = windowEvents(job.inputs)
    let limit = limitMax
    for (let position = job.dropFloor; position <= last; ) {
      const shares = sharesOf(inputs, { from: position, upTo: last, limit })
      if (!(yield* gather(shares, arena))) {
        // Larger entries than the average said. One event of each input is taken whatever its size.
        if (limit === 1) arena.limitBytes = Infinity
        limit = Math.max(1, limit >>> 2)
        continue
      }
      for (const { run, count } of shares) {
        for (let i = 0; i < count; i++) eventsIn.add(run.seqnos[i]!)
      }
      yield* write(shares, arena, writer)
      yield* segments.settle()
      position = windowEnd(shares, last) + 1
      limit = Math.min(limitMax, limit * 2)
    }
    writer.finish()
    yield* segments.settle()
    eventsOut.mustEqual(eventsIn, 'merge of history')
    assert(segments.events === eventsIn.count, 'a merge of history indexes every event')
    const whole = job.inputs.filter((meta) => meta.minEventSeqno >= job.dropFloor)
    assert(
      eventsIn.count >= whole.reduce((sum, meta) => sum + meta.events, 0),
      'a merge of history meets every event of its inputs',
    )
    files.mustBeSettled()
    isDone = true
    return {
      added: segments.added,
      removed: job.inputs.map((meta) => meta.number),
      blobs: [],
      bytesRead: job.inputs.reduce((sum, meta) => sum + meta.bytes, 0),
      bytesWritten: files.bytesWritten,
      entries: eventsIn.count,
    }
  } catch (error) {
    throw yield* files.reasonFor(error)
  } finally {
    sources.close()
    if (!isDone) files.removeAll()
  }
}

/** Events of each input in one window, so that a window of all of them fits the arena. */
function windowEvents(metas: readonly SegmentMeta[]): number {
  let bytes = 0
  let events = 0
  for (const meta of metas) {
    bytes += meta.bytes
    events += meta.entries
  }
  const wanted = WINDOW_BYTES / Math.max(1, bytes / Math.max(1, events))
  return Math.max(1, Math.floor(Math.min(WINDOW_EVENTS_MAX, wanted) / metas.length))
}

function sharesOf(
  inputs: readonly Input[],
  window: { from: number; upTo: number; limit: number },
): Share[] {
  const runs: { input: Input; run: EventRun }[] = []
  for (const input of inputs) {
    if (input.meta.maxEventSeqno < window.from) continue
    const run = input.reader.eventsSync(window.from, window.upTo, window.limit)
    runs.push({ input, run })
  }
  const end = runs.reduce((smallest, { run }) => Math.min(smallest, run.next), Infinity)
  return runs.map(({ input, run }) => {
    let count = run.count
    while (count > 0 && run.seqnos[count - 1]! >= end) count--
    return { input, run, count, row: 0, done: 0 }
  })
}

function windowEnd(shares: readonly Share[], last: number): number {
  return shares.reduce((smallest, { run }) => Math.min(smallest, run.next - 1), last)
}

/** Reads the entries of the window into the arena; false when they do not fit. */
function* gather(shares: readonly Share[], arena: EntryArena): JobSteps<boolean> {
  arena.reset()
  for (const share of shares) {
    const { run, count } = share
    share.row = arena.count
    if (count === 0) continue
    // By ordinal, each block is read once; in history as jobs write it that is seqno order already.
    const ordinals = run.ordinals.slice(0, count).sort()
    let gathered = 0
    yield share.input.reader.gather(ordinals, count, arena, true).then((result) => {
      gathered = result.gathered
    })
    if (gathered < count) return false
  }
  return true
}

/** Writes the rows of the arena in seqno order. */
function* write(
  shares: readonly Share[],
  arena: EntryArena,
  writer: HistoryWriter,
): JobSteps<void> {
  const shareOf = new Int32Array(arena.count)
  shares.forEach(({ row, count }, i) => shareOf.fill(i, row, row + count))
  const order = sortedOrder(arena.seqno, arena.count)
  for (let n = 0; n < order.length; n++) {
    const row = order[n]!
    const share = shares[shareOf[row]!]!
    const i = share.done++
    const seqno = arena.seqno[row]!
    assert(share.run.seqnos[i] === seqno, 'change index and entries name the same seqnos')
    writer.add(
      arena.bytes,
      arena.keyStart[row]!,
      arena.keyEnd[row]!,
      seqno,
      arena.kind[row]!,
      arena.bytes,
      arena.valueStart[row]!,
      arena.valueEnd[row]!,
      share.run.commits,
      share.run.commitIds[i]!,
    )
    if (n % SLICE_ENTRIES === SLICE_ENTRIES - 1) yield undefined
  }
}
