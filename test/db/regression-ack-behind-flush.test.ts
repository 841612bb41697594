import { expect, test } from 'vitest'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { fixture } from './open.ts'

test('what a flush has recorded of a consumer no later edit takes back', async () => {
  const disk = new MemoryFileSystem()
  const db = await fixture({}, disk).open()
  const consumer = await db.consumer('c', { from: 1 })
  for (let i = 0; i < 60; i++) await db.put(`${i}`, 'value', { sync: true })
  // Side by side, so that each is acknowledged while later ones are under way.
  const acks = [
    consumer.ack(10),
    db.write(db.batch().put('derived', 'of 19').ack('c', 20), { sync: true }),
    consumer.ack(30),
    consumer.ack(40),
    db.write(db.batch().put('derived', 'of 49').ack('c', 50), { sync: true }),
  ]
  await Promise.all(acks)
  await db.flush()
  // An edit of its own that tells of consumers, and the log with the acks is gone.
  await db.consumer('other')
  for (const kind of ['lost', 'kept'] as const) {
    const again = await fixture({}, disk.crash(kind)).open()
    expect(String(await again.get('derived'))).toBe('of 49')
    expect(
      again.consumers().find(({ name }) => name === 'c'),
      kind,
    ).toMatchObject({ position: 50 })
    await again.close()
  }
  await db.close()
})
