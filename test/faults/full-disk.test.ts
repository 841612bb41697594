/**
 * A disk that fills up at any of the writes of a workload, and has room again later: nothing that was acknowledged is lost,
 * what was refused is not there, and the same process writes on at once.
 */
import { expect, test } from 'vitest'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { LogicalTimers } from '../crash/logical-timers.ts'
import { collect, SILENT } from '../model/driver.ts'
import { Customer, DIRECTORY, OPTIONS, TUNING } from './customer.ts'

const STEPS = 14
const PART_COUNT = 4

for (let part = 0; part < PART_COUNT; part++) {
  test(`writes go on when a disk that filled up has room again, part ${part}`, {
    timeout: 300_000,
  }, async () => {
    const writes = await countWrites()
    expect(writes).toBeGreaterThan(60)
    for (let after = part; after < writes; after += PART_COUNT) {
      for (const effect of ['ENOSPC', 'short'] as const) await fillAt(after, effect)
    }
  })
}

/** Writes of a run on a disk with room. */
async function countWrites(): Promise<number> {
  const fs = new MemoryFileSystem()
  const customer = new Customer(fs, 1)
  await customer.open()
  const before = fs.operationCount
  await customer.work(STEPS)
  const count = fs.operationCount - before
  await customer.close()
  return count
}

async function fillAt(after: number, effect: 'ENOSPC' | 'short'): Promise<void> {
  const fs = new MemoryFileSystem()
  const customer = new Customer(fs, 1)
  await customer.open()
  fs.inject({ operation: 'write', effect, after, times: Infinity })
  if (effect === 'short') {
    // What comes after a short write.
    fs.inject({
      operation: 'create',
      effect: 'ENOSPC',
      after: Math.floor(after / 3),
      times: Infinity,
    })
  }
  await customer.work(STEPS)
  const name = `${effect} after ${after} writes`
  expect(customer.store!.status, name).toBe('open')
  for (const { what, error } of customer.errors) {
    expect(error.code, `${name}: ${what}`).toBe('VARVE_NO_SPACE')
  }
  fs.clearFaults()
  expect(await customer.flush(), `${name}: flushing goes on at once`).toBeUndefined()
  expect(await customer.put(true), `${name}: writing goes on at once`).toBeUndefined()
  const told = customer.errors.length
  await customer.work(2)
  expect(customer.errors.slice(told), name).toEqual([])
  customer.check(await collect(customer.store!.scanSinceSeqno(1)))
  const { durable } = customer
  const { latest } = customer.store!.history()
  const image = fs.crash('lost')
  expect(await customer.close(), name).toBeUndefined()
  expect(fs.openFileCount).toBe(0)
  await checkReopened(customer, image, durable)
  await checkReopened(customer, fs, latest)
}

async function checkReopened(
  customer: Customer,
  fs: MemoryFileSystem,
  latest: number,
): Promise<void> {
  const environment = { fs, now: (): number => 1_000_000, logger: SILENT }
  const timers = new LogicalTimers()
  const store = await openStore(DIRECTORY, { ...OPTIONS, environment }, { ...TUNING, timers })
  expect(store.history().latest).toBeGreaterThanOrEqual(latest)
  customer.check(await collect(store.scanSinceSeqno(1)))
  expect(await store.verify()).toMatchObject({ ok: true, problems: [] })
  await store.close()
}
