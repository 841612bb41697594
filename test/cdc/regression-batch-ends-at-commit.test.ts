/**
 * A filtered batch that is full before a large commit ends where that commit begins, also when the operations that did not pass
 * reach back into the window before: `next` stood inside the commit, so that a reader with another filter got half of it.
 */
import { expect, test } from 'vitest'
import type { ChangeBatch } from '../../src/index.ts'
import { fixture } from '../db/open.ts'

test.each([true, false])(
  'the end of a filtered batch is the end of a commit, flushed: %s',
  async (isFlushed) => {
    const store = await fixture().open()
    await store.put('a', '1')
    const batch = store.batch()
    // The first window of a tail takes 256 seqnos: it ends among these.
    for (let i = 0; i < 300; i++) batch.put('b', String(i))
    batch.put('a', '2').put('a', '3')
    const { first, last } = await store.write(batch)
    if (isFlushed) await store.flush()

    const tail = store.tail({ from: 1, range: { prefix: 'a' }, maxBatchEvents: 2, heartbeatMs: 0 })
    const full: ChangeBatch = (await tail.next()).value
    expect(full.events.map(({ seqno }) => seqno)).toEqual([1])
    expect(full).toMatchObject({ upTo: first - 1, next: first })
    const rest: ChangeBatch = (await tail.next()).value
    expect(rest.events.map(({ seqno }) => seqno)).toEqual([last - 1, last])
    expect(rest.next).toBe(last + 1)
    await tail.close()

    const whole = await store.scanSinceSeqno(full.token).nextBatch(1)
    expect(whole).toHaveLength(302)
    await store.close()
  },
)
