/**
 * A stretch of a file in memory that moves forward as records are read, and grows to hold a large one whole.
 *
 * The size of the file is taken once: what a writer appends later is not seen.
 */
import type { ReadableFile } from '../env/file-system.ts'

/** Large enough that the cost of a read is lost in it, small enough to be had at every open. */
const READ_BYTES = 1 << 20
/** So little is read on the calling thread: through the pool it takes twenty times as long, and an open reads three such files. */
const SYNC_BYTES = 1 << 16

export class RecordWindow {
  /** Bytes of the file from `position` on; valid up to `length`. */
  bytes: Uint8Array
  position = 0
  length = 0
  readonly #file: ReadableFile
  readonly #end: number

  /** Sees [0, end) of the file; `end` is at most its size. Reads so many bytes at a time, but a large record whole. */
  constructor(file: ReadableFile, end: number, readBytes: number = READ_BYTES) {
    this.#file = file
    this.#end = end
    this.bytes = new Uint8Array(Math.min(readBytes, end))
  }

  /** Whether [at, at + length) of the file is in memory. */
  holds(at: number, length: number): boolean {
    return at >= this.position && at + length <= this.position + this.length
  }

  /** The same as `load` where that needs no promise; false where it does, or the file holds less. */
  loadNow(at: number, length: number): boolean {
    if (this.holds(at, length)) return true
    const wanted = Math.min(Math.max(length, this.bytes.length), this.#end - at)
    if (wanted < length || wanted > SYNC_BYTES) return false
    this.#moveTo(at, length)
    if (this.length < wanted) {
      const rest = wanted - this.length
      this.length += this.#file.readSync(this.bytes, this.length, rest, at + this.length)
    }
    return this.length >= length
  }

  /**
   * Brings [at, at + length) into memory, and what follows up to the size of one read. False when the file holds less: it
   * was cut while it was read, or ends there.
   */
  async load(at: number, length: number): Promise<boolean> {
    if (this.holds(at, length)) return true
    if (at + length > this.#end) return false
    this.#moveTo(at, length)
    const wanted = Math.min(Math.max(length, this.bytes.length), this.#end - at)
    while (this.length < wanted) {
      const rest = wanted - this.length
      const read =
        rest <= SYNC_BYTES
          ? this.#file.readSync(this.bytes, this.length, rest, at + this.length)
          : await this.#file.read(this.bytes, this.length, rest, at + this.length)
      if (read <= 0) break
      this.length += read
    }
    return this.length >= length
  }

  /** Makes the window begin at `at`, keeping what it already holds of it, with room for `length` bytes. */
  #moveTo(at: number, length: number): void {
    const offset = at - this.position
    const isInside = offset >= 0 && offset <= this.length
    const kept = isInside ? this.length - offset : 0
    const grown = length > this.bytes.length ? new Uint8Array(length) : this.bytes
    if (kept > 0) grown.set(this.bytes.subarray(offset, offset + kept), 0)
    this.bytes = grown
    this.position = at
    this.length = kept
  }
}
