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
  /** Segments that were opened: their blocks, one bit each, set when it was read. */
  readonly #opened = new Map<number, Uint8Array>()
  #blocksTotal = 0
  #blocksRead = 0

  /** A segment is open now and has so many data blocks. Returns its bits, to be set by `read`. */
  opened(meta: SegmentMeta, blockCount: number): void {
    if (this.#opened.has(meta.number)) return
    this.#opened.set(meta.number, new Uint8Array((blockCount + 7) >>> 3))
    this.#blocksTotal += blockCount
  }

  /** A block of an opened segment was read; counted once however often it is. */
  read(segment: number, block: number): void {
    const bits = this.#opened.get(segment)
    if (bits === undefined) return
    const mask = 1 << (block & 7)
    const at = block >>> 3
    if ((bits[at]! & mask) !== 0) return
    bits[at] = bits[at]! | mask
    this.#blocksRead++
  }

  stats(): ScanStats {
    return {
      segmentsTotal: this.segmentsTotal,
      segmentsSkipped: this.segmentsSkipped,
      blocksTotal: this.#blocksTotal,
      blocksRead: this.#blocksRead,
      bytesRead: this.bytesRead,
      eventsDelivered: this.eventsDelivered,
    }
  }
}
