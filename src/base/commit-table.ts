/**
 * The commits that entries came from, in columns: an entry carries one small integer, the id of its commit here.
 * Used by memtables (one row a commit), by segment readers (one row a run of the change index) and handed to segment
 * writers. Ids count from 0; NO_COMMIT marks an entry that is no event.
 */

export const NO_COMMIT = -1

export class CommitTable {
  count = 0
  /** Seqno of the commit's first operation. */
  first: Float64Array
  /** Number of operations in the commit. */
  size: Uint32Array
  /** Milliseconds since the Unix epoch. */
  timeMs: Float64Array
  readonly #meta = new Map<number, Buffer>()

  constructor(capacity = 64) {
    this.first = new Float64Array(capacity)
    this.size = new Uint32Array(capacity)
    this.timeMs = new Float64Array(capacity)
  }

  add(first: number, size: number, timeMs: number, meta: Buffer | undefined): number {
    const id = this.count
    if (id === this.first.length) this.#grow()
    this.first[id] = first
    this.size[id] = size
    this.timeMs[id] = timeMs
    if (meta !== undefined) this.#meta.set(id, meta)
    this.count = id + 1
    return id
  }

  meta(id: number): Buffer | undefined {
    return this.#meta.size === 0 ? undefined : this.#meta.get(id)
  }

  /** Forgets every row from `count` on. */
  truncate(count: number): void {
    for (const id of this.#meta.keys()) if (id >= count) this.#meta.delete(id)
    this.count = count
  }

  #grow(): void {
    const capacity = this.first.length * 2
    const first = new Float64Array(capacity)
    first.set(this.first)
    this.first = first
    const size = new Uint32Array(capacity)
    size.set(this.size)
    this.size = size
    const timeMs = new Float64Array(capacity)
    timeMs.set(this.timeMs)
    this.timeMs = timeMs
  }
}
