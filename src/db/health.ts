/**
 * Whether the store may be written to, and why not.
 *
 * ```
 * open ──close()──> closing ──> closed
 *   └─a sync failed, or the log or manifest could not be written (EIO)──> poisoned ──close()──> closing ──> closed
 * ```
 *
 * Poisoned: what is on the disk is no longer known, so nothing more is written; reads go on; reopening recovers (design rule
 * I8). A full disk is no reason to poison. Other errors of background work are told of, and the work is tried again.
 */
import { VarveError } from '../base/errors.ts'

export type StoreStatus = 'open' | 'closing' | 'closed' | 'poisoned'

export class Health {
  #status: StoreStatus = 'open'
  #poison: VarveError | undefined
  #isEnding = false
  #wasPoisoned = false
  readonly #onPoisoned: (error: VarveError) => void
  readonly #onBackgroundError: (error: VarveError) => void

  constructor(hooks: {
    /** Once, with the error that later writes get. */
    onPoisoned: (error: VarveError) => void
    onBackgroundError: (error: VarveError) => void
  }) {
    this.#onPoisoned = hooks.onPoisoned
    this.#onBackgroundError = hooks.onBackgroundError
  }

  get status(): StoreStatus {
    return this.#status
  }

  get isClosing(): boolean {
    return this.#status === 'closing' || this.#status === 'closed'
  }

  /** How far a close has come. Poisoned is as good as open here: reads go on. */
  get phase(): 'open' | 'closing' | 'closed' {
    return this.#status === 'poisoned' ? 'open' : this.#status
  }

  /** What writes are refused with after poisoning. */
  get poisonError(): VarveError | undefined {
    return this.#poison
  }

  poison(cause: VarveError): void {
    if (this.#poison !== undefined) return
    this.#poison = new VarveError(
      'VARVE_POISONED',
      `the store accepts no more writes until it is reopened: ${cause.message}`,
      { reason: cause.code, ...cause.details },
      { cause },
    )
    if (this.#status === 'open') this.#status = 'poisoned'
    this.#onPoisoned(this.#poison)
    this.#onBackgroundError(cause)
  }

  /** Background work failed with what is not final: it is tried again. */
  backgroundFailed(error: VarveError): void {
    this.#onBackgroundError(error)
  }

  /** No call is accepted any more; those that were made before go on. */
  startClosing(): void {
    this.#wasPoisoned = this.#poison !== undefined
    this.#status = 'closing'
  }

  /** Before the close began: who closes it knows. What comes after that nobody may have been told but the close. */
  get wasPoisoned(): boolean {
    return this.#wasPoisoned
  }

  /** No call is left: nothing but the close itself writes. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  startEnding(): void {
    this.#isEnding = true
  }

  finishClosing(): void {
    this.#status = 'closed'
  }
}

export function closedError(): VarveError {
  return new VarveError('VARVE_CLOSED', 'the store is closed')
}
