import { expect, test } from 'vitest'
import type { VarveError } from '../../src/base/errors.ts'
import { Durability } from '../../src/write/durability.ts'
import { LoggedMemtables } from './logged-memtables.ts'

interface Setup {
  readonly tables: LoggedMemtables
  readonly durability: Durability
  /** Every seqno that was told of as durable. */
  readonly advances: number[]
  readonly failures: VarveError[]
}

function setUp(): Setup {
  const tables = new LoggedMemtables()
  const advances: number[] = []
  const failures: VarveError[] = []
  const durability = new Durability(tables.set, {
    durable: 0,
    onAdvance: (durable) => advances.push(durable),
    onFailure: (error) => failures.push(error),
  })
  return { tables, durability, advances, failures }
}

test('who waits in one turn shares one sync', async () => {
  const { tables, durability, advances } = setUp()
  tables.commit()
  const first = durability.sync()
  tables.commit(3)
  await Promise.all([first, durability.sync()])
  expect(advances).toEqual([4])
  expect(durability).toMatchObject({ durableSeqno: 4, isBehind: false })
})

test('where nothing is behind, a sync asks the disk for nothing', async () => {
  const { tables, durability, advances } = setUp()
  tables.commit()
  await durability.sync()
  tables.disk.inject({ operation: 'sync', effect: 'EIO', times: Infinity })
  await durability.sync()
  expect(advances).toEqual([1])
})

test('logs are synced oldest first, so that what is durable is a prefix', async () => {
  const { tables, durability, failures } = setUp()
  tables.commit(2)
  tables.set.rotate()
  tables.commit(5)
  tables.disk.inject({ operation: 'sync', file: /000001\.wal$/, effect: 'EIO' })
  await expect(durability.sync()).rejects.toMatchObject({ code: 'VARVE_IO' })
  expect(tables.set.active.wal.syncedSize).toBe(0)
  expect(durability.durableSeqno).toBe(0)
  expect(failures).toHaveLength(1)
})

test('a failed sync is final: all who wait are told, and none is tried again', async () => {
  const { tables, durability, failures, advances } = setUp()
  tables.commit()
  tables.disk.inject({ operation: 'sync', effect: 'EIO' })
  const waiting = [durability.sync(), durability.sync()]
  const outcomes = await Promise.allSettled(waiting)
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  // The disk would say yes now, and the bytes would not be there.
  tables.disk.clearFaults()
  await expect(durability.sync()).rejects.toBe(failures[0])
  await expect(durability.syncWritten(1)).rejects.toBe(failures[0])
  await durability.settled()
  expect(advances).toEqual([])
})

test('who comes while a sync runs that fails is told with those who were before', async () => {
  const { tables, durability, failures } = setUp()
  tables.log()
  tables.disk.inject({ operation: 'sync', effect: 'EIO' })
  const first = durability.syncWritten(1)
  tables.publish()
  tables.commit()
  const outcomes = await Promise.allSettled([first, durability.sync()])
  const rejected = { status: 'rejected', reason: failures[0] }
  expect(outcomes).toEqual([rejected, rejected])
  expect(failures).toHaveLength(1)
})

test('a commit that is visible while the disk is at work is durable with it', async () => {
  const { tables, durability, advances } = setUp()
  tables.log(2)
  const synced = durability.syncWritten(2)
  tables.publish()
  await synced
  expect(advances).toEqual([2])
})

test('what is written while a sync runs is for the next one, which who waits for it gets', async () => {
  const { tables, durability, advances } = setUp()
  tables.log()
  const first = durability.syncWritten(1)
  tables.publish()
  tables.commit()
  const second = durability.sync()
  await first
  expect(advances[0]).toBe(1)
  await second
  expect(advances).toEqual([1, 2])
})

test('after poisoning for another reason nobody waits for ever', async () => {
  const { tables, durability, failures } = setUp()
  tables.commit()
  const waiting = durability.sync()
  const reason = Object.assign(new Error('poisoned'), { code: 'VARVE_POISONED' }) as VarveError
  durability.fail(reason)
  await expect(waiting).rejects.toBe(reason)
  await expect(durability.sync()).rejects.toBe(reason)
  await durability.settled()
  expect(failures).toEqual([])
})
