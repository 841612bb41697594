/**
 * A place among the keys of a radix tree, and the way to it from the root; moves to neighbours in both directions.
 *
 * The way is a stack of (node, position in it). The position is the index of the child (NODE4, NODE16) or its byte (NODE48,
 * NODE256); END_POSITION is the key that ends at the node, which comes before all children. When the tree's nodes changed,
 * the way to the current key is looked up again before the next move, so the tree may grow between any two calls.
 *
 * In a long walk the stack runs ahead: it finds the next keys, up to AHEAD_MAX, and has their first bytes loaded all at once
 * instead of one waiting for the other; in a big memtable each of them is a cache miss. Whatever is published meanwhile
 * makes what was found ahead void. Measured on 500,000 random keys: AHEAD_NUMBERS.
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
  type RadixTree,
  TYPE_MASK,
} from './radix-tree.ts'

const END_POSITION = -1
const NONE = -2
const AHEAD_MAX = 64

export class RadixCursor {
  /** Ordinal of the newest operation on the current key; -1: on no key. */
  ordinal = -1
  readonly #tree: RadixTree
  /** Word of the tree's root; 0: there is no tree. */
  #root: number
  #stack: Int32Array = new Int32Array(32)
  #depth = 0
  #structure = -1
  /** The key that the stack leads to; another than the current one when the stack ran ahead. */
  #stackOrdinal = -1
  /** Keys found ahead, in walking order; those from #aheadAt on are still to come. */
  readonly #ahead: Int32Array = new Int32Array(AHEAD_MAX)
  #aheadAt = 0
  #aheadCount = 0
  #aheadForward = true
  /** How many keys to find ahead next time: more as the walk goes on. */
  #aheadWanted = 0
  /** The log's count when they were found. */
  #aheadOf = 0
  /** Not for use: keeps the loading of bytes from being optimised away. */
  touched = 0
  readonly #operation = new Operation()

  constructor(tree: RadixTree, root: number) {
    this.#tree = tree
    this.#root = root
  }

  seekToFirst(root: number): void {
    this.#start(root)
    this.#descendFirst(this.#rootPointer())
    this.#stackOrdinal = this.ordinal
  }

  seekToLast(root: number): void {
    this.#start(root)
    this.#descendLast(this.#rootPointer())
    this.#stackOrdinal = this.ordinal
  }

  /** First key >= the given one. */
  seek(root: number, key: Uint8Array, start: number, end: number): void {
    this.#start(root)
    this.#find(key, start, end, true)
    this.#stackOrdinal = this.ordinal
  }

  /** Last key < the given one. */
  seekBefore(root: number, key: Uint8Array, start: number, end: number): void {
    this.#start(root)
    this.#find(key, start, end, false)
    this.#stackOrdinal = this.ordinal
  }

  next(): void {
    if (this.ordinal < 0) return
    if (this.#takeAhead(true)) return
    this.#refresh()
    this.#advance()
    this.#stackOrdinal = this.ordinal
    this.#lookAhead(true)
  }

  prev(): void {
    if (this.ordinal < 0) return
    if (this.#takeAhead(false)) return
    this.#refresh()
    this.#retreat()
    this.#stackOrdinal = this.ordinal
    this.#lookAhead(false)
  }

  #takeAhead(forward: boolean): boolean {
    if (this.#aheadAt === this.#aheadCount) return false
    if (this.#aheadForward !== forward || this.#aheadOf !== this.#tree.log.count) {
      this.#aheadAt = 0
      this.#aheadCount = 0
      this.#aheadWanted = 0
      return false
    }
    this.ordinal = this.#ahead[this.#aheadAt++]!
    return true
  }

  /** From the current key, where the stack stands, on. */
  #lookAhead(forward: boolean): void {
    const current = this.ordinal
    const { arena, links, count } = this.#tree.log
    const ahead = this.#ahead
    let found = 0
    if (current >= 0) {
      while (found < this.#aheadWanted) {
        const before = found
        found = this.#takeSiblings(found, forward)
        if (found > before) continue
        if (forward) this.#advance()
        else this.#retreat()
        if (this.ordinal < 0) break
        ahead[found++] = this.ordinal
      }
      let touched = 0
      for (let i = 0; i < found; i++) touched += arena[links[ahead[i]! * 2]!]!
      this.touched = touched
      this.#stackOrdinal = this.ordinal
      this.ordinal = current
    }
    this.#aheadAt = 0
    this.#aheadCount = found
    this.#aheadForward = forward
    this.#aheadOf = count
    this.#aheadWanted = this.#aheadWanted === 0 ? 1 : Math.min(this.#aheadWanted * 2, AHEAD_MAX)
  }

  /** The keys that follow directly in the same small node, which is where most keys are. Returns how many were found in all. */
  #takeSiblings(found: number, forward: boolean): number {
    if (this.#depth === 0) return found
    const nodes = this.#tree.nodes
    const stack = this.#stack
    const top = this.#depth * 2 - 2
    const node = stack[top]!
    const head = nodes[node]!
    const type = head & TYPE_MASK
    if (type >= NODE48) return found
    const children = node + (type === NODE4 ? NODE4_CHILDREN : NODE16_CHILDREN)
    const count = head >>> COUNT_SHIFT
    const step = forward ? 1 : -1
    const ahead = this.#ahead
    const wanted = this.#aheadWanted
    let position = stack[top + 1]! + step
    let taken = found
    while (position >= 0 && position < count && taken < wanted) {
      const pointer = nodes[children + position]!
      if (pointer > 0) break
      ahead[taken++] = ~pointer
      position += step
    }
    if (taken > found) {
      stack[top + 1] = position - step
      this.ordinal = ahead[taken - 1]!
    }
    return taken
  }

  #start(root: number): void {
    this.#root = root
    this.#depth = 0
    this.#structure = this.#tree.structure
    this.#aheadAt = 0
    this.#aheadCount = 0
    this.#aheadWanted = 0
  }

  #rootPointer(): number {
    return this.#root === 0 ? 0 : this.#tree.nodes[this.#root]!
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
    const { nodes, log } = tree
    let current = this.#rootPointer()
    let at = start
    while (current > 0) {
      const prefix = nodes[current + PREFIX_LENGTH]!
      if (prefix > 0) {
        const prefixAt = nodes[current + PREFIX_AT]!
        const keyPart = end - at < prefix ? end : at + prefix
        const order = compareBytes(log.arena, prefixAt, prefixAt + prefix, key, at, keyPart)
        if (order !== 0) {
          // Everything below lies on one side of the key.
          if (order > 0 && forward) this.#descendFirst(current)
          else if (order < 0 && !forward) this.#descendLast(current)
          else if (forward) this.#advance()
          else this.#retreat()
          return
        }
        at += prefix
      }
      if (at === end) {
        if (forward) this.#descendFirst(current)
        else this.#retreat()
        return
      }
      const byte = key[at]!
      const slot = tree.childSlot(current, byte)
      if (slot === 0) {
        this.#push(current, this.#gap(current, byte, forward))
        if (forward) this.#advance()
        else this.#retreat()
        return
      }
      this.#push(current, this.#positionOf(current, slot, byte))
      current = nodes[slot]!
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
    else if (forward) this.#advance()
    else this.#retreat()
  }

  /** The position from which a move leads past the place where a child for `byte` would be. */
  #gap(node: number, byte: number, forward: boolean): number {
    const head = this.#tree.nodes[node]!
    if ((head & TYPE_MASK) >= NODE48) return byte
    const bytes = this.#tree.bytes
    const keys = (node + HEADER_WORDS) << 2
    const count = head >>> COUNT_SHIFT
    let i = 0
    while (i < count && bytes[keys + i]! < byte) i++
    return forward ? i - 1 : i
  }

  #positionOf(node: number, slot: number, byte: number): number {
    switch (this.#tree.nodes[node]! & TYPE_MASK) {
      case NODE4:
        return slot - node - NODE4_CHILDREN
      case NODE16:
        return slot - node - NODE16_CHILDREN
      default:
        return byte
    }
  }

  /** Looks up the way to the current key again, where nodes have changed. */
  #refresh(): void {
    const tree = this.#tree
    if (this.#structure === tree.structure && this.#stackOrdinal === this.ordinal) return
    this.#structure = tree.structure
    this.#depth = 0
    const { nodes, log } = tree
    const operation = this.#operation
    operation.read(log.arena, log.offsetOf(this.ordinal))
    let at = operation.keyStart
    let current = this.#rootPointer()
    while (current > 0) {
      at += nodes[current + PREFIX_LENGTH]!
      if (at === operation.keyEnd) {
        this.#push(current, END_POSITION)
        return
      }
      const byte = log.arena[at]!
      const slot = tree.childSlot(current, byte)
      this.#push(current, this.#positionOf(current, slot, byte))
      current = nodes[slot]!
      at++
    }
  }

  /** From the top of the stack to the next key. */
  #advance(): void {
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
  #retreat(): void {
    const stack = this.#stack
    while (this.#depth > 0) {
      const top = this.#depth * 2 - 2
      const node = stack[top]!
      const position = this.#positionBefore(node, stack[top + 1]!)
      if (position !== NONE) {
        stack[top + 1] = position
        if (position === END_POSITION) this.ordinal = ~this.#tree.nodes[node + END_KEY]!
        else this.#descendLast(this.#childAt(node, position))
        return
      }
      this.#depth--
    }
    this.ordinal = -1
  }

  /** To the first key below a pointer. */
  #descendFirst(pointer: number): void {
    const nodes = this.#tree.nodes
    let current = pointer
    while (current > 0) {
      const endKey = nodes[current + END_KEY]!
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
    const nodes = this.#tree.nodes
    switch (nodes[node]! & TYPE_MASK) {
      case NODE4:
        return nodes[node + NODE4_CHILDREN + position]!
      case NODE16:
        return nodes[node + NODE16_CHILDREN + position]!
      case NODE48: {
        const number = this.#tree.bytes[((node + HEADER_WORDS) << 2) + position]!
        return nodes[node + NODE48_CHILDREN - 1 + number]!
      }
      default:
        return nodes[node + HEADER_WORDS + position]!
    }
  }

  /** Position of the first child behind `position`. */
  #positionAfter(node: number, position: number): number {
    const nodes = this.#tree.nodes
    const head = nodes[node]!
    const type = head & TYPE_MASK
    if (type < NODE48) return position + 1 < head >>> COUNT_SHIFT ? position + 1 : NONE
    if (type === NODE256) {
      for (let byte = position + 1; byte < 256; byte++) {
        if (nodes[node + HEADER_WORDS + byte] !== 0) return byte
      }
      return NONE
    }
    const bytes = this.#tree.bytes
    const numbers = (node + HEADER_WORDS) << 2
    for (let byte = position + 1; byte < 256; byte++) if (bytes[numbers + byte] !== 0) return byte
    return NONE
  }

  /** Position of the last child before `position`, then of the key that ends at the node. */
  #positionBefore(node: number, position: number): number {
    if (position === END_POSITION) return NONE
    const nodes = this.#tree.nodes
    const head = nodes[node]!
    const type = head & TYPE_MASK
    if (type < NODE48) {
      const count = head >>> COUNT_SHIFT
      const before = (position < count ? position : count) - 1
      if (before >= 0) return before
    } else if (type === NODE256) {
      for (let byte = position - 1; byte >= 0; byte--) {
        if (nodes[node + HEADER_WORDS + byte] !== 0) return byte
      }
    } else {
      const bytes = this.#tree.bytes
      const numbers = (node + HEADER_WORDS) << 2
      for (let byte = position - 1; byte >= 0; byte--) {
        if (bytes[numbers + byte] !== 0) return byte
      }
    }
    return nodes[node + END_KEY]! < 0 ? END_POSITION : NONE
  }
}
