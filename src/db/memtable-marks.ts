/**
 * What must be remembered of the moment when a memtable was sealed, until its flush writes it down: positions that its log,
 * and those before it, hold.
 */
import type { ConsumerMarks } from '../cdc/consumer-ledger.ts'
import type { Memtable } from '../memtable/memtable.ts'

export interface SealMarks {
  readonly consumers: ConsumerMarks
  readonly sourceToken: string | undefined
}

export class MemtableMarks {
  readonly #marks = new WeakMap<Memtable, SealMarks>()

  sealed(memtable: Memtable, marks: SealMarks): void {
    this.#marks.set(memtable, marks)
  }

  of(memtable: Memtable): SealMarks | undefined {
    return this.#marks.get(memtable)
  }
}
