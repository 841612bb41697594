/**
 * Rice coding of the gaps between the seqnos of a chunk; see change-chunk.ts for what it looks like.
 */
import type { BitReader, BitWriter } from './bit-stream.ts'

/** In place of a parameter: the seqnos follow one another. */
export const NO_GAPS = 63
export const RICE_PARAMETER_MAX = 44
const RICE_ESCAPE = 20
/** A gap of so many ones at most, behind such a parameter, is written as one number of 24 bits. */
const SMALL_QUOTIENT_MAX = 11
const SMALL_PARAMETER_MAX = 12
/** What a bit stream takes at once. */
const WORD_BITS = 24

/** Events [from, to), all but the first. */
export function writeGaps(
  bits: BitWriter,
  seqnos: Float64Array,
  from: number,
  to: number,
  parameter: number,
): void {
  if (parameter <= SMALL_PARAMETER_MAX && areSmall(seqnos, from, to)) {
    writeSmallGaps(bits, seqnos, from, to, parameter)
    return
  }
  for (let i = from + 1; i < to; i++) {
    writeRice(bits, seqnos[i]! - seqnos[i - 1]! - 1, parameter)
  }
}

/** Ones, a zero and the rest at once, and as many gaps at a time as go into one number: most take a bit or two. */
function writeSmallGaps(
  bits: BitWriter,
  seqnos: Float64Array,
  from: number,
  to: number,
  parameter: number,
): void {
  const restMask = (1 << parameter) - 1
  let before = seqnos[from]!
  let word = 0
  let used = 0
  for (let i = from + 1; i < to; i++) {
    const seqno = seqnos[i]!
    const gap = (seqno - before - 1) | 0
    before = seqno
    const quotient = gap >> parameter
    const length = quotient + 1 + parameter
    if (quotient > SMALL_QUOTIENT_MAX || used + length > WORD_BITS) {
      bits.write(word, used)
      word = 0
      used = 0
    }
    if (quotient > SMALL_QUOTIENT_MAX) {
      writeRice(bits, gap, parameter)
      continue
    }
    word |= (((1 << quotient) - 1) | ((gap & restMask) << (quotient + 1))) << used
    used += length
  }
  bits.write(word, used)
}

/** The parameter that takes the fewest bits. */
export function ricePacking(seqnos: Float64Array, from: number, to: number): number {
  const gaps = seqnos[to - 1]! - seqnos[from]! - (to - 1 - from)
  if (gaps === 0) return NO_GAPS
  // Most follow one another: one bit for each, which nothing can beat but for a few long gaps.
  if (2 * gaps <= to - from) return 0
  // For gaps that are spread evenly the best parameter is about log2 of 0.69 times their mean.
  const guess = Math.floor(Math.log2((0.69 * gaps) / (to - from)))
  const isSmall = areSmall(seqnos, from, to)
  let best = 0
  let bestBits = Number.POSITIVE_INFINITY
  for (let parameter = Math.max(0, guess - 2); parameter <= Math.max(0, guess) + 1; parameter++) {
    if (parameter > RICE_PARAMETER_MAX) break
    const total = isSmall
      ? smallGapBits(seqnos, from, to, parameter)
      : gapBits(seqnos, from, to, parameter)
    if (total < bestBits) {
      bestBits = total
      best = parameter
    }
  }
  return best
}

/** Whether all gaps together are a small integer: then shifts do for divisions. */
function areSmall(seqnos: Float64Array, from: number, to: number): boolean {
  return seqnos[to - 1]! - seqnos[from]! < 2 ** 30
}

function smallGapBits(seqnos: Float64Array, from: number, to: number, parameter: number): number {
  if (parameter > 30) return gapBits(seqnos, from, to, parameter)
  let total = 0
  for (let i = from + 1; i < to; i++) {
    const quotient = (seqnos[i]! - seqnos[i - 1]! - 1) >> parameter
    total += quotient < RICE_ESCAPE ? quotient + 1 + parameter : RICE_ESCAPE + 48
  }
  return total
}

function gapBits(seqnos: Float64Array, from: number, to: number, parameter: number): number {
  let total = 0
  for (let i = from + 1; i < to; i++) {
    const quotient = Math.floor((seqnos[i]! - seqnos[i - 1]! - 1) / 2 ** parameter)
    total += quotient < RICE_ESCAPE ? quotient + 1 + parameter : RICE_ESCAPE + 48
  }
  return total
}

function writeRice(bits: BitWriter, gap: number, parameter: number): void {
  const quotient = Math.floor(gap / 2 ** parameter)
  if (quotient >= RICE_ESCAPE) {
    bits.write((1 << RICE_ESCAPE) - 1, RICE_ESCAPE)
    bits.write(gap, 48)
    return
  }
  bits.write((1 << quotient) - 1, quotient + 1)
  bits.write(gap % 2 ** parameter, parameter)
}

export function readRice(bits: BitReader, parameter: number): number {
  const quotient = bits.unary(RICE_ESCAPE)
  if (quotient === RICE_ESCAPE) return bits.read(48)
  return quotient * 2 ** parameter + bits.read(parameter)
}
