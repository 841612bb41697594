/**
 * Positions of open scans: no job drops an event at or above the lowest one.
 */
import type { ScanHold } from '../cdc/change-source.ts'
import type { LeakWatch, OpenPin } from './leak-watch.ts'

class Hold implements ScanHold {
  position: number
  isCutOff = false
  readonly #release: (hold: Hold) => void

  constructor(position: number, release: (hold: Hold) => void) {
    this.position = position
    this.#release = release
  }

  advance(position: number): void {
    if (position > this.position) this.position = position
  }

  release(): void {
    this.#release(this)
  }
}

export class ScanHolds {
  readonly #holds = new Set<Hold>()
  readonly #abandoned: FinalizationRegistry<Hold>
  readonly #leaks: LeakWatch

  constructor(leaks: LeakWatch) {
    this.#leaks = leaks
    this.#abandoned = new FinalizationRegistry((hold) => {
      if (!this.#holds.has(hold)) return
      leaks.abandoned('change scan')
      hold.release()
    })
  }

  get count(): number {
    return this.#holds.size
  }

  /** `onReleased` is called once, when it is over. */
  add(position: number, onReleased?: () => void): ScanHold {
    const pin: OpenPin = this.#leaks.opened('change scan')
    const hold = new Hold(position, (released) => {
      if (!this.#holds.delete(released)) return
      this.#leaks.closed(pin)
      onReleased?.()
    })
    this.#holds.add(hold)
    return hold
  }

  releaseWhenAbandoned(owner: object, hold: ScanHold): void {
    if (hold instanceof Hold) this.#abandoned.register(owner, hold)
  }

  /** Infinity when nothing is held. */
  lowest(): number {
    let lowest = Number.POSITIVE_INFINITY
    for (const { position } of this.#holds) if (position < lowest) lowest = position
    return lowest
  }

  /** Takes away the holds for which the test says that they hold too much. */
  cutOff(isTooMuch: (position: number) => boolean): void {
    for (const hold of this.#holds) {
      if (!isTooMuch(hold.position)) continue
      hold.isCutOff = true
      hold.release()
    }
  }
}
