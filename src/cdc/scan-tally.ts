/**
 * What a scan did, counted where it happens: `ChangeScan.stats`.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { SegmentCatalog } from './segment-catalog.ts'

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
  bytesRead = 0
  eventsDelivered = 0
  #segments: readonly SegmentMeta[] = []
  #skippedBefore = 0
  /** Segments that were opened, by number. */
  #opened: Map<number, OpenedSegment> | undefined

  /** The segments as the scan begins; those with events only before `skippedBefore` are skipped. Counted when asked for. */
  begin(segments: readonly SegmentMeta[], skippedBefore: number): void {
    this.#segments = segments
    this.#skippedBefore = skippedBefore
  }

  /** A segment is open now and has so many data blocks. Returns one bit a block, for `ChangeSegment.gather`. */
  opened(meta: SegmentMeta, blocks: number): Uint8Array {
    this.#opened ??= new Map()
    let segment = this.#opened.get(meta.number)
    if (segment === undefined) {
      segment = { blocks, read: 0, seen: new Uint8Array((blocks + 7) >>> 3) }
      this.#opened.set(meta.number, segment)
    }
    return segment.seen
  }

  /** So many blocks of an opened segment were read that were not read before. */
  read(meta: SegmentMeta, blocks: number): void {
    const segment = this.#opened?.get(meta.number)
    if (segment !== undefined) segment.read = Math.min(segment.read + blocks, segment.blocks)
  }

  stats(): ScanStats {
    const catalog = new SegmentCatalog(this.#segments)
    let blocksTotal = 0
    let blocksRead = 0
    for (const { blocks, read } of this.#opened?.values() ?? []) {
      blocksTotal += blocks
      blocksRead += read
    }
    return {
      segmentsTotal: catalog.all.length,
      segmentsSkipped: catalog.countBefore(this.#skippedBefore),
      blocksTotal,
      blocksRead,
      bytesRead: this.bytesRead,
      eventsDelivered: this.eventsDelivered,
    }
  }
}
