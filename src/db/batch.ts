/**
 * The public batch: operations encoded as they are added, so that writing it is one copy.
 */
import { EMPTY_BYTES, compare } from '../base/bytes.ts'
import {
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../base/entry-kind.ts'
import { invalidArgument, VarveError } from '../base/errors.ts'
import { type BufferLender, CommitEncoder } from '../batch/commit-encoder.ts'
import { type BytesLike, checkName, checkSeqno, toBound, toKey, toValue } from './arguments.ts'
import type { Keyspace } from './keyspace.ts'
import { type KeyspaceState, keyspaceNotFound } from './keyspace-directory.ts'
import { checkOperand } from './operands.ts'

/** Finds the keyspace of a handle of the batch's own store; throws for anything else. */
export type ResolveKeyspace = (keyspace: Keyspace | undefined) => KeyspaceState

export interface BatchAck {
  readonly consumer: string
  readonly next: number
}

/** Bounds of a range delete, checked: start below end. */
export function toDeleteRange(
  start: BytesLike,
  end: BytesLike | undefined,
): { start: Uint8Array; end: Uint8Array | undefined } {
  const lower = toBound(start, 'start')
  const upper = end === undefined ? undefined : toBound(end, 'end')
  if (upper !== undefined && compare(lower, upper) >= 0) {
    throw invalidArgument('a range delete needs start < end')
  }
  return { start: lower, end: upper }
}

/**
 * Operations that become visible together, with consecutive seqnos in the order they were added. Made by `Varve.batch`.
 *
 * ```ts
 * const db = await Varve.open('./my-store')
 * const log = await db.keyspace('log')
 * const batch = db.batch().put('account:1', '70').put('account:2', '130').put('1', 'moved 30', log)
 * const { first, last } = await db.write(batch, { sync: true })
 * console.log(first, last) // 1 3
 * await db.close()
 * ```
 */
export interface Batch {
  /** Without a keyspace: the default one. */
  put(key: BytesLike, value: BytesLike, keyspace?: Keyspace): this
  /** Throws where the keyspace has no merge operator, or its operator cannot use the operand. */
  merge(key: BytesLike, operand: BytesLike, keyspace?: Keyspace): this
  /** Deletes one key. */
  delete(key: BytesLike, keyspace?: Keyspace): this
  /** Deletes [start, end); `end` left out: to the end of the keyspace. */
  deleteRange(start: BytesLike, end?: BytesLike, keyspace?: Keyspace): this
  /**
   * Moves a consumer's position in the same atomic commit: exactly-once for what is derived inside this store. `next` up to
   * the batch's own last seqno + 1. Takes no seqno; a batch needs one operation besides.
   */
  ack(consumer: string, next: number): this
  /** Number of operations. */
  readonly length: number
  /** Bytes that the operations take in the log. */
  readonly byteLength: number
  /** Empties it; a written batch can be used again. */
  clear(): this
}

/** The batch of one store; made by `batch()`. */
export class WriteBatch implements Batch {
  #encoder: CommitEncoder
  #acks: BatchAck[] = []
  #keyspaces = new Set<KeyspaceState>()
  #last: KeyspaceState | undefined
  #isUsed = false
  readonly #resolve: ResolveKeyspace
  readonly #lender: BufferLender

  constructor(resolve: ResolveKeyspace, lender: BufferLender) {
    this.#resolve = resolve
    this.#lender = lender
    this.#encoder = new CommitEncoder(undefined, lender)
  }

  /** Not by `instanceof`, which a proxy of one passes, too. */
  static isOne(value: unknown): value is WriteBatch {
    return typeof value === 'object' && value !== null && #encoder in value
  }

  get length(): number {
    return this.#encoder.operations
  }

  get byteLength(): number {
    return this.#encoder.operationBytes
  }

  put(key: BytesLike, value: BytesLike, keyspace?: Keyspace): this {
    return this.#add(KIND_INSERT, toKey(key), toValue(value), this.#target(keyspace))
  }

  merge(key: BytesLike, operand: BytesLike, keyspace?: Keyspace): this {
    const target = this.#target(keyspace)
    const bytes = toValue(operand, 'operand')
    checkOperand(target, bytes)
    return this.#add(KIND_MERGE, toKey(key), bytes, target)
  }

  delete(key: BytesLike, keyspace?: Keyspace): this {
    return this.#add(KIND_DELETE, toKey(key), EMPTY_BYTES, this.#target(keyspace))
  }

  deleteRange(start: BytesLike, end?: BytesLike, keyspace?: Keyspace): this {
    const target = this.#target(keyspace)
    const range = toDeleteRange(start, end)
    return range.end === undefined
      ? this.#add(KIND_RANGE_DELETE | FLAG_OPEN_END, range.start, EMPTY_BYTES, target)
      : this.#add(KIND_RANGE_DELETE, range.start, range.end, target)
  }

  ack(consumer: string, next: number): this {
    this.#ensureUnused()
    checkName(consumer, 'consumer')
    checkSeqno(next, 'next', 1)
    this.#acks.push({ consumer, next })
    return this
  }

  clear(): this {
    this.#encoder = new CommitEncoder(undefined, this.#lender)
    this.#acks = []
    this.#keyspaces = new Set()
    this.#last = undefined
    this.#isUsed = false
    return this
  }

  /** For the store: hands over what was added. The batch is used from here on. */
  take(resolve: ResolveKeyspace): {
    encoder: CommitEncoder
    acks: readonly BatchAck[]
  } {
    if (resolve !== this.#resolve) throw invalidArgument('the batch belongs to another store')
    this.#ensureUnused()
    if (this.length === 0) throw invalidArgument('a batch needs at least one operation')
    for (const keyspace of this.#keyspaces) {
      if (keyspace.isDropped) throw keyspaceNotFound(keyspace.name)
    }
    this.#isUsed = true
    return { encoder: this.#encoder, acks: this.#acks }
  }

  #add(kind: number, key: Uint8Array, value: Uint8Array, keyspace: KeyspaceState): this {
    this.#ensureUnused()
    this.#encoder.add(kind, keyspace.id, key, value)
    return this
  }

  #target(keyspace: Keyspace | undefined): KeyspaceState {
    const state = this.#resolve(keyspace)
    if (state !== this.#last) {
      this.#last = state
      this.#keyspaces.add(state)
    }
    return state
  }

  #ensureUnused(): void {
    if (this.#isUsed) {
      throw new VarveError('VARVE_BATCH_USED', 'the batch was written; clear() it to use it again')
    }
  }
}
