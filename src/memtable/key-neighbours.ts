/**
 * What is done for the operations of a batch before they are put into the memtable's trees, a group at a time. Keys that are far
 * apart meet what is in no cache: better together (`warm`). Neighbours, as ascending keys are, find it there, and have mostly the
 * same way.
 */
import type { KeyspaceIndexes } from './keyspace-index.ts'
import type { OperationLog } from './operation-log.ts'
import { Operation } from './operation.ts'
import { KEY_GROUP, KeyGroup, type RadixTree, sharedBytes } from './radix-tree.ts'

/** Fewer operations together are not worth a walk of their own. */
const GROUP_MIN = 4
/** Where the first key of a group, or of a half of it, and the last one have fewer bytes of their own than this, they are neighbours. */
const NEAR_BYTES = 4

export class KeyNeighbours {
  readonly #log: OperationLog
  readonly #tree: RadixTree
  readonly #keyspaces: KeyspaceIndexes
  readonly #group = new KeyGroup()
  readonly #operation = new Operation()

  constructor(log: OperationLog, tree: RadixTree, keyspaces: KeyspaceIndexes) {
    this.#log = log
    this.#tree = tree
    this.#keyspaces = keyspaces
  }

  /**
   * Prepares the insertion of up to KEY_GROUP operations from ordinal `from` on, below `end`. True: they are likely to be neighbours,
   * which is a matter of speed alone.
   */
  prepare(from: number, end: number): boolean {
    if (end - from < GROUP_MIN) return false
    const to = from + KEY_GROUP < end ? from + KEY_GROUP : end
    if (this.#areNear(from, to - 1)) return true
    // Numbers that are counted up change more bytes now and then; one of the halves does not.
    const isWhole = to - from === KEY_GROUP
    const middle = from + KEY_GROUP / 2
    if (isWhole && (this.#areNear(from, middle - 1) || this.#areNear(middle, to - 1))) return true
    this.#warm(from, to)
    return false
  }

  #areNear(first: number, last: number): boolean {
    const operation = this.#read(first)
    const { keyStart, keyEnd } = operation
    this.#read(last)
    const { arena } = this.#log
    const shared = sharedBytes(arena, keyStart, keyEnd, operation.keyStart, operation.keyEnd)
    return operation.keyEnd - operation.keyStart - shared < NEAR_BYTES
  }

  #warm(from: number, to: number): void {
    const group = this.#group
    let count = 0
    for (let ordinal = from; ordinal < to; ordinal++) {
      const operation = this.#read(ordinal)
      const root = this.#keyspaces.get(operation.keyspaceId)?.root
      if (root === undefined) continue
      group.root[count] = root
      group.keyStart[count] = operation.keyStart
      group.keyEnd[count] = operation.keyEnd
      count++
    }
    group.count = count
    this.#tree.warm(group)
  }

  #read(ordinal: number): Operation {
    const operation = this.#operation
    operation.read(this.#log.arena, this.#log.offsetOf(ordinal))
    return operation
  }
}
