import { expect, test } from 'vitest'
import { codeOf, fixture } from './open.ts'

test.each([
  ['a segment', { operation: 'sync', file: /\.seg$/ }],
  ['the directory', { operation: 'syncDirectory' }],
  ['the manifest', { operation: 'sync', file: /MANIFEST/ }],
] as const)('a sync of %s that fails in compact() is final', async (_what, fault) => {
  const { open, fs } = fixture()
  // No compaction but the one that is asked for.
  const db = await open({}, { level0Trigger: 1_000, level0Slowdown: 1_000, level0Stop: 1_000 })
  for (let round = 0; round < 2; round++) {
    await db.put('key', String(round))
    await db.flush()
  }
  fs.inject({ ...fault, effect: 'EIO' })
  expect(await codeOf(() => db.compact())).toBe('VARVE_POISONED')
  expect(db.status).toBe('poisoned')
  expect(await codeOf(() => db.put('key', 'more'))).toBe('VARVE_POISONED')
  expect(String(await db.get('key'))).toBe('1')
  await db.close()
  const again = await open()
  expect(String(await again.get('key'))).toBe('1')
  expect((await again.verify()).problems).toEqual([])
  await again.close()
})
