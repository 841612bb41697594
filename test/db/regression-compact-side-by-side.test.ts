import { expect, test } from 'vitest'
import { fixture } from './open.ts'

test('compactions that are asked for at once take turns: history expires once', async () => {
  const { open, clock } = fixture({ history: { maxAgeMs: 1000 } })
  const store = await open()
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 100; i++) void store.put(`key ${i}`, Buffer.alloc(100, round))
    await store.flush()
  }
  await store.compact()
  expect(store.stats().keyspaces['default']!.history.segments).toBeGreaterThan(0)
  clock.advance(10_000)
  await Promise.all([store.compact(), store.compact(), store.compact()])
  expect(store.stats().keyspaces['default']!.history.segments).toBe(0)
  expect(await store.verify()).toMatchObject({ ok: true, problems: [] })
  await store.close()
})
