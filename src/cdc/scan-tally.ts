/**
 * What a scan did, counted where it happens: `ChangeScan.stats`.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'

export interface ScanStats {
  readonly segmentsTotal: number
  readonly segmentsSkipped: number
  readonly blocksTotal: number
  readonly blocksRead: number
  readonly bytesRead: number
  readonly eventsDelivered: number
}

export class ScanTally {
  segmentsTotal = 0
  segmentsSkipped = 0
  bytesRead = 0
  eventsDelivered = 0
  /** Segments that were opened, by number. */
  readonly #opened = new Map<number, { readonly blocks: number; read: number }>()

  /** A segment is open now and has so many data blocks. */
  opened(meta: SegmentMeta, blocks: number): void {
    if (!this.#opened.has(meta.number)) this.#opened.set(meta.number, { blocks, read: 0 })
  }

  /** So many blocks of an opened segment were read. Windows that read a block again count it again, up to all there are. */
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
