/**
 * A wall clock for tests: it stands until told to move, and may be set back as a real one may.
 *
 * @example
 * const clock = new ManualClock(1_700_000_000_000)
 * const store = await Varve.open('/db', { environment: { fs, now: clock.now } })
 * clock.advance(60_000)
 */
export class ManualClock {
  #ms: number

  constructor(startMs = 0) {
    this.#ms = checked(startMs)
  }

  /** Milliseconds since the Unix epoch. May be passed on without its clock. */
  now: () => number = () => this.#ms

  advance(ms: number): void {
    this.#ms = checked(this.#ms + ms)
  }

  set(ms: number): void {
    this.#ms = checked(ms)
  }
}

function checked(ms: number): number {
  if (!Number.isFinite(ms)) throw new RangeError(`A clock cannot stand at ${ms}`)
  return ms
}
