/**
 * Walks a sealed memtable once, from its first key to its last: what a flush does. Keys ascending, of each key the newest version
 * first.
 *
 * A cursor can go both ways, start anywhere, and stands in a tree that is being written. Here nothing changes, so that the keys of
 * whole subtrees are listed with a stack of pointers; then the operations of the next keys are loaded together, as each of them
 * is a cache miss. Little code, which the first flush of a process feels: a part of its time is the compiler's.
 */
import { assert } from '../base/assert.ts'
import type { SortedEntry } from '../base/entry-iterator.ts'
import { Operation } from './operation.ts'
import type { OperationLog } from './operation-log.ts'
import {
  COUNT_SHIFT,
  END_KEY,
  HEADER_WORDS,
  NODE16,
  NODE16_CHILDREN,
  NODE256,
  NODE4_CHILDREN,
  NODE48,
  NODE48_CHILDREN,
  type RadixNodes,
  TYPE_MASK,
} from './radix-nodes.ts'

/** So many keys are listed at a time. */
const AHEAD = 128
/** A node has at most so many pointers below it. */
const POINTERS_MAX = 257
const CACHE_LINE = 64
const AHEAD_BYTES_MAX = 3 * CACHE_LINE

export class SealedWalk implements SortedEntry {
  valid = false
  keyBytes: Uint8Array
  keyStart = 0
  keyEnd = 0
  seqno = 0
  kind = 0
  valueBytes: Uint8Array
  valueStart = 0
  valueEnd = 0
  ordinal = -1
  /** Whether the last `next` went to an older version of the key. */
  isOlder = false
  readonly #log: OperationLog
  readonly #nodes: RadixNodes
  readonly #operation = new Operation()
  /** What operations take on average, up to where loading them ahead pays. */
  readonly #likelyBytes: number
  /** Pointers to what was not visited yet; the next one on top. */
  #stack: Int32Array = new Int32Array(1024)
  #depth = 0
  readonly #keys: Int32Array = new Int32Array(AHEAD)
  #keyAt = 0
  #keyCount = 0
  /** Not for use: keeps the loading of bytes from being optimised away. */
  touched = 0

  /** On the first key of the tree with this root. */
  constructor(log: OperationLog, nodes: RadixNodes, root: number) {
    this.#log = log
    this.#nodes = nodes
    this.keyBytes = log.arena
    this.valueBytes = log.arena
    this.#likelyBytes = Math.min(AHEAD_BYTES_MAX, Math.ceil(log.arenaEnd / Math.max(1, log.count)))
    const pointer = nodes.words[root]!
    if (pointer !== 0) this.#stack[this.#depth++] = pointer
    this.nextKey()
  }

  next(): void {
    const older = this.#log.olderOf(this.ordinal)
    if (older < 0) return this.nextKey()
    this.isOlder = true
    this.#show(older)
  }

  /** Past all older versions, to the next key. */
  nextKey(): void {
    if (this.#keyAt === this.#keyCount) this.#list()
    this.isOlder = false
    this.valid = this.#keyCount > 0
    if (this.valid) this.#show(this.#keys[this.#keyAt++]!)
  }

  #show(ordinal: number): void {
    const log = this.#log
    const operation = this.#operation
    operation.read(log.arena, log.offsetOf(ordinal))
    this.ordinal = ordinal
    this.seqno = log.firstSeqno + ordinal
    this.kind = operation.kind
    this.keyStart = operation.keyStart
    this.keyEnd = operation.keyEnd
    this.valueStart = operation.valueStart
    this.valueEnd = operation.valueEnd
  }

  /** Finds the next keys, and loads where they stand. */
  #list(): void {
    const keys = this.#keys
    let stack = this.#stack
    let depth = this.#depth
    let count = 0
    while (depth > 0 && count < AHEAD) {
      const pointer = stack[--depth]!
      if (pointer < 0) {
        keys[count++] = ~pointer
        continue
      }
      if (depth + POINTERS_MAX > stack.length) {
        stack = new Int32Array(stack.length * 2)
        stack.set(this.#stack)
        this.#stack = stack
      }
      depth = this.#push(pointer, stack, depth)
    }
    this.#depth = depth
    this.#keyAt = 0
    this.#keyCount = count
    const { arena, links } = this.#log
    const last = arena.length - 1
    const end = this.#likelyBytes
    let touched = 0
    for (let i = 0; i < count; i++) {
      const at = links[keys[i]! * 2]!
      const next = at + CACHE_LINE
      touched += arena[at]! + arena[next < last ? next : last]!
      if (end > CACHE_LINE) touched += arena[at + end < last ? at + end : last]!
    }
    this.touched = touched
  }

  /** Puts what lies below a node on the stack, last child first; returns the new depth. */
  #push(node: number, stack: Int32Array, from: number): number {
    const { words, bytes } = this.#nodes
    const head = words[node]!
    const type = head & TYPE_MASK
    let depth = from
    if (type <= NODE16) {
      const children = node + (type === NODE16 ? NODE16_CHILDREN : NODE4_CHILDREN)
      for (let i = (head >>> COUNT_SHIFT) - 1; i >= 0; i--) stack[depth++] = words[children + i]!
    } else if (type === NODE48) {
      const numbers = (node + HEADER_WORDS) * 4
      for (let byte = 255; byte >= 0; byte--) {
        const number = bytes[numbers + byte]!
        if (number !== 0) stack[depth++] = words[node + NODE48_CHILDREN - 1 + number]!
      }
    } else {
      assert(type === NODE256, 'a node has one of four types')
      for (let byte = 255; byte >= 0; byte--) {
        const child = words[node + HEADER_WORDS + byte]!
        if (child !== 0) stack[depth++] = child
      }
    }
    // The key that ends here comes before all others.
    const ended = words[node + END_KEY]!
    if (ended !== 0) stack[depth++] = ended
    return depth
  }
}
