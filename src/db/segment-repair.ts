/**
 * The segments and blob files of a damaged store: keeps what is whole, writes anew what is damaged in part, and counts what
 * went.
 *
 * ```
 * blob file ─> every frame checked ─> whole, or read frame by frame by who refers to it
 * segment ──> whole ─> stays
 *        └──> damaged, or refers to a damaged blob file ─> a new segment of its good entries, values brought back into it
 * ```
 *
 * What is lost of the stream is found by a census of all events; what is lost of the state beside it has no seqno that anyone
 * could read any more: it is known by the seqnos that its segment spans.
 */
import { assert } from '../base/assert.ts'
import { FLAG_BLOB } from '../base/entry-kind.ts'
import { hasCode, VarveError } from '../base/errors.ts'
import { BlobReader } from '../blob/blob-reader.ts'
import { decodeBlobReference } from '../block/blob-reference.ts'
import { blobFileName, joinPath, segmentFileName } from '../env/file-names.ts'
import type { FileSystem, ReadableFile } from '../env/file-system.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import { salvageEntries, salvageEvents } from '../segment/segment-salvage.ts'
import { verifySegment } from '../segment/segment-verify.ts'
import { SegmentWriter } from '../segment/segment-writer.ts'
import type { Place, SegmentAddition } from '../version/version-edit.ts'
import type { SeqnoCensus, SeqnoRange } from './seqno-census.ts'

export interface SegmentRepairOptions {
  readonly fs: FileSystem
  readonly directory: string
  /** The floor as it was: events below it are nobody's. */
  readonly floor: number
  readonly allocate: () => number
  readonly checkAborted: () => void
}

export class SegmentRepair {
  /** Segments that are good now. */
  readonly additions: SegmentAddition[] = []
  /** Paths of what is damaged. */
  readonly damagedFiles: string[] = []
  /** Seqnos among which something is lost that no event tells of. */
  readonly uncertain: SeqnoRange[] = []
  filesRead = 0
  isDamaged = false
  readonly #options: SegmentRepairOptions
  readonly #goodBlobs = new Set<number>()
  readonly #written: string[] = []
  /** Undefined: gone. */
  readonly #damagedBlobs = new Map<number, BlobReader | undefined>()

  constructor(options: SegmentRepairOptions) {
    this.#options = options
  }

  /** Of the blob files that were checked: whether every byte is as it was written. */
  isGoodBlob(number: number): boolean {
    return this.#goodBlobs.has(number)
  }

  /** To be called for all blob files before any segment. */
  async checkBlob(meta: BlobFileMeta): Promise<void> {
    const { fs, checkAborted } = this.#options
    checkAborted()
    const { number } = meta
    const path = this.#path(blobFileName(number))
    this.filesRead++
    if (fs.stat(path) === undefined) {
      this.isDamaged = true
      this.#damagedBlobs.set(number, undefined)
      return
    }
    const reader = new BlobReader(fs.openRead(path), number, undefined)
    // Closed with the damaged ones where the check itself fails.
    this.#damagedBlobs.set(number, reader)
    if ((await problemsOf(() => reader.verify(meta))) === 0) {
      this.#goodBlobs.add(number)
      this.#damagedBlobs.delete(number)
      reader.close()
      return
    }
    // Its good frames are read by who refers to them; the file stays for them, and goes when they are gone.
    this.isDamaged = true
    this.damagedFiles.push(path)
  }

  async checkSegment(meta: SegmentMeta, place: Place): Promise<void> {
    const { fs, checkAborted } = this.#options
    checkAborted()
    const path = this.#path(segmentFileName(meta.number))
    this.filesRead++
    if (fs.stat(path) === undefined) {
      this.isDamaged = true
      this.lose(meta, place)
      return
    }
    const file = fs.openRead(path)
    try {
      const isWhole = (await problemsOf(() => verifySegment(file, meta))) === 0
      const refersToDamage = meta.blobReferences.some((one) => !this.#goodBlobs.has(one.file))
      if (isWhole && !refersToDamage) {
        this.additions.push({ keyspaceId: meta.keyspaceId, level: place, meta })
        return
      }
      this.isDamaged = true
      this.damagedFiles.push(path)
      await this.#rewrite(file, meta, place)
    } finally {
      file.close()
    }
  }

  /** Counts the events of all good segments, from the floor on. */
  async count(census: SeqnoCensus): Promise<void> {
    const { fs, floor } = this.#options
    for (const { meta } of this.additions) {
      if (meta.events === 0 || meta.maxEventSeqno < floor) continue
      const file = fs.openRead(this.#path(segmentFileName(meta.number)))
      try {
        const events = await salvageEvents(file, floor)
        assert(events !== undefined, 'the change index of a good segment can be read')
        for (let i = 0; i < events.count; i++) census.add(events.seqnos[i]!)
      } finally {
        file.close()
      }
    }
  }

  /** Removes what it wrote: nothing is to come of it. */
  discard(): void {
    const { fs } = this.#options
    for (const path of this.#written) if (fs.stat(path) !== undefined) fs.remove(path)
  }

  close(): void {
    for (const reader of this.#damagedBlobs.values()) reader?.close()
    this.#damagedBlobs.clear()
  }

  /** Writes what can be read of a damaged segment to a new one, values in damaged blob files among it. */
  async #rewrite(file: ReadableFile, meta: SegmentMeta, place: Place): Promise<void> {
    const { fs, allocate } = this.#options
    const number = allocate()
    const path = this.#path(segmentFileName(number))
    const output = fs.create(path)
    this.#written.push(path)
    const writer = new SegmentWriter(output, {
      number,
      keyspaceId: meta.keyspaceId,
      order: meta.order,
      blockBytes: 2048,
      compression: 'none',
      bloomBitsPerKey: 10,
      origin: place === 'history' ? { isHistory: true, closing: number, inputs: [] } : undefined,
    })
    const kept = new Uint8Array(meta.entries)
    try {
      const ranges = await salvageEntries(file, meta, {
        entry: ({ key, seqno, kind, value, commitId, ordinal }, commits) => {
          const whole = this.#resolve(kind, value)
          if (whole === undefined) return
          const { length } = whole.value
          writer.add(
            key,
            0,
            key.length,
            seqno,
            whole.kind,
            whole.value,
            0,
            length,
            commits,
            commitId,
          )
          kept[ordinal] = 1
        },
      })
      if (ranges.count > 0) writer.addRangeFragments(ranges)
      const written = writer.finish()
      await output.sync()
      output.close()
      if (written.entries > 0 || written.rangeFragments > 0) {
        this.additions.push({ keyspaceId: meta.keyspaceId, level: place, meta: written })
      } else {
        fs.remove(path)
      }
      if (ranges.count < meta.rangeFragments || (await this.#hasUntold(file, kept))) {
        this.#loseState(meta, place)
      }
    } catch (error) {
      output.close()
      fs.remove(path)
      if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
      this.lose(meta, place)
    }
  }

  /** Whether an entry is lost that is no event from the floor on, or of which nobody can tell. */
  async #hasUntold(file: ReadableFile, kept: Uint8Array): Promise<boolean> {
    let lost = 0
    for (let ordinal = 0; ordinal < kept.length; ordinal++) if (kept[ordinal] === 0) lost++
    if (lost === 0) return false
    const events = await salvageEvents(file, this.#options.floor)
    if (events === undefined) return true
    for (let i = 0; i < events.count; i++) if (kept[events.ordinals[i]!] === 0) lost--
    return lost > 0
  }

  /** A value that lived in a damaged blob file comes back into the segment, if its frame is good; undefined: it is lost. */
  #resolve(kind: number, value: Uint8Array): { kind: number; value: Uint8Array } | undefined {
    if ((kind & FLAG_BLOB) === 0) return { kind, value }
    const location = decodeBlobReference(value, 0, value.length)
    if (location === undefined) return undefined
    if (this.#goodBlobs.has(location.file)) return { kind, value }
    const reader = this.#damagedBlobs.get(location.file)
    if (reader === undefined) return undefined
    try {
      return { kind: kind & ~FLAG_BLOB, value: reader.readSync(location) }
    } catch (error) {
      if (hasCode(error, 'VARVE_CORRUPTION')) return undefined
      throw error
    }
  }

  /** All of it is gone. */
  lose(meta: SegmentMeta, place: Place): void {
    const { floor } = this.#options
    const isAllEvents =
      meta.entries === meta.events && meta.rangeFragments === 0 && meta.minEventSeqno >= floor
    if (!isAllEvents) this.#loseState(meta, place)
  }

  #loseState({ minSeqno, maxSeqno }: SegmentMeta, place: Place): void {
    // History serves the stream alone, and the census knows what that lacks.
    if (place !== 'history') this.uncertain.push({ from: minSeqno, to: maxSeqno })
  }

  #path(name: string): string {
    return joinPath(this.#options.directory, name)
  }
}

/** Number of problems; damage that ends the check counts as one. Errors of the disk itself are thrown. */
async function problemsOf(check: () => Promise<readonly unknown[]>): Promise<number> {
  try {
    return (await check()).length
  } catch (error) {
    if (error instanceof VarveError && error.code === 'VARVE_CORRUPTION') return 1
    throw error
  }
}
