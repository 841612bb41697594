/**
 * The last step of opening a store that was closed cleanly: new logs and a manifest of this writer made, and durable, old files
 * removed. Opening does not wait for it, so that it costs no sync; whatever changes the store does.
 *
 * ```
 * open ──> open() resolves ──next turn──> logs and manifest synced ─> CURRENT ─> done ─> commits, background work
 *              │                                                                 ▲
 *              └─ put(), close() ────────────────── begins it at once, waits ────┘
 * ```
 *
 * Invariant: no commit is visible before it is done. Until then a power cut finds the clean close; the next open would take
 * it at its word, start no epoch, and give the seqnos of such a commit out again (I6). Edits need not wait: the first one of a
 * writer goes to a whole new manifest, which has no clean close in it.
 *
 * A sync that fails is final (I8). What else goes wrong (a full disk) refuses the commits that wait, and the next one tries again.
 */
import type { Admission } from '../write/pipeline-hooks.ts'

export interface TakeOverHooks {
  /** Commits may go on. */
  readonly onDone: () => void
  /** An attempt failed. Commits that wait are to be refused: the next one makes another attempt. */
  readonly onFailure: (cause: unknown) => void
}

const WAIT: Admission = { type: 'wait' }

export class TakeOver {
  #step: (() => Promise<void>) | undefined
  #running: Promise<void> | undefined
  readonly #hooks: TakeOverHooks

  /** `step` undefined: there is nothing left to do. */
  constructor(step: (() => Promise<void>) | undefined, hooks: TakeOverHooks) {
    this.#step = step
    this.#hooks = hooks
  }

  get isDone(): boolean {
    return this.#step === undefined
  }

  /** For the commit pipeline: what a commit has to do. Begins an attempt where none is under way. Undefined when it is done. */
  admit(): Admission | undefined {
    if (this.#step === undefined) return undefined
    void this.attempt()
    return WAIT
  }

  /** Resolves when the attempt that is under way, or a new one, has ended, well or not. */
  attempt(): Promise<void> {
    if (this.#step === undefined) return Promise.resolve()
    this.#running ??= this.#run(this.#step)
    return this.#running
  }

  async #run(step: () => Promise<void>): Promise<void> {
    try {
      await step()
      this.#step = undefined
    } catch (cause) {
      this.#running = undefined
      this.#hooks.onFailure(cause)
      return
    }
    this.#running = undefined
    this.#hooks.onDone()
  }
}
