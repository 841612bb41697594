import { invalidArgument, wrongType } from '../base/errors.ts'

/**
 * A wall clock for tests: it stands until told to move, and may be set back as a real one may.
 *
 * ```ts
 * const fs = new MemoryFileSystem()
 * const clock = new ManualClock(1_700_000_000_000)
 * const db = await Varve.open('/db', { environment: { fs, now: clock.now } })
 * await db.put('a', '1')
 * clock.advance(60_000)
 * await db.put('a', '2')
 * console.log(await db.seqnoAt(1_700_000_000_001)) // 2
 * await db.close()
 * ```
 */
export class ManualClock {
  #ms: number

  constructor(startMs = 0) {
    this.#ms = checked(startMs)
  }

  /** Milliseconds since the Unix epoch. May be passed on without its clock. */
  now: () => number = () => this.#ms

  /** Moves it by so much; back with a negative number. */
  advance(ms: number): void {
    this.#ms = checked(this.#ms + checked(ms))
  }

  /** Sets it. */
  set(ms: number): void {
    this.#ms = checked(ms)
  }
}

function checked(ms: number): number {
  if (typeof ms !== 'number') throw wrongType('ms', 'a number', ms)
  if (!Number.isFinite(ms)) throw invalidArgument(`a clock cannot stand at ${ms}`)
  return ms
}
