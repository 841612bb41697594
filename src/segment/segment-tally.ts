/**
 * What is counted over the entries of a segment, by its writer and again by verify: everything in SegmentMeta that is not
 * known beforehand.
 */
import { compare, compareBytes } from '../base/bytes.ts'
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
  /** Of first and last key, as big-endian numbers; nothing lies between equal ones. */
  #sharedWords: readonly number[] = []
  #firstWord = 0
  #lastWord = 0

  /** `byKey`: entries come in key order, and `lastKey` is set from outside. */
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
    } else if (!this.#byKey) {
      this.#addUnorderedKey(key, keyStart, keyEnd)
    } else if (this.firstKey === undefined) {
      this.firstKey = Buffer.from(key.subarray(keyStart, keyEnd))
    }
    return undefined
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

  #addUnorderedKey(key: Uint8Array, start: number, end: number): void {
    if (this.#isWithin(key, start, end)) return
    const first = this.firstKey
    if (first === undefined || compareBytes(key, start, end, first, 0, first.length) < 0) {
      this.firstKey = Buffer.from(key.subarray(start, end))
    }
    const last = this.lastKey
    if (last === undefined || compareBytes(key, start, end, last, 0, last.length) > 0) {
      this.lastKey = Buffer.from(key.subarray(start, end))
    }
    this.#noteSpan(this.firstKey!, this.lastKey!)
  }

  /** Whether the key's first words alone show that it lies between first and last key: true of nearly all. False says nothing. */
  #isWithin(key: Uint8Array, start: number, end: number): boolean {
    const shared = this.#sharedWords
    if (end - start < 4 * shared.length + 4) return false
    let at = start
    for (let i = 0; i < shared.length; i++) {
      if (wordAt(key, at) !== shared[i]) return false
      at += 4
    }
    const word = wordAt(key, at)
    return word > this.#firstWord && word < this.#lastWord
  }

  /** The words that these keys share, and the first ones in which they differ, where both have one. */
  #noteSpan(first: Uint8Array, last: Uint8Array): void {
    const words = Math.min(first.length, last.length) >> 2
    let shared = 0
    while (shared < words && wordAt(first, 4 * shared) === wordAt(last, 4 * shared)) shared++
    this.#sharedWords = Array.from({ length: shared }, (_, i) => wordAt(first, 4 * i))
    this.#firstWord = shared < words ? wordAt(first, 4 * shared) : 0
    this.#lastWord = shared < words ? wordAt(last, 4 * shared) : 0
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

function wordAt(bytes: Uint8Array, at: number): number {
  const word = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return word >>> 0
}
