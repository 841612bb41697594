import { expect, test } from 'vitest'
import { rejected } from '../contract-behaviour/store.ts'
import { fixture } from './open.ts'

test('a flush and a close end where the sync fails that a cut back waits for', async () => {
  const { fs, open } = fixture()
  const db = await open()
  fs.inject({ operation: 'sync', file: /\.wal$/, effect: 'EIO' })
  const synced = rejected(db.put('synced', '1', { sync: true }))
  while (db.history().latest === 0) await Promise.resolve()
  // The disk is full while that is synced: the log is cut back when the sync has ended.
  fs.inject({ operation: 'write', file: /\.wal$/, effect: 'ENOSPC' })
  const refused = rejected(db.put('refused', 'x'))
  await Promise.resolve()
  const flushed = rejected(db.flush())
  expect(await synced).toBe('VARVE_IO')
  expect(await refused).toBe('VARVE_IO')
  expect(await flushed).toBe('VARVE_IO')
  expect(db.status).toBe('poisoned')
  await db.close()
})

test('two flushes cut a broken log back once', async () => {
  const { fs, open } = fixture()
  const db = await open()
  await db.put('a', '1')
  // A part of the record is taken, then nothing more, nor can it be cut off again.
  fs.inject({ operation: 'write', file: /\.wal$/, effect: 'short' })
  fs.inject({ operation: 'write', file: /\.wal$/, effect: 'ENOSPC', after: 1, times: Infinity })
  expect(await rejected(db.put('refused', 'x'))).toBe('VARVE_IO')
  fs.clearFaults()
  fs.inject({ operation: 'sync', file: /000001\.wal$/, effect: 'EIO', after: 1 })
  await Promise.all([db.flush(), db.flush()])
  fs.clearFaults()
  await db.put('b', '2', { sync: true })
  expect(db.status).toBe('open')
  expect((await db.verify()).problems).toEqual([])
  await db.close()
})
