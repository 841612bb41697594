/**
 * What is counted over the entries of a segment, by its writer and again by verify: everything in SegmentMeta that is not
 * known beforehand.
 */
import { compare } from '../base/bytes.ts'
import {
  FLAG_BLOB,
  FLAG_DERIVED,
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_MASK,
  KIND_RANGE_DELETE,
} from '../base/entry-kind.ts'
import type { FragmentedRanges } from '../base/range-tombstones.ts'
import { blobFrameBytes, decodeBlobReference } from '../block/blob-reference.ts'
import type { LogBlock } from './log-block.ts'
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
  readonly #byKey: boolean

  /** `byKey`: entries come in key order, and `lastKey` is set from outside. Of history nobody asks where its keys lie. */
  constructor(options: { byKey: boolean }) {
    this.#byKey = options.byKey
  }

  /** Counts an entry; returns what is impossible about it. */
  count(
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): string | undefined {
    this.entries++
    if (seqno > this.maxSeqno) this.maxSeqno = seqno
    if (seqno < this.minSeqno) this.minSeqno = seqno
    if ((kind & FLAG_DERIVED) !== 0) this.derivedEntries++
    if ((kind & FLAG_BLOB) !== 0) {
      const location = decodeBlobReference(value, valueStart, valueEnd)
      if (location === undefined) return 'refers to no possible blob'
      this.#addBlob(location.file, blobFrameBytes(location.length))
    }
    const bare = kind & KIND_MASK
    if (bare === KIND_DELETE) this.pointTombstones++
    if (bare === KIND_RANGE_DELETE) {
      if (this.#byKey) return 'is a range delete outside history'
      const end = (kind & FLAG_OPEN_END) !== 0 ? undefined : value.subarray(valueStart, valueEnd)
      this.#addCover(key.subarray(keyStart, keyEnd), end)
    } else if (this.#byKey && this.firstKey === undefined) {
      this.firstKey = Buffer.from(key.subarray(keyStart, keyEnd))
    }
    return undefined
  }

  /** Counts the entries of `block`. */
  countLogged(block: LogBlock): void {
    this.entries += block.count
    this.pointTombstones += block.pointTombstones
    if (block.firstSeqno < this.minSeqno) this.minSeqno = block.firstSeqno
    if (block.lastSeqno > this.maxSeqno) this.maxSeqno = block.lastSeqno
  }

  /** The counts, with `ranges` taken in. */
  bounds(ranges: FragmentedRanges): Pick<SegmentMeta, Tallied> {
    if (ranges.count > 0) {
      this.#addCover(ranges.start(0), ranges.end(ranges.count - 1))
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

  /** Widens the cover by [start, end); `end` undefined: to the end of the keyspace. */
  #addCover(start: Uint8Array, end: Uint8Array | undefined): void {
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

  #addBlob(file: number, bytes: number): void {
    this.#blobs.set(file, (this.#blobs.get(file) ?? 0) + bytes)
  }
}
