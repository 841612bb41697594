/**
 * Ranges of keys in one normal form: from `lower`, inclusive, to `upper`, exclusive. Every bound that a caller can write has
 * one: just above a key k comes k followed by a zero byte.
 */
import { compare, prefixEnd } from '../base/bytes.ts'

export interface KeyRange {
  /** Inclusive; undefined: from the first key. */
  readonly lower: Uint8Array | undefined
  /** Exclusive; undefined: to the last key. */
  readonly upper: Uint8Array | undefined
}

/** What a cursor reads. The bytes must not change while it is open. */
export interface DecodedRange extends KeyRange {
  readonly reverse: boolean
  /** At most so many items; Infinity for no limit. */
  readonly limit: number
}

/** Bounds as a caller gives them, already bytes. All that are there hold together. */
export interface KeyBounds {
  readonly gt?: Uint8Array | undefined
  readonly gte?: Uint8Array | undefined
  readonly lt?: Uint8Array | undefined
  readonly lte?: Uint8Array | undefined
  readonly prefix?: Uint8Array | undefined
}

/** Folds bounds and prefix into one range, with bytes of its own. */
export function keyRange(bounds: KeyBounds): KeyRange {
  let lower: Uint8Array | undefined
  let upper: Uint8Array | undefined
  const raise = (bound: Uint8Array): void => {
    if (lower === undefined || compare(bound, lower) > 0) lower = bound
  }
  const reduce = (bound: Uint8Array): void => {
    if (upper === undefined || compare(bound, upper) < 0) upper = bound
  }
  if (bounds.gte !== undefined) raise(Buffer.from(bounds.gte))
  if (bounds.gt !== undefined) raise(successor(bounds.gt))
  if (bounds.lt !== undefined) reduce(Buffer.from(bounds.lt))
  if (bounds.lte !== undefined) reduce(successor(bounds.lte))
  if (bounds.prefix !== undefined && bounds.prefix.length > 0) {
    raise(Buffer.from(bounds.prefix))
    const end = prefixEnd(bounds.prefix)
    if (end !== undefined) reduce(end)
  }
  return { lower, upper }
}

export function isEmptyRange(range: KeyRange): boolean {
  const { lower, upper } = range
  if (upper === undefined) return false
  return upper.length === 0 || (lower !== undefined && compare(lower, upper) >= 0)
}

/** The smallest key above `key`. */
export function successor(key: Uint8Array): Buffer {
  const above = Buffer.allocUnsafe(key.length + 1)
  above.set(key, 0)
  above[key.length] = 0
  return above
}
