/**
 * A store that has a file of every kind, and what it must answer: the measure for stores with damaged files.
 */
import { expect } from 'vitest'
import type { ChangeEvent } from '../../src/index.ts'
import { VarveError } from '../../src/base/errors.ts'
import { openStore } from '../../src/db/open.ts'
import type { Varve } from '../../src/db/varve.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { Life, DIRECTORY, optionsOf, TUNING } from '../crash/life.ts'
import { LogicalTimers } from '../crash/logical-timers.ts'
import { nothingPromised } from '../crash/promises.ts'
import { FOLDS, SILENT } from '../model/driver.ts'
import { eventLine, keyText, Model, modelLine } from '../model/model.ts'

/** A read that does not end within so many turns of the event loop hangs. */
const TURNS_MAX = 20_000
/** What a damaged file may be answered with. */
const ALLOWED: ReadonlySet<string> = new Set([
  'VARVE_CORRUPTION',
  'VARVE_UNSUPPORTED_FORMAT',
  'VARVE_IO',
])

export interface Sample {
  readonly disk: MemoryFileSystem
  readonly optionsSeed: number
  readonly lines: readonly string[]
  readonly floor: number
  /** `key=value` by keyspace. */
  readonly entries: ReadonlyMap<string, readonly string[]>
  readonly isClean: boolean
}

/** The store after a workload, closed cleanly or as a crash of the process leaves it. */
export async function sampleStore(seed: number, isClean: boolean): Promise<Sample> {
  const fs = new MemoryFileSystem()
  const life = new Life({
    fs,
    seed,
    optionsSeed: seed,
    model: new Model(FOLDS),
    promised: nothingPromised(),
    startMs: 1_000_000,
  })
  await life.open()
  await life.play(70)
  const store = life.store!
  await store.put('last', Buffer.alloc(700, 1), { sync: true })
  life.model.commit(
    [{ type: 'put', keyspace: 'default', key: 'last', value: Buffer.alloc(700, 1) }],
    life.clock.now(),
  )
  const { floor } = store.history()
  const entries = new Map<string, string[]>()
  for (const name of store.keyspaces()) entries.set(name, await entriesOf(store, name))
  const lines = life.model.events.map(modelLine)
  const crashed = fs.crash('kept')
  await life.close()
  // What was closed under the crash does not matter any more.
  return { disk: isClean ? fs : crashed, optionsSeed: seed, lines, floor, entries, isClean }
}

/** 'refused': by the open or a read, with a typed error; 'whole': everything was as it must be. */
export type Outcome = 'refused' | 'shortened' | 'whole'

/**
 * Opens the damaged store and reads everything. Wrong answers throw. A log that was not closed cleanly may lose its end: then
 * what is left is a prefix, and reads as one.
 */
export async function readDamaged(
  sample: Sample,
  fs: MemoryFileSystem,
): Promise<{ outcome: Outcome; verified: boolean | undefined }> {
  const environment = { fs, now: (): number => 2_000_000, logger: SILENT }
  const opened = await answer('open', () =>
    openStore(
      DIRECTORY,
      { ...optionsOf(sample.optionsSeed), createIfMissing: false, environment },
      { ...TUNING, timers: new LogicalTimers() },
    ),
  )
  if (opened === undefined) return { outcome: 'refused', verified: undefined }
  let outcome: Outcome = 'whole'
  const { floor, latest } = opened.history()
  try {
    const isPrefix = latest < sample.lines.length
    if (isPrefix) outcome = 'shortened'
    expect(sample.isClean && isPrefix, 'a cleanly closed store loses no end').toBe(false)
    const found: ChangeEvent[] = []
    const scan = opened.scanSinceSeqno(floor)
    for (;;) {
      const batch = await answer('scan', () => scan.nextBatch())
      if (batch === undefined) outcome = 'refused'
      if (batch === undefined || batch.length === 0) break
      found.push(...batch)
    }
    await scan.close()
    const expected = sample.lines.slice(floor - 1, floor - 1 + found.length)
    expect(found.map(eventLine)).toEqual(expected)
    if (outcome !== 'refused') expect(found.length).toBe(latest - floor + 1)
    for (const name of opened.keyspaces()) {
      const entries = await answer(`entries of ${name}`, () => entriesOf(opened, name))
      if (entries === undefined) outcome = 'refused'
      else if (!isPrefix) expect(entries, name).toEqual(sample.entries.get(name) ?? [])
    }
    const report = await answer('verify', () => opened.verify())
    return { outcome, verified: report?.ok }
  } finally {
    await answer('close', () => opened.close())
    expect(fs.openFileCount).toBe(0)
  }
}

export async function entriesOf(store: Varve, name: string): Promise<string[]> {
  const keyspace = await store.keyspace(name)
  const entries = await keyspace.entries().all()
  return entries.map(([key, value]) => `${keyText(key)}=${value.toString('hex')}`)
}

/** Undefined where it was refused with a code that a damaged file may have; anything else is a crash, or a hang. */
async function answer<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
  let isDone = false
  const settled = (async (): Promise<{ value: T } | { error: unknown }> => {
    try {
      return { value: await call() }
    } catch (error) {
      return { error }
    } finally {
      isDone = true
    }
  })()
  for (let turn = 0; turn < TURNS_MAX && !isDone; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (!isDone) throw new Error(`${what} hangs`)
  const outcome = await settled
  if ('value' in outcome) return outcome.value
  const { error } = outcome
  if (error instanceof VarveError && ALLOWED.has(error.code)) return undefined
  throw new Error(`${what} crashed: ${String(error)}`, { cause: error })
}
