import { expect, test } from 'vitest'
import { fixture } from './open.ts'

test('a flush beside another one resolves no sooner than its own writes stand in segments', async () => {
  const { open } = fixture()
  const db = await open()
  await db.put('a', '1')
  const first = db.flush()
  // Until it has sealed its memtable: the log of the next one is there.
  while (db.stats().wal.files === 1) await Promise.resolve()
  await db.put('b', '2')
  const second = db.flush()
  const third = db.flush()
  await third
  const [level0] = db.stats().keyspaces['default']!.levels
  expect(level0?.entries).toBe(2)
  await Promise.all([first, second])
  await db.close()
})
