/**
 * Which seqnos stand where, for repair: one bit each, in pieces, so that a few segments of a large store cost little.
 */
const PIECE_SEQNOS = 2 ** 16

export interface SeqnoRange {
  readonly from: number
  readonly to: number
}

export class SeqnoCensus {
  readonly #pieces = new Map<number, Uint8Array>()
  /** The largest seqno that was counted more than once; 0: none. */
  lastTwice = 0

  has(seqno: number): boolean {
    const piece = this.#pieces.get(Math.floor(seqno / PIECE_SEQNOS))
    const bit = seqno % PIECE_SEQNOS
    return piece !== undefined && (piece[bit >>> 3]! & (1 << (bit & 7))) !== 0
  }

  add(seqno: number): void {
    if (this.has(seqno)) {
      if (seqno > this.lastTwice) this.lastTwice = seqno
      return
    }
    const index = Math.floor(seqno / PIECE_SEQNOS)
    let piece = this.#pieces.get(index)
    if (piece === undefined) {
      piece = new Uint8Array(PIECE_SEQNOS / 8)
      this.#pieces.set(index, piece)
    }
    const bit = seqno % PIECE_SEQNOS
    piece[bit >>> 3]! |= 1 << (bit & 7)
  }

  addRange({ from, to }: SeqnoRange): void {
    for (let seqno = from; seqno <= to; seqno++) this.add(seqno)
  }

  /** What of [from, to] was not counted, ascending. */
  missing({ from, to }: SeqnoRange): SeqnoRange[] {
    const ranges: SeqnoRange[] = []
    let start = 0
    for (let seqno = from; seqno <= to; seqno++) {
      const isPresent = this.has(seqno)
      if (!isPresent && start === 0) start = seqno
      if (isPresent && start !== 0) {
        ranges.push({ from: start, to: seqno - 1 })
        start = 0
      }
    }
    if (start !== 0) ranges.push({ from: start, to })
    return ranges
  }
}

/** The same seqnos in as few ranges as can be, ascending. */
export function joined(ranges: readonly SeqnoRange[]): SeqnoRange[] {
  const result: { from: number; to: number }[] = []
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = result.at(-1)
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to)
    else result.push({ from, to })
  }
  return result
}
