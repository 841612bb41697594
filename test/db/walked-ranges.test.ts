import { expect, test } from 'vitest'
import { fixture } from './open.ts'

test('what a range delete hides stays hidden in reads of many entries, wherever both stand', async () => {
  const { open } = fixture()
  const db = await open()
  const key = (i: number): string => `k${String(i).padStart(4, '0')}`
  for (let i = 0; i < 400; i++) await db.put(key(i), 'v')
  await db.flush()
  await db.deleteRange(key(100), key(300))
  await db.put(key(150), 'again')
  const expected = Array.from({ length: 400 }, (_, i) => i)
    .filter((i) => i < 100 || i === 150 || i >= 300)
    .map(key)
  const check = async (where: string): Promise<void> => {
    const keys = await db.keys().all()
    expect(keys.map(String), where).toEqual(expected)
    expect(
      [...db.entriesSync()].map(([one]) => String(one)),
      where,
    ).toEqual(expected)
  }
  await check('in memory')
  await db.flush()
  await check('in level 0')
  await db.close()
  const again = await open()
  expect((await again.keys().all()).map(String)).toEqual(expected)
  await again.compact()
  expect((await again.keys().all()).map(String)).toEqual(expected)
  await again.close()
})
