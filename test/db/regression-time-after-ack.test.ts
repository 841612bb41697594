import { expect, test } from 'vitest'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { fixture } from './open.ts'

test('an ack in a log that is replayed does not date the events behind it', async () => {
  const fs = new MemoryFileSystem()
  const before = fixture({}, fs)
  const store = await before.open()
  await store.put('a', '1')
  const consumer = await store.consumer('reader')
  before.clock.advance(1000)
  await consumer.ack(2)

  const after = fixture({}, fs.crash('kept'))
  after.clock.set(before.clock.now() - 400)
  const reopened = await after.open()
  await reopened.put('b', '2')
  const events = await reopened.scanSinceSeqno(1).nextBatch()
  expect(events.map(({ timestamp }) => timestamp)).toEqual([1_000_000, 1_000_600])
  await reopened.close()
})
