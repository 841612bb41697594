/**
 * Writes one manifest: header, snapshot, and then edits, each synced before it takes effect. Behind each edit stands a mark
 * that counts it as durable, so that rot in the last edit is told from a torn tail.
 */
import { assert } from '../base/assert.ts'
import { systemCode } from '../env/disk-errors.ts'
import { type WritableFile, writeFully } from '../env/file-system.ts'
import { frameRecord, sealRareRecord } from '../record/record-frame.ts'
import {
  RECORD_STATE_COPY,
  RECORD_SYNC_MARK,
  RECORD_VERSION_EDIT,
} from '../record/record-header.ts'
import { encodeManifestHeader, MANIFEST_SEED } from './manifest-header.ts'

export class ManifestWriter {
  readonly number: number
  readonly #file: WritableFile
  #size = 0
  #syncedSize = 0
  #lastChecksum = 0
  #isBroken = false

  constructor(file: WritableFile, number: number) {
    this.#file = file
    this.number = number
  }

  get path(): string {
    return this.#file.path
  }

  get size(): number {
    return this.#size
  }

  /** Something could not be written: nothing may follow it. A whole new manifest has to. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Header, the edits of the snapshot, and the first of them, which holds the state, once more; not synced. */
  writeSnapshot(edits: readonly Uint8Array[]): void {
    this.#append(encodeManifestHeader({ snapshotEdits: edits.length }))
    for (const edit of edits) this.append(edit)
    if (edits[0] !== undefined) this.#append(frameRecord(RECORD_STATE_COPY, edits[0]))
  }

  /** Appends an encoded edit, not synced. Throws Node's error when not all of it was taken. */
  append(edit: Uint8Array): void {
    this.#append(frameRecord(RECORD_VERSION_EDIT, edit))
  }

  /** A failure is final. */
  async sync(): Promise<void> {
    const size = this.#size
    await this.#file.sync()
    this.#syncedSize = size
  }

  /** After a sync. Throws EIO, after which nothing more may be built on this disk; a full one only ends this manifest. */
  mark(): void {
    assert(this.#syncedSize === this.#size, 'a mark stands behind what is durable')
    try {
      this.#append(frameRecord(RECORD_SYNC_MARK, new Uint8Array(0)))
    } catch (error) {
      // `isBroken` says it: what follows goes to a new manifest.
      if (systemCode(error) === 'EIO') throw error
    }
  }

  close(): void {
    this.#file.close()
  }

  #append(record: Buffer): void {
    assert(!this.#isBroken, 'nothing follows what could not be written')
    const sum = sealRareRecord(record, 0, {
      fileNumber: this.number,
      previous: this.#lastChecksum,
      durableBytes: this.#syncedSize,
      seed: MANIFEST_SEED,
    })
    try {
      writeFully(this.#file, record, 0, record.length)
    } catch (error) {
      this.#isBroken = true
      throw error
    }
    this.#size += record.length
    this.#lastChecksum = sum
  }
}
