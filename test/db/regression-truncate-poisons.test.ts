import { expect, test } from 'vitest'
import { codeOf, fixture } from './open.ts'

test.each([
  { operation: 'sync', effect: 'EIO' },
  { operation: 'sync', effect: 'ENOSPC' },
  { operation: 'write', effect: 'EIO' },
] as const)('a manifest that fails in truncateHistory() is final (%o)', async (fault) => {
  const { open, fs } = fixture()
  const db = await open()
  for (let i = 1; i <= 3; i++) await db.put('key', `${i}`)
  fs.inject({ ...fault, file: /MANIFEST/ })
  expect(await codeOf(() => db.truncateHistory(3))).toBe('VARVE_POISONED')
  expect(db.status).toBe('poisoned')
  expect(await codeOf(() => db.put('key', 'more', { sync: true }))).toBe('VARVE_POISONED')
  expect(await codeOf(() => db.truncateHistory(3))).toBe('VARVE_POISONED')
  expect(String(await db.get('key'))).toBe('3')
  await db.close()

  const again = await open()
  expect([1, 3]).toContain(again.history().floor)
  expect(String(await again.get('key'))).toBe('3')
  expect((await again.verify()).problems).toEqual([])
  await again.close()
})

test('a write of the manifest that a full disk refuses in truncateHistory() is not', async () => {
  const { open, fs } = fixture()
  const db = await open()
  for (let i = 1; i <= 3; i++) await db.put('key', `${i}`)
  fs.inject({ operation: 'write', file: /MANIFEST/, effect: 'ENOSPC' })
  expect(await codeOf(() => db.truncateHistory(3))).toBe('VARVE_NO_SPACE')
  expect(db.status).toBe('open')
  await db.truncateHistory(3)
  expect(db.history().floor).toBe(3)
  await db.close()
})
