/**
 * One run on a disk with a planned fault: work, look at what the store says of itself, take the fault away, go on or reopen,
 * and hold what is found against every answer that was given.
 */
import { expect } from 'vitest'
import { openStore } from '../../src/db/open.ts'
import type { Varve } from '../../src/db/varve.ts'
import { systemCode } from '../../src/env/disk-errors.ts'
import type { Fault } from '../../src/env/fault-plan.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { checkFiles } from '../crash/check-crash.ts'
import { LogicalTimers } from '../crash/logical-timers.ts'
import { ObservedFileSystem } from '../crash/observed-file-system.ts'
import { collect, SILENT } from '../model/driver.ts'
import { keyText } from '../model/model.ts'
import { Customer, DIRECTORY, OPTIONS, TUNING } from './customer.ts'

export interface FaultCase {
  readonly name: string
  readonly fault: Fault
  readonly seed: number
  /** The fault is there from the open on; otherwise it comes while the store is in use. */
  readonly atOpen: boolean
}

export interface FaultOutcome {
  /** Operations that the fault made fail. */
  readonly struck: number
  readonly status: 'refused' | 'poisoned' | 'recovered'
}

const STEPS = 14
/** A retry that is due anyway. */
const RETRIES_REST = 200

interface Struck {
  readonly what: string
  readonly code: string
}

export async function runFault({ fault, seed, atOpen }: FaultCase): Promise<FaultOutcome> {
  const fs = new MemoryFileSystem()
  const struck: Struck[] = []
  const watched = new ObservedFileSystem(fs, () => undefined, {
    onFailure: (what, error) => struck.push({ what, code: systemCode(error) ?? '' }),
  })
  const customer = new Customer(watched, seed)
  if (atOpen) {
    // Something to recover, and to clear up.
    await customer.open()
    await customer.work(STEPS)
    await customer.close()
    fs.inject(fault)
  }
  if (!(await customer.open())) {
    expect(fs.openFileCount, 'a refused open gives every descriptor back').toBe(0)
    fs.clearFaults()
    await checkReopened(customer, fs)
    return { struck: struck.length, status: 'refused' }
  }
  if (!atOpen) {
    await customer.work(STEPS / 2)
    fs.inject(fault)
  }
  await customer.work(STEPS)
  await customer.rest()
  customer.look()
  checkHealth(customer, struck)
  fs.clearFaults()
  const isPoisoned = customer.store!.status === 'poisoned'
  if (isPoisoned) await checkPoisoned(customer)
  else await checkRecovered(customer, fs, struck)
  const lost = fs.crash('lost')
  const kept = fs.crash('kept')
  const latest = customer.store!.history().latest
  expect(await customer.close(), 'nothing is in the way of a close').toBeUndefined()
  expect(fs.openFileCount, 'every descriptor is given back').toBe(0)
  await checkReopened(customer, lost, customer.durable)
  await checkReopened(customer, kept, latest)
  await checkReopened(customer, fs, latest)
  return { struck: struck.length, status: isPoisoned ? 'poisoned' : 'recovered' }
}

/** I8: what must poison does, what must not does not, and either way it is told. */
function checkHealth(customer: Customer, struck: readonly Struck[]): void {
  const { status } = customer.store!
  const story = JSON.stringify(struck.slice(0, 3))
  const isSync = ({ what }: Struck): boolean => /^sync(Sync|Directory)? /.test(what)
  const isLogOrManifest = ({ what }: Struck): boolean =>
    /^(append|truncate) .*(\.wal|MANIFEST-\d+)$/.test(what)
  if (struck.some((one) => isSync(one))) expect(status, story).toBe('poisoned')
  if (struck.some((one) => one.code === 'EIO' && isLogOrManifest(one))) {
    expect(status, story).toBe('poisoned')
  }
  if (struck.every((one) => one.code === 'ENOSPC' && !isSync(one))) {
    expect(status, story).toBe('open')
  }
  if (status === 'poisoned') {
    expect(customer.backgroundErrors.length, 'poisoning is told').toBeGreaterThan(0)
  }
}

async function checkPoisoned(customer: Customer): Promise<void> {
  const error = await customer.put()
  expect(error).toMatchObject({ code: 'VARVE_POISONED' })
  expect(await customer.flush()).toMatchObject({ code: 'VARVE_POISONED' })
  // Reads go on.
  await checkStore(customer, customer.store!)
}

/** Without reopening: writes, background work and tidiness are as if nothing had been. */
async function checkRecovered(
  customer: Customer,
  fs: MemoryFileSystem,
  struck: readonly Struck[],
): Promise<void> {
  await customer.rest(RETRIES_REST)
  const { store } = customer
  expect(await customer.flush(), 'flushes go on').toBeUndefined()
  expect(await customer.put(true), 'writes go on').toBeUndefined()
  const before = customer.errors.length
  await customer.work(4)
  expect(customer.errors.slice(before)).toEqual([])
  await customer.answer('compact', store!.compact())
  await checkStore(customer, store!)
  expect(await store!.verify()).toMatchObject({ ok: true, problems: [] })
  // What could not be removed at the time is left to the next open; nothing else is.
  if (struck.every(({ what }) => !what.startsWith('remove '))) await checkFiles(store!, fs)
}

async function checkReopened(customer: Customer, fs: MemoryFileSystem, latest = 0): Promise<void> {
  const environment = { fs, now: (): number => 1_000_000, logger: SILENT }
  const store = await openStore(
    DIRECTORY,
    { ...OPTIONS, environment },
    { ...TUNING, timers: new LogicalTimers() },
  )
  expect(store.history().latest).toBeGreaterThanOrEqual(latest)
  await checkStore(customer, store)
  expect(await store.verify()).toMatchObject({ ok: true, problems: [] })
  await checkFiles(store, fs)
  await store.close()
  expect(fs.openFileCount).toBe(0)
}

async function checkStore(customer: Customer, store: Varve): Promise<void> {
  const model = customer.check(await collect(store.scanSinceSeqno(1)))
  for (const name of store.keyspaces()) {
    const keyspace = await store.keyspace(name)
    const found = (await keyspace.entries().all()).map(
      ([key, value]) => `${keyText(key)}=${value.toString('hex')}`,
    )
    const expected = [...(model.keyspaces.get(name) ?? [])]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${value.toString('hex')}`)
    expect(found, name).toEqual(expected)
  }
}
