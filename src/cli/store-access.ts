/**
 * How commands open stores. Those that read open readOnly, so that they work beside a running writer; those that write
 * keep all history, since how far it reaches back is for the program that owns the store to say, not for a command.
 */
import { pathToFileURL } from 'node:url'
import path from 'node:path'
import type { MergeOperator } from '../base/merge-operators.ts'
import { hasCode } from '../base/errors.ts'
import type { Keyspace } from '../db/keyspace.ts'
import type { KeyspaceOptions, OpenOptions } from '../db/options.ts'
import { Varve } from '../db/varve.ts'
import { createNodeFileSystem } from '../env/node-file-system.ts'
import { hasStore } from '../version/orphans.ts'
import type { Version } from '../version/version.ts'
import { VersionSet } from '../version/version-set.ts'
import { notFoundError, usageError } from './exit-codes.ts'
import type { StoreChoice } from './shared-options.ts'

export async function withReader<T>(
  location: string,
  choice: StoreChoice,
  run: (store: Varve) => Promise<T>,
): Promise<T> {
  return using(await openReader(location, choice), run)
}

export async function openReader(location: string, choice: StoreChoice): Promise<Varve> {
  return open(location, { ...(await operatorsOf(choice)), readOnly: true })
}

export async function withWriter<T>(
  location: string,
  choice: StoreChoice & { readonly create?: boolean } & Pick<OpenOptions, 'role'>,
  run: (store: Varve) => Promise<T>,
): Promise<T> {
  const options: OpenOptions = {
    ...(await operatorsOf(choice)),
    createIfMissing: choice.create === true,
    history: 'all',
  }
  if (choice.role !== undefined) options.role = choice.role
  return using(await open(location, options, choice.create === false), run)
}

/** `canCreate`: the command has --create, which was not given. */
async function open(location: string, options: OpenOptions, canCreate = false): Promise<Varve> {
  try {
    return await Varve.open(location, { ...options, environment: { logger: LOGGER } })
  } catch (error) {
    if (!hasCode(error, 'VARVE_NOT_FOUND')) throw error
    const hint = canCreate ? ' (--create makes one)' : ''
    throw notFoundError(`There is no store in ${location}${hint}.`)
  }
}

async function using<T>(store: Varve, run: (store: Varve) => Promise<T>): Promise<T> {
  try {
    return await run(store)
  } finally {
    await store.close()
  }
}

/** A keyspace that exists; commands that read create none. */
export async function keyspaceNamed(store: Varve, name: string): Promise<Keyspace> {
  const names = store.keyspaces()
  if (names.includes(name)) return store.keyspace(name)
  throw notFoundError(
    `There is no keyspace ${JSON.stringify(name)}. There are: ${names.join(', ')}`,
  )
}

/** One to write to; a new one only where that was asked for, so that a slip of the pen makes none. */
export async function keyspaceToWrite(
  store: Varve,
  name: string,
  options: KeyspaceOptions & { readonly create?: boolean },
): Promise<Keyspace> {
  const { create, ...given } = options
  if (create !== true) await keyspaceNamed(store, name)
  return store.keyspace(name, given)
}

/** What the manifest says, without opening the store: segments by level, options of keyspaces. */
export async function loadVersion(location: string): Promise<Version> {
  const fs = createNodeFileSystem()
  const loaded = await VersionSet.load(fs, fs.canonicalPath(location))
  if (loaded === undefined) throw notFoundError(`There is no store in ${location}.`)
  return loaded.version
}

/** Whether a store was made there, whatever has become of it. */
export function hasStoreAt(location: string): boolean {
  const fs = createNodeFileSystem()
  return isStoreThere(location) && hasStore(fs, fs.canonicalPath(location))
}

/** Whether there is a directory to look for a store in: where `Varve.open` looks, for which `missing/..` is nothing. */
export function isStoreThere(location: string): boolean {
  const fs = createNodeFileSystem()
  return fs.stat(fs.canonicalPath(location))?.isDirectory === true
}

export async function operatorsOf(
  choice: StoreChoice,
): Promise<Pick<OpenOptions, 'mergeOperators'>> {
  if (choice.operators === undefined) return {}
  const url = pathToFileURL(path.resolve(choice.operators)).href
  const module = (await import(url)) as Record<string, unknown>
  const found = Object.values(module).flat().filter(isOperator)
  if (found.length === 0) throw usageError(`${choice.operators} exports no merge operator.`)
  return { mergeOperators: [...new Set(found)] }
}

function isOperator(value: unknown): value is MergeOperator {
  const { name, merge } = (value ?? {}) as { name?: unknown; merge?: unknown }
  return typeof value === 'object' && typeof name === 'string' && typeof merge === 'function'
}

function say(message: string): void {
  process.stderr.write(`varve: ${message}\n`)
}

const LOGGER = { debug: () => undefined, info: () => undefined, warn: say, error: say }
