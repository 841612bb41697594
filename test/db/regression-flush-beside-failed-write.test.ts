import { expect, test } from 'vitest'
import { rejected } from '../contract-behaviour/store.ts'
import { fixture } from './open.ts'

/** A flush that waits for the one before it while a full disk breaks the log behind both: its end cannot even be cut off. */
async function flushBesideFullDisk(hasSpaceAgain: boolean): Promise<void> {
  const { fs, open } = fixture()
  const db = await open()
  await db.put('a', '1')
  const first = db.flush()
  // Until it has sealed its memtable: the log of the next one is there.
  for (let i = 0; i < 1000 && db.stats().wal.files === 1; i++) await Promise.resolve()
  expect(db.stats().wal.files).toBe(2)
  await db.put('b', '2')
  const second = rejected(db.flush())
  // A part of the record is taken, then nothing more, nor can it be cut off again.
  fs.inject({ operation: 'write', file: /\.wal$/, effect: 'short' })
  fs.inject({ operation: 'write', file: /\.wal$/, effect: 'ENOSPC', after: 1, times: Infinity })
  expect(await rejected(db.put('refused', 'x'))).toBe('VARVE_IO')
  if (hasSpaceAgain) fs.clearFaults()
  await first
  expect(await second).toBe(hasSpaceAgain ? 'not rejected' : 'VARVE_NO_SPACE')
  fs.clearFaults()
  await db.flush()
  expect(db.status).toBe('open')
  expect(db.history().latest).toBe(2)
  expect(await db.has('refused')).toBe(false)
  expect((await db.verify()).problems).toEqual([])
  await db.close()
}

test('a flush beside a write that a full disk refused cuts the log back first', async () => {
  await flushBesideFullDisk(true)
})

test('a flush that cannot begin the next log for want of space says so', async () => {
  await flushBesideFullDisk(false)
})
