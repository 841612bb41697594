/**
 * Reads the records of one log file in order, and says where and how they end.
 *
 * A record is good when its checksum holds, it was written to this very file and it follows the record before it. At the
 * first one that is not, `next` answers false, and `damage()` tells what that means:
 *
 *  - torn: a power cut may have left it so. Only what nobody was promised is lost.
 *  - rotten: it was damaged later. Some good record behind it was written when these bytes were durable already; or good
 *    records stand behind it and no sector before them is missing, so no power cut did this.
 */
import { corruption } from '../base/errors.ts'
import type { ReadableFile } from '../env/file-system.ts'
import {
  isRecordSound,
  recordChecksum,
  recordDurableBytes,
  recordFileNumber,
  recordLength,
  recordPrevious,
  recordType,
} from './record-frame.ts'
import { RECORD_HEADER_BYTES } from './record-header.ts'
import { findRecordBehind, isTornBySectors, type RecordBehind } from './record-search.ts'
import { RecordWindow } from './record-window.ts'

export interface RecordReaderOptions {
  readonly fileNumber: number
  readonly seed: number
  /** Reads only so far, which is at most the file's size, and the default. Records must end exactly there. */
  readonly end?: number
  /** Bytes that are read at a time, for who wants only the first record. */
  readonly readBytes?: number
}

/** Why reading ended before the file did. */
export interface Damage {
  /** First byte of the record that is not good. */
  readonly offset: number
  readonly isRot: boolean
  readonly reason: string
}

/** Of a longer log it pays to compile the checksum of short records. */
const RARE_RECORDS = 64

export class RecordReader {
  /** The current record is [start, end) of `bytes`, which are borrowed until the next call. */
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
  type = 0
  /** Offset of the current record in the file. */
  offset = 0
  /** Where the next record begins: the end of the last good one. */
  position = 0
  /** Checksum of the last good record; 0 before the first. */
  lastChecksum = 0
  /** The largest count of durable bytes that a record read so far carries. */
  durableBytes = 0
  /** Bytes that are read: the file's size, or less when it was opened with an end. */
  readonly size: number
  readonly #file: ReadableFile
  readonly #window: RecordWindow
  readonly #fileNumber: number
  readonly #options: RecordReaderOptions
  #records = 0
  #reason = ''

  constructor(file: ReadableFile, options: RecordReaderOptions) {
    this.#file = file
    this.#options = options
    this.#fileNumber = options.fileNumber % 2 ** 32
    this.size = options.end ?? file.size
    this.#window = new RecordWindow(file, this.size, options.readBytes)
  }

  /** The end was reached, and the last record ends there. */
  get isAtEnd(): boolean {
    return this.position === this.size
  }

  /** Continues where an earlier reader stopped: behind the record that ends at `position` and has this checksum. */
  resume(position: number, lastChecksum: number): void {
    this.position = position
    this.lastChecksum = lastChecksum
  }

  /**
   * Moves to the next good record; false at the end or before damage. A promise only when bytes must be read: most calls
   * cost none. `seed` is for a first record that has its own.
   */
  next(seed: number = this.#options.seed): boolean | Promise<boolean> {
    const at = this.position
    if (at === this.size) return false
    const window = this.#window
    if (!window.loadNow(at, RECORD_HEADER_BYTES)) return this.#loadAndMove(at, seed)
    const length = recordLength(window.bytes, at - window.position)
    if (this.#isHeaderPossible(at, length) && !window.holds(at, length)) {
      return this.#loadAndMove(at, seed)
    }
    return this.#move(at, seed)
  }

  /**
   * What stopped `next`; undefined when it was the end of the file. Reads all that follows, so ask once. `durableBytes` is
   * what the caller knows from elsewhere to have been durable.
   */
  async damage(durableBytes = 0): Promise<Damage | undefined> {
    const offset = this.position
    if (offset === this.size) return undefined
    const reason = this.#reason
    const known = Math.max(durableBytes, this.durableBytes)
    if (known > offset) return { offset, reason, isRot: true }
    const behind = await this.findBehind()
    if (behind === undefined) return { offset, reason, isRot: false }
    const isRot =
      behind.durableBytes > offset || !(await isTornBySectors(this.#file, offset, behind.first))
    return { offset, reason, isRot }
  }

  async #loadAndMove(at: number, seed: number): Promise<boolean> {
    const window = this.#window
    if (!(await window.load(at, RECORD_HEADER_BYTES))) {
      return this.#stop('a record header is cut off')
    }
    const length = recordLength(window.bytes, at - window.position)
    // Not before the length is plausible: it decides how much memory is taken.
    if (this.#isHeaderPossible(at, length) && !(await window.load(at, length))) {
      return this.#stop('a record is cut off')
    }
    return this.#move(at, seed)
  }

  #isHeaderPossible(at: number, length: number): boolean {
    const { bytes, position } = this.#window
    return (
      length >= RECORD_HEADER_BYTES &&
      length <= this.size - at &&
      recordFileNumber(bytes, at - position) === this.#fileNumber
    )
  }

  /** The record at `at` is in the window, if it is one. */
  #move(at: number, seed: number): boolean {
    const { bytes, position } = this.#window
    const start = at - position
    const length = recordLength(bytes, start)
    if (length < RECORD_HEADER_BYTES) return this.#stop('a record has no length')
    if (length > this.size - at) return this.#stop('a record is cut off')
    if (recordFileNumber(bytes, start) !== this.#fileNumber) {
      return this.#stop('a record belongs to another file')
    }
    if (!isRecordSound(bytes, start, length, seed, this.#records++ < RARE_RECORDS)) {
      return this.#stop('the checksum of a record is wrong')
    }
    this.#take(at, start, length)
    return true
  }

  /** Good records behind the one that stopped `next`. */
  findBehind(): Promise<RecordBehind | undefined> {
    const search = { fileNumber: this.#fileNumber, seed: this.#options.seed, size: this.size }
    return findRecordBehind(this.#file, this.position, search)
  }

  #stop(reason: string): false {
    this.#reason = reason
    return false
  }

  #take(at: number, start: number, length: number): void {
    const { bytes } = this.#window
    const durableBytes = recordDurableBytes(bytes, start)
    // With a checksum that holds, these are what somebody wrote: no torn tail looks like it.
    if (recordPrevious(bytes, start) !== this.lastChecksum) {
      throw this.corruption(at, 'a record does not follow the one before it')
    }
    if (durableBytes > at) throw this.corruption(at, 'a record counts itself as durable')
    this.bytes = bytes
    this.start = start
    this.end = start + length
    this.type = recordType(bytes, start)
    this.offset = at
    this.position = at + length
    this.lastChecksum = recordChecksum(bytes, start)
    if (durableBytes > this.durableBytes) this.durableBytes = durableBytes
  }

  /** VARVE_CORRUPTION in this file. */
  corruption(offset: number, message: string, cause?: unknown): Error {
    return corruption(message, { file: this.#file.path, offset }, cause)
  }
}
