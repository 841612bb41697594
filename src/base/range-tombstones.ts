/**
 * Range tombstones cut into fragments that do not overlap, immutable, for one question: what is the newest tombstone over
 * this key that a snapshot sees?
 *
 * ```
 *   boundaries   b0      b1        b2    b3
 *                |-------|---------|-----|- - ->  the last interval has no end
 *   seqnos       9       12,9      –     7        newest first; none: a gap
 * ```
 *
 * Interval i is [b(i), b(i+1)). Neighbours with equal lists are one interval. A *fragment* is an interval that is no gap.
 * Of the tombstones over an interval only the newest of each snapshot stripe is kept: a stripe is what lies between two
 * neighbouring snapshots, and nobody can see an older one in it. So any number of nested tombstones stays linear.
 *
 * Everything lives in four arrays: no object per fragment.
 *
 * Encoded (segments): varint boundaries | varint seqnos in all | each boundary: varint length, bytes, varint number of
 * seqnos, the first as varint, each further one as varint of how much smaller it is.
 */
import { compare, compareBytes, EMPTY_BYTES, U48_MAX } from './bytes.ts'
import { KEY_BYTES_MAX } from './entry-kind.ts'
import {
  fragmentFew,
  mergeColumns,
  type RangeColumns,
  RangeOutput,
  type RangeTombstone,
} from './range-fragmenter.ts'
import { ByteReader, ByteWriter } from './varint.ts'

export type { RangeTombstone } from './range-fragmenter.ts'

/** So many tombstones are fragmented at once; more of them in parts, which are merged. */
const PART_TOMBSTONES = 16

export class FragmentedRanges {
  /** What covers nothing. */
  static readonly EMPTY: FragmentedRanges = new FragmentedRanges({
    bytes: EMPTY_BYTES,
    offsets: new Uint32Array(1),
    lists: new Uint32Array(1),
    seqnos: new Float64Array(0),
  })

  /** Number of fragments. */
  readonly count: number
  readonly minSeqno: number
  readonly maxSeqno: number
  /** A Buffer, as most keys are: comparing arrays of two kinds is slower. */
  readonly #bytes: Buffer
  /** Boundary i is bytes[offsets[i], offsets[i + 1]). */
  readonly #offsets: Uint32Array
  /** The seqnos of interval i are seqnos[lists[i], lists[i + 1]), descending. */
  readonly #lists: Uint32Array
  readonly #seqnos: Float64Array
  /** Interval of each fragment; made when someone walks the fragments. */
  #intervals: Uint32Array | undefined

  /** The arrays are taken over. Others use `build`, `merge` and `decode`. */
  constructor({ bytes, offsets, lists, seqnos }: RangeColumns) {
    this.#bytes = bytes
    this.#offsets = offsets
    this.#lists = lists
    this.#seqnos = seqnos
    let count = 0
    for (let i = 1; i < lists.length; i++) if (lists[i]! > lists[i - 1]!) count++
    this.count = count
    let smallest = 0
    let largest = 0
    for (let i = 0; i < seqnos.length; i++) {
      const seqno = seqnos[i]!
      if (seqno > largest) largest = seqno
      if (smallest === 0 || seqno < smallest) smallest = seqno
    }
    this.minSeqno = smallest
    this.maxSeqno = largest
  }

  /** `stripes`: ascending seqnos of the snapshots that must keep seeing what they see. Empty ranges count for nothing. */
  static build(
    tombstones: readonly RangeTombstone[],
    stripes: readonly number[],
  ): FragmentedRanges {
    const parts: FragmentedRanges[] = []
    for (let i = 0; i < tombstones.length; i += PART_TOMBSTONES) {
      parts.push(
        new FragmentedRanges(fragmentFew(tombstones.slice(i, i + PART_TOMBSTONES), stripes)),
      )
    }
    return parts.length === 1 ? parts[0]! : FragmentedRanges.merge(parts, stripes)
  }

  /** All of them together; the same tombstone may stand in several. */
  static merge(inputs: readonly FragmentedRanges[], stripes: readonly number[]): FragmentedRanges {
    let rest = inputs.filter((ranges) => ranges.count > 0)
    if (rest.length === 0) return FragmentedRanges.EMPTY
    if (rest.length === 1) return mergeTwo(rest[0]!, FragmentedRanges.EMPTY, stripes)
    // In pairs, round after round: every boundary is copied log2(inputs) times.
    while (rest.length > 1) {
      const next: FragmentedRanges[] = []
      for (let i = 0; i + 1 < rest.length; i += 2) {
        next.push(mergeTwo(rest[i]!, rest[i + 1]!, stripes))
      }
      if (rest.length % 2 === 1) next.push(rest[rest.length - 1]!)
      rest = next
    }
    return rest[0]!
  }

  /** The inverse of `encode`. `fail` gets a reason and the position; it must throw. */
  static decode(
    bytes: Uint8Array,
    fail: (reason: string, position: number) => never,
  ): FragmentedRanges {
    const reader = new ByteReader(bytes, 0, bytes.length, fail)
    const boundaries = reader.bounded(reader.remaining, 'number of boundaries')
    const total = reader.bounded(reader.remaining, 'number of seqnos')
    const output = new RangeOutput(boundaries, bytes.length, total)
    const list = new Float64Array(total)
    let keyStart = -1
    let keyEnd = -1
    let found = 0
    for (let i = 0; i < boundaries; i++) {
      const length = reader.bounded(Math.min(KEY_BYTES_MAX, reader.remaining), 'boundary length')
      const start = reader.position
      reader.position += length
      if (
        keyStart >= 0 &&
        compareBytes(bytes, keyStart, keyEnd, bytes, start, start + length) >= 0
      ) {
        reader.fail('boundaries are not ascending')
      }
      keyStart = start
      keyEnd = start + length
      const size = reader.bounded(total - found, 'number of seqnos at a boundary')
      let seqno = 0
      for (let k = 0; k < size; k++) {
        const coded = reader.varint()
        seqno = k === 0 ? coded : coded === 0 ? 0 : seqno - coded
        if (seqno < 1 || seqno > U48_MAX) reader.fail('seqno of a range tombstone is impossible')
        list[k] = seqno
      }
      found += size
      output.add(bytes, keyStart, keyEnd, list, size)
    }
    if (found !== total) reader.fail(`${total} seqnos were announced, ${found} found`)
    if (reader.remaining > 0) reader.fail('bytes are left behind the last boundary')
    return new FragmentedRanges(output.finish())
  }

  /** Newest tombstone over the key with seqno <= snapshot; 0: none. Logarithmic. */
  coveringSeqno(key: Uint8Array, start: number, end: number, snapshot: number): number {
    const interval = this.intervalOf(key, start, end)
    return interval < 0 ? 0 : this.newestIn(interval, snapshot)
  }

  /** The interval that holds the key; -1: before the first boundary. See RangeWalker. */
  intervalOf(key: Uint8Array, start: number, end: number): number {
    const bytes = this.#bytes
    const offsets = this.#offsets
    let low = 0
    let high = offsets.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBytes(bytes, offsets[middle]!, offsets[middle + 1]!, key, start, end) <= 0) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low - 1
  }

  /** Whether the interval (-1: what lies before the first) holds the key. */
  intervalHolds(interval: number, key: Uint8Array, start: number, end: number): boolean {
    const bytes = this.#bytes
    const offsets = this.#offsets
    const last = offsets.length - 2
    return (
      (interval < 0 ||
        compareBytes(bytes, offsets[interval]!, offsets[interval + 1]!, key, start, end) <= 0) &&
      (interval >= last ||
        compareBytes(bytes, offsets[interval + 1]!, offsets[interval + 2]!, key, start, end) > 0)
    )
  }

  /** Number of intervals, gaps included. */
  get intervalCount(): number {
    return this.#offsets.length - 1
  }

  /** Newest seqno <= snapshot over a whole interval; 0: none. */
  newestIn(interval: number, snapshot: number): number {
    const to = this.#lists[interval + 1]!
    for (let i = this.#lists[interval]!; i < to; i++) {
      const seqno = this.#seqnos[i]!
      if (seqno <= snapshot) return seqno
    }
    return 0
  }

  /** First key of fragment i; borrowed. */
  start(i: number): Buffer {
    return this.#boundary(this.#fragment(i))
  }

  /** Exclusive end of fragment i, borrowed; undefined: to the end of the keyspace. */
  end(i: number): Buffer | undefined {
    const next = this.#fragment(i) + 1
    return next === this.intervalCount ? undefined : this.#boundary(next)
  }

  /** Seqnos over fragment i, newest first; borrowed. */
  seqnos(i: number): Float64Array {
    const interval = this.#fragment(i)
    return this.#seqnos.subarray(this.#lists[interval]!, this.#lists[interval + 1]!)
  }

  /** What of it lies in [lower, upper); undefined: no bound on that side. */
  clip(lower: Uint8Array | undefined, upper: Uint8Array | undefined): FragmentedRanges {
    if (this.count === 0) return this
    if (lower !== undefined && upper !== undefined && compare(lower, upper) >= 0) {
      return FragmentedRanges.EMPTY
    }
    const output = this.#output()
    const none = new Float64Array(0)
    const intervals = this.intervalCount
    let first = 0
    if (lower !== undefined) {
      const at = this.intervalOf(lower, 0, lower.length)
      if (at >= 0) {
        const list = this.#list(at)
        output.add(lower, 0, lower.length, list, list.length)
      }
      first = at + 1
    }
    for (let i = first; i < intervals; i++) {
      const boundary = this.#boundary(i)
      if (upper !== undefined && compare(boundary, upper) >= 0) break
      const list = this.#list(i)
      output.add(boundary, 0, boundary.length, list, list.length)
    }
    if (upper !== undefined) output.add(upper, 0, upper.length, none, 0)
    return new FragmentedRanges(output.finish())
  }

  encode(): Buffer {
    const writer = new ByteWriter(this.#bytes.length + this.#seqnos.length * 4 + 16)
    writer.varint(this.intervalCount).varint(this.#seqnos.length)
    for (let i = 0; i < this.intervalCount; i++) {
      writer.block(this.#boundary(i))
      const list = this.#list(i)
      writer.varint(list.length)
      for (let k = 0; k < list.length; k++) {
        writer.varint(k === 0 ? list[0]! : list[k - 1]! - list[k]!)
      }
    }
    return writer.bytes()
  }

  /** Memory that it holds, about. */
  get byteLength(): number {
    return this.#bytes.length + this.#offsets.length * 8 + this.#seqnos.length * 8
  }

  /** The arrays themselves, for `merge`. */
  get columns(): RangeColumns {
    return {
      bytes: this.#bytes,
      offsets: this.#offsets,
      lists: this.#lists,
      seqnos: this.#seqnos,
    }
  }

  #boundary(i: number): Buffer {
    return this.#bytes.subarray(this.#offsets[i]!, this.#offsets[i + 1]!)
  }

  #list(interval: number): Float64Array {
    return this.#seqnos.subarray(this.#lists[interval]!, this.#lists[interval + 1]!)
  }

  #output(): RangeOutput {
    return new RangeOutput(this.intervalCount + 2, this.#bytes.length, this.#seqnos.length)
  }

  #fragment(i: number): number {
    this.#intervals ??= this.#walkable()
    return this.#intervals[i]!
  }

  #walkable(): Uint32Array {
    const intervals = new Uint32Array(this.count)
    let n = 0
    for (let i = 0; i < this.intervalCount; i++) {
      if (this.#lists[i + 1]! > this.#lists[i]!) intervals[n++] = i
    }
    return intervals
  }
}

/**
 * Asks about keys that come in order, ascending or descending: as long as they stay in one interval an answer costs two
 * comparisons, not a search. Of several sets of ranges the newest tombstone counts.
 */
export class RangeWalker {
  readonly #ranges: readonly FragmentedRanges[]
  readonly #snapshot: number
  /** Where in each set the last key was, and what covers it there. */
  readonly #intervals: Int32Array
  readonly #seqnos: Float64Array

  constructor(ranges: FragmentedRanges | readonly FragmentedRanges[], snapshot: number) {
    const all = ranges instanceof FragmentedRanges ? [ranges] : ranges
    this.#ranges = all.filter((one) => one.count > 0)
    this.#snapshot = snapshot
    this.#intervals = new Int32Array(this.#ranges.length).fill(-1)
    this.#seqnos = new Float64Array(this.#ranges.length)
  }

  /** Newest tombstone over the key that the snapshot sees; 0: none. */
  coveringSeqno(key: Uint8Array, start: number, end: number): number {
    let newest = 0
    for (let i = 0; i < this.#ranges.length; i++) {
      const ranges = this.#ranges[i]!
      if (!ranges.intervalHolds(this.#intervals[i]!, key, start, end)) {
        const interval = ranges.intervalOf(key, start, end)
        this.#intervals[i] = interval
        this.#seqnos[i] = interval < 0 ? 0 : ranges.newestIn(interval, this.#snapshot)
      }
      const seqno = this.#seqnos[i]!
      if (seqno > newest) newest = seqno
    }
    return newest
  }
}

function mergeTwo(
  a: FragmentedRanges,
  b: FragmentedRanges,
  stripes: readonly number[],
): FragmentedRanges {
  return new FragmentedRanges(mergeColumns(a.columns, b.columns, stripes))
}
