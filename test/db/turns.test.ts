import { expect, test } from 'vitest'
import { fixture } from './open.ts'

/** Turns of the event loop that others get while `work` runs. */
async function turnsDuring(work: () => Promise<void>): Promise<number> {
  let turns = 0
  let isOver = false
  const turn = (): void => {
    turns++
    if (!isOver) setImmediate(turn)
  }
  setImmediate(turn)
  await work()
  isOver = true
  return turns
}

test('who awaits one put after the other leaves turns of the event loop to others', async () => {
  const store = await fixture({ memtableBytes: 2 ** 26 }).open()
  const turns = await turnsDuring(async () => {
    for (let i = 0; i < 2000; i++) await store.put(`key ${i}`, 'value')
  })
  expect(turns).toBeGreaterThanOrEqual(7)
  await store.close()
})

test('so does who awaits one large batch after the other', async () => {
  const store = await fixture({ memtableBytes: 2 ** 26, blobThresholdBytes: false }).open()
  const turns = await turnsDuring(async () => {
    for (let i = 0; i < 32; i++) {
      await store.write(store.batch().put(`key ${i}`, Buffer.alloc(256 * 1024)))
    }
  })
  expect(turns).toBeGreaterThanOrEqual(7)
  await store.close()
})
