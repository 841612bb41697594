/**
 * The memtables that are not yet segments, oldest first: any number of sealed ones waiting for their flush and the active
 * one, each with the log that holds its commits. Sealed and flushed in this order, so a log is obsolete exactly when its
 * memtable has become segments.
 */
import { assert } from '../base/assert.ts'
import type { Memtable } from '../memtable/memtable.ts'
import type { WalWriter } from '../wal/wal-writer.ts'

export interface LoggedMemtable {
  readonly memtable: Memtable
  readonly wal: WalWriter
}

export class MemtableSet {
  #active: LoggedMemtable
  #sealed: readonly LoggedMemtable[]
  /** Changes with every seal and every removal; readers cache what they derive from the set by it. */
  generation = 0
  readonly #create: (previous: LoggedMemtable) => LoggedMemtable

  /**
   * `initial`: oldest first, the last one active, the others sealed. `create` makes the next active memtable with a log that
   * follows the given one's; it may throw a disk error.
   */
  constructor(
    initial: readonly LoggedMemtable[],
    create: (previous: LoggedMemtable) => LoggedMemtable,
  ) {
    const active = initial.at(-1)
    assert(active !== undefined, 'there is always an active memtable')
    this.#active = active
    this.#sealed = initial.slice(0, -1)
    this.#create = create
    for (const { memtable } of initial) memtable.weight.own()
  }

  get active(): LoggedMemtable {
    return this.#active
  }

  /** Oldest first. */
  get sealed(): readonly LoggedMemtable[] {
    return this.#sealed
  }

  /** The highest visible seqno. */
  get latestSeqno(): number {
    return this.#active.memtable.lastSeqno
  }

  /** Time of the commit that holds the highest seqno; undefined while no memtable holds a seqno. */
  get latestTimeMs(): number | undefined {
    for (const { memtable } of [this.#active, ...this.#sealed.toReversed()]) {
      const { count, timeMs } = memtable.commits
      if (!memtable.isEmpty) return timeMs[count - 1]
    }
    return undefined
  }

  /** Bytes of all memtables. */
  get bytes(): number {
    let bytes = this.#active.memtable.bytesUsed
    for (const { memtable } of this.#sealed) bytes += memtable.bytesUsed
    return bytes
  }

  /** Seals the active memtable and starts the next one. Throws, with nothing changed, when its log cannot be created. */
  rotate(): void {
    const next = this.#create(this.#active)
    this.#active.memtable.seal()
    this.#sealed = [...this.#sealed, this.#active]
    this.#active = next
    next.memtable.weight.own()
    this.generation++
  }

  /** Forgets the oldest sealed memtable: it is segments now. */
  removeOldest(flushed: LoggedMemtable): void {
    assert(this.#sealed[0] === flushed, 'memtables are flushed in the order they were sealed')
    this.#sealed = this.#sealed.slice(1)
    this.generation++
    flushed.memtable.weight.letGo()
  }

  /** For a close: nobody writes or flushes any more. */
  letGo(): void {
    for (const { memtable } of [...this.#sealed, this.#active]) memtable.weight.letGo()
  }
}
