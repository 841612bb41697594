/**
 * What an open cursor holds of the store, and who else may make it let go: an abort signal, and the garbage collector when a
 * cursor was forgotten.
 */
import type { AbandonedPins } from './read-scratch.ts'
import type { ReadView } from './read-view.ts'

export interface PinHooks {
  readonly signal?: AbortSignal | undefined
  readonly onAbandoned?: ((what: string) => void) | undefined
}

export class CursorPins implements AbandonedPins {
  readonly #view: ReadView
  readonly #hooks: PinHooks
  #onAbort: (() => void) | undefined = undefined
  #isHeld = true

  /** Acquires the view's version. */
  constructor(view: ReadView, hooks: PinHooks) {
    view.version.acquire()
    this.#view = view
    this.#hooks = hooks
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
    this.#onAbort = () => {
      const alive = weak.deref()
      if (alive !== undefined) abort(alive)
    }
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Idempotent. */
  release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#view.scratch.abandoned.unregister(this)
    if (this.#onAbort !== undefined) {
      this.#hooks.signal?.removeEventListener('abort', this.#onAbort)
    }
    this.#view.version.release()
  }

  abandon(): void {
    if (!this.#isHeld) return
    this.release()
    this.#hooks.onAbandoned?.('a cursor')
  }
}
