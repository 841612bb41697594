import { expect, test } from 'vitest'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { ObservedFileSystem } from '../crash/observed-file-system.ts'

const LOCATION = '/store'
/** More turns of the event loop than the compaction that follows the flush takes. */
const TURNS = 500

test('a crash while a consumer is dropped finds it with its history, or not at all', async () => {
  const disk = new MemoryFileSystem()
  const images: MemoryFileSystem[] = []
  let isDropping = false
  let turns = 0
  const fs = new ObservedFileSystem(
    disk,
    (what) => {
      if (!isDropping) return
      images.push(disk.crash('kept'), disk.crash('lost'))
      if (what.startsWith('sync ') && what.endsWith('.wal')) turns = TURNS
    },
    {
      // The first sync of the log after the drop began is slow, and a compaction ends meanwhile.
      pause: async () => {
        for (; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      },
    },
  )
  const options = { history: 'none', syncIntervalMs: 0, backgroundWorkers: 0 } as const
  const store = await openStore(LOCATION, { ...options, environment: { fs } }, { level0Trigger: 1 })
  await store.consumer('slow')
  for (let i = 0; i < 20; i++) await store.put(`key${i}`, 'value')
  await store.flush()
  expect(store.history().floor, 'it holds the floor').toBe(1)
  await store.put('another', 'value')

  isDropping = true
  await store.dropConsumer('slow')
  await store.flush()
  isDropping = false
  expect(store.history().floor, 'nobody holds it').toBe(22)
  await store.close()

  const found: string[] = []
  for (const image of images) {
    const again = await openStore(LOCATION, { ...options, environment: { fs: image } })
    const [consumer] = again.consumers()
    found.push(consumer?.state ?? 'gone')
    if (consumer !== undefined) {
      expect(consumer.state).toBe('active')
      expect(consumer.position).toBeGreaterThanOrEqual(again.history().floor)
    }
    await again.close()
  }
  expect(new Set(found)).toEqual(new Set(['active', 'gone']))
})
