/**
 * What a scan of a readOnly store reads from. A hold keeps jobs from dropping events, and the jobs are another process's; so the
 * scan stays with the files and memtables of its call, whatever the next `refresh` brings.
 */
import type { ChangeSource, ChangeView, ScanEnd, ScanHold } from '../cdc/change-source.ts'
import type { VarveError } from '../base/errors.ts'
import type { ReadView } from '../read/read-view.ts'
import type { Epoch, SeriesPoint } from '../version/store-state.ts'
import type { ScanHolds } from './scan-holds.ts'

/** Views of the store for change capture, see view-cache.ts. */
export interface PinnableViews {
  current(): ReadView
  changeViewOf(view: ReadView): ChangeView
}

export class PinnedSource implements ChangeSource {
  readonly #source: ChangeSource
  readonly #views: PinnableViews
  readonly #holds: ScanHolds
  #pinned: ReadView | undefined

  constructor(source: ChangeSource, views: PinnableViews, holds: ScanHolds) {
    this.#source = source
    this.#views = views
    this.#holds = holds
  }

  view(): ChangeView {
    return this.#pinned === undefined ? this.#source.view() : this.#views.changeViewOf(this.#pinned)
  }

  /** From here to its release the source stands still. */
  hold(position: number): ScanHold {
    const pinned = this.#views.current()
    pinned.version.acquire()
    this.#pinned = pinned
    // With the hold: that is what is left of a scan that was forgotten.
    return this.#holds.add(position, () => {
      this.#pinned = undefined
      pinned.version.release()
    })
  }

  releaseWhenAbandoned(owner: object, hold: ScanHold): void {
    this.#source.releaseWhenAbandoned(owner, hold)
  }

  get storeId(): string {
    return this.#source.storeId
  }

  get epochs(): readonly Epoch[] {
    return this.#source.epochs
  }

  get isWriter(): boolean {
    return this.#source.isWriter
  }

  get latest(): number {
    return this.#source.latest
  }

  get durable(): number {
    return this.#source.durable
  }

  get floor(): number {
    return this.#source.floor
  }

  get status(): 'open' | 'closing' | 'closed' {
    return this.#source.status
  }

  get isClosed(): boolean {
    return this.#source.isClosed
  }

  get series(): readonly SeriesPoint[] {
    return this.#source.series
  }

  closedError(): VarveError {
    return this.#source.closedError()
  }

  keyspaceName(id: number): string {
    return this.#source.keyspaceName(id)
  }

  scanBegan(from: number): ((end: ScanEnd) => void) | undefined {
    return this.#source.scanBegan?.(from)
  }
}
