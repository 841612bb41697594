/**
 * Entries gathered from many blocks in the order in which they were read, their places in columns. Reused window after window.
 */
import { GatherTarget } from './gather-target.ts'

export class EntryArena extends GatherTarget {
  keyStart: Int32Array = new Int32Array(256)
  keyEnd: Int32Array = new Int32Array(256)
  valueStart: Int32Array = new Int32Array(256)
  valueEnd: Int32Array = new Int32Array(256)
  kind: Uint8Array = new Uint8Array(256)
  seqno: Float64Array = new Float64Array(256)

  override add(
    keyBytes: number,
    valueBytes: number,
    kind: number,
    seqno: number,
    phase: number,
  ): number {
    const row = this.count
    if (row === this.kind.length) this.#growColumns()
    const keyAt = this.reserve((phase + keyBytes + valueBytes + 3) & ~3) + phase
    const valueAt = keyAt + keyBytes
    this.keyStart[row] = keyAt
    this.keyEnd[row] = valueAt
    this.valueStart[row] = valueAt
    this.valueEnd[row] = valueAt + valueBytes
    this.kind[row] = kind
    this.seqno[row] = seqno
    this.count = row + 1
    return keyAt
  }

  #growColumns(): void {
    const capacity = this.kind.length * 2
    this.keyStart = grown(this.keyStart, capacity)
    this.keyEnd = grown(this.keyEnd, capacity)
    this.valueStart = grown(this.valueStart, capacity)
    this.valueEnd = grown(this.valueEnd, capacity)
    const kind = new Uint8Array(capacity)
    kind.set(this.kind)
    this.kind = kind
    const seqno = new Float64Array(capacity)
    seqno.set(this.seqno)
    this.seqno = seqno
  }
}

function grown(column: Int32Array, capacity: number): Int32Array {
  const larger = new Int32Array(capacity)
  larger.set(column)
  return larger
}
