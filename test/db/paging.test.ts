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

test('paging by seven, while others write, flush and compact, equals one scan', {
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
  let background: Promise<unknown> = Promise.resolve()
  while (position <= upTo) {
    const scan = db.scanSinceSeqno(position, { limit: 7, upTo })
    const events = await scan.nextBatch()
    expect(events.at(-1)?.seqno).toBe(events.at(-1)?.commitLast)
    digest.add(events)
    position = scan.position
    await scan.close()
    await db.put(`later${pages % 5000}`, 'x'.repeat(100))
    if (pages % 1500 === 0) {
      await background
      background = pages % 3000 === 0 ? db.compact() : db.flush()
    }
    pages++
  }
  await background
  expect(digest.count).toBe(EVENTS)
  expect(digest.text).toBe(expected)
  expect(pages).toBeGreaterThan(EVENTS / 12)
  await db.close()
})

test('paging by tokens with a reopen between the pages equals one scan', {
  timeout: 240_000,
}, async () => {
  const { open } = fixture(SMALL)
  let db = await open()
  await fill(db)
  const upTo = db.history().latest
  const expected = await whole(db, upTo)
  const digest = new Digest()
  let token: string | number = 1
  while (digest.count < EVENTS) {
    const scan = db.scanSinceSeqno(token, { limit: 3001, upTo })
    for (;;) {
      const batch = await scan.nextBatch(1000)
      if (batch.length === 0) break
      digest.add(batch)
    }
    token = scan.token
    await db.put('between', String(digest.count))
    await db.close()
    db = await open()
  }
  expect(digest.text).toBe(expected)
  await db.close()
})
