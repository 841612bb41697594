import { expect, test } from 'vitest'
import type { Varve } from '../../src/index.ts'
import { codeOf, fixture } from './open.ts'

test('a full disk that only the sync of the manifest tells of is IO, as the store is poisoned and the edit in doubt', async () => {
  const { open, fs } = fixture()
  const db = await open({ role: 'replica' })
  const told: string[] = []
  db.on('backgroundError', ({ error }) => told.push(error.code))
  fs.inject({ operation: 'sync', file: /MANIFEST/, effect: 'ENOSPC' })
  await expect(db.promote()).rejects.toMatchObject({
    code: 'VARVE_IO',
    details: { systemCode: 'ENOSPC' },
  })
  expect(db.status).toBe('poisoned')
  expect(told).toEqual(['VARVE_IO'])
  expect(await codeOf(() => db.promote())).toBe('VARVE_POISONED')
  await db.close()
})

test('a full disk that a write of the manifest tells of is NO_SPACE, and the store goes on', async () => {
  const { open, fs } = fixture()
  const db = await open({ role: 'replica' })
  fs.inject({ operation: 'write', file: /MANIFEST/, effect: 'ENOSPC' })
  expect(await codeOf(() => db.promote())).toBe('VARVE_NO_SPACE')
  expect(db.status).toBe('open')
  await db.promote()
  expect(await db.put('key', 'value')).toBe(1)
  await db.close()
})

test.each([
  ['flush', /\.seg$/],
  ['flush', /MANIFEST/],
  ['close', /MANIFEST/],
] as const)('so it is where %s finds it out by a sync of %s', async (call, file) => {
  const { open, fs } = fixture()
  const db = await open()
  const told: string[] = []
  db.on('backgroundError', ({ error }) => told.push(error.code))
  await db.put('key', 'value', { sync: true })
  fs.inject({ operation: 'sync', file, effect: 'ENOSPC' })
  await expect(db[call]()).rejects.toMatchObject({
    code: 'VARVE_IO',
    details: { systemCode: 'ENOSPC' },
  })
  expect(db.status).toBe(call === 'flush' ? 'poisoned' : 'closed')
  expect(told).toEqual(call === 'flush' ? ['VARVE_IO'] : [])
  await db.close().catch(() => undefined)
  const again = await open()
  expect(String(await again.get('key'))).toBe('value')
  await again.close()
})

test.each<[string, RegExp, (db: Varve) => Promise<unknown>]>([
  ['compact', /MANIFEST/, (db) => db.compact()],
  ['truncateHistory', /MANIFEST/, (db) => db.truncateHistory(2)],
  ['the first put after a clean close', /MANIFEST/, (db) => db.put('key', 'more')],
])('what is told of it beside %s is IO, too', async (_call, file, run) => {
  const { open, fs } = fixture()
  const first = await open()
  for (const value of ['1', '2', '3']) await first.put('key', value)
  await first.close()
  const db = await open()
  const told: string[] = []
  db.on('backgroundError', ({ error }) => told.push(error.code))
  fs.inject({ operation: 'sync', file, effect: 'ENOSPC' })
  await expect(run(db)).rejects.toMatchObject({
    code: 'VARVE_POISONED',
    details: { reason: 'VARVE_IO', systemCode: 'ENOSPC' },
  })
  expect(told).toEqual(['VARVE_IO'])
  await db.close()
})

test('a flush that waits for a log to be cut back is told IO where a sync finds the disk full', async () => {
  const { open, fs } = fixture()
  const db = await open()
  await db.put('key', 'value')
  fs.inject({ operation: 'write', file: /\.wal$/, effect: 'ENOSPC' })
  fs.inject({ operation: 'sync', file: /\.wal$/, effect: 'ENOSPC' })
  const refused = codeOf(() => db.put('key', 'refused'))
  expect(await codeOf(() => db.flush())).toBe('VARVE_IO')
  expect(await refused).toBe('VARVE_IO')
  expect(db.status).toBe('poisoned')
  await db.close()
})
