/**
 * How many seqnos the next window takes. The first one is small, so that the first event comes soon; then windows grow as fast
 * as the measured bytes per seqno allow, up to the memory budget: each window reads most blocks once more, so few large ones
 * are cheap. A filter that lets little through makes them wide, large values make them narrow. Where events lie far apart, so
 * that a small window reads many times what it takes, the next one is as large as it may be: a pass over most blocks for a tenth
 * of a window costs half as much as for a whole one.
 *
 * ```
 *   budget = 15/16 window: keys and values, and what each event takes in columns | 1/16 the batch being handed out
 * ```
 */

/** Places in a window are 32-bit numbers, and nobody gains by more. */
const BUDGET_MAX = 2 ** 30
const FIRST_SPAN = 256
/** A batch that asks for more than that is given by one window, up to so many events. */
const FIRST_SPAN_MAX = 1024
/** Room for the end of a commit, and for what a filter leaves out. */
const FIRST_SPAN_MIN = 16
const GROWTH = 16
/** A window that read so many times what it took was one of events far apart. */
const FAR_APART = 4
/** Marks are cleared per window; wider ones would cost more than they save. */
const SPAN_MAX = 2 ** 20
/** A seqno's marks, with or without an event. */
const MARK_BYTES = 8
/** No window is planned wider than if marks took so much: what the index says of as many events must fit too. */
const SPAN_BYTES = 24

export class WindowSizer {
  /** Bytes of keys and values that one window may gather. */
  readonly arenaBytes: number
  /** Bytes that one batch may hand out, besides its last commit. */
  readonly batchBytes: number
  readonly #windowBytes: number
  readonly #spanMax: number
  readonly #expected: number
  /** Nobody will ask for what lies behind, but for the end of a commit. */
  readonly #lastSeqno: number
  #span: number
  #isFirst = true
  #bytesPerSeqno = 0

  /** `lastSeqno`: what lies behind will not be asked for, but for the end of a commit. */
  constructor(
    memoryBudgetBytes: number,
    expectedEvents: number = Infinity,
    lastSeqno: number = Infinity,
  ) {
    const budget = Math.min(memoryBudgetBytes, BUDGET_MAX)
    this.batchBytes = Math.max(1, Math.floor(budget / 16))
    this.#windowBytes = Math.max(1, budget - this.batchBytes)
    // Entries without any bytes still take their columns.
    this.arenaBytes = Math.max(1, Math.floor((this.#windowBytes * 7) / 8))
    const columns = Math.floor(this.#windowBytes / SPAN_BYTES)
    this.#spanMax = Math.min(SPAN_MAX, Math.max(1, columns))
    this.#expected = expectedEvents
    this.#lastSeqno = lastSeqno
    this.#span = this.#firstSpan(FIRST_SPAN)
  }

  /** The first window is about to be read for a batch of at most so many events: one window gives it, rather than two. */
  begin(maxEvents: number): void {
    if (this.#isFirst && maxEvents > FIRST_SPAN) this.#span = this.#firstSpan(maxEvents)
  }

  #firstSpan(events: number): number {
    const wanted = Math.min(events, this.#expected, FIRST_SPAN_MAX)
    return Math.min(Math.max(FIRST_SPAN_MIN, wanted), this.#spanMax)
  }

  /** Seqnos to take next. */
  get span(): number {
    return this.#span
  }

  /** For reading that costs the same however little is taken. */
  widen(): void {
    this.#span = this.#spanMax
  }

  /** About so many bytes of entries a window of `span` seqnos will have, as the last one had. */
  expectedBytes(span: number): number {
    return Math.min(this.arenaBytes, Math.ceil(span * this.#bytesPerSeqno * 1.03))
  }

  /** A window was loaded: what indexes say took so many bytes, entries so many, and for these so many were read. */
  fitted(window: {
    readonly first: number
    readonly last: number
    readonly indexBytes: number
    readonly bytes: number
    readonly bytesRead: number
  }): void {
    const { first, last, indexBytes, bytes, bytesRead } = window
    const span = last - first + 1
    this.#isFirst = false
    this.#bytesPerSeqno = bytes / span
    const perSeqno = (bytes + indexBytes) / span + MARK_BYTES
    const affordable = Math.min(
      Math.floor((this.#windowBytes * 0.97) / perSeqno),
      bytes === 0 ? Infinity : Math.floor((span * this.arenaBytes * 0.97) / bytes),
    )
    // Not after the very first events, with which a reader may be content.
    const isFar = span > FIRST_SPAN && bytesRead > FAR_APART * bytes
    const grown = isFar ? this.#spanMax : span * GROWTH
    // Who has come further than that is in a large commit.
    const left = this.#lastSeqno - last
    const rest = left > 0 ? Math.max(FIRST_SPAN_MIN, left) : Infinity
    // A window that the end of the segments cut short does not make the next one small.
    const wanted = Math.min(Math.max(grown, this.#span), rest)
    this.#span = Math.max(1, Math.min(wanted, affordable, this.#spanMax))
  }

  /** A window of `span` seqnos was given up with `gathered` of `wanted` entries read. */
  overflowed(span: number, gathered: number, wanted: number): void {
    this.#isFirst = false
    const share = Math.min(0.5, (gathered / Math.max(1, wanted)) * 0.8)
    this.#span = Math.max(1, Math.floor(span * share))
  }
}
