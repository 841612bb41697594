/**
 * Writes events in seqno order to history segments, and cuts them at band boundaries and by size: a file across a boundary
 * would expire too late.
 */
import { assert } from '../base/assert.ts'
import type { CommitTable } from '../base/commit-table.ts'
import type { LogBlock } from '../segment/log-block.ts'
import type { EventTally } from './event-tally.ts'
import type { KeyspaceSettings } from './job.ts'
import type { OpenSegment, SegmentSink } from './segment-sink.ts'

export class HistoryWriter {
  readonly #sink: SegmentSink
  readonly #keyspace: KeyspaceSettings
  readonly #bands: readonly number[]
  readonly #segmentBytes: number
  readonly #tally: EventTally
  #segment: OpenSegment | undefined
  /** First seqno of the next band. */
  #bandEnd = 0

  constructor(
    sink: SegmentSink,
    options: {
      keyspace: KeyspaceSettings
      bands: readonly number[]
      segmentBytes: number
      tally: EventTally
    },
  ) {
    this.#sink = sink
    this.#keyspace = options.keyspace
    this.#bands = options.bands
    this.#segmentBytes = options.segmentBytes
    this.#tally = options.tally
  }

  add(
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
    const segment = this.#segmentFor(seqno)
    this.#tally.add(seqno)
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

  /** The entries of `block`, none of which lies beyond the band of the first: see `bandEndOf`. */
  addLogBlock(block: LogBlock, commits: CommitTable): void {
    const { writer } = this.#segmentFor(block.firstSeqno)
    assert(block.lastSeqno < this.#bandEnd, 'a block of history lies inside a band')
    for (let i = 0; i < block.count; i++) this.#tally.add(block.firstSeqno + block.numbers[i]!)
    writer.addLogBlock(block, commits)
  }

  /** First seqno behind the band in which `seqno` lies. */
  bandEndOf(seqno: number): number {
    return this.#bands.find((boundary) => boundary > seqno) ?? Infinity
  }

  /** What was written so far may go to the disk while the job goes on. */
  syncAhead(): void {
    if (this.#segment !== undefined) this.#sink.syncAhead(this.#segment)
  }

  /** Ends the segment at hand; the next `add` begins another one, with smaller seqnos if need be. */
  finish(): void {
    if (this.#segment === undefined) return
    this.#sink.close(this.#segment, 'history')
    this.#segment = undefined
  }

  #segmentFor(seqno: number): OpenSegment {
    let segment = this.#segment
    if (
      segment !== undefined &&
      (seqno >= this.#bandEnd || segment.writer.estimatedBytes >= this.#segmentBytes)
    ) {
      this.finish()
      segment = undefined
    }
    if (segment === undefined) {
      segment = this.#sink.open(this.#keyspace, 'seqno')
      this.#segment = segment
      this.#bandEnd = this.bandEndOf(seqno)
    }
    return segment
  }
}
