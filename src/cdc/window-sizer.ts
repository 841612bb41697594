/**
 * How many seqnos the next window takes. The first one is small, so that the first event comes soon; then windows grow as fast
 * as the measured bytes per seqno allow, up to the memory budget. A filter that lets little through makes them wide, one with
 * large values makes them narrow.
 *
 * ```
 *   budget = 1/2 entries' bytes (EntryArena) + 1/4 columns and slots + 1/4 for the batch that is being handed out
 * ```
 */

const FIRST_SPAN = 1024
const GROWTH = 4
/** Slots are cleared per window; wider ones would cost more than they save. */
const SPAN_MAX = 2 ** 20
/** Bytes in columns, slots and runs for one event. */
const EVENT_OVERHEAD_BYTES = 56

export class WindowSizer {
  /** Bytes of keys and values that one window may gather. */
  readonly arenaBytes: number
  /** Bytes that one batch may hand out, besides its last commit. */
  readonly batchBytes: number
  readonly #spanMax: number
  #span: number

  constructor(memoryBudgetBytes: number) {
    this.arenaBytes = Math.max(1, Math.floor(memoryBudgetBytes / 2))
    this.batchBytes = Math.max(1, Math.floor(memoryBudgetBytes / 4))
    const columns = Math.floor(memoryBudgetBytes / 4 / EVENT_OVERHEAD_BYTES)
    this.#spanMax = Math.min(SPAN_MAX, Math.max(1, columns))
    this.#span = Math.min(FIRST_SPAN, this.#spanMax)
  }

  /** Seqnos to take next. */
  get span(): number {
    return this.#span
  }

  /** For reading that costs the same however little is taken. */
  widen(): void {
    this.#span = this.#spanMax
  }

  /** A window of `span` seqnos gathered so many bytes. */
  fitted(span: number, bytes: number): void {
    const affordable = bytes === 0 ? Infinity : Math.floor((span * this.arenaBytes * 0.9) / bytes)
    // A window that the end of the segments cut short does not make the next one small.
    const wanted = Math.max(span * GROWTH, this.#span)
    this.#span = Math.max(1, Math.min(wanted, affordable, this.#spanMax))
  }

  /** A window of `span` seqnos was given up with `gathered` of `wanted` entries read. */
  overflowed(span: number, gathered: number, wanted: number): void {
    const share = Math.min(0.5, (gathered / Math.max(1, wanted)) * 0.8)
    this.#span = Math.max(1, Math.floor(span * share))
  }
}
