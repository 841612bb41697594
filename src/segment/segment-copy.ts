/**
 * Copies a segment in key order under another number, to be history: data blocks and change index byte for byte, but for their
 * checksums, which the number is part of. What only lookups need, the filter, is left out; range fragments there must not be any.
 *
 * ```
 *   blocks, chunks        bytes as they are; checksums carried over (base/seed-change.ts)
 *   directory, separators, block index      checked, and sealed anew
 *   footer                new
 * ```
 *
 * A block that is damaged stays damaged: its checksum does not fit under the new number either. Whoever copies reads the blocks'
 * entries beside, and so checks them. Chunks of the change index, which nobody else reads, are checked here.
 */
import { assert } from '../base/assert.ts'
import { readU32, writeU32 } from '../base/bytes.ts'
import { checksum } from '../base/checksum.ts'
import { corruption } from '../base/errors.ts'
import { SeedChange } from '../base/seed-change.ts'
import { ByteReader } from '../base/varint.ts'
import { readFullySync, runReadsSync } from '../block/read-fully.ts'
import type { ReadableFile, WritableFile } from '../env/file-system.ts'
import { writeFully } from '../env/file-system.ts'
import { CHUNK_EVENTS, decodeSeqnos } from './change-chunk.ts'
import { sealSection } from './change-index.ts'
import { readDirectorySteps } from './change-reader.ts'
import {
  failAt,
  openSteps,
  type OpenedSegment,
  readSection,
  sectionPlaces,
  type SectionPlace,
} from './opened-segment.ts'
import {
  encodeFooter,
  layoutOf,
  SECTION_CHECKSUM_BYTES,
  type SegmentOrigin,
  type SegmentParts,
} from './segment-footer.ts'
import type { SegmentMeta } from './segment-meta.ts'

/** So many bytes of neighbouring blocks are copied at once. */
const COPY_BYTES = 2 ** 20

/** Hears of the first `count` seqnos: events in the copy's change index. */
type SeqnoListener = (seqnos: Float64Array, count: number) => void

/** Pieces of one segment that stand behind one another, each under a checksum. */
interface Pieces {
  readonly count: number
  /** Piece i is [positions[i], positions[i + 1]) of the file, checksum included. */
  readonly positions: Uint32Array | Float64Array
}

export class SegmentCopy {
  readonly #source: ReadableFile
  readonly #target: WritableFile
  readonly #number: number
  readonly #meta: SegmentMeta
  readonly #opened: OpenedSegment
  readonly #change: SeedChange
  #buffer: Uint8Array = new Uint8Array(0)
  #parts: SegmentParts | undefined

  /** `meta`: of the source, in key order and without range fragments. `number`: of the target, which is empty. */
  constructor(
    source: { readonly file: ReadableFile; readonly meta: SegmentMeta },
    target: { readonly file: WritableFile; readonly number: number },
  ) {
    const { file, meta } = source
    assert(meta.order === 'key' && meta.rangeFragments === 0, 'only such segments are copied')
    this.#source = file
    this.#meta = meta
    this.#target = target.file
    this.#number = target.number
    this.#opened = runReadsSync(file, openSteps(file.path, file.size, meta))
    this.#change = new SeedChange({
      from: meta.number % 4294967296,
      to: target.number % 4294967296,
    })
  }

  /** Everything but the footer, in steps of about a megabyte. The source is not read any more then. */
  *copy(onSeqnos: SeqnoListener): Generator<undefined, void> {
    const { footer, index } = this.#opened
    const { path } = this.#source
    const directory = runReadsSync(this.#source, readDirectorySteps(path, footer))
    index.checkAll()
    directory.checkAll(this.#meta.events)
    yield* this.#copyPieces(index, () => undefined)
    const seqnos = new Float64Array(CHUNK_EVENTS)
    const seed = this.#meta.number % 4294967296
    yield* this.#copyPieces(directory, (bytes, start, end, chunk) => {
      const checksumAt = end - SECTION_CHECKSUM_BYTES
      const position = directory.positions[chunk]!
      if (checksum(bytes, start, checksumAt, seed) !== readU32(bytes, checksumAt)) {
        const message = 'the checksum of a chunk of the change index does not fit'
        throw corruption(message, { file: path, offset: position })
      }
      const reader = new ByteReader(bytes, start, checksumAt, failAt(path, position - start))
      const events = directory.events[chunk]!
      const firstSeqno = directory.firstSeqnos[chunk]!
      const lastSeqno = directory.lastSeqnos[chunk]!
      const { entries } = this.#meta
      decodeSeqnos(reader, { events, firstSeqno, lastSeqno, entries }, seqnos)
      onSeqnos(seqnos, events)
    })
    this.#buffer = new Uint8Array(0)
    const { dataBytes, changeBytes } = footer.parts
    const places = sectionPlaces(footer)
    this.#parts = {
      dataBytes,
      changeBytes,
      directoryBytes: this.#copySection(places.directory),
      rangeBytes: 0,
      bloomBytes: 0,
      separatorBytes: this.#copySection(places.separators),
      indexBytes: this.#copySection(places.index),
    }
  }

  /** Writes the footer; the caller then syncs and closes the file. */
  finish(origin: SegmentOrigin): SegmentMeta {
    const parts = this.#parts
    assert(parts !== undefined, 'a copy is finished behind its content')
    const { blocks, largestBlockBytes, changeChunks, builtWith } = this.#opened.footer
    const about = { parts, blocks, largestBlockBytes, changeChunks, builtWith, origin }
    // The snapshots that something was held for are no matter of history.
    const meta = { ...this.#meta, number: this.#number, bytes: 0, heldEntries: 0 }
    const footer = encodeFooter({ meta, ...about })
    writeFully(this.#target, footer, 0, footer.length)
    const layout = layoutOf('key', { ...about, bytes: footer.length })
    return { ...meta, bytes: this.#target.size, layout }
  }

  *#copyPieces(
    { count, positions }: Pieces,
    check: (bytes: Uint8Array, start: number, end: number, piece: number) => void,
  ): Generator<undefined, void> {
    let piece = 0
    while (piece < count) {
      const position = positions[piece]!
      let last = piece
      while (last + 1 < count && positions[last + 2]! - position <= COPY_BYTES) last++
      const length = positions[last + 1]! - position
      if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(length)
      const bytes = this.#buffer
      readFullySync(this.#source, bytes, 0, length, position)
      for (; piece <= last; piece++) {
        const start = positions[piece]! - position
        const end = positions[piece + 1]! - position
        check(bytes, start, end, piece)
        const checksumAt = end - SECTION_CHECKSUM_BYTES
        const sum = this.#change.apply(readU32(bytes, checksumAt), checksumAt - start)
        writeU32(bytes, checksumAt, sum)
      }
      writeFully(this.#target, bytes, 0, length)
      yield undefined
    }
  }

  /** Returns the bytes that it takes. */
  #copySection(place: SectionPlace): number {
    const section = runReadsSync(
      this.#source,
      readSection(this.#source.path, this.#meta.number, place),
    )
    if (section === undefined) return 0
    const sealed = sealSection(section, this.#number % 4294967296)
    writeFully(this.#target, sealed, 0, sealed.length)
    return sealed.length
  }
}
