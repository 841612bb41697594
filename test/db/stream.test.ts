import { expect, test } from 'vitest'
import type { Varve } from '../../src/index.ts'
import { collect } from '../model/driver.ts'
import { eventLine } from '../model/model.ts'
import { fixture } from './open.ts'

const SMALL = {
  memtableBytes: 16 * 1024,
  segmentBytes: 16 * 1024,
  blobThresholdBytes: 100,
  mergeOperator: 'append',
}

async function stream(db: Varve, from = 1): Promise<string[]> {
  return (await collect(db.scanSinceSeqno(from))).map(eventLine)
}

/** Everything that an event stream must keep: see each comment. */
async function write(db: Varve): Promise<void> {
  // Overwritten versions, and a value in a blob file.
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 40; i++)
      await db.put(`key${i}`, i % 9 === 0 ? `${round}`.repeat(150) : `${round}`)
    await db.flush()
  }
  // Tombstones that shadow nothing.
  await db.delete('never-there')
  await db.deleteRange('x', 'y')
  // Operands one by one.
  for (let i = 0; i < 30; i++) await db.merge('merged', `,${i}`)
  // Range tombstones, overlapping, with open ends, in one batch with what they cover.
  await db.write(
    db
      .batch()
      .put('key5', 'again')
      .deleteRange('key1', 'key3')
      .deleteRange('key2')
      .put('key2', 'after'),
    { meta: 'origin' },
  )
}

test('the stream of a window stays byte for byte what it was', async () => {
  const { open } = fixture(SMALL)
  let db = await open()
  await write(db)
  const before = await stream(db)
  const window = await stream(db, 77)
  expect(before).toHaveLength(db.history().latest)
  const check = async (): Promise<void> => {
    expect(await stream(db)).toEqual(before)
    expect(await stream(db, 77)).toEqual(window)
    expect((await db.verify()).problems).toEqual([])
  }
  await db.flush()
  await check()
  await db.compact({ start: 'key1', end: 'key2' })
  await check()
  await db.compact()
  await check()
  await db.close()
  db = await open()
  await check()
  await db.compact()
  await check()
  await db.close()
})

test('the stream stays what it was after each flush and each compaction that the store makes on its own', async () => {
  const { open } = fixture(SMALL)
  // Small levels: segments go down through four of them.
  const levels = { levelRatio: 3, level0Trigger: 2, baseLevelBytes: 24 * 1024 }
  let db = await open({}, levels)
  let written = 0
  let checks = 0
  const lines: string[] = []
  const levelsSeen = new Set<number>()
  const check = async (): Promise<void> => {
    expect(await stream(db)).toEqual(lines)
    for (const { level } of db.stats().keyspaces['default']!.levels) levelsSeen.add(level)
    checks++
  }
  let isDue = false
  const listen = (): void => {
    db.on('flush', () => (isDue = true))
    db.on('compaction', () => (isDue = true))
  }
  listen()
  const values = ['in a segment '.repeat(6), 'in a blob file '.repeat(12)]
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 40; i++) {
      const key = `key${(written * 7919) % 2000}`
      const batch = db.batch().put(key, `${values[i % 11 === 0 ? 1 : 0]}${written}`)
      if (i % 5 === 0) batch.delete(`key${(written * 31) % 500}`)
      if (i % 7 === 0) batch.merge(`merged${i % 3}`, `,${written}`)
      if (i % 20 === 0) batch.deleteRange(`key${i}`, `key${i}9`)
      const { first } = await db.write(batch, i % 9 === 0 ? { meta: `origin ${round % 3}` } : {})
      written++
      lines.push(...(await stream(db, first)))
      if (!isDue) continue
      isDue = false
      await check()
    }
    if (round % 20 !== 19) continue
    await db.close()
    db = await open({}, levels)
    listen()
    await check()
  }
  await db.compact()
  await check()
  expect(checks).toBeGreaterThan(15)
  expect(levelsSeen.size).toBeGreaterThanOrEqual(3)
  expect((await db.verify()).problems).toEqual([])
  await db.close()
})

test('a range tombstone is delivered once, in the bounds of the call, though its fragments are many', async () => {
  const { open } = fixture(SMALL)
  const db = await open()
  for (let i = 0; i < 2000; i++) await db.put(`key${String(i).padStart(4, '0')}`, `value ${i}`)
  await db.compact()
  await db.deleteRange('key0100', 'key1900')
  await db.compact()
  const events = await collect(db.scanSinceSeqno(2001))
  expect(events).toHaveLength(1)
  expect(events[0]).toMatchObject({ type: 'RangeTombstone', seqno: 2001 })
  expect(events.map(eventLine)[0]).toContain(
    `${Buffer.from('key0100').toString('hex')} ${Buffer.from('key1900').toString('hex')}`,
  )
  expect(await db.keys().all()).toHaveLength(200)
  await db.close()
})

test('a scan that is open sees its window whole, whatever is flushed and compacted meanwhile', async () => {
  const { open } = fixture({ ...SMALL, history: 'none' })
  const db = await open()
  for (let i = 0; i < 500; i++) await db.put(`key${i % 50}`, `value ${i}`)
  const scan = db.scanSinceSeqno(db.history().floor, { memoryBudgetBytes: 2000 })
  const first = await scan.nextBatch(10)
  for (let i = 0; i < 500; i++) await db.put(`key${i % 50}`, `later ${i}`)
  await db.flush()
  await db.compact()
  expect(db.history().floor).toBe(1001)
  const rest = await collect(scan)
  expect([...first, ...rest].map(({ seqno }) => seqno)).toEqual(
    Array.from({ length: scan.upTo - first[0]!.seqno + 1 }, (_, i) => first[0]!.seqno + i),
  )
  await db.close()
})

test("with history 'none' what is flushed is given up, and asking for it says so", async () => {
  const { open } = fixture({ ...SMALL, history: 'none' })
  const db = await open()
  await db.put('a', '1')
  await db.put('a', '2')
  await db.flush()
  expect(db.history().floor).toBe(3)
  await expect(db.scanSinceSeqno(2).nextBatch()).rejects.toMatchObject({
    code: 'VARVE_HISTORY_TRUNCATED',
    details: { requested: 2, floor: 3 },
  })
  expect(await db.scanSinceSeqno(3).nextBatch()).toEqual([])
  expect(db.stats().keyspaces['default']!.history.segments).toBe(0)
  await db.close()
})
