/**
 * What the manifest knows of a segment: enough to decide whether it has to be opened at all.
 * Plain data: it crosses to worker threads and back, and it never changes once the segment is written.
 */

export type { BlobFileMeta } from '../block/blob-reference.ts'

export interface BlobReference {
  /** Blob file number. */
  readonly file: number
  /** Bytes of frames in it that this segment references. */
  readonly bytes: number
}

/** Where a segment in key order has what a probe reads (segment-probe.ts); all of it stands in the footer too. */
export interface SegmentLayout {
  readonly blocks: number
  /** Decompressed, without trailer. */
  readonly largestBlockBytes: number
  /** Bytes of all blocks: they begin the file. */
  readonly dataBytes: number
  /** Sections with their checksum. These three end the file, in this order. */
  readonly separatorBytes: number
  readonly indexBytes: number
  readonly footerBytes: number
}

export interface SegmentMeta {
  /** File number; unique in the store for ever. */
  readonly number: number
  readonly keyspaceId: number
  /** Size of the file. */
  readonly bytes: number
  /**
   * 'key': key ascending, then seqno descending; read by lookups and cursors. 'seqno': seqno ascending; history, which only
   * change capture reads.
   */
  readonly order: 'key' | 'seqno'
  /** Point entries (derived ones included); in history segments every entry. */
  readonly entries: number
  readonly pointTombstones: number
  readonly derivedEntries: number
  /** Superseded versions that are only here because a snapshot saw them; rewritten once it is closed. */
  readonly heldEntries: number
  /** Smallest and largest key of the point entries; undefined when there are none, and in order 'seqno'. */
  readonly firstKey: Uint8Array | undefined
  readonly lastKey: Uint8Array | undefined
  /** Fragments of range tombstones; all derived. */
  readonly rangeFragments: number
  /** What the fragments cover: [coverStart, coverEnd); coverEnd undefined: to the end of the keyspace. */
  readonly coverStart: Uint8Array | undefined
  readonly coverEnd: Uint8Array | undefined
  /** Over everything in it, derived entries and fragments too. */
  readonly minSeqno: number
  readonly maxSeqno: number
  /** Events in its change index, and their seqnos; 0, 0, 0 when there are none. */
  readonly events: number
  readonly minEventSeqno: number
  readonly maxEventSeqno: number
  readonly blobReferences: readonly BlobReference[]
  /** Undefined in order 'seqno', or where a manifest does not tell it: the footer has to be asked. */
  readonly layout?: SegmentLayout | undefined
}
