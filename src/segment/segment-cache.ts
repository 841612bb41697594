/**
 * The readers of all segments and blob files in use: one each, made when it is first asked for.
 *
 * What open segments hold in memory (index, filter) is about 3 % of their files, so a store much larger than memory bounds
 * it: when the bound is passed, readers that were not asked for lately give it back, and open again when they are needed.
 */
import type { BlobLocation } from '../block/blob-reference.ts'
import type { BlockCache } from '../block/block-cache.ts'
import { blobFileName, joinPath, segmentFileName } from '../env/file-names.ts'
import type { ReadableFile } from '../env/file-system.ts'
import type { SegmentMeta } from './segment-meta.ts'
import { SegmentReader } from './segment-reader.ts'

/** What is needed of env/file-cache.ts. */
export interface OpenFiles {
  open(path: string): ReadableFile
  forget(path: string): void
}

/** What is needed of a reader of one blob file: blob/blob-reader.ts, which stands beside this folder. */
export interface BlobSource {
  read(location: BlobLocation): Promise<Buffer>
  /** `allocate` makes the memory of the result. */
  readSync(location: BlobLocation, allocate?: (bytes: number) => Buffer): Buffer
  close(): void
}

export interface SegmentCacheOptions {
  /** Makes the reader of a blob file. */
  readonly openBlob: (file: ReadableFile, number: number, cache: BlockCache) => BlobSource
  /** Bound on what open segments hold in memory. Default 1 GiB. */
  readonly residentBytesMax?: number
}

const RESIDENT_BYTES_MAX = 2 ** 30
/** What is resident is counted again after so many calls. */
const CALLS_PER_COUNT = 4096

interface CachedReader {
  readonly reader: SegmentReader
  /** Asked for since the last look around. */
  wasUsed: boolean
}

export class SegmentCache {
  readonly blocks: BlockCache
  readonly #files: OpenFiles
  readonly #directory: string
  readonly #openBlob: SegmentCacheOptions['openBlob']
  readonly #residentBytesMax: number
  readonly #segments: Map<number, CachedReader> = new Map()
  readonly #blobs: Map<number, BlobSource> = new Map()
  #callsUntilCount = CALLS_PER_COUNT

  constructor(
    files: OpenFiles,
    directory: string,
    cache: BlockCache,
    options: SegmentCacheOptions,
  ) {
    this.#files = files
    this.#directory = directory
    this.blocks = cache
    this.#openBlob = options.openBlob
    this.#residentBytesMax = options.residentBytesMax ?? RESIDENT_BYTES_MAX
  }

  /** The reader of this segment; no I/O. */
  reader(meta: SegmentMeta): SegmentReader {
    if (--this.#callsUntilCount <= 0) this.releaseUnused()
    const known = this.#segments.get(meta.number)
    if (known !== undefined) {
      known.wasUsed = true
      return known.reader
    }
    const path = joinPath(this.#directory, segmentFileName(meta.number))
    const reader = new SegmentReader(this.#files.open(path), meta, this.blocks)
    this.#segments.set(meta.number, { reader, wasUsed: true })
    return reader
  }

  /** The reader of this blob file; no I/O. */
  blob(number: number): BlobSource {
    let blob = this.#blobs.get(number)
    if (blob === undefined) {
      const path = joinPath(this.#directory, blobFileName(number))
      blob = this.#openBlob(this.#files.open(path), number, this.blocks)
      this.#blobs.set(number, blob)
    }
    return blob
  }

  /** Closes what is known of file `number`, segment or blob, before the file is removed. */
  forget(number: number): void {
    const segment = this.#segments.get(number)
    if (segment !== undefined) {
      this.#segments.delete(number)
      segment.reader.close()
      this.#files.forget(joinPath(this.#directory, segmentFileName(number)))
    }
    const blob = this.#blobs.get(number)
    if (blob !== undefined) {
      this.#blobs.delete(number)
      blob.close()
      this.#files.forget(joinPath(this.#directory, blobFileName(number)))
    }
  }

  /** Bytes that open segments hold in memory, blocks in the cache not counted. */
  get residentBytes(): number {
    let bytes = 0
    for (const { reader } of this.#segments.values()) bytes += reader.residentBytes
    return bytes
  }

  /** Brings what open segments hold back under its bound, by those not asked for since the last call. */
  releaseUnused(): void {
    this.#callsUntilCount = CALLS_PER_COUNT
    let bytes = this.residentBytes
    for (const cached of this.#segments.values()) {
      if (bytes <= this.#residentBytesMax) return
      if (!cached.wasUsed) {
        bytes -= cached.reader.residentBytes
        cached.reader.release()
      }
      cached.wasUsed = false
    }
  }

  /** Closes all readers. */
  close(): void {
    for (const { reader } of this.#segments.values()) reader.close()
    for (const blob of this.#blobs.values()) blob.close()
    this.#segments.clear()
    this.#blobs.clear()
  }
}
