/**
 * What becomes of the versions of one key, when more than a glance is needed: merge chains, and tombstones that may leave.
 *
 * The versions stand in columns, newest first. `decide` gives each a fate:
 *  - KEEP: it stays in the live tree, as the event that it is (or the derived entry that it was);
 *  - HISTORY: it leaves the live tree for a history segment, because it is an event at or above the drop floor;
 *  - DROP: it is gone. Only derived entries and events below the drop floor.
 * FOLDED on top of a fate: a derived entry takes the version's place in the live tree (kind and value in `folds`).
 *
 * Snapshots cut the seqnos into *stripes*: (previous snapshot, snapshot], the last one open. What a reader at a snapshot sees
 * is decided by the newest version in its stripe and below, so per stripe one version (or one chain) is kept. Stripes are
 * walked from the oldest to the newest and hand up what the key is worth at their top: unknown (something deeper in the tree
 * decides), absent, or a value; a chain of operands in a newer stripe folds onto that.
 *
 * Nothing is lost when an operator throws: its operands, and the base they need, stay as they are.
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import type { CommitTable } from '../base/commit-table.ts'
import {
  FLAG_BLOB,
  FLAG_DERIVED,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_MERGE,
} from '../base/entry-kind.ts'
import {
  builtinOperators,
  combineOperands,
  foldOperands,
  type MergeOperator,
} from '../base/merge-operators.ts'

export const FATE_DROP = 0
export const FATE_KEEP = 1
export const FATE_HISTORY = 2
export const FATE_MASK = 3
/** A derived entry stands in the live tree at this version's seqno. */
export const FATE_FOLDED = 4

/** Range tombstones over a key: FragmentedRanges, or a list in a test. */
export interface RangeCover {
  /** Seqno of the newest range tombstone over the key at or below `snapshot`; 0 when there is none. */
  coveringSeqno(key: Uint8Array, start: number, end: number, snapshot: number): number
}

/** What is the same for every key of a job. */
export interface FateRules {
  /** Seqnos of the open snapshots, ascending, each once. */
  readonly snapshots: readonly number[]
  /** Events at or above it must survive. */
  readonly dropFloor: number
  readonly operator: MergeOperator | undefined
  readonly ranges: RangeCover | undefined
  /** Reads the value that a blob reference stands for. */
  readonly readBlob: (reference: Uint8Array, start: number, end: number) => Buffer
}

/** A derived entry that takes the place of a version. */
export interface Fold {
  readonly index: number
  readonly kind: number
  readonly value: Uint8Array
}

/** Operands are folded in runs of so many, so that a chain of millions needs no array of millions of Buffers. */
const FOLD_RUN = 16_384

const UNKNOWN = 0
const ABSENT = 1
const VALUE = 2

export class KeyVersions {
  count = 0
  seqno: Float64Array = new Float64Array(16)
  kind: Uint8Array = new Uint8Array(16)
  valueStart: Float64Array = new Float64Array(16)
  valueEnd: Float64Array = new Float64Array(16)
  commitId: Int32Array = new Int32Array(16)
  ordinal: Int32Array = new Int32Array(16)
  fate: Uint8Array = new Uint8Array(16)
  commits: CommitTable[] = []
  /** Where the values are: the versions' own memory, or, when the source's bytes stay put, the source. */
  bytes: Uint8Array = EMPTY_BYTES
  folds: Fold[] = []

  readonly #isBorrowing: boolean
  #used = 0
  // What the walk from the oldest stripe to the newest carries.
  #worth: number = UNKNOWN
  #base: Buffer | undefined
  #baseIndex = -1

  /** `borrow`: the bytes given to `push` stay where they are until `clear`, and are all in one array. */
  constructor(options: { borrow: boolean }) {
    this.#isBorrowing = options.borrow
  }

  clear(): void {
    this.count = 0
    this.#used = 0
    this.commits.length = 0
    this.folds.length = 0
    this.#base = undefined
  }

  /** Adds the next older version of the key. */
  push(
    seqno: number,
    kind: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    commits: CommitTable,
    commitId: number,
    ordinal: number,
  ): void {
    const i = this.count
    if (i === this.seqno.length) this.#growColumns()
    this.seqno[i] = seqno
    this.kind[i] = kind
    this.commitId[i] = commitId
    this.ordinal[i] = ordinal
    this.commits.push(commits)
    if (this.#isBorrowing) {
      this.bytes = bytes
      this.valueStart[i] = start
      this.valueEnd[i] = end
    } else {
      const at = this.#used
      this.#reserve(end - start)
      if (end > start) this.bytes.set(bytes.subarray(start, end), at)
      this.valueStart[i] = at
      this.valueEnd[i] = at + end - start
      this.#used = at + end - start
    }
    this.count = i + 1
  }

  /**
   * Fills `fate` and `folds`. `isBottom`: nothing deeper in the tree holds the key. The versions must be every version of
   * the key in the job from some stripe's newest on.
   */
  decide(key: Buffer, rules: FateRules, isBottom: boolean): void {
    this.folds.length = 0
    this.#worth = isBottom ? ABSENT : UNKNOWN
    this.#base = undefined
    this.#baseIndex = -1
    let hasOlder = false
    let to = this.count
    let stripe = stripeOf(rules.snapshots, this.seqno[to - 1]!)
    while (to > 0) {
      let from = to
      while (from > 0 && isInStripe(rules.snapshots, stripe, this.seqno[from - 1]!)) from--
      hasOlder = this.#decideStripe(key, rules, stripe, from, to, isBottom, hasOlder)
      to = from
      if (to > 0) stripe = stripeOf(rules.snapshots, this.seqno[to - 1]!)
    }
    this.folds.reverse()
  }

  /** Versions [from, to) are one stripe's. Returns whether anything of the key is live so far. */
  #decideStripe(
    key: Buffer,
    rules: FateRules,
    stripe: number,
    from: number,
    to: number,
    isBottom: boolean,
    hasOlder: boolean,
  ): boolean {
    const top = rules.snapshots[stripe] ?? Number.MAX_SAFE_INTEGER
    const cover = rules.ranges?.coveringSeqno(key, 0, key.length, top) ?? 0
    for (let i = from; i < to; i++) this.fate[i] = this.#gone(i, rules.dropFloor)
    let visible = from
    while (visible < to && this.seqno[visible]! > cover) visible++
    // A range tombstone between this stripe's visible versions and whatever is older leaves nothing to build on.
    if (visible < to || (cover > 0 && (to === this.count || this.seqno[to]! < cover))) {
      this.#setWorth(ABSENT, -1, undefined)
    }
    if (visible === from) return hasOlder

    let chainEnd = from
    while (chainEnd < visible && (this.kind[chainEnd]! & KIND_MASK) === KIND_MERGE) chainEnd++
    if (chainEnd === from) return this.#decideWhole(from, isBottom, hasOlder)
    this.#decideChain(key, rules, from, chainEnd, visible)
    return true
  }

  /** The newest of the stripe is a value or a tombstone. */
  #decideWhole(i: number, isBottom: boolean, hasOlder: boolean): boolean {
    if ((this.kind[i]! & KIND_MASK) === KIND_INSERT) {
      this.fate[i] = FATE_KEEP
      this.#setWorth(VALUE, i, undefined)
      return true
    }
    this.#setWorth(ABSENT, -1, undefined)
    // A tombstone that shadows nothing any more leaves; one above a version that a snapshot holds may not.
    if (isBottom && !hasOlder) return false
    this.fate[i] = FATE_KEEP
    return true
  }

  /** Operands [from, chainEnd), then perhaps a base in the same stripe, at chainEnd < visible. */
  #decideChain(
    key: Buffer,
    rules: FateRules,
    from: number,
    chainEnd: number,
    visible: number,
  ): void {
    const hasBase = chainEnd < visible
    if (hasBase) {
      const isValue = (this.kind[chainEnd]! & KIND_MASK) === KIND_INSERT
      this.#setWorth(isValue ? VALUE : ABSENT, isValue ? chainEnd : -1, undefined)
    }
    if (this.#worth !== UNKNOWN) {
      const value = this.#fold(key, rules, from, chainEnd)
      if (value !== undefined) {
        this.#place(from, KIND_INSERT, value)
        this.#setWorth(VALUE, -1, value)
        return
      }
    } else if (chainEnd - from > 1) {
      const operand = this.#combine(key, rules, from, chainEnd)
      if (operand !== undefined) {
        this.#place(from, KIND_MERGE, operand)
        return
      }
    }
    for (let i = from; i < chainEnd; i++) this.fate[i] = FATE_KEEP
    if (hasBase) this.fate[chainEnd] = FATE_KEEP
    this.#setWorth(UNKNOWN, -1, undefined)
  }

  #place(index: number, kind: number, value: Uint8Array): void {
    this.fate[index] = this.fate[index]! | FATE_FOLDED
    this.folds.push({ index, kind: kind | FLAG_DERIVED, value })
  }

  #setWorth(worth: number, index: number, value: Buffer | undefined): void {
    this.#worth = worth
    this.#baseIndex = index
    this.#base = value
  }

  /** The value of operands [from, end) on the base at hand; undefined when it cannot be had. */
  #fold(key: Buffer, rules: FateRules, from: number, end: number): Buffer | undefined {
    const operator = rules.operator
    if (operator === undefined) return undefined
    const isOwn = builtinOperators.has(operator.name)
    let value = this.#base === undefined ? undefined : lend(this.#base, isOwn)
    if (this.#worth === VALUE && value === undefined) {
      value = this.#value(this.#baseIndex, isOwn, rules)
    }
    for (let last = end; last > from; ) {
      const first = Math.max(from, last - FOLD_RUN)
      const operands = this.#operands(isOwn, rules, first, last)
      try {
        // Copied: the operator may hand out the same memory again.
        value = Buffer.from(foldOperands(operator, lend(key, isOwn), value, operands))
      } catch {
        // The reader of the key is told (VARVE_MERGE_FAILED); here all that matters is that nothing is lost.
        return undefined
      }
      last = first
    }
    return value
  }

  #combine(key: Buffer, rules: FateRules, from: number, end: number): Buffer | undefined {
    const operator = rules.operator
    if (operator?.combine === undefined) return undefined
    const isOwn = builtinOperators.has(operator.name)
    let operand: Buffer | undefined
    for (let last = end; last > from; ) {
      const first = Math.max(from, last - FOLD_RUN)
      const operands = this.#operands(isOwn, rules, first, last)
      if (operand !== undefined) operands.unshift(operand)
      try {
        const combined = combineOperands(operator, lend(key, isOwn), operands)
        if (combined === undefined) return undefined
        operand = Buffer.from(combined)
      } catch {
        return undefined
      }
      last = first
    }
    return operand
  }

  /** Versions [first, last), oldest first. */
  #operands(isOwn: boolean, rules: FateRules, first: number, last: number): Buffer[] {
    const operands: Buffer[] = []
    for (let i = last - 1; i >= first; i--) operands.push(this.#value(i, isOwn, rules))
    return operands
  }

  #value(i: number, isOwn: boolean, rules: FateRules): Buffer {
    const start = this.valueStart[i]!
    const end = this.valueEnd[i]!
    if ((this.kind[i]! & FLAG_BLOB) !== 0) return rules.readBlob(this.bytes, start, end)
    const value = Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, end - start)
    return lend(value, isOwn)
  }

  #gone(i: number, dropFloor: number): number {
    const isEvent = (this.kind[i]! & FLAG_DERIVED) === 0 && this.seqno[i]! >= dropFloor
    return isEvent ? FATE_HISTORY : FATE_DROP
  }

  #reserve(length: number): void {
    const needed = this.#used + length
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2, 4096))
    grown.set(this.bytes.subarray(0, this.#used))
    this.bytes = grown
  }

  #growColumns(): void {
    const capacity = this.seqno.length * 2
    this.seqno = grow(this.seqno, new Float64Array(capacity))
    this.kind = grow(this.kind, new Uint8Array(capacity))
    this.valueStart = grow(this.valueStart, new Float64Array(capacity))
    this.valueEnd = grow(this.valueEnd, new Float64Array(capacity))
    this.commitId = grow(this.commitId, new Int32Array(capacity))
    this.ordinal = grow(this.ordinal, new Int32Array(capacity))
    this.fate = new Uint8Array(capacity)
  }
}

/** A copy: a stranger's operator may work in what it is given, and here that is the events themselves. Our own do not. */
function lend(bytes: Buffer, isOwn: boolean): Buffer {
  return isOwn ? bytes : Buffer.from(bytes)
}

function grow<T extends Float64Array | Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/** Index of the smallest snapshot at or above `seqno`; the number of snapshots when there is none. */
export function stripeOf(snapshots: readonly number[], seqno: number): number {
  let low = 0
  let high = snapshots.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (snapshots[middle]! >= seqno) high = middle
    else low = middle + 1
  }
  return low
}

function isInStripe(snapshots: readonly number[], stripe: number, seqno: number): boolean {
  return (
    seqno > (stripe === 0 ? 0 : snapshots[stripe - 1]!) &&
    seqno <= (snapshots[stripe] ?? Number.MAX_SAFE_INTEGER)
  )
}

/** Whether a reader that meets such an entry looks no further down. */
export function isInsertOrDelete(kind: number): boolean {
  const bare = kind & KIND_MASK
  return bare === KIND_INSERT || bare === KIND_DELETE
}
