/** A store whose compactions take inputs over whole: the stream, power cuts, expiry, checkpoints. */
import { expect, test } from 'vitest'
import type { ChangeEvent, OpenOptions, Varve } from '../../src/index.ts'
import { collect } from '../model/driver.ts'
import { APART, type Fixture, fixture } from './open.ts'

const OPTIONS: OpenOptions = { blockBytes: 512, mergeOperator: 'append' }
const KEYS = 250

/** Level 0: four segments with the same keys, each with a few of its own. */
async function filled(options: OpenOptions = {}): Promise<Fixture & { db: Varve }> {
  const made = fixture({ ...OPTIONS, ...options })
  const db = await made.open({}, APART)
  for (let round = 0; round < 4; round++) {
    const batch = db.batch()
    for (let i = 0; i < KEYS; i++) {
      const key = `key${String(i).padStart(3, '0')}`
      if (round === 3 && i % 9 === 0) batch.delete(key)
      else batch.put(key, `value ${round} `.repeat(4))
    }
    batch.put(`only ${round}`, 'once').merge('sum', `${round}`)
    await db.write(batch, { meta: `round ${round}` })
    made.clock.advance(1000)
    await db.flush()
  }
  return { ...made, db }
}

/** Segments of history, and how many compactions made of inputs as they were: the others hold the deleted keys alone. */
function copies(db: Varve): number {
  const { history } = db.stats().keyspaces['default']!
  return Math.floor(history.entries / KEYS)
}

async function stateOf(db: Varve): Promise<[unknown, ChangeEvent[], ChangeEvent[]]> {
  const from = db.history().floor
  return [
    await db.entries().all(),
    await collect(db.scanSinceSeqno(from)),
    await collect(db.scanSinceSeqno(from, { skip: false })),
  ]
}

test('the stream and all values are the same before and after, whoever reads', async () => {
  const { db, open } = await filled()
  const scan = db.scanSinceSeqno(1)
  const first = await scan.nextBatch(300)
  const before = await stateOf(db)
  expect(before[2]).toEqual(before[1])
  await db.compact()
  expect(copies(db)).toBe(3)
  expect(await stateOf(db)).toEqual(before)
  expect([...first, ...(await collect(scan))]).toEqual(before[1])
  const range = { prefix: 'key01' }
  const some = before[1].filter((one) => 'key' in one && one.key.toString().startsWith('key01'))
  expect(await collect(db.scanSinceSeqno(1, { range }))).toEqual(some)
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.close()
  const again = await open({}, APART)
  expect(await stateOf(again)).toEqual(before)
  await again.checkpoint('/data/copy')
  expect(await again.verify()).toMatchObject({ ok: true, problems: [] })
  await again.close()
})

test('with a snapshot open nothing is taken over, and without history nothing is kept', async () => {
  const { db } = await filled()
  const snapshot = db.snapshot()
  await db.put('key001', 'newer')
  await db.flush()
  await db.compact()
  expect(db.stats().keyspaces['default']!.history.segments).toBeGreaterThan(0)
  expect((await db.get('key001', { snapshot }))?.toString()).toBe('value 3 '.repeat(4))
  snapshot.close()
  await db.close()
  const none = await filled({ history: 'none' })
  await none.db.compact()
  expect(none.db.stats().keyspaces['default']!.history.segments).toBe(0)
  await none.db.close()
})

test('what was taken over expires whole when the floor is above it, and what survived of it stays', async () => {
  const { db } = await filled()
  await db.compact()
  const entries = await db.entries().all()
  const perRound = KEYS + 2
  for (const [floor, left] of [
    [perRound, 3],
    [perRound + 1, 2],
    [3 * perRound + 1, 0],
  ] as const) {
    await db.truncateHistory(floor)
    await db.compact()
    expect(copies(db)).toBe(left)
    expect(await db.entries().all()).toEqual(entries)
  }
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.close()
})

test('a power cut anywhere in such a compaction loses nothing', async () => {
  const { db, fs } = await filled()
  const [entries, events] = await stateOf(db)
  await db.close()
  const base = fs.crash('kept')
  const compactUntil = async (
    operations: number,
  ): Promise<{ disk: typeof fs; isDone: boolean; took: number }> => {
    const disk = base.crash('kept')
    const store = await fixture(OPTIONS, disk).open({}, APART)
    const from = disk.operationCount
    disk.dieAtOperation(from + operations)
    const isDone = await store.compact().then(
      () => true,
      () => false,
    )
    return { disk, isDone, took: disk.operationCount - from }
  }
  const { took } = await compactUntil(1_000_000)
  const points = 12
  for (let point = 0; point < points; point++) {
    const { disk, isDone } = await compactUntil(1 + Math.floor((point * (took - 1)) / points))
    expect(isDone).toBe(false)
    const again = await fixture(OPTIONS, disk.crash({ seed: point })).open({}, APART)
    expect(await again.entries().all()).toEqual(entries)
    expect(await collect(again.scanSinceSeqno(1))).toEqual(events)
    await again.compact()
    expect(copies(again)).toBe(3)
    expect(await again.entries().all()).toEqual(entries)
    expect(await collect(again.scanSinceSeqno(1))).toEqual(events)
    expect(await again.verify()).toMatchObject({ ok: true, problems: [] })
    await again.close()
  }
})
