/**
 * How range tombstones become the arrays of FragmentedRanges (range-tombstones.ts, where their meaning is described): a few
 * at once, two sets into one, or boundary by boundary.
 */
import { compare, compareBytes, copyBytes } from './bytes.ts'

export interface RangeTombstone {
  readonly start: Uint8Array
  /** Exclusive; undefined: to the end of the keyspace. */
  readonly end: Uint8Array | undefined
  readonly seqno: number
}

/** The arrays of FragmentedRanges: see there. */
export interface RangeColumns {
  readonly bytes: Buffer
  readonly offsets: Uint32Array
  readonly lists: Uint32Array
  readonly seqnos: Float64Array
}

/**
 * Fragments of a few tombstones, all against all. Merging them one by one would be as right, but what is small costs more in
 * allocations than in comparisons: 100,000 tombstones took eight times as long.
 */
export function fragmentFew(
  tombstones: readonly RangeTombstone[],
  stripes: readonly number[],
): RangeColumns {
  const newestFirst = tombstones
    .filter(({ start, end }) => end === undefined || compare(start, end) < 0)
    .sort((a, b) => b.seqno - a.seqno)
  const boundaries: Uint8Array[] = []
  let bytes = 0
  for (const { start, end } of newestFirst) {
    boundaries.push(start)
    if (end !== undefined) boundaries.push(end)
    bytes += start.length + (end === undefined ? 0 : end.length)
  }
  boundaries.sort(compare)
  const output = new RangeOutput(boundaries.length, bytes, boundaries.length)
  const list = new VisibleList(stripes)
  let before: Uint8Array | undefined
  for (const boundary of boundaries) {
    if (before !== undefined && compare(before, boundary) === 0) continue
    before = boundary
    list.clear()
    for (const { start, end, seqno } of newestFirst) {
      if (compare(start, boundary) > 0) continue
      if (end === undefined || compare(boundary, end) < 0) list.offer(seqno)
    }
    output.add(boundary, 0, boundary.length, list.seqnos, list.size)
  }
  return output.finish()
}

/** Walks both lists of boundaries once; at each, what covers from there on is the two lists together. */
export function mergeColumns(
  a: RangeColumns,
  b: RangeColumns,
  stripes: readonly number[],
): RangeColumns {
  const aCount = a.offsets.length - 1
  const bCount = b.offsets.length - 1
  const output = new RangeOutput(
    aCount + bCount,
    a.bytes.length + b.bytes.length,
    a.seqnos.length + b.seqnos.length,
  )
  const list = new VisibleList(stripes)
  let i = 0
  let j = 0
  while (i < aCount || j < bCount) {
    const order =
      i === aCount
        ? 1
        : j === bCount
          ? -1
          : compareBytes(
              a.bytes,
              a.offsets[i]!,
              a.offsets[i + 1]!,
              b.bytes,
              b.offsets[j]!,
              b.offsets[j + 1]!,
            )
    const from = order <= 0 ? a : b
    const at = order <= 0 ? i : j
    if (order <= 0) i++
    if (order >= 0) j++
    list.merge(
      a.seqnos,
      i === 0 ? 0 : a.lists[i - 1]!,
      i === 0 ? 0 : a.lists[i]!,
      b.seqnos,
      j === 0 ? 0 : b.lists[j - 1]!,
      j === 0 ? 0 : b.lists[j]!,
    )
    output.add(from.bytes, from.offsets[at]!, from.offsets[at + 1]!, list.seqnos, list.size)
  }
  return output.finish()
}

/** The tombstones over one interval, newest first, only the newest of each stripe. */
class VisibleList {
  seqnos: Float64Array = new Float64Array(8)
  size = 0
  readonly #stripes: readonly number[]
  /** What a further, older seqno must not exceed to be seen by a snapshot that does not see the last one kept. */
  #limit = 0

  constructor(stripes: readonly number[]) {
    this.#stripes = stripes
  }

  merge(
    a: Float64Array,
    aStart: number,
    aEnd: number,
    b: Float64Array,
    bStart: number,
    bEnd: number,
  ): void {
    this.clear()
    let i = aStart
    let j = bStart
    while (i < aEnd || j < bEnd) {
      if (j === bEnd || (i < aEnd && a[i]! > b[j]!)) this.offer(a[i++]!)
      else this.offer(b[j++]!)
    }
  }

  clear(): void {
    this.size = 0
    this.#limit = Infinity
  }

  /** The next one, not newer than those before. */
  offer(seqno: number): void {
    if (seqno > this.#limit) return
    if (this.size === this.seqnos.length) {
      const grown = new Float64Array(this.size * 2)
      grown.set(this.seqnos)
      this.seqnos = grown
    }
    this.seqnos[this.size++] = seqno
    this.#limit = newestSnapshotBelow(this.#stripes, seqno)
  }
}

/** The largest of the ascending `stripes` that is < seqno; -1: none. */
function newestSnapshotBelow(stripes: readonly number[], seqno: number): number {
  let low = 0
  let high = stripes.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (stripes[middle]! < seqno) low = middle + 1
    else high = middle
  }
  return low === 0 ? -1 : stripes[low - 1]!
}

/** Takes boundaries in ascending order and joins neighbours with equal lists. */
export class RangeOutput {
  #bytes: Buffer
  #length = 0
  readonly #offsets: Uint32Array
  readonly #lists: Uint32Array
  #count = 0
  #seqnos: Float64Array
  #total = 0

  constructor(boundariesMax: number, bytes: number, seqnos: number) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes)
    this.#offsets = new Uint32Array(boundariesMax + 1)
    this.#lists = new Uint32Array(boundariesMax + 1)
    this.#seqnos = new Float64Array(seqnos)
  }

  add(key: Uint8Array, start: number, end: number, list: Float64Array, size: number): void {
    if (this.#repeats(list, size)) return
    const length = end - start
    if (this.#length + length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + length))
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    if (this.#total + size > this.#seqnos.length) {
      const grown = new Float64Array(Math.max(this.#seqnos.length * 2, this.#total + size))
      grown.set(this.#seqnos)
      this.#seqnos = grown
    }
    this.#length = copyBytes(this.#bytes, this.#length, key, start, end)
    for (let i = 0; i < size; i++) this.#seqnos[this.#total + i] = list[i]!
    this.#total += size
    this.#count++
    this.#offsets[this.#count] = this.#length
    this.#lists[this.#count] = this.#total
  }

  finish(): RangeColumns {
    return {
      bytes: exactBytes(this.#bytes, this.#length),
      offsets: exact(this.#offsets, this.#count + 1),
      lists: exact(this.#lists, this.#count + 1),
      seqnos: exact(this.#seqnos, this.#total),
    }
  }

  /** Whether the interval before has the same list; before the first lies a gap. */
  #repeats(list: Float64Array, size: number): boolean {
    const from = this.#count === 0 ? 0 : this.#lists[this.#count - 1]!
    if (this.#total - from !== size) return false
    for (let i = 0; i < size; i++) if (this.#seqnos[from + i] !== list[i]) return false
    return true
  }
}

/** Cuts an array that was taken too large; a copy only where much would be wasted. */
function exact<T extends Uint32Array | Float64Array>(array: T, length: number): T {
  if (array.length === length) return array
  return (length < array.length * 0.75 ? array.slice(0, length) : array.subarray(0, length)) as T
}

function exactBytes(bytes: Buffer, length: number): Buffer {
  if (length < bytes.length * 0.75) return Buffer.from(bytes.subarray(0, length))
  return bytes.subarray(0, length)
}
