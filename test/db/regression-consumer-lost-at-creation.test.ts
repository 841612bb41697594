/**
 * A consumer that holds more than it may from its first position on, because another one keeps that history: where a flush applied
 * the policy while it was being created, the call failed, and its name was told of as cut off all the same.
 */
import { expect, test } from 'vitest'
import { rejected } from '../contract-behaviour/store.ts'
import { fixture } from './open.ts'

test('a consumer that is past its limits from the start is created, and lost', async () => {
  const { open } = fixture({ history: 'none' })
  let db = await open()
  await db.consumer('keeper', { from: 1 })
  for (let i = 0; i < 50; i++) await db.put(`k${i}`, 'x'.repeat(100))
  await db.flush()
  const lost: string[] = []
  db.on('consumerAtRisk', ({ consumer, lost: isLost }) => isLost && lost.push(consumer))
  await db.put('more', 'x')

  const flushed = db.flush()
  // Each begins at another moment of the flush.
  const created = []
  for (let i = 0; i < 60; i++) {
    created.push(db.consumer(`late-${i}`, { from: 1, maxHeldBytes: 10 }))
    await Promise.resolve()
  }
  const consumers = await Promise.all(created)
  await flushed
  await db.flush()
  expect(consumers.map(({ state }) => state)).toEqual(consumers.map(() => 'lost'))
  expect([...lost].sort()).toEqual(consumers.map(({ name }) => name).sort())
  expect(await rejected(consumers[0]!.ack(2))).toBe('VARVE_CONSUMER_LOST')
  await db.close()

  db = await open()
  const kept = db.consumers().filter(({ state }) => state === 'lost')
  expect(kept.map(({ name }) => name)).toEqual([...lost].sort())
  const again = await db.consumer('late-0', { from: 1 })
  expect(again).toMatchObject({ state: 'lost', position: 1 })
  await db.dropConsumer('late-0')
  expect(await db.consumer('late-0', { from: 'now' })).toMatchObject({ state: 'active' })
  await db.close()
})
