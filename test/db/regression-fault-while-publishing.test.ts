import { afterEach, expect, test, vi } from 'vitest'
import { ConsumerLedger } from '../../src/cdc/consumer-ledger.ts'
import { Memtable } from '../../src/memtable/memtable.ts'
import type { Varve } from '../../src/index.ts'
import { rejected } from '../contract-behaviour/store.ts'
import { fixture } from './open.ts'

/** A fault of the store's own, which no disk brings about. */
const FAULT = 'Varve assertion failed: a made-up fault'

afterEach(() => {
  vi.restoreAllMocks()
})

/** The memtable fails once, when it has done what is asked of it `after` times more. */
function breakOnce(method: 'append' | 'publish', after: number): void {
  const original = Memtable.prototype[method] as (...args: number[]) => unknown
  let calls = 0
  vi.spyOn(Memtable.prototype, method).mockImplementation(function (
    this: Memtable,
    ...args: unknown[]
  ) {
    if (calls++ === after) throw new Error(FAULT)
    return original.apply(this, args as number[]) as never
  })
}

async function expectPoisoned(db: Varve): Promise<void> {
  expect(db.status).toBe('poisoned')
  expect(await db.put('later', 'x').catch((error: unknown) => error)).toMatchObject({
    code: 'VARVE_POISONED',
    cause: { code: 'VARVE_IO', cause: { message: FAULT } },
  })
  expect(await rejected(db.flush())).toBe('VARVE_POISONED')
  expect(String(await db.get('before'))).toBe('1')
  expect(db.history().durable).toBeLessThanOrEqual(db.history().latest)
  expect((await db.scanSinceSeqno(1).nextBatch()).length).toBe(db.history().latest)
}

test.each([
  { method: 'publish', sync: false },
  { method: 'publish', sync: true },
  { method: 'append', sync: false },
  { method: 'append', sync: true },
] as const)(
  'a fault in $method poisons the store and is told to every write (sync: $sync)',
  async ({ method, sync }) => {
    const { open } = fixture()
    const db = await open()
    await db.put('before', '1')
    const told: unknown[] = []
    db.on('backgroundError', ({ error }) => told.push(error.cause))
    breakOnce(method, 1)
    const writes = ['a', 'b', 'c'].map((key) => rejected(db.put(key, '2', { sync })))
    const flushed = rejected(db.flush())
    expect(await Promise.all(writes)).toEqual(Array(3).fill('VARVE_POISONED'))
    expect(await flushed).toBe('VARVE_POISONED')
    expect(told).toMatchObject([{ message: FAULT }])
    await expectPoisoned(db)
    await db.close()

    vi.restoreAllMocks()
    const again = await open()
    // What the log had is there, in order and whole; what it had not is not.
    const kept = (await again.keys().all()).map(String)
    expect(kept).toEqual(method === 'publish' ? ['a', 'b', 'before', 'c'] : ['before'])
    expect((await again.verify()).problems).toEqual([])
    await again.close()
  },
)

test('a fault where commits become durable poisons the store and is told to who waits', async () => {
  const { open } = fixture()
  const db = await open()
  await db.put('before', '1')
  vi.spyOn(ConsumerLedger.prototype, 'settle').mockImplementationOnce(() => {
    throw new Error(FAULT)
  })
  expect(await rejected(db.put('a', '2', { sync: true }))).toMatch(/VARVE_(IO|POISONED)/)
  await expectPoisoned(db)
  await db.close()
})
