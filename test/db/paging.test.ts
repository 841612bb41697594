import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { ChangeEvent, Varve } from '../../src/index.ts'
import { eventLine } from '../model/model.ts'
import { fixture } from './open.ts'

const EVENTS = 100_000
const SMALL = { memtableBytes: 512 * 1024, segmentBytes: 256 * 1024 }

class Digest {
  readonly #hash = createHash('sha256')
  count = 0

  add(events: readonly ChangeEvent[]): void {
    for (const event of events) this.#hash.update(eventLine(event)).update('\n')
    this.count += events.length
  }

  get text(): string {
    return this.#hash.digest('hex')
  }
}

async function fill(db: Varve): Promise<void> {
  for (let i = 0; i < EVENTS; ) {
    const batch = db.batch()
    // Commits of one to five operations, so that pages end inside and between commits.
    const operations = Math.min(1 + ((i * 7919) % 5), EVENTS - i)
    for (let j = 0; j < operations; j++, i++) batch.put(`key${(i * 7919) % 20_011}`, `value ${i}`)
    await db.write(batch)
  }
}

async function whole(db: Varve, upTo: number): Promise<string> {
  const digest = new Digest()
  const scan = db.scanSinceSeqno(1, { upTo })
  for (;;) {
    const batch = await scan.nextBatch(5000)
    if (batch.length === 0) break
    digest.add(batch)
  }
  return digest.text
}

/** Writes, flushes and compacts without end, until it is told to stop. */
async function disturb(db: Varve, isDone: () => boolean): Promise<number> {
  let rounds = 0
  while (!isDone()) {
    for (let i = 0; i < 100; i++) await db.put(`later${(rounds * 100 + i) % 5000}`, 'x'.repeat(100))
    await (rounds % 3 === 2 ? db.compact() : db.flush())
    rounds++
  }
  return rounds
}

test('paging by seven, while another loop writes, flushes and compacts, equals one scan', {
  timeout: 240_000,
}, async () => {
  const { open } = fixture(SMALL)
  const db = await open()
  await fill(db)
  const upTo = db.history().latest
  const expected = await whole(db, upTo)
  const digest = new Digest()
  let position = 1
  let pages = 0
  const disturbing = disturb(db, () => position > upTo)
  while (position <= upTo) {
    const scan = db.scanSinceSeqno(position, { limit: 7, upTo })
    const events = await scan.nextBatch()
    expect(events.at(-1)?.seqno).toBe(events.at(-1)?.commitLast)
    digest.add(events)
    position = scan.position
    await scan.close()
    pages++
    // Clients ask in turns of their own; without one now and then, nothing else would get on.
    if (pages % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await disturbing).toBeGreaterThan(5)
  expect(digest.count).toBe(EVENTS)
  expect(digest.text).toBe(expected)
  expect(pages).toBeGreaterThan(EVENTS / 12)
  await db.close()
})

test('paging by seven through tokens, with reopens between the pages, equals one scan', {
  timeout: 240_000,
}, async () => {
  const { open } = fixture(SMALL)
  let db = await open()
  await fill(db)
  const upTo = db.history().latest
  const expected = await whole(db, upTo)
  const digest = new Digest()
  let token: string | number = 1
  let pages = 0
  while (digest.count < EVENTS) {
    const scan = db.scanSinceSeqno(token, { limit: 7, upTo })
    digest.add(await scan.nextBatch())
    token = scan.token
    await scan.close()
    pages++
    // Between any two pages at both ends, and here and there on the way.
    const isAtAnEnd = pages < 50 || digest.count > EVENTS - 350
    if (!isAtAnEnd && pages % 500 !== 0) continue
    await db.put('between', String(digest.count))
    await db.close()
    db = await open()
  }
  expect(digest.count).toBe(EVENTS)
  expect(digest.text).toBe(expected)
  await db.close()
})
