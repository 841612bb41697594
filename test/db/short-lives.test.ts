import { expect, test } from 'vitest'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'

const LEVEL0_STOP = 6

test('lives that are shorter than a compaction do not add to level 0 without end', async () => {
  const environment = { fs: new MemoryFileSystem() }
  for (let life = 0; life < 5 * LEVEL0_STOP; life++) {
    const store = await openStore(
      '/store',
      { environment, backgroundWorkers: 0 },
      { level0Trigger: 2, level0Slowdown: 4, level0Stop: LEVEL0_STOP },
    )
    for (let key = 0; key < 300; key++) void store.put(`key ${key}`, `${life}`)
    await store.flush()
    await store.close()
  }
  const store = await openStore('/store', { environment, readOnly: true })
  const level0 = store.stats().keyspaces['default']!.levels.find(({ level }) => level === 0)
  expect(level0?.segments ?? 0).toBeLessThan(LEVEL0_STOP)
  expect(store.getSync('key 299')?.toString()).toBe(`${5 * LEVEL0_STOP - 1}`)
  await store.close()
})
