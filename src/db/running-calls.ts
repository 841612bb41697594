/**
 * Calls that change the store, or read all of it, and have not ended: a close waits for those that were made before it.
 */
import { settled } from '../base/settled.ts'

export class RunningCalls {
  readonly #calls = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  /** Aborts when the store begins to close: for what follows it and would wait for ever. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  run<T>(call: () => Promise<T>): Promise<T> {
    const result = call()
    const ended = settled(result).then(() => {
      this.#calls.delete(ended)
    })
    this.#calls.add(ended)
    return result
  }

  /** For a close. Resolves when none is left, those included that began meanwhile. */
  async ended(): Promise<void> {
    this.#closing.abort()
    while (this.#calls.size > 0) await Promise.all(this.#calls)
  }
}
