/**
 * The keyspaces of a memtable: for each the root of its tree and its range deletes.
 */
import type { RangeTombstone } from '../base/range-tombstones.ts'
import { RangeTombstoneSet } from './range-tombstone-set.ts'

export interface KeyspaceIndex {
  readonly id: number
  /** Word of the root of its tree, see radix-nodes.ts. */
  readonly root: number
  /** Ordinals of its range deletes. */
  readonly rangeDeletes: number[]
  /** The same as tombstones; made when they are first needed. */
  ranges: RangeTombstoneSet | undefined
}

/** A keyspace as it crosses to a worker. */
export interface KeyspaceParts {
  readonly id: number
  readonly root: number
  readonly rangeDeletes: readonly number[]
}

export class KeyspaceIndexes {
  readonly #byId = new Map<number, KeyspaceIndex>()
  /** The one that was asked for last: mostly it is the next one too. */
  #last: KeyspaceIndex | undefined = undefined
  readonly #openSnapshots: () => readonly number[]
  readonly #tombstoneAt: (ordinal: number) => RangeTombstone
  /** What the commit that is being published added range deletes to. */
  readonly #unsettled = new Set<RangeTombstoneSet>()

  /** `tombstoneAt` reads a range delete by its ordinal; its bytes may be borrowed. */
  constructor(
    openSnapshots: () => readonly number[],
    tombstoneAt: (ordinal: number) => RangeTombstone,
  ) {
    this.#openSnapshots = openSnapshots
    this.#tombstoneAt = tombstoneAt
  }

  get(id: number): KeyspaceIndex | undefined {
    const last = this.#last
    if (last !== undefined && last.id === id) return last
    const keyspace = this.#byId.get(id)
    if (keyspace !== undefined) this.#last = keyspace
    return keyspace
  }

  add({ id, root, rangeDeletes }: KeyspaceParts): KeyspaceIndex {
    const keyspace = { id, root, rangeDeletes: [...rangeDeletes], ranges: undefined }
    this.#byId.set(id, keyspace)
    return keyspace
  }

  /** Ascending. */
  ids(): number[] {
    return [...this.#byId.keys()].sort((a, b) => a - b)
  }

  addRangeDelete(keyspace: KeyspaceIndex, ordinal: number): void {
    const ranges = (keyspace.ranges ??= new RangeTombstoneSet())
    keyspace.rangeDeletes.push(ordinal)
    ranges.add(copyOf(this.#tombstoneAt(ordinal)))
    this.#unsettled.add(ranges)
  }

  /** Once a commit is visible as a whole: merging runs takes memory, and needs nothing but the tombstones themselves. */
  settle(): void {
    if (this.#unsettled.size === 0) return
    const sets = [...this.#unsettled]
    this.#unsettled.clear()
    for (const ranges of sets) ranges.settle(this.#openSnapshots)
  }

  /** The keyspace's range deletes; undefined when it has none. */
  ranges(id: number): RangeTombstoneSet | undefined {
    const keyspace = this.get(id)
    if (keyspace === undefined || keyspace.rangeDeletes.length === 0) return undefined
    return (keyspace.ranges ??= this.#rebuilt(keyspace))
  }

  toParts(): KeyspaceParts[] {
    return [...this.#byId.values()].map(({ id, root, rangeDeletes }) => ({
      id,
      root,
      rangeDeletes,
    }))
  }

  /** From parts come only ordinals: a flush needs no more. */
  #rebuilt({ rangeDeletes }: KeyspaceIndex): RangeTombstoneSet {
    const ranges = new RangeTombstoneSet()
    for (const ordinal of rangeDeletes) {
      ranges.add(this.#tombstoneAt(ordinal))
      ranges.settle(this.#openSnapshots)
    }
    return ranges
  }
}

/** With bytes of its own: the arena may be replaced by a larger one, and would be kept alive. */
function copyOf({ start, end, seqno }: RangeTombstone): RangeTombstone {
  return { start: Buffer.from(start), end: end && Buffer.from(end), seqno }
}
