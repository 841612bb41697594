/** The segments that a job reads: opened when it comes to them, closed when they are behind. No block cache is used. */
import { FragmentedRanges } from '../base/range-tombstones.ts'
import { joinPath, segmentFileName } from '../env/file-names.ts'
import type { ReadableFile } from '../env/file-system.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { SegmentReader } from '../segment/segment-reader.ts'
import type { SegmentSource } from './forward-merge.ts'
import type { JobContext } from './job.ts'

export class InputSegments implements SegmentSource {
  readonly readAheadBytes: number
  readonly #context: JobContext
  readonly #directory: string
  readonly #open = new Map<number, { reader: SegmentReader; file: ReadableFile }>()

  constructor(context: JobContext, directory: string) {
    this.#context = context
    this.#directory = directory
    this.readAheadBytes = context.readAheadBytes
  }

  open(meta: SegmentMeta): SegmentReader {
    const open = this.#open.get(meta.number)
    if (open !== undefined) return open.reader
    const file = this.openFile(meta)
    const reader = new SegmentReader(file, meta, undefined)
    this.#open.set(meta.number, { reader, file })
    reader.openSync()
    return reader
  }

  /** Its file by itself, which the caller closes. */
  openFile(meta: SegmentMeta): ReadableFile {
    return this.#context.fs.openRead(joinPath(this.#directory, segmentFileName(meta.number)))
  }

  done(meta: SegmentMeta): void {
    const open = this.#open.get(meta.number)
    if (open === undefined) return
    this.#open.delete(meta.number)
    open.reader.close()
    open.file.close()
  }

  /** The range fragments of all of them, together. */
  ranges(metas: readonly SegmentMeta[], snapshots: readonly number[]): FragmentedRanges {
    const ranges: FragmentedRanges[] = []
    for (const meta of metas) {
      if (meta.rangeFragments === 0) continue
      ranges.push(this.open(meta).ranges)
      this.done(meta)
    }
    return FragmentedRanges.merge(ranges, snapshots)
  }

  close(): void {
    for (const { reader, file } of this.#open.values()) {
      reader.close()
      file.close()
    }
    this.#open.clear()
  }
}
