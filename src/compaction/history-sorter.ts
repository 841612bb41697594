/**
 * Collects superseded events as a compaction meets them (in key order), and hands them to the history writer in seqno order.
 * Up to a bound of bytes is sorted in memory at a time; each run becomes history segments of its own, merged later.
 */
import { copyBytes } from '../base/bytes.ts'
import type { CommitTable } from '../base/commit-table.ts'
import type { HistoryWriter } from './history-writer.ts'
import type { JobSteps } from './job.ts'

const SLICE_ENTRIES = 1024
/** Many compactions supersede little or nothing. Both double. */
const BYTES_FIRST = 4096
const ROWS_FIRST = 64
/** Columns of one entry: see #growColumns. */
const ENTRY_OVERHEAD_BYTES = 37

export class HistorySorter {
  readonly #writer: HistoryWriter
  readonly #limitBytes: number
  #bytes: Uint8Array = new Uint8Array(BYTES_FIRST)
  #used = 0
  #count = 0
  #seqno: Float64Array = new Float64Array(ROWS_FIRST)
  #keyStart: Int32Array = new Int32Array(ROWS_FIRST)
  #valueStart: Int32Array = new Int32Array(ROWS_FIRST)
  #valueEnd: Int32Array = new Int32Array(ROWS_FIRST)
  #kind: Uint8Array = new Uint8Array(ROWS_FIRST)
  #commitId: Int32Array = new Int32Array(ROWS_FIRST)
  #table: Int32Array = new Int32Array(ROWS_FIRST)
  readonly #tables: CommitTable[] = []
  #lastTable = -1

  constructor(writer: HistoryWriter, limitBytes: number) {
    this.#writer = writer
    this.#limitBytes = limitBytes
  }

  get isFull(): boolean {
    return this.#used + this.#count * ENTRY_OVERHEAD_BYTES >= this.#limitBytes
  }

  add(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    seqno: number,
    kind: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
    commits: CommitTable,
    commitId: number,
  ): void {
    const i = this.#count
    if (i === this.#seqno.length) this.#growColumns()
    const needed = this.#used + keyEnd - keyStart + valueEnd - valueStart
    if (needed > this.#bytes.length) this.#growBytes(needed)
    this.#seqno[i] = seqno
    this.#kind[i] = kind
    this.#commitId[i] = commitId
    this.#table[i] = this.#tableOf(commits)
    this.#keyStart[i] = this.#used
    const at = copyBytes(this.#bytes, this.#used, keyBytes, keyStart, keyEnd)
    this.#valueStart[i] = at
    this.#used = copyBytes(this.#bytes, at, valueBytes, valueStart, valueEnd)
    this.#valueEnd[i] = this.#used
    this.#count = i + 1
  }

  /** Writes everything collected so far. */
  *flush(): JobSteps<void> {
    const order = sortedOrder(this.#seqno, this.#count)
    const bytes = this.#bytes
    for (let n = 0; n < order.length; n++) {
      const i = order[n]!
      this.#writer.add(
        bytes,
        this.#keyStart[i]!,
        this.#valueStart[i]!,
        this.#seqno[i]!,
        this.#kind[i]!,
        bytes,
        this.#valueStart[i]!,
        this.#valueEnd[i]!,
        this.#tables[this.#table[i]!]!,
        this.#commitId[i]!,
      )
      if (n % SLICE_ENTRIES === SLICE_ENTRIES - 1) yield undefined
    }
    this.#writer.finish()
    this.#count = 0
    this.#used = 0
  }

  #tableOf(commits: CommitTable): number {
    if (this.#tables[this.#lastTable] === commits) return this.#lastTable
    let index = this.#tables.indexOf(commits)
    if (index < 0) index = this.#tables.push(commits) - 1
    this.#lastTable = index
    return index
  }

  #growBytes(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#used))
    this.#bytes = grown
  }

  #growColumns(): void {
    const capacity = this.#seqno.length * 2
    this.#seqno = grow(this.#seqno, new Float64Array(capacity))
    this.#keyStart = grow(this.#keyStart, new Int32Array(capacity))
    this.#valueStart = grow(this.#valueStart, new Int32Array(capacity))
    this.#valueEnd = grow(this.#valueEnd, new Int32Array(capacity))
    this.#kind = grow(this.#kind, new Uint8Array(capacity))
    this.#commitId = grow(this.#commitId, new Int32Array(capacity))
    this.#table = grow(this.#table, new Int32Array(capacity))
  }
}

function grow<T extends Float64Array | Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/**
 * Indexes of the first `count` seqnos in ascending order of these. Seqno and index share one double where they fit, so that
 * the native sort does it: 130 ns an entry against 400 with a comparing function.
 */
export function sortedOrder(seqnos: Float64Array, count: number): Int32Array {
  let smallest = Infinity
  let largest = 0
  for (let i = 0; i < count; i++) {
    const seqno = seqnos[i]!
    if (seqno < smallest) smallest = seqno
    if (seqno > largest) largest = seqno
  }
  const order = new Int32Array(count)
  if ((largest - smallest + 1) * count <= Number.MAX_SAFE_INTEGER) {
    const packed = new Float64Array(count)
    for (let i = 0; i < count; i++) packed[i] = (seqnos[i]! - smallest) * count + i
    packed.sort()
    for (let i = 0; i < count; i++) order[i] = packed[i]! % count
    return order
  }
  for (let i = 0; i < count; i++) order[i] = i
  return order.sort((a, b) => seqnos[a]! - seqnos[b]!)
}
