import { expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import { collect } from '../model/driver.ts'
import { codeOf, fixture, LOCATION } from './open.ts'

test('close is idempotent, writes what was called before it, and ends everything', async () => {
  const { open } = fixture()
  let db = await open()
  const written = db.put('a', '1')
  const [first, second] = [db.close(), db.close()]
  await Promise.all([first, second])
  expect(await written).toBe(1)
  expect(db.status).toBe('closed')
  for (const call of [
    () => db.put('a', '2'),
    () => db.get('a'),
    () => db.getSync('a'),
    () => db.entries().all(),
    () => db.flush(),
    () => db.sync(),
    () => db.history(),
    () => db.stats(),
    () => db.snapshot(),
    () => db.keyspace('x'),
    () => db.scanSinceSeqno(1).nextBatch(),
  ]) {
    expect(await codeOf(call)).toBe('VARVE_CLOSED')
  }
  db = await open()
  expect((await db.get('a'))?.toString()).toBe('1')
  expect(db.history().epoch).toBe(1)
  await db[Symbol.asyncDispose]()
})

test.each(['memtables', 'segments'])(
  'cursors and scans of a closed store read nothing more, from %s',
  async (where) => {
    const { open } = fixture()
    const db = await open()
    for (let i = 0; i < 1000; i++) void db.put(`key${i}`, 'value')
    await db.sync()
    if (where === 'segments') await db.flush()
    const cursors = [db.entries(), db.keys({ reverse: true }), db.values({ limit: 5 })]
    const begun = db.keys()
    await begun.next()
    const iterator = db.entriesSync()
    const scan = db.scanSinceSeqno(1)
    const taken = db.scanSinceSeqno(1)
    await taken.next()
    const ended = db.scanSinceSeqno(1000)
    await collect(ended)
    await db.close()
    for (const cursor of cursors) {
      expect(await codeOf(() => cursor.next())).toBe('VARVE_CLOSED')
      expect(await codeOf(() => cursor.nextBatch())).toBe('VARVE_CLOSED')
      await cursor.close()
      expect(await cursor.nextBatch()).toEqual([])
    }
    expect(await codeOf(() => begun.all())).toBe('VARVE_CLOSED')
    expect(await codeOf(() => iterator.next())).toBe('VARVE_CLOSED')
    expect(await codeOf(() => scan.next())).toBe('VARVE_CLOSED')
    // Also where events were made ahead.
    expect(await codeOf(() => taken.next())).toBe('VARVE_CLOSED')
    expect(await codeOf(() => taken.nextBatch())).toBe('VARVE_CLOSED')
    expect(taken.position).toBe(2)
    expect(await ended.nextBatch()).toEqual([])
  },
)

test('close waits for the calls that were made before it, and refuses those that come after', async () => {
  const { open } = fixture()
  let db = await open()
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 50; j++) await db.put(`key${j}`, `value${i}`)
    await db.flush()
  }
  await db.consumer('old')
  const calls = [
    db.put('last', 'value'),
    db.compact(),
    db.keyspace('new'),
    db.consumer('index'),
    db.dropConsumer('old'),
    db.truncateHistory(20),
    db.checkpoint('/data/copy'),
    db.sync(),
    db.flush(),
  ]
  const closed = db.close()
  expect(db.status).toBe('closing')
  for (const call of [() => db.keyspace('newer'), () => db.consumer('mail'), () => db.compact()]) {
    expect(await codeOf(call)).toBe('VARVE_CLOSED')
  }
  await Promise.all(calls)
  expect(db.status).toBe('closing')
  await closed
  db = await open({ readOnly: true })
  expect(db.keyspaces()).toEqual(['default', 'new'])
  expect(db.consumers().map(({ name }) => name)).toEqual(['index'])
  expect(db.history().floor).toBe(20)
  const { levels } = db.stats().keyspaces['default']!
  expect(levels).toHaveLength(1)
  expect(levels[0]).toMatchObject({ level: 6, entries: 51 })
  await db.close()
})

test('an end without close starts a new epoch, and its tokens stay good up to where it ended', async () => {
  const { open, fs } = fixture()
  const db = await open()
  await db.put('a', '1', { sync: true })
  const scan = db.scanSinceSeqno(1)
  await collect(scan)
  const token = scan.token
  await db.put('b', '2')
  const ahead = db.scanSinceSeqno(1)
  await collect(ahead)
  const crashed = await fixture({}, fs.crash('lost')).open()
  expect(crashed.history()).toMatchObject({ epoch: 2, latest: 1 })
  expect(await crashed.put('c', '3')).toBe(2)
  expect(await crashed.put('d', '4')).toBe(3)
  const events = await collect(crashed.scanSinceSeqno(token))
  expect(events.map(({ seqno }) => seqno)).toEqual([2, 3])
  await expect(crashed.scanSinceSeqno(ahead.token).nextBatch()).rejects.toMatchObject({
    code: 'VARVE_HISTORY_DIVERGED',
  })
  await crashed.close()
  await db.close()
})

test('a token of another store is WRONG_STORE', async () => {
  const db = await fixture().open()
  const other = await fixture().open()
  await db.put('a', '1')
  const { token } = other.scanSinceSeqno(0)
  await expect(db.scanSinceSeqno(token).nextBatch()).rejects.toMatchObject({
    code: 'VARVE_WRONG_STORE',
  })
  await db.close()
  await other.close()
})

test('destroy removes what the store made and nothing else, and refuses an open store', async () => {
  const { open, fs } = fixture()
  const db = await open()
  await db.put('a', '1')
  await db.flush()
  expect(await codeOf(() => Varve.destroy(LOCATION, { environment: { fs } }))).toBe('VARVE_LOCKED')
  await db.close()
  const theirs = fs.create(`${LOCATION}/notes.txt`)
  theirs.close()
  await Varve.destroy(LOCATION, { environment: { fs } })
  expect([...fs.files().keys()]).toEqual([`${LOCATION}/notes.txt`])
  fs.remove(`${LOCATION}/notes.txt`)
  await (await open()).close()
  await Varve.destroy(LOCATION, { environment: { fs } })
  expect(fs.stat(LOCATION)).toBeUndefined()
  await Varve.destroy(LOCATION, { environment: { fs } })
})

test('events tell of flushes, compactions and the floor; a listener that throws disturbs nobody', async () => {
  const { open } = fixture({ history: 'none' })
  const db = await open()
  const seen: string[] = []
  db.on('flush', () => {
    throw new Error('a broken listener')
  })
  db.on('flush', ({ keyspace, entries }) => seen.push(`flush ${keyspace} ${entries}`))
  db.on('historyFloor', ({ floor }) => seen.push(`floor ${floor}`))
  const listener = (): void => {
    seen.push('compaction')
  }
  db.on('compaction', listener)
  await db.put('a', '1')
  await db.flush()
  await db.put('a', '2')
  await db.flush()
  await db.compact()
  expect(seen).toEqual(['floor 2', 'flush default 1', 'floor 3', 'flush default 1', 'compaction'])
  db.off('compaction', listener)
  await db.close()
})

test('a flush is told once a keyspace, however many segments it makes', async () => {
  const { open } = fixture()
  const db = await open()
  const other = await db.keyspace('other')
  const told: string[] = []
  db.on('flush', ({ keyspace, entries }) => told.push(`${keyspace} ${entries}`))
  for (let i = 0; i < 5; i++) await db.put('a', `${i}`)
  await other.put('b', '1')
  await db.flush()
  expect(told).toEqual(['default 1', 'other 1'])
  expect(db.stats().keyspaces['default']!.history).toMatchObject({ segments: 1, entries: 4 })
  await db.close()
})

test('times do not go back over a restart, also where all events stand in segments', async () => {
  const { open, clock } = fixture()
  let db = await open()
  await db.put('a', '1')
  await db.flush()
  await db.close()
  clock.set(500_000)
  db = await open()
  await db.put('b', '2')
  const events = await db.scanSinceSeqno(1).nextBatch()
  expect(events.map(({ timestamp }) => timestamp)).toEqual([1_000_000, 1_000_000])
  await db.close()
})

test('snapshots hold what they see, and say how old they are', async () => {
  const { open, clock } = fixture({ history: 'none' })
  const db = await open()
  await db.put('a', '1')
  const snapshot = db.snapshot()
  expect(snapshot.seqno).toBe(1)
  await db.put('a', '2')
  await db.deleteRange('', undefined)
  await db.flush()
  await db.compact()
  expect((await db.get('a', { snapshot }))?.toString()).toBe('1')
  expect(await db.get('a')).toBeUndefined()
  clock.advance(5000)
  expect(db.stats()).toMatchObject({ openSnapshots: 1, oldestSnapshotAgeMs: 5000 })
  snapshot.close()
  snapshot.close()
  expect(db.stats().openSnapshots).toBe(0)
  expect(await codeOf(() => db.get('a', { snapshot }))).toBe('VARVE_CLOSED')
  await db.compact()
  expect(db.stats().keyspaces['default']!.levels).toEqual([])
  await db.close()
})

test('stats count what is written', async () => {
  const { open } = fixture()
  const db = await open()
  for (let i = 0; i < 100; i++) await db.put(`key${i}`, 'v'.repeat(100))
  const { io, memtableBytes, wal } = db.stats()
  expect(io.userBytesWritten).toBe(100 * 100 + 10 * 4 + 90 * 5)
  expect(io.walBytesWritten).toBeGreaterThan(io.userBytesWritten)
  expect(memtableBytes).toBeGreaterThan(10_000)
  expect(wal.files).toBe(1)
  await db.flush()
  expect(db.stats().io.flushBytesWritten).toBeGreaterThan(5000)
  await db.close()
})

test('a store that lost CURRENT is not taken for an empty directory, were it one short write', async () => {
  const { fs, open } = fixture()
  const db = await open()
  await db.delete('a')
  await db.close()
  fs.remove(`${LOCATION}/CURRENT`)
  for (const readOnly of [true, false]) {
    await expect(open({ readOnly })).rejects.toMatchObject({ code: 'VARVE_CORRUPTION' })
  }
})

test('a store whose creation was cut off before CURRENT is made anew', async () => {
  const { fs, open } = fixture()
  await (await open()).close()
  fs.remove(`${LOCATION}/CURRENT`)
  expect(await codeOf(() => open({ readOnly: true }))).toBe('VARVE_NOT_FOUND')
  const db = await open()
  expect(await db.put('a', '1')).toBe(1)
  await db.close()
})

test('a close leaves no file behind that only a snapshot or a cursor could still read', async () => {
  const { open, fs } = fixture()
  const options = { history: 'none', blobThresholdBytes: 1024 } as const
  const db = await open(options)
  for (let i = 0; i < 4; i++) {
    await db.put(`key${i}`, Buffer.alloc(4096, i))
    await db.flush()
  }
  const snapshot = db.snapshot()
  const cursor = db.entries()
  await db.put('key0', 'small')
  await db.compact()
  const held = [...fs.files().keys()].length
  await db.close()
  const closed = [...fs.files().keys()].toSorted()
  expect(closed.length).toBeLessThan(held)
  // Given back only now: their files are gone, and are not asked for once more.
  await cursor.close()
  snapshot.close()
  const again = await open(options)
  expect(again.getSync('key0')?.toString()).toBe('small')
  const known = [...fs.files().keys()].filter((path) => /\.(seg|blob)$/.test(path))
  expect(closed.filter((path) => /\.(seg|blob)$/.test(path))).toEqual(known.toSorted())
  await again.close()
})
