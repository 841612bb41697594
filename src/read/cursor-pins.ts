/**
 * What an open cursor holds of the store, and who else may make it let go: an abort signal, and the garbage collector when a
 * cursor was forgotten.
 */
import { onAbort } from '../base/abort-listeners.ts'
import type { AbandonedPins } from './read-scratch.ts'
import type { ReadView } from './read-view.ts'

/** Knows what is open, and since when: see db/leak-watch.ts. */
export interface CursorWatch {
  /** Returns what stands for an open cursor there. */
  opened(what: 'cursor'): unknown
  closed(pin: unknown): void
  /** A cursor was collected as garbage before it had ended. Its pins are released already. */
  abandoned(what: 'cursor'): void
}

export interface PinHooks {
  readonly signal?: AbortSignal | undefined
  readonly watch?: CursorWatch | undefined
}

export class CursorPins implements AbandonedPins {
  readonly #view: ReadView
  readonly #hooks: PinHooks
  #unwatch: (() => void) | undefined = undefined
  readonly #pin: unknown
  #isHeld = true

  /** Acquires the view's version. */
  constructor(view: ReadView, hooks: PinHooks) {
    view.version.acquire()
    this.#view = view
    this.#hooks = hooks
    this.#pin = hooks.watch?.opened('cursor')
  }

  /**
   * From now on, when `owner` is collected as garbage the pins are released, and when the signal aborts `abort` is called (at
   * once when it has). `abort` must not itself refer to the owner: a cursor that its caller forgot has to become garbage, also
   * while the signal lives on.
   */
  guard<T extends object>(owner: T, abort: (owner: T) => void): void {
    this.#view.scratch.abandoned.register(owner, this, this)
    const { signal } = this.#hooks
    if (signal === undefined) return
    if (signal.aborted) return abort(owner)
    const weak = new WeakRef(owner)
    this.#unwatch = onAbort(signal, () => {
      const alive = weak.deref()
      if (alive !== undefined) abort(alive)
    })
  }

  /** Idempotent. */
  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#view.scratch.abandoned.unregister(this)
    this.#unwatch?.()
    this.#view.version.release()
    this.#hooks.watch?.closed(this.#pin)
  }

  abandon(): void {
    if (!this.#isHeld) return
    this.release()
    this.#hooks.watch?.abandoned('cursor')
  }
}
