/**
 * The nodes of radix trees in one array of 32-bit words: their layout, and how they grow.
 *
 * ```
 *   pointer   0 nothing · > 0 word where a node begins · < 0 a key: ~ordinal of its newest operation
 *
 *   node      word 0   type (low byte) and number of children
 *             word 1   length of the prefix: bytes that all keys below share behind the byte that led here
 *             word 2   where these bytes stand in the arena (in some key below; nodes hold no bytes of keys)
 *             word 3   the key that ends with the prefix, or 0
 *             then     NODE4    1 word of key bytes, ascending · 4 children
 *                      NODE16   4 words of key bytes, ascending · 16 children
 *                      NODE48   64 words: per byte the number of its child, from 1 · 48 children
 *                      NODE256  a child per byte
 * ```
 *
 * A root is a word of its own that holds a pointer. A full node is replaced by one of the next size.
 */
import { assert } from '../base/assert.ts'
import { grownLength, growInts } from './shared-memory.ts'

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
const WORDS_MAX = 2 ** 31 - 1
/** Room is made in advance for at most so many insertions. */
const RESERVED_INSERTIONS_MAX = 65_536

/** The array and the words that are in use, as they cross to a worker. */
export interface RadixNodesParts {
  readonly words: Int32Array
  readonly end: number
}

export class RadixNodes {
  words: Int32Array
  /** The same memory. */
  bytes: Uint8Array
  readonly #shared: boolean
  readonly #likelyBytes: number
  /** First word that was never used. Word 0 stands for nothing. */
  #end = 1
  /** Nodes that were replaced by larger ones, by type. */
  readonly #free: number[][] = [[], [], [], []]
  #freeWords = 0
  /** Number of nodes of each type. */
  readonly #live: number[] = [0, 0, 0, 0]

  /** `likelyBytes`: what is taken at once when it becomes more than a little. */
  constructor(shared: boolean, likelyBytes: number, parts?: RadixNodesParts) {
    this.#shared = shared
    this.#likelyBytes = likelyBytes
    // Memory comes with the first insertion.
    this.words = parts === undefined ? new Int32Array(0) : parts.words
    this.bytes = new Uint8Array(this.words.buffer)
    if (parts !== undefined) this.#end = parts.end
  }

  get bytesUsed(): number {
    return (this.#end - this.#freeWords) * 4
  }

  toParts(): RadixNodesParts {
    return { words: this.words, end: this.#end }
  }

  /**
   * Makes room for so many insertions and new trees, so that none of them can fail. An insertion makes at most one node. One
   * of NODE256 takes the place of a full NODE48, which is there already or takes 32 insertions to come about; likewise a
   * NODE48 that of a NODE16, which takes 12. A huge commit would have gigabytes reserved by that; it gets room for its
   * first insertions.
   */
  reserve(wanted: number): void {
    const insertions = Math.min(wanted, RESERVED_INSERTIONS_MAX)
    const large = Math.min(insertions, this.#live[NODE48]! + Math.ceil(insertions / 32))
    const medium = Math.min(insertions, this.#live[NODE16]! + Math.ceil(insertions / 12))
    const needed =
      insertions * (1 + NODE_WORDS[NODE16]) +
      medium * NODE_WORDS[NODE48] +
      large * NODE_WORDS[NODE256]
    if (this.#end + needed > this.words.length) this.#grow(this.#end + needed)
  }

  /** A new, empty tree: the word of its root. */
  addRoot(): number {
    if (this.#end >= this.words.length) this.#grow(this.#end + 1)
    return this.#end++
  }

  /** Word that holds the pointer to a node's child for `byte`; 0: no such child. */
  childSlot(node: number, byte: number): number {
    const words = this.words
    const head = words[node]!
    switch (head & TYPE_MASK) {
      case NODE4:
        return this.#sortedSlot(node, node + NODE4_CHILDREN, byte, head >>> COUNT_SHIFT)
      case NODE16:
        return this.#sortedSlot(node, node + NODE16_CHILDREN, byte, head >>> COUNT_SHIFT)
      case NODE48: {
        const number = this.bytes[(node + HEADER_WORDS) * 4 + byte]!
        return number === 0 ? 0 : node + NODE48_CHILDREN - 1 + number
      }
      default: {
        const slot = node + HEADER_WORDS + byte
        return words[slot] === 0 ? 0 : slot
      }
    }
  }

  /**
   * Key bytes ascend, so a byte stands at most as far behind the first as it exceeds it; in digits and letters mostly just there. A
   * search from the first one on ends where the processor cannot foresee it: a seventh of a fill with decimal keys.
   */
  #sortedSlot(node: number, children: number, byte: number, count: number): number {
    const bytes = this.bytes
    const keys = (node + HEADER_WORDS) * 4
    const most = byte - bytes[keys]!
    for (let i = most < count ? most : count - 1; i >= 0; i--) {
      const found = bytes[keys + i]!
      if (found === byte) return children + i
      if (found < byte) return 0
    }
    return 0
  }

  /**
   * What a new node should be, judging by the one before: ascending keys fill one after the other, and a node that begins as what it
   * will be is not copied. `before` may have been replaced, and its place been taken by another of its type, or be 0.
   */
  likelyType(before: number): number {
    const head = this.words[before]!
    const few = (head & TYPE_MASK) === NODE4 ? 3 : 4
    return head >>> COUNT_SHIFT > few ? NODE16 : NODE4
  }

  /** A node without children, NODE4 or NODE16, whose prefix of `length` bytes stands at `at` in the arena. */
  addNode(type: number, length: number, at: number): number {
    const node = this.#allocate(type)
    this.words[node + PREFIX_LENGTH] = length
    this.words[node + PREFIX_AT] = at
    return node
  }

  /** Puts a pointer below such a node, which is not full: at its end, or under a byte. */
  attach(node: number, ends: boolean, byte: number, pointer: number): void {
    if (ends) {
      this.words[node + END_KEY] = pointer
      return
    }
    const type = this.words[node]! & TYPE_MASK
    this.#insertSorted(node, type === NODE4 ? NODE4_CHILDREN : NODE16_CHILDREN, byte, pointer)
  }

  /** `slot` holds the pointer to the node, which may have to be replaced by a larger one. */
  addChild(slot: number, node: number, byte: number, pointer: number): void {
    const count = this.words[node]! >>> COUNT_SHIFT
    switch (this.words[node]! & TYPE_MASK) {
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
    const words = this.words
    const bytes = this.bytes
    const keys = (node + HEADER_WORDS) * 4
    const children = node + childrenAt
    let i = words[node]! >>> COUNT_SHIFT
    while (i > 0 && bytes[keys + i - 1]! > byte) {
      bytes[keys + i] = bytes[keys + i - 1]!
      words[children + i] = words[children + i - 1]!
      i--
    }
    bytes[keys + i] = byte
    words[children + i] = pointer
    words[node] = words[node]! + (1 << COUNT_SHIFT)
  }

  #insert48(node: number, byte: number, pointer: number): void {
    const count = this.words[node]! >>> COUNT_SHIFT
    this.bytes[(node + HEADER_WORDS) * 4 + byte] = count + 1
    this.words[node + NODE48_CHILDREN + count] = pointer
    this.words[node] = this.words[node]! + (1 << COUNT_SHIFT)
  }

  #insert256(node: number, byte: number, pointer: number): void {
    this.words[node + HEADER_WORDS + byte] = pointer
    this.words[node] = this.words[node]! + (1 << COUNT_SHIFT)
  }

  #to16(slot: number, from: number): number {
    const node = this.#replacement(slot, from, NODE16)
    const { words, bytes } = this
    for (let i = 0; i < 4; i++) {
      bytes[(node + HEADER_WORDS) * 4 + i] = bytes[(from + HEADER_WORDS) * 4 + i]!
      words[node + NODE16_CHILDREN + i] = words[from + NODE4_CHILDREN + i]!
    }
    return this.#retire(from, NODE4, node)
  }

  #to48(slot: number, from: number): number {
    const node = this.#replacement(slot, from, NODE48)
    const { words, bytes } = this
    for (let i = 0; i < 16; i++) {
      bytes[(node + HEADER_WORDS) * 4 + bytes[(from + HEADER_WORDS) * 4 + i]!] = i + 1
      words[node + NODE48_CHILDREN + i] = words[from + NODE16_CHILDREN + i]!
    }
    return this.#retire(from, NODE16, node)
  }

  #to256(slot: number, from: number): number {
    const node = this.#replacement(slot, from, NODE256)
    const { words, bytes } = this
    for (let byte = 0; byte < 256; byte++) {
      const number = bytes[(from + HEADER_WORDS) * 4 + byte]!
      if (number > 0) {
        words[node + HEADER_WORDS + byte] = words[from + NODE48_CHILDREN - 1 + number]!
      }
    }
    return this.#retire(from, NODE48, node)
  }

  /** A node with the same number of children, prefix and end key, in the same place. */
  #replacement(slot: number, from: number, type: number): number {
    const node = this.#allocate(type)
    const words = this.words
    words[node] = type | (words[from]! & ~TYPE_MASK)
    words[node + PREFIX_LENGTH] = words[from + PREFIX_LENGTH]!
    words[node + PREFIX_AT] = words[from + PREFIX_AT]!
    words[node + END_KEY] = words[from + END_KEY]!
    words[slot] = node
    return node
  }

  #retire(from: number, type: number, replacement: number): number {
    this.#free[type]!.push(from)
    this.#freeWords += NODE_WORDS[type]!
    this.#live[type]!--
    return replacement
  }

  #allocate(type: number): number {
    const size = NODE_WORDS[type]!
    this.#live[type]!++
    const reused = this.#free[type]!.pop()
    if (reused !== undefined) {
      this.#freeWords -= size
      const words = this.words
      // So few words that a call of `fill` would take longer: of ascending keys one in five comes here.
      for (let i = reused; i < reused + size; i++) words[i] = 0
      words[reused] = type
      return reused
    }
    const node = this.#end
    if (node + size > this.words.length) this.#grow(node + size)
    this.#end = node + size
    this.words[node] = type
    return node
  }

  #grow(needed: number): void {
    assert(needed <= WORDS_MAX, 'pointers to nodes are int32')
    const next = Math.min(grownLength(this.words.length, 4, this.#likelyBytes), WORDS_MAX)
    this.words = growInts(this.words, Math.max(needed, next, WORDS_FIRST), this.#shared)
    this.bytes = new Uint8Array(this.words.buffer)
  }
}
