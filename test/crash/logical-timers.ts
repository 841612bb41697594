/**
 * Time that moves only when it is told to, or when somebody looks: a run of a store on it does the same operations in the
 * same order every time.
 */
import type { Cancel, Timers } from '../../src/env/timers.ts'

/** A look at the clock takes so long: slices of background work end after so many steps. */
const LOOK_MS = 0.1

interface Alarm {
  at: number
  readonly run: () => void
  readonly everyMs: number | undefined
}

export class LogicalTimers implements Timers {
  #now = 0
  #alarms: Alarm[] = []

  after(ms: number, run: () => void): Cancel {
    return this.#set({ at: this.#now + ms, run, everyMs: undefined })
  }

  every(ms: number, run: () => void): Cancel {
    return this.#set({ at: this.#now + ms, run, everyMs: ms })
  }

  nextTurn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** Who waits is never kept waiting: time jumps. */
  async wait(ms: number): Promise<void> {
    this.#now += ms
    await this.nextTurn()
  }

  monotonicMs(): number {
    this.#now += LOOK_MS
    return this.#now
  }

  /** Lets time pass; everything that is due then runs, in order. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const due = this.#alarms.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#now = Math.max(this.#now, due.at)
      if (due.everyMs === undefined) this.#remove(due)
      else due.at += due.everyMs
      due.run()
    }
    this.#now = Math.max(this.#now, until)
  }

  #set(alarm: Alarm): Cancel {
    this.#alarms.push(alarm)
    return () => this.#remove(alarm)
  }

  #remove(alarm: Alarm): void {
    this.#alarms = this.#alarms.filter((one) => one !== alarm)
  }
}
