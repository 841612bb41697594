/**
 * Opens and creates keyspaces. A keyspace is in the manifest before any commit can name its id, so a replayed commit always
 * finds it; creations take their turn.
 */
import { VarveError } from '../base/errors.ts'
import type { MergeOperator } from '../base/merge-operators.ts'
import { settled } from '../base/settled.ts'
import type { KeyspaceRecord, StoredKeyspaceOptions } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import type { VersionSet } from '../version/version-set.ts'
import {
  DEFAULT_KEYSPACE_ID,
  type KeyspaceDirectory,
  type KeyspaceState,
} from './keyspace-directory.ts'
import {
  checkKeyspaceOptions,
  type KeyspaceOptions,
  mergeKeyspaceOptions,
  type ResolvedOptions,
} from './options.ts'
import { readOnlyError } from './writer.ts'

export interface KeyspaceRegistryOptions {
  readonly keyspaces: KeyspaceDirectory
  readonly operators: ReadonlyMap<string, MergeOperator>
  /** Undefined: a readOnly store. */
  readonly versions: VersionSet | undefined
  /** Throws when no edit may be written: closed, poisoned. */
  ensureWritable(): void
  /** Every commit that was submitted before is in the log. */
  drained(): Promise<void>
  /** Makes the log durable. */
  sync(): Promise<void>
  /** Runs `apply` with errors translated. */
  guarded<T>(run: () => Promise<T>): Promise<T>
}

export class KeyspaceRegistry {
  readonly #options: KeyspaceRegistryOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: KeyspaceRegistryOptions) {
    this.#options = options
  }

  /** The keyspace `name`, created where it is new; given options that differ from the stored ones are stored. */
  async open(name: string, options: KeyspaceOptions = {}): Promise<KeyspaceState> {
    checkKeyspaceOptions(options)
    const existing = this.#options.keyspaces.named(name)
    if (existing?.isDropped === false && !this.#changes(existing, options)) return existing
    const result = this.#last.then(() => this.#openInTurn(name, options))
    this.#last = settled(result)
    return result
  }

  async #openInTurn(name: string, options: KeyspaceOptions): Promise<KeyspaceState> {
    const { keyspaces } = this.#options
    // A drop that is on its way decides whether the name is free.
    if (keyspaces.named(name)?.isDropped === true) await this.#options.drained()
    const existing = keyspaces.named(name)
    if (existing !== undefined) return this.#update(existing, options)
    return this.#create(name, options)
  }

  #changes(existing: KeyspaceState, options: KeyspaceOptions): boolean {
    return !isSameOptions(existing.options, this.#merged(existing.name, options, existing.options))
  }

  async #update(existing: KeyspaceState, options: KeyspaceOptions): Promise<KeyspaceState> {
    const merged = this.#merged(existing.name, options, existing.options)
    if (isSameOptions(existing.options, merged)) return existing
    const { versions } = this.#options
    if (versions !== undefined) {
      this.#options.ensureWritable()
      const record = { id: existing.id, name: existing.name, options: merged, droppedAt: undefined }
      await this.#options.guarded(() => versions.apply({ state: { keyspaces: [record] } }))
    }
    existing.options = merged
    existing.operator = this.#operatorOf(existing.name, merged)
    return existing
  }

  async #create(name: string, options: KeyspaceOptions): Promise<KeyspaceState> {
    const { versions, keyspaces } = this.#options
    if (versions === undefined) throw readOnlyError('readOnly')
    this.#options.ensureWritable()
    const merged = this.#merged(name, options, undefined)
    const operator = this.#operatorOf(name, merged)
    // The name may have been dropped by a commit that only the log knows. If a power cut could take that back, two keyspaces
    // would have it.
    if (versions.current.state.keyspaces.some((known) => known.name === name)) {
      await this.#options.sync()
    }
    let created: KeyspaceRecord | undefined
    await this.#options.guarded(() =>
      versions.apply(({ state }: Version) => {
        created = { id: state.nextKeyspaceId, name, options: merged, droppedAt: undefined }
        return { state: { keyspaces: [created], nextKeyspaceId: created.id + 1 } }
      }),
    )
    const { id } = created!
    const state: KeyspaceState = {
      id,
      name,
      options: merged,
      operator,
      isDropped: false,
      droppedAt: undefined,
    }
    keyspaces.add(state)
    return state
  }

  #merged(
    name: string,
    options: KeyspaceOptions,
    stored: StoredKeyspaceOptions | undefined,
  ): StoredKeyspaceOptions {
    const merged =
      stored === undefined
        ? mergeKeyspaceOptions(options, undefined)
        : givenOverStored(name, options, stored)
    this.#operatorOf(name, merged)
    return merged
  }

  #operatorOf(name: string, options: StoredKeyspaceOptions): MergeOperator | undefined {
    return operatorOf(name, options, this.#options.operators)
  }
}

/** Options of an existing keyspace; MERGE_OPERATOR_MISMATCH where they name another operator than the stored one. */
export function givenOverStored(
  name: string,
  given: KeyspaceOptions,
  stored: StoredKeyspaceOptions,
): StoredKeyspaceOptions {
  const { mergeOperator } = given
  if (
    mergeOperator !== undefined &&
    stored.mergeOperator !== undefined &&
    stored.mergeOperator !== mergeOperator
  ) {
    throw operatorMismatch(name, { stored: stored.mergeOperator, given: mergeOperator })
  }
  return mergeKeyspaceOptions(given, stored)
}

/** A keyspace as it is at an open: what the manifest says of it, what was given, and where the log says that it was dropped since. */
export function keyspaceStateOf(
  record: KeyspaceRecord,
  options: Pick<ResolvedOptions, 'keyspace' | 'operators'>,
  drops: ReadonlyMap<number, number>,
): KeyspaceState {
  const { id, name } = record
  const given = id === DEFAULT_KEYSPACE_ID ? options.keyspace : {}
  const merged = givenOverStored(name, given, record.options)
  const droppedAt = record.droppedAt ?? drops.get(id)
  const isDropped = droppedAt !== undefined
  // What is left of a dropped keyspace is history, where nothing is folded.
  const operator = isDropped ? undefined : operatorOf(name, merged, options.operators)
  return { id, name, options: merged, operator, isDropped, droppedAt }
}

/** The operator of a keyspace; MERGE_OPERATOR_MISMATCH where it is not at hand. */
export function operatorOf(
  keyspace: string,
  options: Pick<StoredKeyspaceOptions, 'mergeOperator'>,
  operators: ReadonlyMap<string, MergeOperator>,
): MergeOperator | undefined {
  if (options.mergeOperator === undefined) return undefined
  const operator = operators.get(options.mergeOperator)
  if (operator === undefined) {
    const wanted = { stored: options.mergeOperator, given: undefined }
    throw operatorMismatch(keyspace, wanted, [...operators.keys()])
  }
  return operator
}

function operatorMismatch(
  keyspace: string,
  operators: { stored: string; given: string | undefined },
  known: readonly string[] = [],
): VarveError {
  const { stored, given } = operators
  const reason =
    given === undefined
      ? `which is none of those given in mergeOperators or built in: ${known.join(', ')}`
      : `which cannot become ${JSON.stringify(given)}`
  return new VarveError(
    'VARVE_MERGE_OPERATOR_MISMATCH',
    `keyspace ${JSON.stringify(keyspace)} has merge operator ${JSON.stringify(stored)}, ${reason}`,
    { keyspace, stored, given },
  )
}

export function isSameOptions(a: StoredKeyspaceOptions, b: StoredKeyspaceOptions): boolean {
  return (
    a.mergeOperator === b.mergeOperator &&
    a.blobThresholdBytes === b.blobThresholdBytes &&
    a.compression === b.compression &&
    a.bloomBitsPerKey === b.bloomBitsPerKey &&
    a.blockBytes === b.blockBytes
  )
}
