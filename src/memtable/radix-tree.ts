/**
 * An adaptive radix tree (Leis, Kemper, Neumann: "The Adaptive Radix Tree", ICDE 2013) over the keys of an operation log, in
 * one array of 32-bit words. Any number of trees share the array; each has a word for its root.
 *
 * ```
 *   pointer   0 nothing · > 0 word where a node begins · < 0 a key: ~ordinal of its newest operation
 *
 *   node      word 0   type (low byte) and number of children
 *             word 1   length of the prefix: bytes that all keys below share behind the byte that led here
 *             word 2   where these bytes stand in the arena (in some key below; the tree holds no bytes of keys)
 *             word 3   the key that ends with the prefix, or 0
 *             then     NODE4    1 word of key bytes, ascending · 4 children
 *                      NODE16   4 words of key bytes, ascending · 16 children
 *                      NODE48   64 words: per byte the number of its child, from 1 · 48 children
 *                      NODE256  a child per byte
 * ```
 *
 * Keys are never removed. A lookup skips prefixes and compares the key once, at the end. Versions of a key hang on the
 * newest: see `olderOf` of the log.
 */
import { compareBytes } from '../base/bytes.ts'
import { Operation } from './operation.ts'
import type { OperationLog } from './operation-log.ts'
import { allocateInts, growInts } from './shared-memory.ts'

export const NODE4 = 0
export const NODE16 = 1
export const NODE48 = 2
export const NODE256 = 3
export const TYPE_MASK = 0xff
export const COUNT_SHIFT = 8

export const PREFIX_LENGTH = 1
export const PREFIX_AT = 2
export const END_KEY = 3
export const HEADER_WORDS = 4
/** Children begin so many words behind the node; by type. */
export const NODE4_CHILDREN = 5
export const NODE16_CHILDREN = 8
export const NODE48_CHILDREN = 68
const NODE_WORDS = [9, 24, 116, 260] as const

const WORDS_FIRST = 512

/** The array of a tree and the words that are in use, as they cross to a worker. */
export interface RadixTreeParts {
  readonly nodes: Int32Array
  readonly words: number
}

export class RadixTree {
  nodes: Int32Array
  /** The same memory. */
  bytes: Uint8Array
  /** Changes when nodes change: whoever remembers a path must look it up again. Not when a key gets a newer version. */
  structure = 0
  readonly log: OperationLog
  readonly #shared: boolean
  /** First word that was never used. Word 0 stands for nothing. */
  #end = 1
  /** Nodes that were replaced by larger ones, by type. */
  readonly #free: number[][] = [[], [], [], []]
  #freeWords = 0
  /** Number of nodes of each type. */
  readonly #live: number[] = [0, 0, 0, 0]
  readonly #probe = new Operation()
  readonly #other = new Operation()

  constructor(log: OperationLog, shared: boolean, parts?: RadixTreeParts) {
    this.log = log
    this.#shared = shared
    this.nodes = parts === undefined ? allocateInts(WORDS_FIRST, shared) : parts.nodes
    this.bytes = new Uint8Array(this.nodes.buffer)
    if (parts !== undefined) this.#end = parts.words
  }

  get bytesUsed(): number {
    return (this.#end - this.#freeWords) * 4
  }

  toParts(): RadixTreeParts {
    return { nodes: this.nodes, words: this.#end }
  }

  /**
   * Makes room for so many insertions and new trees, so that none of them can fail. An insertion makes at most one node. One
   * of NODE256 takes the place of a full NODE48, which is there already or takes 32 insertions to come about; likewise a
   * NODE48 that of a NODE16, which takes 12.
   */
  reserve(insertions: number): void {
    const large = Math.min(insertions, this.#live[NODE48]! + Math.ceil(insertions / 32))
    const medium = Math.min(insertions, this.#live[NODE16]! + Math.ceil(insertions / 12))
    const words =
      insertions * (1 + NODE_WORDS[NODE16]) +
      medium * NODE_WORDS[NODE48] +
      large * NODE_WORDS[NODE256]
    if (this.#end + words > this.nodes.length) this.#grow(this.#end + words)
  }

  /** A new, empty tree: the word of its root. */
  addRoot(): number {
    if (this.#end === this.nodes.length) this.#grow(this.#end + 1)
    return this.#end++
  }

  /** Puts an operation, newer than all in the tree, in the place of its key. */
  insert(root: number, ordinal: number): void {
    const log = this.log
    const arena = log.arena
    const probe = this.#probe
    probe.read(arena, log.offsetOf(ordinal))
    const { keyEnd } = probe
    const nodes = this.nodes
    let at = probe.keyStart
    let slot = root
    for (;;) {
      const current = nodes[slot]!
      if (current < 0) {
        this.#meetKey(slot, ~current, at - probe.keyStart, at, keyEnd, ordinal)
        return
      }
      if (current === 0) {
        nodes[slot] = ~ordinal
        this.structure++
        return
      }
      const prefix = nodes[current + PREFIX_LENGTH]!
      if (prefix > 0) {
        const prefixAt = nodes[current + PREFIX_AT]!
        const shared = sharedBytes(arena, prefixAt, prefixAt + prefix, at, keyEnd)
        if (shared < prefix) {
          this.#splitPrefix(slot, current, shared, at, keyEnd, ordinal)
          return
        }
        at += prefix
      }
      if (at === keyEnd) {
        const previous = nodes[current + END_KEY]!
        if (previous < 0) log.setOlder(ordinal, ~previous)
        else this.structure++
        nodes[current + END_KEY] = ~ordinal
        return
      }
      const child = this.childSlot(current, arena[at]!)
      if (child === 0) {
        this.#addChild(slot, current, arena[at]!, ~ordinal)
        return
      }
      slot = child
      at++
    }
  }

  /** Ordinal of the newest operation on the key; -1: none. */
  find(root: number, key: Uint8Array, start: number, end: number): number {
    const nodes = this.nodes
    let current = nodes[root]!
    let at = start
    while (current > 0) {
      at += nodes[current + PREFIX_LENGTH]!
      if (at >= end) {
        if (at > end) return -1
        current = nodes[current + END_KEY]!
        break
      }
      const child = this.childSlot(current, key[at]!)
      if (child === 0) return -1
      current = nodes[child]!
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

  /** Word that holds the pointer to a node's child for `byte`; 0: no such child. */
  childSlot(node: number, byte: number): number {
    const nodes = this.nodes
    const head = nodes[node]!
    switch (head & TYPE_MASK) {
      case NODE4: {
        const bytes = this.bytes
        const keys = (node + HEADER_WORDS) << 2
        const count = head >>> COUNT_SHIFT
        for (let i = 0; i < count; i++)
          if (bytes[keys + i] === byte) return node + NODE4_CHILDREN + i
        return 0
      }
      case NODE16: {
        const bytes = this.bytes
        const keys = (node + HEADER_WORDS) << 2
        const count = head >>> COUNT_SHIFT
        for (let i = 0; i < count; i++) {
          if (bytes[keys + i] === byte) return node + NODE16_CHILDREN + i
        }
        return 0
      }
      case NODE48: {
        const number = this.bytes[((node + HEADER_WORDS) << 2) + byte]!
        return number === 0 ? 0 : node + NODE48_CHILDREN - 1 + number
      }
      default: {
        const slot = node + HEADER_WORDS + byte
        return nodes[slot] === 0 ? 0 : slot
      }
    }
  }

  /** The way ends at another key: the same one, or both go on below a new node. `depth` bytes are known to be equal. */
  #meetKey(
    slot: number,
    met: number,
    depth: number,
    at: number,
    keyEnd: number,
    ordinal: number,
  ): void {
    const log = this.log
    const arena = log.arena
    const other = this.#other
    other.read(arena, log.offsetOf(met))
    const otherAt = other.keyStart + depth
    const shared = sharedBytes(arena, otherAt, other.keyEnd, at, keyEnd)
    const otherEnds = otherAt + shared === other.keyEnd
    const ends = at + shared === keyEnd
    if (otherEnds && ends) {
      log.setOlder(ordinal, met)
      this.nodes[slot] = ~ordinal
      return
    }
    const node = this.#allocate(NODE4)
    this.nodes[node + PREFIX_LENGTH] = shared
    this.nodes[node + PREFIX_AT] = at
    this.#attach(node, otherEnds, arena[otherAt + shared]!, ~met)
    this.#attach(node, ends, arena[at + shared]!, ~ordinal)
    this.nodes[slot] = node
    this.structure++
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
    const node = this.#allocate(NODE4)
    const nodes = this.nodes
    const prefixAt = nodes[below + PREFIX_AT]!
    nodes[node + PREFIX_LENGTH] = shared
    nodes[node + PREFIX_AT] = prefixAt
    // The byte that leads from one to the other stands in neither prefix.
    nodes[below + PREFIX_LENGTH] = nodes[below + PREFIX_LENGTH]! - shared - 1
    nodes[below + PREFIX_AT] = prefixAt + shared + 1
    this.#attach(node, false, arena[prefixAt + shared]!, below)
    this.#attach(node, at + shared === keyEnd, arena[at + shared]!, ~ordinal)
    nodes[slot] = node
    this.structure++
  }

  #attach(node: number, ends: boolean, byte: number, pointer: number): void {
    if (ends) this.nodes[node + END_KEY] = pointer
    else this.#insertSorted(node, NODE4_CHILDREN, byte, pointer)
  }

  /** `slot` holds the pointer to the node, which may have to be replaced by a larger one. */
  #addChild(slot: number, node: number, byte: number, pointer: number): void {
    const count = this.nodes[node]! >>> COUNT_SHIFT
    this.structure++
    switch (this.nodes[node]! & TYPE_MASK) {
      case NODE4:
        if (count < 4) this.#insertSorted(node, NODE4_CHILDREN, byte, pointer)
        else this.#insertSorted(this.#to16(slot, node), NODE16_CHILDREN, byte, pointer)
        return
      case NODE16:
        if (count < 16) this.#insertSorted(node, NODE16_CHILDREN, byte, pointer)
        else this.#insert48(this.#to48(slot, node), byte, pointer)
        return
      case NODE48:
        if (count < 48) this.#insert48(node, byte, pointer)
        else this.#insert256(this.#to256(slot, node), byte, pointer)
        return
      default:
        this.#insert256(node, byte, pointer)
    }
  }

  #insertSorted(node: number, childrenAt: number, byte: number, pointer: number): void {
    const nodes = this.nodes
    const bytes = this.bytes
    const keys = (node + HEADER_WORDS) << 2
    const children = node + childrenAt
    let i = nodes[node]! >>> COUNT_SHIFT
    while (i > 0 && bytes[keys + i - 1]! > byte) {
      bytes[keys + i] = bytes[keys + i - 1]!
      nodes[children + i] = nodes[children + i - 1]!
      i--
    }
    bytes[keys + i] = byte
    nodes[children + i] = pointer
    nodes[node] = nodes[node]! + (1 << COUNT_SHIFT)
  }

  #insert48(node: number, byte: number, pointer: number): void {
    const count = this.nodes[node]! >>> COUNT_SHIFT
    this.bytes[((node + HEADER_WORDS) << 2) + byte] = count + 1
    this.nodes[node + NODE48_CHILDREN + count] = pointer
    this.nodes[node] = this.nodes[node]! + (1 << COUNT_SHIFT)
  }

  #insert256(node: number, byte: number, pointer: number): void {
    this.nodes[node + HEADER_WORDS + byte] = pointer
    this.nodes[node] = this.nodes[node]! + (1 << COUNT_SHIFT)
  }

  #to16(slot: number, from: number): number {
    const node = this.#replacement(slot, from, NODE16)
    const { nodes, bytes } = this
    for (let i = 0; i < 4; i++) {
      bytes[((node + HEADER_WORDS) << 2) + i] = bytes[((from + HEADER_WORDS) << 2) + i]!
      nodes[node + NODE16_CHILDREN + i] = nodes[from + NODE4_CHILDREN + i]!
    }
    return this.#retire(from, NODE4, node)
  }

  #to48(slot: number, from: number): number {
    const node = this.#replacement(slot, from, NODE48)
    const { nodes, bytes } = this
    for (let i = 0; i < 16; i++) {
      bytes[((node + HEADER_WORDS) << 2) + bytes[((from + HEADER_WORDS) << 2) + i]!] = i + 1
      nodes[node + NODE48_CHILDREN + i] = nodes[from + NODE16_CHILDREN + i]!
    }
    return this.#retire(from, NODE16, node)
  }

  #to256(slot: number, from: number): number {
    const node = this.#replacement(slot, from, NODE256)
    const { nodes, bytes } = this
    for (let byte = 0; byte < 256; byte++) {
      const number = bytes[((from + HEADER_WORDS) << 2) + byte]!
      if (number > 0)
        nodes[node + HEADER_WORDS + byte] = nodes[from + NODE48_CHILDREN - 1 + number]!
    }
    return this.#retire(from, NODE48, node)
  }

  /** A node with the same number of children, prefix and end key, in the same place. */
  #replacement(slot: number, from: number, type: number): number {
    const node = this.#allocate(type)
    const nodes = this.nodes
    nodes[node] = type | (nodes[from]! & ~TYPE_MASK)
    nodes[node + PREFIX_LENGTH] = nodes[from + PREFIX_LENGTH]!
    nodes[node + PREFIX_AT] = nodes[from + PREFIX_AT]!
    nodes[node + END_KEY] = nodes[from + END_KEY]!
    nodes[slot] = node
    return node
  }

  #retire(from: number, type: number, replacement: number): number {
    this.#free[type]!.push(from)
    this.#freeWords += NODE_WORDS[type]!
    this.#live[type]!--
    return replacement
  }

  #allocate(type: number): number {
    const words = NODE_WORDS[type]!
    this.#live[type]!++
    const reused = this.#free[type]!.pop()
    if (reused !== undefined) {
      this.#freeWords -= words
      this.nodes.fill(0, reused, reused + words)
      this.nodes[reused] = type
      return reused
    }
    const node = this.#end
    if (node + words > this.nodes.length) this.#grow(node + words)
    this.#end = node + words
    this.nodes[node] = type
    return node
  }

  #grow(needed: number): void {
    this.nodes = growInts(this.nodes, Math.max(needed, this.nodes.length * 2), this.#shared)
    this.bytes = new Uint8Array(this.nodes.buffer)
  }
}

/** How many bytes of a[aAt, aEnd) and [bAt, bEnd), both in `arena`, are equal from the start. */
function sharedBytes(
  arena: Uint8Array,
  aAt: number,
  aEnd: number,
  bAt: number,
  bEnd: number,
): number {
  const most = Math.min(aEnd - aAt, bEnd - bAt)
  let i = 0
  while (i < most && arena[aAt + i] === arena[bAt + i]) i++
  return i
}
