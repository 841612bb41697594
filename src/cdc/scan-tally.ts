/**
 * What a scan did, counted where it happens: `ChangeScan.stats`.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'

/** What a change scan has done so far. */
export interface ScanStats {
  /** Segments that hold any change index at all. */
  segmentsTotal: number
  /** How many of them were left unopened because their largest seqno is below `from`. */
  segmentsSkipped: number
  /** Data blocks of the segments that were opened. */
  blocksTotal: number
  /** How many of them the scan needed, from disk or cache. */
  blocksRead: number
  /** Bytes of the blocks that were read. */
  bytesRead: number
  /** Events that the caller got. */
  eventsDelivered: number
}

interface OpenedSegment {
  readonly blocks: number
  read: number
  readonly seen: Uint8Array
}

export class ScanTally {
  segmentsTotal = 0
  segmentsSkipped = 0
  bytesRead = 0
  eventsDelivered = 0
  /** Segments that were opened, by number. */
  readonly #opened = new Map<number, OpenedSegment>()

  /** A segment is open now and has so many data blocks. Returns one bit a block, for `ChangeSegment.gather`. */
  opened(meta: SegmentMeta, blocks: number): Uint8Array {
    let segment = this.#opened.get(meta.number)
    if (segment === undefined) {
      segment = { blocks, read: 0, seen: new Uint8Array((blocks + 7) >>> 3) }
      this.#opened.set(meta.number, segment)
    }
    return segment.seen
  }

  /** So many blocks of an opened segment were read that were not read before. */
  read(meta: SegmentMeta, blocks: number): void {
    const segment = this.#opened.get(meta.number)
    if (segment !== undefined) segment.read = Math.min(segment.read + blocks, segment.blocks)
  }

  stats(): ScanStats {
    let blocksTotal = 0
    let blocksRead = 0
    for (const { blocks, read } of this.#opened.values()) {
      blocksTotal += blocks
      blocksRead += read
    }
    return {
      segmentsTotal: this.segmentsTotal,
      segmentsSkipped: this.segmentsSkipped,
      blocksTotal,
      blocksRead,
      bytesRead: this.bytesRead,
      eventsDelivered: this.eventsDelivered,
    }
  }
}
