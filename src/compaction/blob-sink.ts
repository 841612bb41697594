/**
 * Large values on their way out of a job: to a blob file, with a reference in the entry. And values that come from blob files:
 * read for folding, or moved when their file is mostly garbage.
 */
import { assert } from '../base/assert.ts'
import { FLAG_BLOB, KIND_INSERT, KIND_MASK, KIND_MERGE } from '../base/entry-kind.ts'
import { corruption } from '../base/errors.ts'
import { BlobReader } from '../blob/blob-reader.ts'
import { BlobWriter } from '../blob/blob-writer.ts'
import {
  BLOB_REFERENCE_BYTES_MAX,
  decodeBlobReference,
  type BlobLocation,
} from '../block/blob-reference.ts'
import { blobFileName, joinPath } from '../env/file-names.ts'
import type { FileSystem, WritableFile } from '../env/file-system.ts'
import type { BlobFileMeta } from '../segment/segment-meta.ts'
import type { JobFiles } from './job-files.ts'

/** A blob file is ended at this size: what is garbage in it is freed file by file. */
const BLOB_FILE_BYTES = 256 * 1024 * 1024

/** Reads values out of blob files that are there already. */
export class BlobSource {
  bytesRead = 0
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #readers = new Map<number, BlobReader>()

  constructor(fs: FileSystem, directory: string) {
    this.#fs = fs
    this.#directory = directory
  }

  /** The value that the reference in bytes[start, end) stands for. */
  read(bytes: Uint8Array, start: number, end: number): Buffer {
    const location = decodeBlobReference(bytes, start, end)
    if (location === undefined) {
      throw corruption('an entry refers to no blob', { file: this.#directory })
    }
    this.bytesRead += location.length
    return this.#reader(location).readSync(location)
  }

  close(): void {
    for (const reader of this.#readers.values()) reader.close()
    this.#readers.clear()
  }

  #reader({ file }: BlobLocation): BlobReader {
    let reader = this.#readers.get(file)
    if (reader === undefined) {
      const path = joinPath(this.#directory, blobFileName(file))
      reader = new BlobReader(this.#fs.openRead(path), file)
      this.#readers.set(file, reader)
    }
    return reader
  }
}

/** After `place`, `kind` and bytes[start, end) say what the entry holds: the value as it came, or a reference. */
export class BlobSink {
  readonly metas: BlobFileMeta[] = []
  kind = 0
  bytes: Uint8Array
  start = 0
  end = 0
  readonly #files: JobFiles
  readonly #source: BlobSource
  readonly #rewrite: ReadonlySet<number>
  readonly #thresholdBytes: number
  readonly #reference: Uint8Array = new Uint8Array(BLOB_REFERENCE_BYTES_MAX)
  #writer: BlobWriter | undefined
  #file: WritableFile | undefined

  constructor(
    files: JobFiles,
    source: BlobSource,
    options: { thresholdBytes: number; rewrite: readonly number[] },
  ) {
    this.#files = files
    this.#source = source
    this.#thresholdBytes = options.thresholdBytes
    this.#rewrite = new Set(options.rewrite)
    this.bytes = this.#reference
  }

  /** Whether `place` would change anything. */
  concerns(kind: number, valueBytes: number): boolean {
    if ((kind & FLAG_BLOB) !== 0) return this.#rewrite.size > 0
    if (valueBytes < this.#thresholdBytes) return false
    const bare = kind & KIND_MASK
    return bare === KIND_INSERT || bare === KIND_MERGE
  }

  place(seqno: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
    this.kind = kind
    this.bytes = bytes
    this.start = start
    this.end = end
    if (!this.concerns(kind, end - start)) return
    if ((kind & FLAG_BLOB) === 0) {
      this.#append(seqno, bytes, start, end)
      return
    }
    const location = decodeBlobReference(bytes, start, end)
    if (location === undefined || !this.#rewrite.has(location.file)) return
    const value = this.#source.read(bytes, start, end)
    this.#append(seqno, value, 0, value.length)
  }

  finish(): void {
    if (this.#writer === undefined) return
    assert(this.#file !== undefined, 'a blob writer has its file')
    this.metas.push(this.#writer.finish())
    this.#files.complete(this.#file)
    this.#writer = undefined
    this.#file = undefined
  }

  #append(seqno: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#writer !== undefined && this.#writer.bytes >= BLOB_FILE_BYTES) this.finish()
    if (this.#writer === undefined) {
      const { number, file } = this.#files.createBlob()
      this.#file = file
      this.#writer = new BlobWriter(file, number)
    }
    this.#writer.append(seqno, bytes, start, end)
    this.kind |= FLAG_BLOB
    this.bytes = this.#reference
    this.start = 0
    this.end = this.#writer.encodeReference(this.#reference, 0)
  }
}
