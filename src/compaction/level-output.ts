/**
 * Where a compaction's entries go: live ones to segments of the output level, retired ones to the history sorter.
 *
 * A segment is cut by size, and before it overlaps too much of the level below (which would make compacting it dear); never
 * between versions of a key. Each segment takes of the range fragments what lies between its cuts, and of that only what can
 * still meet something deeper or something that a snapshot holds.
 *
 * ```
 *   cuts      |-------- segment --------|------ segment ------|---
 *   fragments      [======== clipped to ==|==== the cuts ====)
 * ```
 */
import { compareBytes } from '../base/bytes.ts'
import { type CommitTable, NO_COMMIT } from '../base/commit-table.ts'
import { FragmentedRanges, type RangeTombstone } from '../base/range-tombstones.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { BlobSink } from './blob-sink.ts'
import type { DeeperLevels } from './deeper-levels.ts'
import type { SortedOutput } from './entry-sorter.ts'
import type { EventTally } from './event-tally.ts'
import type { HistorySorter } from './history-sorter.ts'
import type { KeyspaceSettings } from './job.ts'
import { spanOf } from './key-span.ts'
import type { OpenSegment, SegmentSink } from './segment-sink.ts'

export interface LevelOutputOptions {
  readonly keyspace: KeyspaceSettings
  readonly level: number
  readonly segmentBytes: number
  /** The level below, by key. */
  readonly below: readonly SegmentMeta[]
  readonly overlapBytesMax: number
  /** All range fragments of the inputs. */
  readonly ranges: FragmentedRanges
  readonly deeper: DeeperLevels
  /** Those with which some version of the inputs may be held. */
  readonly snapshots: readonly number[]
}

export class LevelOutput implements SortedOutput {
  readonly #options: LevelOutputOptions
  readonly #sink: SegmentSink
  readonly #history: HistorySorter
  readonly #blobs: BlobSink
  readonly #tally: EventTally
  readonly #hasRanges: boolean
  #segment: OpenSegment | undefined
  readonly #segmentBytes: number
  /** The size is looked at after so many bytes of keys and values: asking for every entry is measurable. */
  readonly #measureBytes: number
  #unmeasured = 0
  /** Where the segment at hand begins; undefined: at the beginning. */
  #lower: Uint8Array | undefined
  /** The next segment of the level below that the keys come to, and bytes of those that the segment at hand overlaps. */
  #below = 0
  #overlapBytes = 0
  readonly #belowLower: readonly Uint8Array[]

  constructor(
    sinks: { segments: SegmentSink; history: HistorySorter; blobs: BlobSink; tally: EventTally },
    options: LevelOutputOptions,
  ) {
    this.#options = options
    this.#sink = sinks.segments
    this.#history = sinks.history
    this.#blobs = sinks.blobs
    this.#tally = sinks.tally
    this.#hasRanges = options.ranges.count > 0
    this.#segmentBytes = options.segmentBytes
    this.#measureBytes = options.segmentBytes / 64
    this.#belowLower = options.below.map((meta) => spanOf(meta)?.lower ?? new Uint8Array(0))
  }

  startKey(bytes: Uint8Array, start: number, end: number): void {
    while (this.#below < this.#belowLower.length) {
      const lower = this.#belowLower[this.#below]!
      if (compareBytes(lower, 0, lower.length, bytes, start, end) > 0) break
      this.#passBelow(lower)
    }
    if (this.#unmeasured < this.#measureBytes) return
    this.#unmeasured = 0
    const segment = this.#segment
    if (segment !== undefined && segment.writer.estimatedBytes >= this.#segmentBytes) {
      this.#cut(Buffer.from(bytes.subarray(start, end)))
    }
  }

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
    const segment = (this.#segment ??= this.#sink.open(this.#options.keyspace, 'key'))
    if (commitId !== NO_COMMIT) this.#tally.add(seqno)
    this.#unmeasured += keyEnd - keyStart + valueEnd - valueStart
    const blobs = this.#blobs
    if (blobs.concerns(kind, valueEnd - valueStart)) {
      blobs.place(seqno, kind, valueBytes, valueStart, valueEnd)
      segment.writer.add(
        keyBytes,
        keyStart,
        keyEnd,
        seqno,
        blobs.kind,
        blobs.bytes,
        blobs.start,
        blobs.end,
        commits,
        commitId,
      )
    } else {
      segment.writer.add(
        keyBytes,
        keyStart,
        keyEnd,
        seqno,
        kind,
        valueBytes,
        valueStart,
        valueEnd,
        commits,
        commitId,
      )
    }
    if (isHeld) segment.writer.noteHeld()
  }

  retire(
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
  ): void {
    const blobs = this.#blobs
    if (blobs.concerns(kind, valueEnd - valueStart)) {
      blobs.place(seqno, kind, valueBytes, valueStart, valueEnd)
      this.#history.add(
        keyBytes,
        keyStart,
        keyEnd,
        seqno,
        blobs.kind,
        blobs.bytes,
        blobs.start,
        blobs.end,
        commits,
        commitId,
      )
      return
    }
    this.#history.add(
      keyBytes,
      keyStart,
      keyEnd,
      seqno,
      kind,
      valueBytes,
      valueStart,
      valueEnd,
      commits,
      commitId,
    )
  }

  /** After the last entry: what range fragments reach further, and the last segment. */
  finish(): void {
    if (this.#hasRanges) {
      while (this.#below < this.#belowLower.length) this.#passBelow(this.#belowLower[this.#below]!)
    }
    this.#cut(undefined)
  }

  /** The output has come to where a segment of the level below begins. */
  #passBelow(lower: Uint8Array): void {
    const { bytes } = this.#options.below[this.#below]!
    if (this.#segment === undefined && !this.#hasRanges) this.#overlapBytes = 0
    const isTooMuch = this.#overlapBytes + bytes > this.#options.overlapBytesMax
    if (isTooMuch && this.#overlapBytes > 0 && this.#sink.hasNumbersToSpare) {
      this.#cut(lower)
      this.#overlapBytes = 0
    }
    this.#overlapBytes += bytes
    this.#below++
  }

  /** Ends the segment at hand; the next one begins at `boundary`. Nothing is written where there is nothing. */
  #cut(boundary: Uint8Array | undefined): void {
    const ranges = this.#hasRanges ? this.#rangesUpTo(boundary) : FragmentedRanges.EMPTY
    if (this.#segment === undefined && ranges.count > 0) {
      this.#segment = this.#sink.open(this.#options.keyspace, 'key')
    }
    if (this.#segment !== undefined) {
      this.#sink.close(this.#segment, this.#options.level, ranges)
      this.#segment = undefined
    }
    this.#lower = boundary
  }

  /** The fragments of the segment at hand. */
  #rangesUpTo(boundary: Uint8Array | undefined): FragmentedRanges {
    const ranges = this.#options.ranges.clip(this.#lower, boundary)
    const kept: RangeTombstone[] = []
    let isSame = true
    for (let i = 0; i < ranges.count; i++) {
      const start = ranges.start(i)
      const end = ranges.end(i)
      const hull = this.#options.deeper.hull(start, end)
      for (const seqno of ranges.seqnos(i)) {
        if (!this.#isSpent(seqno)) {
          kept.push({ start, end, seqno })
        } else if (hull === undefined) {
          isSame = false
        } else {
          if (hull.start !== start || hull.end !== end) isSame = false
          kept.push({ ...hull, seqno })
        }
      }
    }
    return isSame ? ranges : FragmentedRanges.build(kept, this.#options.snapshots)
  }

  /** Whether no older version in the job can have been held: then a range tombstone only matters for what is deeper. */
  #isSpent(seqno: number): boolean {
    const oldest = this.#options.snapshots[0]
    return oldest === undefined || seqno <= oldest
  }
}
