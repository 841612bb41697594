/**
 * A handle on one keyspace: the public reads and writes. `Varve` itself is the handle of the default keyspace.
 */
import { EMPTY_BYTES } from '../base/bytes.ts'
import {
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../base/entry-kind.ts'
import { wrongType } from '../base/errors.ts'
import type { Cursor } from '../read/cursor.ts'
import { type BytesLike, toKey, toValue } from './arguments.ts'
import { toDeleteRange } from './batch.ts'
import type { KeyspaceState } from './keyspace-directory.ts'
import { checkOperand } from './operands.ts'
import type { RangeOptions, ReadOptions, Reader } from './reader.ts'
import type { WriteOptions, Writer } from './writer.ts'

/** A named, independent key order inside a store. All keyspaces share one seqno and one write-ahead log. */
export interface Keyspace {
  /** As given to `Varve.keyspace`; 'default' for the store itself. */
  readonly name: string
  /** Each write resolves to its seqno once it is acknowledged and visible. A key has 1 to 65,535 bytes, a value at most 2^30. */
  put(key: BytesLike, value: BytesLike, options?: WriteOptions): Promise<number>
  /** Writes an operand without reading. VARVE_NO_MERGE_OPERATOR where the keyspace has none. */
  merge(key: BytesLike, operand: BytesLike, options?: WriteOptions): Promise<number>
  /** Deletes one key, whether it is there or not. */
  delete(key: BytesLike, options?: WriteOptions): Promise<number>
  /** Deletes [start, end); `end` left out: to the end of the keyspace. */
  deleteRange(start: BytesLike, end?: BytesLike, options?: WriteOptions): Promise<number>
  /** The value, in a Buffer of the caller's own; undefined where there is none. */
  get(key: BytesLike, options?: ReadOptions): Promise<Buffer | undefined>
  /** The same without a promise; may read the disk on the calling thread. */
  getSync(key: BytesLike, options?: ReadOptions): Buffer | undefined
  /** The values of all keys at one seqno, in their order. */
  getMany(keys: readonly BytesLike[], options?: ReadOptions): Promise<(Buffer | undefined)[]>
  /** Whether there is a value; does not read it. */
  has(key: BytesLike, options?: ReadOptions): Promise<boolean>
  /**
   * Keys and values in key order. Reads a state fixed at the call, whatever is written meanwhile.
   *
   * ```ts
   * const db = await Varve.open('./my-store')
   * for (const key of ['a', 'b1', 'b2', 'c']) await db.put(key, key.toUpperCase())
   *
   * for await (const [key, value] of db.entries({ prefix: 'b' })) console.log(`${key}=${value}`)
   * // b1=B1
   * // b2=B2
   * const [last] = await db.keys({ reverse: true, limit: 1 }).all()
   * console.log(String(last)) // c
   * await db.close()
   * ```
   */
  entries(range?: RangeOptions): Cursor<[key: Buffer, value: Buffer]>
  /** As `entries`, the keys alone. */
  keys(range?: RangeOptions): Cursor<Buffer>
  /** As `entries`, the values alone. */
  values(range?: RangeOptions): Cursor<Buffer>
  /** Synchronous; ends its pins when iteration ends or `return()` is called. */
  entriesSync(range?: RangeOptions): IterableIterator<[key: Buffer, value: Buffer]>
}

/** What handles work on; one per store. */
export interface KeyspacePorts {
  readonly writer: Writer
  readonly reader: Reader
}

/** The state behind a handle, for the store's own use. */
export const keyspaceStates: WeakMap<Keyspace, KeyspaceState> = new WeakMap()

export class KeyspaceHandle implements Keyspace {
  readonly name: string
  readonly #state: KeyspaceState
  readonly #writer: Writer
  readonly #reader: Reader

  constructor(state: KeyspaceState, ports: KeyspacePorts) {
    this.name = state.name
    this.#state = state
    this.#writer = ports.writer
    this.#reader = ports.reader
    keyspaceStates.set(this, state)
  }

  put(key: BytesLike, value: BytesLike, options?: WriteOptions): Promise<number> {
    try {
      return this.#writer.single(this.#state, KIND_INSERT, toKey(key), toValue(value), options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  merge(key: BytesLike, operand: BytesLike, options?: WriteOptions): Promise<number> {
    try {
      const keyBytes = toKey(key)
      const bytes = toValue(operand, 'operand')
      // A keyspace that cannot be written at all says so, rather than that it has no operator.
      if (this.#state.operator === undefined) this.#writer.ensureAccepts(this.#state)
      checkOperand(this.#state, bytes)
      return this.#writer.single(this.#state, KIND_MERGE, keyBytes, bytes, options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  delete(key: BytesLike, options?: WriteOptions): Promise<number> {
    try {
      return this.#writer.single(this.#state, KIND_DELETE, toKey(key), EMPTY_BYTES, options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  deleteRange(start: BytesLike, end?: BytesLike, options?: WriteOptions): Promise<number> {
    try {
      const range = toDeleteRange(start, end)
      const kind = range.end === undefined ? KIND_RANGE_DELETE | FLAG_OPEN_END : KIND_RANGE_DELETE
      const upper = range.end ?? EMPTY_BYTES
      return this.#writer.single(this.#state, kind, range.start, upper, options)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  get(key: BytesLike, options?: ReadOptions): Promise<Buffer | undefined> {
    try {
      const value = this.#reader.get(this.#state, toKey(key), options)
      return value instanceof Promise ? value : Promise.resolve(value)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  getSync(key: BytesLike, options?: ReadOptions): Buffer | undefined {
    return this.#reader.getSync(this.#state, toKey(key), options)
  }

  async getMany(
    keys: readonly BytesLike[],
    options?: ReadOptions,
  ): Promise<(Buffer | undefined)[]> {
    if (!Array.isArray(keys)) throw wrongType('keys', 'an array', keys)
    // Copied: a read that waits for the disk must not see what the caller does to its bytes meanwhile.
    const wanted: Uint8Array[] = []
    // Not with `map`, which leaves holes as they are.
    for (const key of keys as readonly BytesLike[]) wanted.push(Buffer.from(toKey(key)))
    return this.#reader.getMany(this.#state, wanted, options)
  }

  async has(key: BytesLike, options?: ReadOptions): Promise<boolean> {
    return this.#reader.has(this.#state, toKey(key), options)
  }

  entries(range?: RangeOptions): Cursor<[key: Buffer, value: Buffer]> {
    return this.#reader.entries(this.#state, range)
  }

  keys(range?: RangeOptions): Cursor<Buffer> {
    return this.#reader.keys(this.#state, range)
  }

  values(range?: RangeOptions): Cursor<Buffer> {
    return this.#reader.values(this.#state, range)
  }

  entriesSync(range?: RangeOptions): IterableIterator<[key: Buffer, value: Buffer]> {
    return this.#reader.entriesSync(this.#state, range)
  }
}
