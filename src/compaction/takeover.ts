/**
 * Inputs of a compaction that become history as they stand: nearly everything in them is superseded (takeover-choice.ts), so
 * that a copy of their bytes is a fraction of the work of sorting them into history entry by entry.
 *
 * ```
 *   input ──┬─ copied, block by block ───────> history, in key order: the home of every event of it
 *           └─ merged with the others ─ superseded: passed over
 *                                     └ newest of its key: to the live tree, as a derived entry, which is never an event (I2)
 * ```
 *
 * The copy is under a number of its own: the input goes as every input does, and a job that comes to nothing leaves it as it was.
 *
 * Without a manifest nobody could tell a copy from its input, and what is left of the job's other outputs may say nothing of what
 * only the copies have: so all of its outputs name its inputs and the file that is ended last, when everything else is on the
 * disk (SegmentOrigin).
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { SegmentCopy } from '../segment/segment-copy.ts'
import type { SegmentOrigin } from '../segment/segment-footer.ts'
import type { WritableFile } from '../env/file-system.ts'
import type { EventTally } from './event-tally.ts'
import type { InputSegments } from './input-segments.ts'
import type { JobSteps } from './job.ts'
import type { SegmentSink } from './segment-sink.ts'

interface OpenCopy {
  readonly file: WritableFile
  readonly copy: SegmentCopy
}

export class Takeover {
  bytesRead = 0
  readonly #sink: SegmentSink
  readonly #origin: SegmentOrigin
  readonly #taken = new Set<SegmentMeta>()
  readonly #copies: OpenCopy[] = []

  /** Copies the inputs `taken`, all but the footers. `replaced`: all inputs of the job. Nothing of it may have been written. */
  static *begin(
    sink: SegmentSink,
    inputs: InputSegments,
    job: { taken: readonly SegmentMeta[]; replaced: readonly SegmentMeta[]; tally: EventTally },
  ): JobSteps<Takeover | undefined> {
    const [closing, ...others] = job.taken.toReversed()
    if (closing === undefined) return undefined
    const target = sink.openCopy()
    const takeover = new Takeover(sink, {
      isHistory: false,
      closing: target.number,
      inputs: job.replaced.map(({ number }) => number),
    })
    yield* takeover.#copy(inputs, closing, target, job.tally)
    for (const meta of others) yield* takeover.#copy(inputs, meta, sink.openCopy(), job.tally)
    return takeover
  }

  private constructor(sink: SegmentSink, origin: SegmentOrigin) {
    this.#sink = sink
    this.#origin = origin
    sink.origin = origin
  }

  has(meta: SegmentMeta): boolean {
    return this.#taken.has(meta)
  }

  /** When everything else of the job is written. */
  *finish(): JobSteps<void> {
    const [closing, ...others] = this.#copies
    for (const one of others) this.#finish(one)
    yield* this.#sink.settle()
    // Their names, too: a power cut must not keep that of the file below and lose one of these.
    yield* this.#sink.syncDirectory()
    this.#finish(closing!)
    yield* this.#sink.settle()
  }

  *#copy(
    inputs: InputSegments,
    meta: SegmentMeta,
    target: { readonly number: number; readonly file: WritableFile },
    tally: EventTally,
  ): JobSteps<void> {
    const file = inputs.openFile(meta)
    try {
      const copy = new SegmentCopy({ file, meta }, target)
      for (const step of copy.copy((seqnos, count) => addAll(tally, seqnos, count))) {
        this.#sink.syncAhead(target)
        yield step
      }
      this.#copies.push({ file: target.file, copy })
      this.#taken.add(meta)
      this.bytesRead += meta.bytes
    } finally {
      file.close()
    }
  }

  #finish({ file, copy }: OpenCopy): void {
    this.#sink.addCopy(file, copy.finish({ ...this.#origin, isHistory: true }))
  }
}

function addAll(tally: EventTally, seqnos: Float64Array, count: number): void {
  for (let i = 0; i < count; i++) tally.add(seqnos[i]!)
}
