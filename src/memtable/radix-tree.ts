/**
 * An adaptive radix tree (Leis, Kemper, Neumann: "The Adaptive Radix Tree", ICDE 2013) over the keys of an operation log. Any
 * number of trees, each with a root of its own, share their nodes' memory: see radix-nodes.ts.
 *
 * Keys are never removed. A lookup skips prefixes and compares the key once, at the end. Versions of a key hang on the
 * newest: see `olderOf` of the log.
 */
import { compareBytes, sameBytes } from '../base/bytes.ts'
import { Operation } from './operation.ts'
import type { OperationLog } from './operation-log.ts'
import { END_KEY, NODE4, PREFIX_AT, PREFIX_LENGTH, type RadixNodes } from './radix-nodes.ts'

/** So many keys are looked up side by side by `warm`. */
export const KEY_GROUP = 16

/** Keys that are about to be put into trees: where each stands in the arena, and the root of its tree. */
export class KeyGroup {
  count = 0
  readonly root: Int32Array = new Int32Array(KEY_GROUP)
  readonly keyStart: Int32Array = new Int32Array(KEY_GROUP)
  readonly keyEnd: Int32Array = new Int32Array(KEY_GROUP)
}

export class RadixTree {
  readonly log: OperationLog
  readonly nodes: RadixNodes
  /** Changes when nodes get children or are replaced: whoever remembers a path must look it up again. */
  structure = 0
  readonly #other = new Operation()
  // Where the last insertion ended: the root of the tree (0: whoever comes next begins at the root), the slot, and how many bytes of
  // which key lead there.
  #lastRoot = 0
  #lastSlot = 0
  #lastDepth = 0
  #lastKeyStart = 0
  /** The node that was made last where two keys met. */
  #lastMade = 0
  /** Of the walks of `warm`: the pointers they have come to, and the positions in their keys. */
  readonly #pointers = new Int32Array(KEY_GROUP)
  readonly #positions = new Int32Array(KEY_GROUP)
  /** What `warm` loaded, added up, so that the loads are not left out. Means nothing. */
  touched = 0

  constructor(log: OperationLog, nodes: RadixNodes) {
    this.log = log
    this.nodes = nodes
  }

  /** Puts an operation, newer than all in the tree, in the place of its key: [keyStart, keyEnd) of the arena. */
  insert(root: number, ordinal: number, keyStart: number, keyEnd: number): void {
    this.#lastRoot = 0
    this.#insertBelow(root, keyStart, ordinal, keyStart, keyEnd)
  }

  /**
   * The same for a key that is likely to be a neighbour of the one before it, as ascending keys are: it begins where that one ended,
   * if the bytes that led there are its own, too. An insertion changes nothing above the slot where it ends, and every other one
   * leaves its own slot here, or none: so what leads there is still what it was.
   */
  insertNear(root: number, ordinal: number, keyStart: number, keyEnd: number): void {
    const depth = this.#lastDepth
    const hasLastWay =
      root === this.#lastRoot &&
      keyEnd - keyStart >= depth &&
      sameBytes(this.log.arenaView, this.#lastKeyStart, keyStart, depth)
    if (hasLastWay) {
      this.#insertBelow(this.#lastSlot, keyStart + depth, ordinal, keyStart, keyEnd)
    } else {
      this.#insertBelow(root, keyStart, ordinal, keyStart, keyEnd)
    }
    this.#lastRoot = root
    this.#lastKeyStart = keyStart
  }

  /** Begins at `below`, the slot that the bytes of the key before `from` lead to. */
  #insertBelow(
    below: number,
    from: number,
    ordinal: number,
    keyStart: number,
    keyEnd: number,
  ): void {
    const log = this.log
    const arena = log.arena
    const nodes = this.nodes
    const words = nodes.words
    const leaf = ~ordinal
    let at = from
    let slot = below
    for (;;) {
      this.#lastSlot = slot
      this.#lastDepth = at - keyStart
      const current = words[slot]!
      if (current <= 0) {
        // One store for both: code of its own for the first key of a tree would be compiled anew with the second tree.
        const pointer =
          current === 0 ? leaf : this.#meetKey(~current, at - keyStart, at, keyEnd, ordinal)
        nodes.words[slot] = pointer
        return
      }
      const prefix = words[current + PREFIX_LENGTH]!
      if (prefix > 0) {
        const prefixAt = words[current + PREFIX_AT]!
        const shared = sharedBytes(arena, prefixAt, prefixAt + prefix, at, keyEnd)
        if (shared < prefix) {
          this.#splitPrefix(slot, current, shared, at, keyEnd, ordinal)
          return
        }
        at += prefix
      }
      if (at === keyEnd) {
        const previous = words[current + END_KEY]!
        if (previous < 0) log.setOlder(ordinal, ~previous)
        words[current + END_KEY] = leaf
        return
      }
      const child = nodes.childSlot(current, arena[at]!)
      if (child === 0) {
        nodes.addChild(slot, current, arena[at]!, leaf)
        this.structure++
        return
      }
      slot = child
      at++
    }
  }

  /**
   * Walks down to several keys side by side and changes nothing. Trees of random keys are larger than the processor's caches:
   * one insertion after the other waits for memory at each level, since where to go next depends on what comes; here the
   * group waits together, and finds everything in the cache afterwards. Measured: overwriting random keys takes an eighth less.
   */
  warm(group: KeyGroup): void {
    const { nodes, log } = this
    const words = nodes.words
    const arena = log.arena
    const pointers = this.#pointers
    const positions = this.#positions
    const { count, root, keyStart, keyEnd } = group
    const last = words.length - 1
    let touched = 0
    for (let i = 0; i < count; i++) {
      pointers[i] = words[root[i]!]!
      positions[i] = keyStart[i]!
    }
    for (;;) {
      let isDone = true
      // Nothing here depends on what is loaded, so that all of it is under way at once. A node is up to three cache lines.
      for (let i = 0; i < count; i++) {
        const node = pointers[i]!
        if (node <= 0) continue
        isDone = false
        touched += words[node]! + words[node + 16 < last ? node + 16 : last]!
      }
      if (isDone) break
      for (let i = 0; i < count; i++) {
        const node = pointers[i]!
        if (node <= 0) continue
        const at = positions[i]! + words[node + PREFIX_LENGTH]!
        const slot = at < keyEnd[i]! ? nodes.childSlot(node, arena[at]!) : node + END_KEY
        pointers[i] = slot === 0 ? 0 : words[slot]!
        positions[i] = at + 1
      }
    }
    for (let i = 0; i < count; i++) {
      if (pointers[i]! < 0) pointers[i] = log.offsetOf(~pointers[i]!)
    }
    for (let i = 0; i < count; i++) touched += arena[pointers[i]!]!
    this.touched = touched | 0
  }

  /** Ordinal of the newest operation on the key; -1: none. */
  find(root: number, key: Uint8Array, start: number, end: number): number {
    const nodes = this.nodes
    const words = nodes.words
    let current = words[root]!
    let at = start
    while (current > 0) {
      at += words[current + PREFIX_LENGTH]!
      if (at >= end) {
        if (at > end) return -1
        current = words[current + END_KEY]!
        break
      }
      const child = nodes.childSlot(current, key[at]!)
      if (child === 0) return -1
      current = words[child]!
      at++
    }
    if (current === 0) return -1
    const log = this.log
    const arena = log.arena
    const other = this.#other
    other.read(arena, log.offsetOf(~current))
    const length = other.keyEnd - other.keyStart
    if (length !== end - start) return -1
    return compareBytes(arena, other.keyStart, other.keyEnd, key, start, end) === 0 ? ~current : -1
  }

  /**
   * The way ends at another key: the same one, or both go on below a new node. `depth` bytes are known to be equal. Returns the
   * pointer that takes the place of the key.
   */
  #meetKey(met: number, depth: number, at: number, keyEnd: number, ordinal: number): number {
    const { log, nodes } = this
    const arena = log.arena
    const other = this.#other
    other.read(arena, log.offsetOf(met))
    const otherAt = other.keyStart + depth
    const shared = sharedBytes(arena, otherAt, other.keyEnd, at, keyEnd)
    const otherEnds = otherAt + shared === other.keyEnd
    const ends = at + shared === keyEnd
    if (otherEnds && ends) {
      log.setOlder(ordinal, met)
      return ~ordinal
    }
    const node = nodes.addNode(nodes.likelyType(this.#lastMade), shared, at)
    this.#lastMade = node
    nodes.attach(node, otherEnds, arena[otherAt + shared]!, ~met)
    nodes.attach(node, ends, arena[at + shared]!, ~ordinal)
    this.structure++
    return node
  }

  /** Only `shared` bytes of the node's prefix are the key's: a new node above takes them. */
  #splitPrefix(
    slot: number,
    below: number,
    shared: number,
    at: number,
    keyEnd: number,
    ordinal: number,
  ): void {
    const arena = this.log.arena
    const nodes = this.nodes
    const prefixAt = nodes.words[below + PREFIX_AT]!
    const node = nodes.addNode(NODE4, shared, prefixAt)
    const words = nodes.words
    // The byte that leads from one to the other stands in neither prefix.
    words[below + PREFIX_LENGTH] = words[below + PREFIX_LENGTH]! - shared - 1
    words[below + PREFIX_AT] = prefixAt + shared + 1
    nodes.attach(node, false, arena[prefixAt + shared]!, below)
    nodes.attach(node, at + shared === keyEnd, arena[at + shared]!, ~ordinal)
    words[slot] = node
    this.structure++
  }
}

/** Chunks of this size are compared natively. */
const CHUNK = 256

/** How many bytes of [aAt, aEnd) and [bAt, bEnd) of the arena are equal from the start. */
export function sharedBytes(
  arena: Buffer,
  aAt: number,
  aEnd: number,
  bAt: number,
  bEnd: number,
): number {
  const most = Math.min(aEnd - aAt, bEnd - bAt)
  let i = 0
  while (
    most - i >= CHUNK &&
    arena.compare(arena, bAt + i, bAt + i + CHUNK, aAt + i, aAt + i + CHUNK) === 0
  ) {
    i += CHUNK
  }
  while (i < most && arena[aAt + i] === arena[bAt + i]) i++
  return i
}
