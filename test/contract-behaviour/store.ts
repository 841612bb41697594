/**
 * Stores for checks of the public contract: nothing but what 'varve' and 'varve/testing' export.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type OpenOptions, Varve } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'

export interface Place {
  readonly location: string
  readonly clock: ManualClock
  /** Opens the store of this place; it is closed when the test ends. */
  open(options?: OpenOptions): Promise<Varve>
}

export interface MemoryPlace extends Place {
  readonly fs: MemoryFileSystem
}

/** A directory in memory. Nothing is synced by a timer, all history is kept. */
export function memoryPlace(
  defaults: OpenOptions = {},
  {
    fs = new MemoryFileSystem(),
    location = '/data/store',
  }: { fs?: MemoryFileSystem; location?: string } = {},
): MemoryPlace {
  const clock = new ManualClock(1_000_000)
  const environment = { fs, now: clock.now }
  const all: OpenOptions = { syncIntervalMs: 0, history: 'all', environment, ...defaults }
  return { fs, location, clock, open: (options) => opened(location, { ...all, ...options }) }
}

/** A directory of the real disk, with the worker. */
export function diskPlace(defaults: OpenOptions = {}): Place {
  const parent = mkdtempSync(join(tmpdir(), 'varve-contract-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  const clock = new ManualClock(1_000_000)
  const all: OpenOptions = { history: 'all', environment: { now: clock.now }, ...defaults }
  const location = join(parent, 'store')
  return { location, clock, open: (options) => opened(location, { ...all, ...options }) }
}

async function opened(location: string, options: OpenOptions): Promise<Varve> {
  const store = await Varve.open(location, options)
  onTestFinished(() => store.close())
  return store
}

/** Where the same is checked in memory and on the real disk. */
export const places: [name: string, make: (defaults?: OpenOptions) => Place][] = [
  ['in memory', memoryPlace],
  ['on disk', diskPlace],
]

const codeOf = (error: unknown): unknown => Reflect.get(Object(error), 'code')

/** Code of what the call throws before it returns. */
export function thrown(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return codeOf(error)
  }
  return 'not thrown'
}

/** Code that a promise is rejected with; a call that throws instead of returning one fails the test. */
export async function rejected(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return codeOf(error)
  }
  return 'not rejected'
}

/** The error that a promise is rejected with. */
export async function errorOf(promise: PromiseLike<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('not rejected')
}

export const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString()

/** For arguments that the types forbid. */
export const any = (value: unknown): never => value as never
