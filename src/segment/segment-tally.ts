/**
 * What a segment writer counts along the way: everything in SegmentMeta that is not known beforehand.
 */
import { compare, compareBytes } from '../base/bytes.ts'
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import type { BlobReference, SegmentMeta } from './segment-meta.ts'

type Tallied =
  | 'entries'
  | 'pointTombstones'
  | 'derivedEntries'
  | 'heldEntries'
  | 'firstKey'
  | 'lastKey'
  | 'rangeFragments'
  | 'coverStart'
  | 'coverEnd'
  | 'minSeqno'
  | 'maxSeqno'
  | 'blobReferences'

export class SegmentTally {
  entries = 0
  pointTombstones = 0
  derivedEntries = 0
  heldEntries = 0
  minSeqno: number = Number.POSITIVE_INFINITY
  maxSeqno = 0
  firstKey: Uint8Array | undefined
  lastKey: Uint8Array | undefined
  #hasCover = false
  #coverStart: Uint8Array | undefined
  #coverEnd: Uint8Array | undefined
  readonly #blobs: Map<number, number> = new Map()

  /** Takes the key of an entry whose place says nothing about its order. */
  addUnorderedKey(key: Uint8Array, start: number, end: number): void {
    const first = this.firstKey
    if (first === undefined || compareBytes(key, start, end, first, 0, first.length) < 0) {
      this.firstKey = Buffer.from(key.subarray(start, end))
    }
    const last = this.lastKey
    if (last === undefined || compareBytes(key, start, end, last, 0, last.length) > 0) {
      this.lastKey = Buffer.from(key.subarray(start, end))
    }
  }

  /** Widens the cover by [start, end); `end` undefined: to the end of the keyspace. */
  addCover(start: Uint8Array, end: Uint8Array | undefined): void {
    if (!this.#hasCover || compare(start, this.#coverStart!) < 0) {
      this.#coverStart = Buffer.from(start)
    }
    if (end === undefined) {
      this.#coverEnd = undefined
    } else if (!this.#hasCover) {
      this.#coverEnd = Buffer.from(end)
    } else if (this.#coverEnd !== undefined && compare(end, this.#coverEnd) > 0) {
      this.#coverEnd = Buffer.from(end)
    }
    this.#hasCover = true
  }

  addBlob(file: number, bytes: number): void {
    this.#blobs.set(file, (this.#blobs.get(file) ?? 0) + bytes)
  }

  /** The counts, with `ranges` taken in. */
  bounds(ranges: FragmentedRanges): Pick<SegmentMeta, Tallied> {
    if (ranges.count > 0) {
      this.addCover(ranges.start(0), ranges.end(ranges.count - 1))
      this.minSeqno = Math.min(this.minSeqno, ranges.minSeqno)
      this.maxSeqno = Math.max(this.maxSeqno, ranges.maxSeqno)
    }
    const blobReferences: BlobReference[] = []
    for (const [file, bytes] of this.#blobs) blobReferences.push({ file, bytes })
    blobReferences.sort((a, b) => a.file - b.file)
    return {
      entries: this.entries,
      pointTombstones: this.pointTombstones,
      derivedEntries: this.derivedEntries,
      heldEntries: this.heldEntries,
      firstKey: this.firstKey,
      lastKey: this.lastKey,
      rangeFragments: ranges.count,
      coverStart: this.#coverStart,
      coverEnd: this.#coverEnd,
      minSeqno: this.minSeqno === Number.POSITIVE_INFINITY ? 0 : this.minSeqno,
      maxSeqno: this.maxSeqno,
      blobReferences,
    }
  }
}
