/**
 * The keyspaces that exist, by name. A keyspace is found by its id in every format; names are only in the manifest.
 */
import type { MergeOperator } from '../base/merge-operators.ts'
import { VarveError } from '../base/errors.ts'
import type { StoredKeyspaceOptions } from '../version/store-state.ts'

export const DEFAULT_KEYSPACE = 'default'
export const DEFAULT_KEYSPACE_ID = 1

/** One keyspace; its handles share it. */
export interface KeyspaceState {
  readonly id: number
  readonly name: string
  options: StoredKeyspaceOptions
  operator: MergeOperator | undefined
  /** Set by the call that drops it: every later call on a handle is NOT_FOUND. */
  isDropped: boolean
  /** Seqno of the range delete that dropped it, once that is visible. */
  droppedAt: number | undefined
}

export class KeyspaceDirectory {
  readonly #byName = new Map<string, KeyspaceState>()
  readonly #byId = new Map<number, KeyspaceState>()

  add(state: KeyspaceState): void {
    this.#byName.set(state.name, state)
    this.#byId.set(state.id, state)
  }

  /** The name is free again; the id is still known, for events and compaction of what is left of it. */
  drop(state: KeyspaceState): void {
    state.isDropped = true
    if (this.#byName.get(state.name) === state) this.#byName.delete(state.name)
  }

  /** Nothing is left of it, not even history. */
  forget(id: number): void {
    this.#byId.delete(id)
  }

  named(name: string): KeyspaceState | undefined {
    return this.#byName.get(name)
  }

  /** Also dropped ones. */
  byId(id: number): KeyspaceState | undefined {
    return this.#byId.get(id)
  }

  names(): string[] {
    return [...this.#byName.keys()].toSorted()
  }

  /** Dropped ones too: what is left of them is still flushed and compacted. */
  everyone(): KeyspaceState[] {
    return [...this.#byId.values()]
  }

  /** Every keyspace that exists, in the order of their ids. */
  all(): KeyspaceState[] {
    return [...this.#byName.values()].toSorted((a, b) => a.id - b.id)
  }
}

export function keyspaceNotFound(name: string): VarveError {
  return new VarveError('VARVE_NOT_FOUND', `there is no keyspace ${JSON.stringify(name)}`, {
    keyspace: name,
  })
}
