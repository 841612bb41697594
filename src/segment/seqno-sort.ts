/**
 * Sorting the events of a segment by seqno.
 *
 * A flush writes all seqnos of a memtable: each has a place of its own, and one walk over the places gives their order, in a third
 * of the time. Else by radix sort, eleven bits a pass, on what seqnos exceed the smallest one by. The range of one segment is mostly
 * small, so two or three passes do. Each pass carries key and row together: all reads are sequential. Measured, a million in random
 * order: 60 ms, against 130 for a Float64Array.sort of packed pairs.
 *
 * What runs over all events is a function that is called for a part of them at a time: it is compiled after a few calls, and needs
 * not be left, to be run unfinished by the interpreter, where the first loop ends.
 */

/** Places are made where there are at most so many for each event. */
const PLACES_MAX = 2
const PART = 1 << 11

const DIGIT_BITS = 11
const DIGITS = 1 << DIGIT_BITS

export interface SortedSeqnos {
  readonly seqnos: Float64Array
  /** Where each of them stood. */
  readonly rows: Int32Array
}

/** The first `count` seqnos in ascending order. In steps, one a pass: about 20 ms for a million. */
export function* sortSeqnos(
  seqnos: Float64Array,
  count: number,
): Generator<undefined, SortedSeqnos> {
  const bounds = { least: Number.POSITIVE_INFINITY, most: 0 }
  for (let from = 0; from < count; from += PART) {
    widen(bounds, seqnos, from, Math.min(from + PART, count))
  }
  const { least, most } = bounds
  yield undefined
  if (count > 0 && most - least < count * PLACES_MAX) {
    const placed = yield* byPlace(seqnos, count, least, most - least + 1)
    if (placed !== undefined) return placed
  }
  // Two words of at most 32 bits; the high one is nearly always empty.
  const words = new Uint32Array(count)
  let rows: Int32Array = new Int32Array(count)
  const highMost = count === 0 ? 0 : Math.floor((most - least) / 4294967296)
  for (let i = 0; i < count; i++) {
    words[i] = highMost === 0 ? seqnos[i]! - least : (seqnos[i]! - least) % 4294967296
    rows[i] = i
  }
  rows = yield* sortByWord(words, rows, highMost > 0 ? 0xffffffff : most - least)
  if (highMost > 0) {
    for (let i = 0; i < count; i++) {
      words[i] = Math.floor((seqnos[rows[i]!]! - least) / 4294967296)
    }
    rows = yield* sortByWord(words, rows, highMost)
  }
  const sorted = new Float64Array(count)
  if (highMost === 0) {
    for (let i = 0; i < count; i++) sorted[i] = least + words[i]!
  } else {
    for (let i = 0; i < count; i++) sorted[i] = seqnos[rows[i]!]!
  }
  return { seqnos: sorted, rows }
}

function widen(
  bounds: { least: number; most: number },
  seqnos: Float64Array,
  from: number,
  to: number,
): void {
  let { least, most } = bounds
  for (let i = from; i < to; i++) {
    const seqno = seqnos[i]!
    if (seqno < least) least = seqno
    if (seqno > most) most = seqno
  }
  bounds.least = least
  bounds.most = most
}

/** Undefined when a seqno is there twice. */
function* byPlace(
  seqnos: Float64Array,
  count: number,
  least: number,
  places: number,
): Generator<undefined, SortedSeqnos | undefined> {
  // Rows from 1: 0 where nothing is.
  const rowAt = new Int32Array(places)
  for (let from = 0; from < count; from += PART) {
    place(rowAt, seqnos, least, from, Math.min(from + PART, count))
  }
  yield undefined
  const sorted: SortedSeqnos = { seqnos: new Float64Array(count), rows: new Int32Array(count) }
  let found = 0
  for (let from = 0; from < places; from += PART) {
    found = collect(rowAt, sorted, least, found, from, Math.min(from + PART, places))
  }
  yield undefined
  return found === count ? sorted : undefined
}

function place(
  rowAt: Int32Array,
  seqnos: Float64Array,
  least: number,
  from: number,
  to: number,
): void {
  for (let i = from; i < to; i++) rowAt[seqnos[i]! - least] = i + 1
}

/** Returns how many are collected now, with `before` that were. */
function collect(
  rowAt: Int32Array,
  { seqnos, rows }: SortedSeqnos,
  least: number,
  before: number,
  from: number,
  to: number,
): number {
  let count = before
  for (let at = from; at < to; at++) {
    const row = rowAt[at]!
    if (row === 0) continue
    seqnos[count] = least + at
    rows[count] = row - 1
    count++
  }
  return count
}

/** Stable sort of pairs (words[i], rows[i]) by word, none above `most`. `words` is sorted in place; returns the rows. */
function* sortByWord(
  words: Uint32Array,
  rows: Int32Array,
  most: number,
): Generator<undefined, Int32Array> {
  const count = words.length
  let fromWords = words
  let fromRows: Int32Array = rows
  let toWords: Uint32Array = new Uint32Array(count)
  let toRows: Int32Array = new Int32Array(count)
  for (let shift = 0; shift < 32 && most >>> shift > 0; shift += DIGIT_BITS) {
    sortByDigit({ words: fromWords, rows: fromRows }, { words: toWords, rows: toRows }, shift)
    const [swappedWords, swappedRows] = [fromWords, fromRows]
    fromWords = toWords
    fromRows = toRows
    toWords = swappedWords
    toRows = swappedRows
    yield undefined
  }
  if (fromWords !== words) words.set(fromWords)
  return fromRows
}

interface Pairs {
  readonly words: Uint32Array
  readonly rows: Int32Array
}

/** A function of its own, so that the loop is compiled as one; in a generator it would not be. */
function sortByDigit(source: Pairs, target: Pairs, shift: number): void {
  const { words, rows } = source
  const count = words.length
  const starts = new Int32Array(DIGITS + 1)
  for (let i = 0; i < count; i++) starts[((words[i]! >>> shift) & (DIGITS - 1)) + 1]!++
  for (let digit = 0; digit < DIGITS; digit++) starts[digit + 1]! += starts[digit]!
  for (let i = 0; i < count; i++) {
    const word = words[i]!
    const to = starts[(word >>> shift) & (DIGITS - 1)]!++
    target.words[to] = word
    target.rows[to] = rows[i]!
  }
}
