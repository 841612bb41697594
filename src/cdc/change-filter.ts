/**
 * What a reader wants of the stream: keyspaces by name, a key range, event types. Compiled once; asked per entry.
 */
import { type BytesLike, compareBytes, EMPTY_BYTES } from '../base/bytes.ts'
import {
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../base/entry-kind.ts'
import { isEmptyRange, keyRange } from '../read/key-range.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { ChangeFilterOptions, ChangeType } from './change-options.ts'

const KIND_OF: Readonly<Record<ChangeType, number>> = {
  Insert: KIND_INSERT,
  MergeOperand: KIND_MERGE,
  PointTombstone: KIND_DELETE,
  RangeTombstone: KIND_RANGE_DELETE,
}

export class ChangeFilter {
  /** Every event passes. */
  readonly isAll: boolean
  /** No event can pass: a list without names, an empty range. */
  readonly isNone: boolean
  /** Asks for the entry's bytes, not only for its keyspace. */
  readonly looksAtEntries: boolean
  /** The first four bytes of a point entry's key lie between these, both included; see recent-operations.ts. */
  readonly lowestPrefix: number
  readonly highestPrefix: number
  readonly #names: ReadonlySet<string> | undefined
  readonly #nameOf: (id: number) => string
  readonly #wanted = new Map<number, boolean>()
  readonly #lower: Uint8Array | undefined
  readonly #upper: Uint8Array | undefined
  /** Bit k: kind k passes. */
  readonly #kinds: number

  /** `nameOf`: name of a keyspace id; an id never changes its name, so answers are kept. */
  constructor(options: ChangeFilterOptions, nameOf: (id: number) => string) {
    this.#names = options.keyspaces === undefined ? undefined : new Set(options.keyspaces)
    this.#nameOf = nameOf
    const { gt, gte, lt, lte, prefix } = options.range ?? {}
    const range = keyRange({
      gt: toBytes(gt),
      gte: toBytes(gte),
      lt: toBytes(lt),
      lte: toBytes(lte),
      prefix: toBytes(prefix),
    })
    this.#lower = range.lower
    this.#upper = range.upper
    this.lowestPrefix = range.lower === undefined ? 0 : prefixOf(range.lower)
    this.highestPrefix = range.upper === undefined ? 0xffffffff : prefixOf(range.upper)
    this.#kinds = kindsOf(options.types)
    this.isNone = this.#names?.size === 0 || this.#kinds === 0 || isEmptyRange(range)
    this.looksAtEntries =
      this.#kinds !== ALL_KINDS || this.#lower !== undefined || this.#upper !== undefined
    this.isAll = this.#names === undefined && !this.looksAtEntries
  }

  acceptsKeyspace(id: number): boolean {
    if (this.#names === undefined) return true
    let wanted = this.#wanted.get(id)
    if (wanted === undefined) {
      wanted = this.#names.has(this.#nameOf(id))
      this.#wanted.set(id, wanted)
    }
    return wanted
  }

  /** By kind and key only; `value` is the end of a range delete. */
  acceptsEntry(
    kind: number,
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    const bare = kind & KIND_MASK
    if ((this.#kinds & (1 << bare)) === 0) return false
    const lower = this.#lower
    const upper = this.#upper
    if (
      upper !== undefined &&
      compareBytes(keyBytes, keyStart, keyEnd, upper, 0, upper.length) >= 0
    ) {
      return false
    }
    if (lower === undefined) return true
    if (bare === KIND_RANGE_DELETE) {
      if ((kind & FLAG_OPEN_END) !== 0) return true
      return compareBytes(valueBytes, valueStart, valueEnd, lower, 0, lower.length) > 0
    }
    return compareBytes(keyBytes, keyStart, keyEnd, lower, 0, lower.length) >= 0
  }

  /**
   * Whether a segment can hold an event that passes, as far as its manifest entry tells. Key bounds are trusted only for
   * segments in key order: those hold point entries only, while a range delete in a history segment reaches past its key.
   */
  mayHold(meta: SegmentMeta): boolean {
    if (!this.acceptsKeyspace(meta.keyspaceId)) return false
    if (meta.order !== 'key' || meta.firstKey === undefined || meta.lastKey === undefined)
      return true
    const { firstKey, lastKey } = meta
    const lower = this.#lower
    const upper = this.#upper
    if (
      upper !== undefined &&
      compareBytes(firstKey, 0, firstKey.length, upper, 0, upper.length) >= 0
    ) {
      return false
    }
    return (
      lower === undefined || compareBytes(lastKey, 0, lastKey.length, lower, 0, lower.length) >= 0
    )
  }
}

const ALL_KINDS = kindsOf(undefined)

function kindsOf(types: readonly ChangeType[] | undefined): number {
  let kinds = 0
  for (const type of types ?? (Object.keys(KIND_OF) as ChangeType[])) kinds |= 1 << KIND_OF[type]
  return kinds
}

/** First four bytes as one big-endian integer; missing ones are 0. Orders as the keys do, but for equals. */
export function keyPrefix(bytes: Uint8Array, start: number, end: number): number {
  let prefix = 0
  for (let i = 0; i < 4; i++) prefix = (prefix << 8) | (start + i < end ? bytes[start + i]! : 0)
  return prefix >>> 0
}

function prefixOf(bound: Uint8Array): number {
  return keyPrefix(bound, 0, bound.length)
}

function toBytes(input: BytesLike | undefined): Uint8Array | undefined {
  // An array whose memory was transferred away is empty, but cannot be copied.
  if (input?.length === 0) return EMPTY_BYTES
  return typeof input === 'string' ? Buffer.from(input, 'utf8') : input
}
