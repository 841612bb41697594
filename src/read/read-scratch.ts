/**
 * What the reads of one store work with and share, so that a lookup allocates nothing but its result. One per store; not
 * state that anyone can see: a read leaves nothing in it that the next one uses.
 */
import { ColumnWalk } from './column-walk.ts'
import { ResultPool } from './result-pool.ts'
import { VersionWalk } from './version-walk.ts'

/** What a cursor that was collected as garbage leaves behind. Must not refer to the cursor. */
export interface AbandonedPins {
  abandon(): void
}

export class ReadScratch {
  readonly pool: ResultPool = new ResultPool()
  readonly walk: VersionWalk = new VersionWalk()
  #columnWalk: ColumnWalk | undefined
  /** Memory of iterators that nobody writes to again: what stands there need not be copied for the caller. */
  readonly lent: WeakSet<Uint8Array> = new WeakSet()
  readonly abandoned: FinalizationRegistry<AbandonedPins> = new FinalizationRegistry((pins) => {
    pins.abandon()
  })

  get columnWalk(): ColumnWalk {
    return (this.#columnWalk ??= new ColumnWalk(this.pool))
  }
}
