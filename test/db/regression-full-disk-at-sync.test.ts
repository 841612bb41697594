import { expect, test } from 'vitest'
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
