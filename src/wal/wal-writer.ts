/**
 * Writes one WAL file: commit records, encoded elsewhere, straight from the memtable's arena.
 *
 * ```
 * seal (frame, checksum) ─> write (one write(2)) ─> acknowledged without sync ─> sync ─> durable
 * ```
 *
 * Invariants
 *  - What is durable is a prefix of the commits over all logs: a log's first sync makes the log before it and the directory
 *    entry durable first. So a record that counts any byte of its file as durable proves that every earlier log was, too.
 *  - After a failed write nothing more is written until the file is cut back to its last acknowledged record and that is
 *    synced; else rejected bytes could come back after a power cut, behind seqnos that were given out again.
 *  - A failed sync is final and never tried again: the kernel has marked the pages clean, so the next one would lie.
 */
import { allDone } from '../base/all-done.ts'
import { assert } from '../base/assert.ts'
import { joinPath, walFileName } from '../env/file-names.ts'
import { type FileSystem, type WritableFile, writeFully } from '../env/file-system.ts'
import {
  frameRecord,
  recordPrevious,
  recordSeed,
  sealRareRecord,
  sealRecord,
} from '../record/record-frame.ts'
import { RECORD_SYNC_MARK } from '../record/record-header.ts'
import { encodeWalHeader, WAL_HEADER_SEED, type WalEnd, type WalLink } from './wal-header.ts'

export interface WalOptions {
  /** `StoreState.logId`. */
  readonly logId: string
  /** The log that this one continues: a writer of this process, or what recovery read. Without: begins a chain. */
  readonly previous?: WalWriter | WalLink | undefined
}

export class WalWriter {
  readonly number: number
  readonly path: string
  readonly #fs: FileSystem
  readonly #directory: string
  readonly #options: WalOptions
  #file: WritableFile | undefined
  readonly #seed: number
  /** The log before, until it is known to be durable. */
  #previous: WalWriter | undefined
  /** Bytes and last checksum of what was written and accepted whole. */
  #size = 0
  #lastChecksum = 0
  /** Checksum of the last sealed record; runs ahead of `#lastChecksum` until it is written. */
  #sealedChecksum = 0
  #syncedSize = 0
  #isBroken = false
  #isEnded = false
  #endsInMark = false
  #syncing: Promise<void> | undefined
  #nextSync: Promise<void> | undefined
  #failure: unknown

  /**
   * Creates the file and writes its header; nothing of it is durable before the first `sync`. Throws Node's error and leaves
   * no file when that fails.
   */
  static create(fs: FileSystem, directory: string, number: number, options: WalOptions): WalWriter {
    const wal = WalWriter.plan(fs, directory, number, options)
    wal.begin()
    return wal
  }

  /** A log that has no file before `begin`, and takes nothing. */
  static plan(fs: FileSystem, directory: string, number: number, options: WalOptions): WalWriter {
    return new WalWriter(fs, directory, number, options)
  }

  private constructor(fs: FileSystem, directory: string, number: number, options: WalOptions) {
    this.#fs = fs
    this.#directory = directory
    this.number = number
    this.path = joinPath(directory, walFileName(number))
    this.#options = options
    this.#seed = recordSeed(options.logId)
  }

  /** Does what was planned. Idempotent; may be tried again when it fails, as `create` does. */
  begin(): void {
    if (this.#file !== undefined) return
    const { logId, previous } = this.#options
    const link = previous instanceof WalWriter ? previous.#end() : previous
    assert(
      previous === undefined || previous instanceof WalWriter || previous.isDurable,
      'a log of an earlier process is continued only when it is durable',
    )
    const header = encodeWalHeader({ logId, previous: link })
    const place = { fileNumber: this.number, previous: 0, durableBytes: 0, seed: WAL_HEADER_SEED }
    const sum = sealRareRecord(header, 0, place)
    const file = this.#fs.create(this.path)
    try {
      writeFully(file, header, 0, header.length)
    } catch (error) {
      file.close()
      removeAttempt(this.#fs, this.path)
      throw error
    }
    this.#file = file
    this.#sealedChecksum = sum
    this.#accept(header.length)
    if (previous instanceof WalWriter) {
      previous.#isEnded = true
      if (!previous.isDurable) this.#previous = previous
    }
  }

  /** Whether there is a file. */
  get hasBegun(): boolean {
    return this.#file !== undefined
  }

  /** Bytes that were accepted, without what a failed write may have left behind them. */
  get size(): number {
    return this.#size
  }

  /** So many bytes survive a power cut, and every byte of the logs before. 0 until the first sync. */
  get syncedSize(): number {
    return this.#syncedSize
  }

  get lastChecksum(): number {
    return this.#lastChecksum
  }

  get isDurable(): boolean {
    return this.#syncedSize === this.#size
  }

  /** A write failed: `cutBack` must succeed before the next one. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** The error of a sync that failed: this log takes nothing more. */
  get failure(): unknown {
    return this.#failure
  }

  /** Where the log ends, for a successor's header or a clean close. */
  get end(): WalEnd {
    return { number: this.number, bytes: this.#size, checksum: this.#lastChecksum }
  }

  /**
   * Patches frame and checksum of the commit record at `offset`; everything else of it is complete. Records are sealed in
   * the order in which they are then written, by one `write` or several.
   */
  seal(arena: Uint8Array, offset: number): void {
    this.#sealedChecksum = sealRecord(arena, offset, {
      fileNumber: this.number,
      previous: this.#sealedChecksum,
      durableBytes: this.#syncedSize,
      seed: this.#seed,
    })
  }

  /** Forgets records that were sealed but are not going to be written. */
  unseal(): void {
    this.#sealedChecksum = this.#lastChecksum
  }

  /**
   * Appends arena[start, end): all records sealed since the last write. Throws Node's error when not every byte was taken;
   * then none of them counts as written, and `isBroken`.
   */
  write(arena: Uint8Array, start: number, end: number): void {
    assert(!this.#isBroken && !this.#isEnded, 'a log that is broken or ended is not written to')
    assert(this.#failure === undefined, 'a log whose sync failed is not written to')
    assert(
      recordPrevious(arena, start) === this.#lastChecksum,
      'records are written in the order in which they were sealed',
    )
    try {
      writeFully(this.#file!, arena, start, end - start)
    } catch (error) {
      this.#isBroken = true
      this.unseal()
      this.#truncateAtOnce()
      throw error
    }
    this.#accept(end - start)
    this.#endsInMark = false
  }

  /**
   * After a failed write: cuts the file to its last acknowledged record and syncs that. Rejects when it cannot; the log then
   * stays broken. It may be tried again, unless the sync failed (`failure`): that is final.
   */
  async cutBack(): Promise<void> {
    assert(this.#isBroken, 'only a broken log is cut back')
    while (this.#syncing !== undefined) await this.#syncing
    if (this.#failure !== undefined) throw this.#failure
    // Where nothing was taken, or `write` has cut it already, there is nothing that a full disk could refuse.
    const file = this.#file!
    if (file.size !== this.#size) file.truncate(this.#size)
    await this.#syncOnce(true)
    this.unseal()
    this.#isBroken = false
  }

  /**
   * Resolves when every byte that was written before the call, and every earlier log, survives a power cut. One fdatasync at
   * a time, shared by all who wait. Rejects with the same error for ever once one failed.
   */
  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#syncing === undefined) return this.#syncOnce(false)
    // What runs may have begun before our bytes: wait for the one after it, together with all who come meanwhile.
    this.#nextSync ??= this.#syncAfter(this.#syncing)
    return this.#nextSync
  }

  /**
   * Leaves a record that counts everything as durable, where everything is: rot in the last commits of a quiet log is then
   * told from a torn tail. Costs one small write; for moments without load. Fails as `write` does.
   */
  markSynced(): void {
    if (!this.hasBegun || !this.isDurable || this.#endsInMark || this.#isBroken || this.#isEnded)
      return
    const mark = frameRecord(RECORD_SYNC_MARK, new Uint8Array(0))
    this.seal(mark, 0)
    this.write(mark, 0, mark.length)
    this.#endsInMark = true
  }

  /** Closes the file, after a running sync. What was written stays; nothing is synced. */
  async close(): Promise<void> {
    this.#isEnded = true
    // A failure was reported to who asked for the sync.
    while (this.#syncing !== undefined) await Promise.allSettled([this.#syncing])
    this.#file?.close()
  }

  /** What a successor's header says of this log. */
  #end(): WalLink {
    assert(
      this.hasBegun && !this.#isBroken,
      'a log that is broken, or no file yet, has no successor',
    )
    return { ...this.end, isDurable: this.isDurable }
  }

  /**
   * The rejected bytes may be whole records: nobody should find them when the process dies before `cutBack`. Only that one
   * makes it certain, so a failure here changes nothing.
   */
  #truncateAtOnce(): void {
    try {
      this.#file!.truncate(this.#size)
    } catch {
      // `cutBack` tries again, and says what is wrong.
    }
  }

  #accept(bytes: number): void {
    this.#size += bytes
    this.#lastChecksum = this.#sealedChecksum
  }

  async #syncAfter(running: Promise<void>): Promise<void> {
    await running
    this.#nextSync = undefined
    // A cut back may have come first.
    while (this.#syncing !== undefined) await this.#syncing
    await this.#syncOnce(false)
  }

  #syncOnce(isForced: boolean): Promise<void> {
    if (this.isDurable && !isForced) return Promise.resolve()
    const size = this.#size
    this.#syncing = this.#syncFile(size).then(
      () => {
        this.#syncing = undefined
        this.#syncedSize = size
      },
      (error: unknown) => {
        this.#syncing = undefined
        this.#failure = error
        throw error
      },
    )
    return this.#syncing
  }

  async #syncFile(size: number): Promise<void> {
    if (this.#previous !== undefined) {
      await this.#previous.sync()
      this.#previous = undefined
    }
    // The first time: without its directory entry a power cut can lose the file with all that was synced in it.
    const file = this.#file!
    const isFirst = this.#syncedSize === 0 && size > 0
    if (isFirst) await allDone([file.sync(), this.#fs.syncDirectory(this.#directory)])
    else await file.sync()
  }
}

/** What cannot be removed is an orphan that begins no chain: the next open removes it. */
function removeAttempt(fs: FileSystem, path: string): void {
  try {
    fs.remove(path)
  } catch {
    // The error that led here says more.
  }
}
