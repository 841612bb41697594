/**
 * Writes the rows of an import in atomic commits. With `resume`, each commit also keeps where in the file it ends, in a
 * keyspace of its own: after any interruption the store and the place agree, and no row is written twice.
 */
import fs from 'node:fs'
import path from 'node:path'
import { hasCode } from '../base/errors.ts'
import { settled } from '../base/settled.ts'
import type { Batch } from '../db/batch.ts'
import type { Keyspace } from '../db/keyspace.ts'
import type { Varve } from '../db/varve.ts'
import { CommandError } from './exit-codes.ts'
import type { ImportKeyspaces, ImportRow } from './import-rows.ts'
import type { LineStart } from './line-reader.ts'

/** Where places are kept; an event in it tells followers how far an import is. */
export const IMPORT_KEYSPACE = 'varve.import'

export interface ImportOptions {
  readonly file: string
  readonly keyspace: string
  readonly batch: number
  readonly resume?: boolean
}

const BATCH_BYTES = 4 * 2 ** 20
/** Commits on their way: the next ones are filled meanwhile. */
const WRITES_MAX = 8

interface Place extends LineStart {
  /** Of the file: another one under the same name is not gone on with. */
  readonly size: number
  readonly modifiedMs: number
}

export class Importer {
  /** Entries written in this run. */
  count = 0
  readonly start: LineStart
  readonly #store: Varve
  readonly #options: ImportOptions
  readonly #keyspaces = new Map<string, Keyspace>()
  readonly #places: Keyspace | undefined
  readonly #placeKey: string
  #batch: Batch
  #last: ImportRow | undefined
  #writes: Promise<unknown>[] = []

  private constructor(
    store: Varve,
    options: ImportOptions,
    places: Keyspace | undefined,
    start: LineStart,
  ) {
    this.#store = store
    this.#options = options
    this.#places = places
    this.#placeKey = path.resolve(options.file)
    this.start = start
    this.#batch = store.batch()
  }

  static async start(store: Varve, options: ImportOptions): Promise<Importer> {
    const nothing = { offset: 0, lines: 0 }
    if (options.resume !== true) return new Importer(store, options, undefined, nothing)
    const places = await store.keyspace(IMPORT_KEYSPACE)
    const kept = await places.get(path.resolve(options.file))
    if (kept === undefined) return new Importer(store, options, places, nothing)
    const place = JSON.parse(kept.toString('utf8')) as Place
    const { size, modifiedMs } = placeOf(options.file)
    if (size !== place.size || modifiedMs !== place.modifiedMs) {
      throw new CommandError(
        `${options.file} was changed since its import was interrupted. Import it without --resume, or forget the place: varve delete <dir> -k ${IMPORT_KEYSPACE} ${JSON.stringify(path.resolve(options.file))}`,
      )
    }
    return new Importer(store, options, places, place)
  }

  async add(row: ImportRow | ImportKeyspaces): Promise<void> {
    if ('keyspaces' in row) {
      for (const [name, { mergeOperator }] of Object.entries(row.keyspaces)) {
        const options = mergeOperator === undefined ? {} : { mergeOperator }
        try {
          this.#keyspaces.set(name, await this.#store.keyspace(name, options))
        } catch (error) {
          throw inLine(row, error)
        }
      }
      return
    }
    const keyspace = await this.#keyspaceOf(row)
    try {
      this.#batch.put(row.key, row.value, keyspace)
    } catch (error) {
      throw inLine(row, error)
    }
    this.#last = row
    this.count++
    if (this.#batch.length >= this.#options.batch || this.#batch.byteLength >= BATCH_BYTES) {
      await this.#write()
    }
  }

  async #keyspaceOf(row: ImportRow): Promise<Keyspace> {
    const name = row.keyspace ?? this.#options.keyspace
    const known = this.#keyspaces.get(name)
    if (known !== undefined) return known
    let keyspace: Keyspace
    try {
      keyspace = await this.#store.keyspace(name)
    } catch (error) {
      throw row.keyspace === undefined ? error : inLine(row, error)
    }
    this.#keyspaces.set(name, keyspace)
    return keyspace
  }

  /** After a row that cannot be read: writes those before it, with the place they reach. */
  async stop(): Promise<void> {
    if (this.#batch.length > 0) await this.#write()
    await Promise.all(this.#writes)
    await this.#store.sync()
  }

  /** Durable when it resolves. */
  async finish(): Promise<void> {
    if (this.#places !== undefined) this.#batch.delete(this.#placeKey, this.#places)
    if (this.#batch.length > 0) this.#submit()
    await Promise.all(this.#writes)
    await this.#store.sync()
  }

  async #write(): Promise<void> {
    if (this.#places !== undefined) {
      const { end, lines } = this.#last!
      const place: Place = { ...placeOf(this.#options.file), offset: end, lines }
      this.#batch.put(this.#placeKey, JSON.stringify(place), this.#places)
    }
    this.#submit()
    if (this.#writes.length >= WRITES_MAX) await Promise.all(this.#writes.splice(0))
  }

  #submit(): void {
    const write = this.#store.write(this.#batch)
    // Waited for later, which throws what it failed with: until then that must not count as unhandled.
    void settled(write)
    this.#writes.push(write)
    this.#batch = this.#store.batch()
  }
}

/** What a store refuses of a line is wrong with the line, not with the call. */
function inLine({ lines }: ImportRow | ImportKeyspaces, error: unknown): unknown {
  if (!hasCode(error, 'VARVE_INVALID_ARGUMENT')) return error
  return new CommandError(`Line ${lines}: ${(error as Error).message}`)
}

function placeOf(file: string): { size: number; modifiedMs: number } {
  const { size, mtimeMs } = fs.statSync(file)
  return { size, modifiedMs: mtimeMs }
}
