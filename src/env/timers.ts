/**
 * Real time, for intervals: the wall clock of the environment dates events, this one waits.
 *
 * Which of them hold the process open follows from who waits: `after` and `every` serve the background, and an idle store
 * must not keep a program from ending. `wait` and `nextTurn` are awaited by a caller; if they did not hold the process, Node
 * would end it in the middle of that caller's `await`.
 */

export type Cancel = () => void

export interface Timers {
  /** Runs `run` once, after 25 days at the latest; does not hold the process. */
  after(ms: number, run: () => void): Cancel
  /** Runs `run` again and again; does not hold the process. */
  every(ms: number, run: () => void): Cancel
  /** After the I/O that is due now; holds the process. */
  nextTurn(): Promise<void>
  /** Holds the process. */
  wait(ms: number): Promise<void>
  /** Never goes backwards; no relation to the wall clock. */
  monotonicMs(): number
}

/** The longest that Node waits, 25 days: of more it makes 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1

export function createTimers(): Timers {
  return {
    after(ms, run) {
      const timer = setTimeout(run, Math.min(ms, TIMER_MS_MAX)).unref()
      return () => clearTimeout(timer)
    },
    every(ms, run) {
      const timer = setInterval(run, ms).unref()
      return () => clearInterval(timer)
    },
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    monotonicMs: () => performance.now(),
  }
}
