/**
 * Writes a sealed memtable to segments: per keyspace one of level 0, and history for what is superseded in the memtable
 * already, for range deletes (whose fragments shadow in the live segment), and for all of a keyspace that was dropped.
 *
 * Live entries go out in key order. Retired ones are only noted, by ordinal: the arena is in seqno order, so history is
 * written from it in a second walk without sorting or copying a value.
 */
import { assert } from '../base/assert.ts'
import { type CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import { FLAG_DROPS_KEYSPACE } from '../base/entry-kind.ts'
import { FragmentedRanges } from '../base/range-tombstones.ts'
import { Memtable } from '../memtable/memtable.ts'
import type { SealedWalk } from '../memtable/sealed-walk.ts'
import { BlobSink, BlobSource } from './blob-sink.ts'
import { EntrySorter, type SortedOutput } from './entry-sorter.ts'
import { EventTally } from './event-tally.ts'
import { HistoryWriter } from './history-writer.ts'
import type { FlushJob, JobContext, JobSteps, KeyspaceSettings } from './job.ts'
import { JobFiles } from './job-files.ts'
import { LogStretches } from './log-stretches.ts'
import { OrdinalSet } from './ordinal-set.ts'
import { type OpenSegment, SegmentSink } from './segment-sink.ts'
import { SortedCover } from './sorted-cover.ts'

/** An entry is as much work as so many bytes; a slice is about a thousand small entries. */
const ENTRY_WORK = 256
const SLICE_WORK: number = 1024 * ENTRY_WORK
/** One that is only taken note of. */
const SUPERSEDED_WORK = 32
/** One that goes to history as it stands in the arena. */
const LOGGED_WORK = 32
const FILES_SYNCED_TOGETHER = 16

export function* flushJob(job: FlushJob, context: JobContext): JobSteps {
  const files = new JobFiles(context.fs, job)
  let isDone = false
  try {
    const flush = new Flush(job, context, files)
    for (const keyspaceId of flush.memtable.keyspaceIds()) yield* flush.keyspace(keyspaceId)
    const result = yield* flush.finish()
    isDone = true
    return result
  } catch (error) {
    throw yield* files.reasonFor(error)
  } finally {
    if (!isDone) files.removeAll()
  }
}

class Flush {
  readonly memtable: Memtable
  readonly #job: FlushJob
  readonly #context: JobContext
  readonly #files: JobFiles
  readonly #segments: SegmentSink
  readonly #source: BlobSource
  readonly #snapshots: readonly number[]
  readonly #tally: EventTally = new EventTally()
  /** Row in the memtable's commit table, by ordinal. */
  readonly #commitOf: Int32Array
  readonly #blobs: BlobSink[] = []
  #entries = 0

  constructor(job: FlushJob, context: JobContext, files: JobFiles) {
    this.#job = job
    this.#context = context
    this.#files = files
    this.memtable = Memtable.fromParts(job.memtable)
    this.#segments = new SegmentSink(files)
    this.#source = new BlobSource(context.fs, job.directory)
    const { firstSeqno, lastSeqno } = this.memtable
    this.#snapshots = job.snapshots.filter((s) => s >= firstSeqno && s < lastSeqno)
    this.#commitOf = commitsByOrdinal(this.memtable)
  }

  *keyspace(keyspaceId: number): JobSteps<void> {
    const { memtable } = this
    const keyspace = this.#job.keyspaces.find(({ id }) => id === keyspaceId)
    assert(keyspace !== undefined, 'a flush knows every keyspace in its memtable')
    const blobs = new BlobSink(this.#files, this.#source, {
      thresholdBytes: keyspace.blobThresholdBytes,
      rewrite: [],
    })
    this.#blobs.push(blobs)
    const rangeDeletes = memtable.rangeDeletes(keyspaceId)
    const retired = new OrdinalSet(this.#commitOf.length)
    const { dropFloor } = this.#job
    for (const { ordinal, seqno } of rangeDeletes) if (seqno >= dropFloor) retired.add(ordinal)
    this.#entries += rangeDeletes.length
    if (rangeDeletes.some(({ kind }) => (kind & FLAG_DROPS_KEYSPACE) !== 0)) {
      yield* this.#retireAll(keyspaceId, retired)
    } else {
      const ranges = FragmentedRanges.build(rangeDeletes, this.#snapshots)
      yield* this.#sort(keyspace, ranges, blobs, retired)
    }
    yield* this.#writeHistory(keyspace, blobs, retired)
    blobs.finish()
    yield* this.#segments.settle(FILES_SYNCED_TOGETHER)
  }

  *finish(): JobSteps {
    const { memtable } = this
    const { dropFloor } = this.#job
    yield* this.#segments.settle()
    this.#source.close()
    // Seqnos are dense: what must have come out needs no counting on the way in.
    const source = new EventTally()
    source.addRange(Math.max(memtable.firstSeqno, dropFloor), memtable.lastSeqno)
    this.#tally.mustEqual(source, 'flush')
    assert(this.#segments.events === source.count, 'a flush indexes every event')
    assert(
      this.#entries === memtable.lastSeqno - memtable.firstSeqno + 1,
      'a flush meets every operation',
    )
    this.#files.mustBeSettled()
    return {
      added: this.#segments.added,
      removed: [],
      blobs: this.#blobs.flatMap(({ metas }) => metas),
      bytesRead: this.#source.bytesRead,
      bytesWritten: this.#files.bytesWritten,
      entries: this.#entries,
    }
  }

  *#sort(
    keyspace: KeyspaceSettings,
    ranges: FragmentedRanges,
    blobs: BlobSink,
    retired: OrdinalSet,
  ): JobSteps<void> {
    const { memtable } = this
    const output = new FlushOutput(this.#segments, keyspace, blobs, retired, this.#tally)
    const sorter = new EntrySorter(
      {
        snapshots: this.#snapshots,
        dropFloor: this.#job.dropFloor,
        operator:
          keyspace.mergeOperator === undefined
            ? undefined
            : this.#context.operators.get(keyspace.mergeOperator),
        ranges: ranges.count > 0 ? new SortedCover(ranges) : undefined,
        readBlob: (bytes, start, end) => this.#source.read(bytes, start, end),
        // Whatever is older lies below a memtable.
        isBottom: () => false,
        borrowValues: true,
      },
      output,
    )
    const walk = memtable.walk(keyspace.id)
    while (walk.valid) {
      this.#sortSlice(walk, sorter, retired)
      yield undefined
    }
    sorter.finish()
    output.finish(ranges)
    yield* this.#segments.settle(FILES_SYNCED_TOGETHER)
  }

  /** Not in the generator itself, which would be compiled once more for each place in which it stands when it is found hot. */
  #sortSlice(walk: SealedWalk, sorter: EntrySorter, retired: OrdinalSet): void {
    const { memtable } = this
    const { commits } = memtable
    const commitOf = this.#commitOf
    let entries = 0
    let work = 0
    while (walk.valid && work < SLICE_WORK) {
      const { ordinal } = walk
      sorter.accept(walk, commits, commitOf[ordinal]!, walk.isOlder)
      entries++
      work += ENTRY_WORK + walk.valueEnd - walk.valueStart
      if (sorter.isRestSuperseded) {
        if (memtable.olderOf(ordinal) >= 0) work += this.#retireOlder(ordinal, retired)
        walk.nextKey()
      } else {
        walk.next()
      }
    }
    this.#entries += entries
  }

  /**
   * Retires whatever is older of a key whose newest version decides: by links alone, without a look at the entries, each of
   * which is a cache miss. Returns the work that it was.
   */
  #retireOlder(newest: number, retired: OrdinalSet): number {
    const { memtable } = this
    const floor = this.#job.dropFloor - memtable.firstSeqno
    let count = 0
    let ordinal = memtable.olderOf(newest)
    for (; ordinal >= 0; ordinal = memtable.olderOf(ordinal)) {
      if (ordinal >= floor) retired.add(ordinal)
      count++
    }
    this.#entries += count
    return count * SUPERSEDED_WORK
  }

  *#retireAll(keyspaceId: number, retired: OrdinalSet): JobSteps<void> {
    let work = 0
    for (const walk = this.memtable.walk(keyspaceId); walk.valid; walk.next()) {
      if (walk.seqno >= this.#job.dropFloor) retired.add(walk.ordinal)
      this.#entries++
      work += ENTRY_WORK
      if (work % SLICE_WORK === 0) yield undefined
    }
  }

  *#writeHistory(keyspace: KeyspaceSettings, blobs: BlobSink, retired: OrdinalSet): JobSteps<void> {
    const writer = new HistoryWriter(this.#segments, {
      keyspace,
      bands: this.#job.bands,
      segmentBytes: this.#job.segmentBytes,
      tally: this.#tally,
    })
    // Where blocks are compressed, each entry is encoded.
    const stretches =
      keyspace.compression === 'none'
        ? new LogStretches(this.memtable, { retired, commitOf: this.#commitOf, blobs })
        : undefined
    for (let ordinal = retired.nextFrom(0); ordinal >= 0; ) {
      ordinal = this.#retireSlice(ordinal, writer, { retired, stretches, blobs })
      writer.syncAhead()
      yield undefined
    }
    writer.finish()
  }

  /** Writes retired operations from ordinal `first` on; returns the next one, -1 at the end. */
  #retireSlice(
    first: number,
    writer: HistoryWriter,
    from: { retired: OrdinalSet; stretches: LogStretches | undefined; blobs: BlobSink },
  ): number {
    const { retired, stretches, blobs } = from
    const { commits, firstSeqno } = this.memtable
    let ordinal = first
    let work = 0
    while (ordinal >= 0 && work < SLICE_WORK) {
      let end = -1
      if (stretches !== undefined) {
        const { block } = stretches
        const next = stretches.take(ordinal, writer.bandEndOf(firstSeqno + ordinal) - firstSeqno)
        work += block.count * LOGGED_WORK
        if (stretches.judge()) {
          writer.addLogBlock(block, commits)
          work += block.end - block.start
          ordinal = next
          continue
        }
        end = block.count > 0 ? next : retired.nextFrom(ordinal + 1)
      }
      for (; ordinal >= 0 && ordinal !== end && work < SLICE_WORK; ) {
        work += ENTRY_WORK + this.#retire(ordinal, writer, blobs)
        ordinal = retired.nextFrom(ordinal + 1)
      }
    }
    return ordinal
  }

  /** Writes one operation; returns the length of its value. */
  #retire(ordinal: number, writer: HistoryWriter, blobs: BlobSink): number {
    const { memtable } = this
    const { arena, commits } = memtable
    const kind = memtable.kindOf(ordinal)
    const keyStart = memtable.keyStart(ordinal)
    const keyEnd = memtable.keyEnd(ordinal)
    const valueStart = memtable.valueStart(ordinal)
    const valueEnd = memtable.valueEnd(ordinal)
    const seqno = memtable.firstSeqno + ordinal
    const id = this.#commitOf[ordinal]!
    blobs.place(seqno, kind, arena, valueStart, valueEnd)
    const { bytes, start, end } = blobs
    writer.add(arena, keyStart, keyEnd, seqno, blobs.kind, bytes, start, end, commits, id)
    return valueEnd - valueStart
  }
}

class FlushOutput implements SortedOutput {
  readonly #segments: SegmentSink
  readonly #keyspace: KeyspaceSettings
  readonly #blobs: BlobSink
  readonly #retired: OrdinalSet
  readonly #tally: EventTally
  #segment: OpenSegment | undefined

  constructor(
    segments: SegmentSink,
    keyspace: KeyspaceSettings,
    blobs: BlobSink,
    retired: OrdinalSet,
    tally: EventTally,
  ) {
    this.#segments = segments
    this.#keyspace = keyspace
    this.#blobs = blobs
    this.#retired = retired
    this.#tally = tally
  }

  /** A memtable becomes one segment, however large. */
  startKey(): void {}

  keep(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
    commits: CommitTable,
    commitId: number,
    isHeld: boolean,
  ): void {
    const { writer } = (this.#segment ??= this.#segments.open(this.#keyspace, 'key'))
    if (commitId !== NO_COMMIT) this.#tally.add(seqno)
    const blobs = this.#blobs
    blobs.place(seqno, kind, valueBytes, valueStart, valueEnd)
    const { bytes, start, end } = blobs
    writer.add(keyBytes, keyStart, keyEnd, seqno, blobs.kind, bytes, start, end, commits, commitId)
    if (isHeld) writer.noteHeld()
  }

  retire(
    _keyBytes: Uint8Array,
    _keyStart: number,
    _keyEnd: number,
    _seqno: number,
    _kind: number,
    _valueBytes: Uint8Array,
    _valueStart: number,
    _valueEnd: number,
    _commits: CommitTable,
    _commitId: number,
    ordinal: number,
  ): void {
    this.#retired.add(ordinal)
  }

  finish(ranges: FragmentedRanges): void {
    if (this.#segment === undefined && ranges.count > 0) {
      this.#segment = this.#segments.open(this.#keyspace, 'key')
    }
    if (this.#segment !== undefined) this.#segments.close(this.#segment, 0, ranges)
  }
}

function commitsByOrdinal(memtable: Memtable): Int32Array {
  const { commits, firstSeqno, lastSeqno } = memtable
  const commitOf = new Int32Array(lastSeqno - firstSeqno + 1)
  for (let id = 0; id < commits.count; id++) {
    const first = commits.first[id]! - firstSeqno
    commitOf.fill(id, first, first + commits.size[id]!)
  }
  return commitOf
}
