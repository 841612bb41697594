/**
 * Takes back commits that still wait when their signal aborts. One listener for a signal, however many commits share it: Node
 * warns of more than ten, and one call may have thousands waiting.
 */
import type { VarveError } from '../base/errors.ts'
import type { PendingCommit } from './pending-commit.ts'

export class AbortWatch {
  readonly #waiting = new Map<AbortSignal, { commits: Set<PendingCommit>; stop: () => void }>()
  readonly #makeError: (signal: AbortSignal) => VarveError

  constructor(makeError: (signal: AbortSignal) => VarveError) {
    this.#makeError = makeError
  }

  /** Until the pipeline calls `commit.unwatch`. */
  add(commit: PendingCommit, signal: AbortSignal): void {
    let entry = this.#waiting.get(signal)
    if (entry === undefined) {
      const onAbort = (): void => this.#abort(signal)
      signal.addEventListener('abort', onAbort, { once: true })
      entry = {
        commits: new Set(),
        stop: () => signal.removeEventListener('abort', onAbort),
      }
      this.#waiting.set(signal, entry)
    }
    const { commits, stop } = entry
    commits.add(commit)
    commit.unwatch = () => {
      commits.delete(commit)
      if (commits.size > 0 || this.#waiting.get(signal)?.commits !== commits) return
      this.#waiting.delete(signal)
      stop()
    }
  }

  #abort(signal: AbortSignal): void {
    const commits = this.#waiting.get(signal)?.commits ?? []
    this.#waiting.delete(signal)
    for (const commit of commits) {
      commit.aborted = this.#makeError(signal)
      commit.reject(commit.aborted)
    }
  }
}
