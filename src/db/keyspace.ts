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
  readonly name: string
  /** Each write resolves to its seqno once it is acknowledged and visible. */
  put(key: BytesLike, value: BytesLike, options?: WriteOptions): Promise<number>
  /** Refused with VARVE_NO_MERGE_OPERATOR where the keyspace has none. */
  merge(key: BytesLike, operand: BytesLike, options?: WriteOptions): Promise<number>
  delete(key: BytesLike, options?: WriteOptions): Promise<number>
  /** Deletes [start, end); `end` left out: to the end of the keyspace. */
  deleteRange(start: BytesLike, end?: BytesLike, options?: WriteOptions): Promise<number>
  get(key: BytesLike, options?: ReadOptions): Promise<Buffer | undefined>
  /** The same without a promise; may read the disk on the calling thread. */
  getSync(key: BytesLike, options?: ReadOptions): Buffer | undefined
  getMany(keys: readonly BytesLike[], options?: ReadOptions): Promise<(Buffer | undefined)[]>
  has(key: BytesLike, options?: ReadOptions): Promise<boolean>
  /** Reads a state fixed at the call, whatever is written meanwhile. */
  entries(range?: RangeOptions): Cursor<[key: Buffer, value: Buffer]>
  keys(range?: RangeOptions): Cursor<Buffer>
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
      const bytes = toValue(operand, 'operand')
      checkOperand(this.#state, bytes)
      return this.#writer.single(this.#state, KIND_MERGE, toKey(key), bytes, options)
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
    const wanted = keys.map((key: BytesLike) => Buffer.from(toKey(key)))
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
