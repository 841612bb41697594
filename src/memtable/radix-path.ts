/**
 * A key in a radix tree and the way to it from the root: a stack of (node, position in it). The position is the index of the
 * child (NODE4, NODE16) or its byte (NODE48, NODE256); END_POSITION is the key that ends at the node, which comes before all
 * children.
 *
 * The way holds as long as the tree's `structure` does; `stand` looks it up again.
 */
import { compareBytes } from '../base/bytes.ts'
import { Operation } from './operation.ts'
import {
  COUNT_SHIFT,
  END_KEY,
  HEADER_WORDS,
  NODE16,
  NODE16_CHILDREN,
  NODE256,
  NODE4,
  NODE48,
  NODE48_CHILDREN,
  NODE4_CHILDREN,
  PREFIX_AT,
  PREFIX_LENGTH,
  type RadixNodes,
  TYPE_MASK,
} from './radix-nodes.ts'
import type { RadixTree } from './radix-tree.ts'

const END_POSITION = -1
const NONE = -2
const STACK_FIRST = 32
const SIBLINGS_TOUCHED = 16
/** Where the children of a node begin, by type; those of a NODE48 are in no order. */
const CHILDREN_AT = [NODE4_CHILDREN, NODE16_CHILDREN, NODE48_CHILDREN, HEADER_WORDS] as const

export class RadixPath {
  /** Ordinal of the newest operation on the key; -1: on no key. */
  ordinal = -1
  readonly #tree: RadixTree
  readonly #nodes: RadixNodes
  /** Word of the tree's root; 0: there is no tree. */
  #root = 0
  #stack: Int32Array = new Int32Array(STACK_FIRST)
  #depth = 0
  #structure = -1
  readonly #operation = new Operation()

  constructor(tree: RadixTree) {
    this.#tree = tree
    this.#nodes = tree.nodes
  }

  toFirst(root: number): void {
    this.#start(root)
    this.#descendFirst(this.#rootPointer())
  }

  toLast(root: number): void {
    this.#start(root)
    this.#descendLast(this.#rootPointer())
  }

  /** To the first key not below the given one (forward), or to the last one below it. */
  seek(root: number, key: Uint8Array, start: number, end: number, forward: boolean): void {
    this.#start(root)
    this.#find(key, start, end, forward)
  }

  /** On this key of the tree, looking up the way where it is another or nodes have changed. */
  stand(ordinal: number): void {
    const tree = this.#tree
    if (this.#structure === tree.structure && this.ordinal === ordinal) return
    this.#structure = tree.structure
    this.ordinal = ordinal
    this.#depth = 0
    const { log } = tree
    const words = this.#nodes.words
    const operation = this.#operation
    operation.read(log.arena, log.offsetOf(ordinal))
    let at = operation.keyStart
    let current = this.#rootPointer()
    while (current > 0) {
      at += words[current + PREFIX_LENGTH]!
      if (at === operation.keyEnd) {
        this.#push(current, END_POSITION)
        return
      }
      const byte = log.arena[at]!
      const slot = this.#nodes.childSlot(current, byte)
      this.#push(current, this.#positionOf(current, slot, byte))
      current = words[slot]!
      at++
    }
  }

  /** From the top of the stack to the next key. */
  advance(): void {
    const stack = this.#stack
    while (this.#depth > 0) {
      const top = this.#depth * 2 - 2
      const node = stack[top]!
      const position = this.#positionAfter(node, stack[top + 1]!)
      if (position !== NONE) {
        stack[top + 1] = position
        this.#descendFirst(this.#childAt(node, position))
        return
      }
      this.#depth--
    }
    this.ordinal = -1
  }

  /** From the top of the stack to the key before. */
  retreat(): void {
    const stack = this.#stack
    while (this.#depth > 0) {
      const top = this.#depth * 2 - 2
      const node = stack[top]!
      const position = this.#positionBefore(node, stack[top + 1]!)
      if (position !== NONE) {
        stack[top + 1] = position
        if (position === END_POSITION) this.ordinal = ~this.#nodes.words[node + END_KEY]!
        else this.#descendLast(this.#childAt(node, position))
        return
      }
      this.#depth--
    }
    this.ordinal = -1
  }

  /**
   * Moves over the keys that follow directly in the same small node, which is where most keys are, and lists them in `keys`
   * from `count` on, up to `limit`. Returns how many there are then.
   */
  takeSiblings(keys: Int32Array, count: number, limit: number, forward: boolean): number {
    if (this.#depth === 0) return count
    const words = this.#nodes.words
    const stack = this.#stack
    const top = this.#depth * 2 - 2
    const node = stack[top]!
    const head = words[node]!
    const type = head & TYPE_MASK
    if (type >= NODE48) return count
    const children = node + (type === NODE4 ? NODE4_CHILDREN : NODE16_CHILDREN)
    const childCount = head >>> COUNT_SHIFT
    const step = forward ? 1 : -1
    let position = stack[top + 1]! + step
    let taken = count
    while (position >= 0 && position < childCount && taken < limit) {
      const pointer = words[children + position]!
      if (pointer > 0) break
      keys[taken++] = ~pointer
      position += step
    }
    if (taken > count) {
      stack[top + 1] = position - step
      this.ordinal = keys[taken - 1]!
    }
    return taken
  }

  /**
   * Loads the heads of the nodes that come next below the parent of the current one, all at once: the walk would wait for
   * each in turn. The sum means nothing.
   */
  touchSiblings(forward: boolean): number {
    if (this.#depth < 2) return 0
    const words = this.#nodes.words
    const top = this.#depth * 2 - 4
    const parent = this.#stack[top]!
    const head = words[parent]!
    const type = head & TYPE_MASK
    if (type === NODE48) return 0
    const children = parent + CHILDREN_AT[type]!
    const count = type === NODE256 ? 256 : head >>> COUNT_SHIFT
    const step = forward ? 1 : -1
    const last = words.length - 1
    let position = this.#stack[top + 1]! + step
    let touched = 0
    for (let i = 0; i < SIBLINGS_TOUCHED && position >= 0 && position < count; i++) {
      const pointer = words[children + position]!
      // The second half of a NODE16 is in another cache line.
      if (pointer > 0) touched += words[pointer]! + words[Math.min(pointer + 16, last)]!
      position += step
    }
    return touched
  }

  #start(root: number): void {
    this.#root = root
    this.#depth = 0
    this.#structure = this.#tree.structure
  }

  #rootPointer(): number {
    return this.#root === 0 ? 0 : this.#nodes.words[this.#root]!
  }

  #push(node: number, position: number): void {
    const at = this.#depth * 2
    if (at === this.#stack.length) {
      const grown = new Int32Array(at * 2)
      grown.set(this.#stack)
      this.#stack = grown
    }
    this.#stack[at] = node
    this.#stack[at + 1] = position
    this.#depth++
  }

  /** Goes to the first key not below the given one, or to the last one below it. */
  #find(key: Uint8Array, start: number, end: number, forward: boolean): void {
    const tree = this.#tree
    const { log } = tree
    const words = this.#nodes.words
    let current = this.#rootPointer()
    let at = start
    while (current > 0) {
      const prefix = words[current + PREFIX_LENGTH]!
      if (prefix > 0) {
        const prefixAt = words[current + PREFIX_AT]!
        const keyPart = end - at < prefix ? end : at + prefix
        const order = compareBytes(log.arena, prefixAt, prefixAt + prefix, key, at, keyPart)
        if (order !== 0) {
          // Everything below lies on one side of the key.
          if (order > 0 && forward) this.#descendFirst(current)
          else if (order < 0 && !forward) this.#descendLast(current)
          else if (forward) this.advance()
          else this.retreat()
          return
        }
        at += prefix
      }
      if (at === end) {
        if (forward) this.#descendFirst(current)
        else this.retreat()
        return
      }
      const byte = key[at]!
      const slot = this.#nodes.childSlot(current, byte)
      if (slot === 0) {
        this.#push(current, this.#gap(current, byte, forward))
        if (forward) this.advance()
        else this.retreat()
        return
      }
      this.#push(current, this.#positionOf(current, slot, byte))
      current = words[slot]!
      at++
    }
    if (current === 0) {
      this.ordinal = -1
      return
    }
    const operation = this.#operation
    operation.read(log.arena, log.offsetOf(~current))
    const order = compareBytes(log.arena, operation.keyStart, operation.keyEnd, key, start, end)
    if (forward ? order >= 0 : order < 0) this.ordinal = ~current
    else if (forward) this.advance()
    else this.retreat()
  }

  /** The position from which a move leads past the place where a child for `byte` would be. */
  #gap(node: number, byte: number, forward: boolean): number {
    const head = this.#nodes.words[node]!
    if ((head & TYPE_MASK) >= NODE48) return byte
    const bytes = this.#nodes.bytes
    const keys = (node + HEADER_WORDS) * 4
    const count = head >>> COUNT_SHIFT
    let i = 0
    while (i < count && bytes[keys + i]! < byte) i++
    return forward ? i - 1 : i
  }

  #positionOf(node: number, slot: number, byte: number): number {
    switch (this.#nodes.words[node]! & TYPE_MASK) {
      case NODE4:
        return slot - node - NODE4_CHILDREN
      case NODE16:
        return slot - node - NODE16_CHILDREN
      default:
        return byte
    }
  }

  /** To the first key below a pointer. */
  #descendFirst(pointer: number): void {
    const words = this.#nodes.words
    let current = pointer
    while (current > 0) {
      const endKey = words[current + END_KEY]!
      if (endKey < 0) {
        this.#push(current, END_POSITION)
        current = endKey
        break
      }
      const position = this.#positionAfter(current, END_POSITION)
      this.#push(current, position)
      current = this.#childAt(current, position)
    }
    this.ordinal = current < 0 ? ~current : -1
  }

  /** To the last key below a pointer. */
  #descendLast(pointer: number): void {
    let current = pointer
    while (current > 0) {
      const position = this.#positionBefore(current, 256)
      this.#push(current, position)
      current = this.#childAt(current, position)
    }
    this.ordinal = current < 0 ? ~current : -1
  }

  #childAt(node: number, position: number): number {
    const words = this.#nodes.words
    switch (words[node]! & TYPE_MASK) {
      case NODE4:
        return words[node + NODE4_CHILDREN + position]!
      case NODE16:
        return words[node + NODE16_CHILDREN + position]!
      case NODE48: {
        const number = this.#nodes.bytes[(node + HEADER_WORDS) * 4 + position]!
        return words[node + NODE48_CHILDREN - 1 + number]!
      }
      default:
        return words[node + HEADER_WORDS + position]!
    }
  }

  /** Position of the first child behind `position`. */
  #positionAfter(node: number, position: number): number {
    const words = this.#nodes.words
    const head = words[node]!
    const type = head & TYPE_MASK
    if (type < NODE48) return position + 1 < head >>> COUNT_SHIFT ? position + 1 : NONE
    if (type === NODE256) {
      for (let byte = position + 1; byte < 256; byte++) {
        if (words[node + HEADER_WORDS + byte] !== 0) return byte
      }
      return NONE
    }
    const bytes = this.#nodes.bytes
    const numbers = (node + HEADER_WORDS) * 4
    for (let byte = position + 1; byte < 256; byte++) if (bytes[numbers + byte] !== 0) return byte
    return NONE
  }

  /** Position of the last child before `position`, then of the key that ends at the node. */
  #positionBefore(node: number, position: number): number {
    if (position === END_POSITION) return NONE
    const words = this.#nodes.words
    const head = words[node]!
    const type = head & TYPE_MASK
    if (type < NODE48) {
      const count = head >>> COUNT_SHIFT
      const before = (position < count ? position : count) - 1
      if (before >= 0) return before
    } else if (type === NODE256) {
      for (let byte = position - 1; byte >= 0; byte--) {
        if (words[node + HEADER_WORDS + byte] !== 0) return byte
      }
    } else {
      const bytes = this.#nodes.bytes
      const numbers = (node + HEADER_WORDS) * 4
      for (let byte = position - 1; byte >= 0; byte--) {
        if (bytes[numbers + byte] !== 0) return byte
      }
    }
    return words[node + END_KEY]! < 0 ? END_POSITION : NONE
  }
}
