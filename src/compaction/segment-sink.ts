/**
 * The segments that a job writes, from opening to metadata. Finishing one (change index, filter, block index) takes
 * milliseconds, so a closed segment waits here until the job is at a point where it may rest.
 */
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import type { WritableFile } from '../env/file-system.ts'
import type { SegmentOrigin } from '../segment/segment-footer.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { SegmentWriter } from '../segment/segment-writer.ts'
import type { AddedSegment, JobSteps, KeyspaceSettings } from './job.ts'
import type { JobFiles } from './job-files.ts'

export interface OpenSegment {
  readonly keyspaceId: number
  readonly file: WritableFile
  readonly writer: SegmentWriter
}

interface ClosedSegment {
  readonly segment: OpenSegment
  readonly level: number | 'history'
}

export class SegmentSink {
  readonly added: AddedSegment[] = []
  /** Events in the change indexes of what was added. */
  events = 0
  /** Goes into the footers of all that is opened from then on. */
  origin: SegmentOrigin | undefined
  readonly #files: JobFiles
  readonly #closed: ClosedSegment[] = []

  constructor(files: JobFiles) {
    this.#files = files
  }

  open(keyspace: KeyspaceSettings, order: 'key' | 'seqno'): OpenSegment {
    const { number, file } = this.#files.createSegment()
    const writer = new SegmentWriter(file, {
      number,
      keyspaceId: keyspace.id,
      order,
      blockBytes: keyspace.blockBytes,
      compression: keyspace.compression,
      bloomBitsPerKey: keyspace.bloomBitsPerKey,
      origin: this.origin,
    })
    return { keyspaceId: keyspace.id, file, writer }
  }

  /** A file for the copy of another segment. */
  openCopy(): { readonly number: number; readonly file: WritableFile } {
    return this.#files.createSegment()
  }

  /** The copy is written to its end, and is history. `settle` syncs and closes it. */
  addCopy(file: WritableFile, meta: SegmentMeta): void {
    this.#files.complete(file)
    this.events += meta.events
    this.added.push({ keyspaceId: meta.keyspaceId, level: 'history', meta })
  }

  /** No more entries. */
  close(segment: OpenSegment, level: number | 'history', ranges?: FragmentedRanges): void {
    if (ranges !== undefined && ranges.count > 0) segment.writer.addRangeFragments(ranges)
    this.#closed.push({ segment, level })
  }

  /** See JobFiles. */
  syncDirectory(): JobSteps<void> {
    return this.#files.syncDirectory()
  }

  /** See JobFiles: what was written of an open segment may go to the disk while the job goes on. */
  syncAhead(segment: { readonly file: WritableFile }): void {
    this.#files.syncAhead(segment.file)
  }

  /** See JobFiles: segments that only make jobs cheaper are not begun when numbers run short. */
  get hasNumbersToSpare(): boolean {
    return this.#files.hasNumbersToSpare
  }

  /** Finishes what was closed; syncs and closes files, blob files that are complete too. */
  *settle(filesMin = 1): JobSteps<void> {
    for (let next = this.#closed.shift(); next !== undefined; next = this.#closed.shift()) {
      const { segment, level } = next
      const meta = yield* segment.writer.finishInSteps()
      this.#files.complete(segment.file)
      this.events += meta.events
      this.added.push({ keyspaceId: segment.keyspaceId, level, meta })
    }
    yield* this.#files.settle(filesMin)
  }
}
