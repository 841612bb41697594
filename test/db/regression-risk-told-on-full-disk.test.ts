import { expect, test } from 'vitest'
import { codeOf, fixture } from './open.ts'

test.each(['its limits', 'truncateHistory'])(
  'a consumer that is cut off by %s is told of, and its tail ends, also where a full disk refuses the edit',
  async (what) => {
    const { open, fs } = fixture({ history: 'none' })
    const db = await open()
    const limits = what === 'its limits' ? { maxHeldBytes: 1_000 } : {}
    const consumer = await db.consumer('c', limits)
    const told: unknown[] = []
    db.on('consumerAtRisk', ({ consumer: name, lost }) => lost && told.push(name))
    for (let i = 1; i <= 30; i++) await db.put(`${i % 5}`, 'v'.repeat(100))
    const tail = consumer.batches({ keyspaces: ['of nobody'] })
    const ended = codeOf(() => tail.next())
    // It waits: all of this is another keyspace's.
    await db.scanSinceSeqno(1).nextBatch()
    fs.inject({ operation: 'write', file: /MANIFEST/, effect: 'ENOSPC' })
    const call = what === 'its limits' ? db.flush() : db.truncateHistory(20)
    expect(await codeOf(() => call)).toBe('VARVE_NO_SPACE')
    expect(consumer.state).toBe('lost')
    expect(told).toEqual(['c'])
    expect(await ended).toBe('VARVE_CONSUMER_LOST')

    await db.flush()
    expect(db.history().floor).toBe(31)
    expect(told).toEqual(['c'])
    await db.close()
  },
)
