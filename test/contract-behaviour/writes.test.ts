import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import {
  type ChangeEvent,
  decodeCounter,
  encodeCounter,
  type Keyspace,
  Varve,
} from '../../src/index.ts'
import { any, errorOf, memoryPlace, places, rejected, text, thrown } from './store.ts'

describe.each(places)('%s', (_where, make) => {
  test('writes that are not awaited take effect and seqnos in the order of the calls', async () => {
    const db = await make({ mergeOperator: 'append' }).open()
    const other = await db.keyspace('other')
    const writes = [
      db.put('a', '1'),
      db.merge('a', '2'),
      other.put('a', 'x', { meta: 'm' }),
      db.write(db.batch().put('b', '1').delete('b').put('b', '2', other)),
      db.deleteRange('a', 'aa'),
      db.put('a', '3', { sync: true }),
      db.delete('zz'),
      db.keyspace('third'),
      db.dropKeyspace('other'),
      db.put('last', '1'),
    ]
    expect(await Promise.all(writes)).toEqual([
      1,
      2,
      3,
      { first: 4, last: 6 },
      7,
      8,
      9,
      expect.anything(),
      10,
      11,
    ])
    expect(text(await db.get('a'))).toBe('3')
    expect(db.keyspaces()).toEqual(['default', 'third'])
    const events = await db.scanSinceSeqno(0).nextBatch()
    expect(
      events.map((event) => [
        event.seqno,
        event.type,
        event.keyspace,
        event.commitSeqno,
        event.commitLast,
        text(event.commitMeta),
      ]),
    ).toEqual([
      [1, 'Insert', 'default', 1, 1, undefined],
      [2, 'MergeOperand', 'default', 2, 2, undefined],
      [3, 'Insert', 'other', 3, 3, 'm'],
      [4, 'Insert', 'default', 4, 6, undefined],
      [5, 'PointTombstone', 'default', 4, 6, undefined],
      [6, 'Insert', 'other', 4, 6, undefined],
      [7, 'RangeTombstone', 'default', 7, 7, undefined],
      [8, 'Insert', 'default', 8, 8, undefined],
      [9, 'PointTombstone', 'default', 9, 9, undefined],
      [10, 'RangeTombstone', 'other', 10, 10, undefined],
      [11, 'Insert', 'default', 11, 11, undefined],
    ])
  })
})

test('events have exactly the fields of the contract', async () => {
  const place = memoryPlace({ mergeOperator: 'append' })
  const db = await place.open()
  await db.write(
    db.batch().put('a', 'v').merge('a', 'o').delete('a').deleteRange('a', 'b').deleteRange('c'),
    { meta: 'me' },
  )
  const ks = await db.keyspace('k')
  await ks.put('x', '', { meta: '' })
  await db.dropKeyspace('k', { meta: 'drop' })
  const base = {
    keyspace: 'default',
    commitSeqno: 1,
    commitLast: 5,
    commitMeta: Buffer.from('me'),
    timestamp: 1_000_000,
  }
  const expected = [
    { ...base, seqno: 1, type: 'Insert', key: Buffer.from('a'), value: Buffer.from('v') },
    { ...base, seqno: 2, type: 'MergeOperand', key: Buffer.from('a'), operand: Buffer.from('o') },
    { ...base, seqno: 3, type: 'PointTombstone', key: Buffer.from('a') },
    {
      ...base,
      seqno: 4,
      type: 'RangeTombstone',
      startKey: Buffer.from('a'),
      endKey: Buffer.from('b'),
    },
    { ...base, seqno: 5, type: 'RangeTombstone', startKey: Buffer.from('c'), endKey: undefined },
    {
      keyspace: 'k',
      seqno: 6,
      commitSeqno: 6,
      commitLast: 6,
      timestamp: 1_000_000,
      commitMeta: Buffer.alloc(0),
      type: 'Insert',
      key: Buffer.from('x'),
      value: Buffer.alloc(0),
    },
    {
      keyspace: 'k',
      seqno: 7,
      commitSeqno: 7,
      commitLast: 7,
      timestamp: 1_000_000,
      commitMeta: Buffer.from('drop'),
      type: 'RangeTombstone',
      startKey: Buffer.alloc(0),
      endKey: undefined,
      dropsKeyspace: true,
    },
  ]
  const check = async (store: Varve): Promise<void> => {
    const events = await store.scanSinceSeqno(1).nextBatch()
    expect(events).toEqual(expected)
    for (const event of events) {
      if (event.type === 'RangeTombstone') expect('endKey' in event).toBe(true)
      if (event.seqno !== 7)
        expect(
          Reflect.has(event, 'dropsKeyspace') && Reflect.get(event, 'dropsKeyspace') !== undefined,
        ).toBe(false)
      for (const v of Object.values(event))
        if (v instanceof Uint8Array) expect(Buffer.isBuffer(v)).toBe(true)
    }
  }
  await check(db)
  await db.flush()
  await check(db)
  await db.compact()
  await check(db)
  await db.close()
  await check(await place.open())
})

test('a batch is written once, whole, with its acks, by its own store', async () => {
  const db = await memoryPlace({ mergeOperator: 'append' }).open()
  const ks = await db.keyspace('k')
  const batch = db.batch()
  expect([batch.length, batch.byteLength]).toEqual([0, 0])
  expect(batch.put('a', '1')).toBe(batch)
  expect(batch.merge('a', '2')).toBe(batch)
  expect(batch.delete('b', ks)).toBe(batch)
  expect(batch.deleteRange('c', undefined, ks)).toBe(batch)
  expect(batch.length).toBe(4)
  expect(batch.byteLength).toBeGreaterThan(5)
  await db.consumer('c')
  expect(batch.ack('c', 5)).toBe(batch)
  expect(batch.length).toBe(4)
  const snapshotBefore = db.history().latest
  expect(snapshotBefore).toBe(0)
  expect(await db.write(batch)).toEqual({ first: 1, last: 4 })
  expect(db.consumers()[0]!.position).toBe(5)
  expect(await rejected(db.write(batch))).toBe('VARVE_BATCH_USED')
  for (const call of [
    () => batch.put('a', '1'),
    () => batch.merge('a', 'x'),
    () => batch.delete('a'),
    () => batch.deleteRange('a'),
    () => batch.ack('c', 5),
  ]) {
    expect(thrown(call)).toBe('VARVE_BATCH_USED')
  }
  expect(batch.clear()).toBe(batch)
  expect([batch.length, batch.byteLength]).toEqual([0, 0])
  expect(await rejected(db.write(batch))).toBe('VARVE_INVALID_ARGUMENT')
  batch.put('z', '1')
  expect(await db.write(batch)).toEqual({ first: 5, last: 5 })
  // an ack that is refused refuses the batch
  for (const [next, name, code] of [
    [8, 'c', 'VARVE_INVALID_ARGUMENT'],
    [4, 'c', 'VARVE_INVALID_ARGUMENT'],
    [6, 'nobody', 'VARVE_NOT_FOUND'],
  ] as const) {
    const refused = db.batch().put('q', '1').ack(name, next)
    expect(await rejected(db.write(refused))).toBe(code)
    expect(await db.has('q')).toBe(false)
    expect(db.history().latest).toBe(5)
  }
  expect(await db.write(db.batch().put('q', '1').ack('c', 7))).toEqual({ first: 6, last: 6 })
  expect(db.consumers()[0]!.position).toBe(7)
  // later of two acks counts
  await db.write(db.batch().put('q', '1').ack('c', 7).ack('c', 8))
  expect(db.consumers()[0]!.position).toBe(8)
  // another store
  const other = await memoryPlace().open()
  const theirs = await other.keyspace('k')
  expect(await rejected(db.write(other.batch().put('a', '1')))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => db.batch().put('a', 'b', theirs))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => db.batch().put('a', 'b', other))).toBe('VARVE_INVALID_ARGUMENT')
  expect(db.batch().put('a', 'b', db).length).toBe(1)
  // a dropped keyspace
  const late = db.batch().put('a', 'b', ks)
  await db.dropKeyspace('k')
  expect(thrown(() => db.batch().put('a', 'b', ks))).toBe('VARVE_NOT_FOUND')
  expect(await rejected(db.write(late))).toBe('VARVE_NOT_FOUND')
})

test('a batch that was refused can be written again', async () => {
  const db = await memoryPlace().open()
  const batch = db.batch().put('a', '1')
  expect(await rejected(db.write(batch, { signal: AbortSignal.abort() }))).toBe('VARVE_ABORTED')
  expect(await rejected(db.write(batch, any({ nope: 1 })))).toBe('VARVE_INVALID_ARGUMENT')
  expect(await rejected(db.write(batch, { meta: 'x'.repeat(257) }))).toBe('VARVE_INVALID_ARGUMENT')
  expect(await db.write(batch)).toEqual({ first: 1, last: 1 })
})

test('keyspaces may have any name of 1 to 255 bytes', async () => {
  const place = memoryPlace()
  let db = await place.open()
  expect(db.name).toBe('default')
  expect(db.keyspaces()).toEqual(['default'])
  const odd = [
    'x'.repeat(255),
    '\0',
    '/',
    '..',
    '__proto__',
    'constructor',
    '名前',
    ' ',
    '\u{1F600}'.repeat(63),
    'a\nb',
    'default ',
  ]
  for (const name of odd) {
    const ks = await db.keyspace(name, { mergeOperator: 'counter' })
    expect(ks.name).toBe(name)
    await ks.put('k', name)
  }
  expect(db.history().latest).toBe(odd.length)
  await db.flush()
  await db.close()
  db = await place.open()
  expect(db.keyspaces().toSorted()).toEqual(['default', ...odd].toSorted())
  for (const name of odd) {
    const ks = await db.keyspace(name)
    expect(text(await ks.get('k'))).toBe(name)
    expect(db.stats().keyspaces[name]!.levels.length + db.stats().wal.bytes).toBeGreaterThan(0)
    expect(
      (await db.scanSinceSeqno(1, { keyspaces: [name] }).nextBatch()).map(
        (event) => event.keyspace,
      ),
    ).toEqual([name])
  }
  expect((await db.keyspace('default')).name).toBe('default')
  await db.put('d', '1')
  expect(text(await (await db.keyspace('default')).get('d'))).toBe('1')
  expect(await db.scanSinceSeqno(1, { keyspaces: ['nope'] }).nextBatch()).toEqual([])
  expect(await db.scanSinceSeqno(1, { keyspaces: [] }).nextBatch()).toEqual([])
})

test('a dropped keyspace is one event; its name makes another one with options of its own', async () => {
  const db = await memoryPlace().open()
  const ks = await db.keyspace('k', { mergeOperator: 'counter', compression: 'deflate' })
  await ks.put('a', Buffer.alloc(8))
  const cursor = ks.keys()
  const snapshot = db.snapshot()
  const dropped = db.dropKeyspace('k')
  expect(await rejected(ks.put('a', '1'))).toBe('VARVE_NOT_FOUND')
  expect(await dropped).toBe(2)
  expect(db.keyspaces()).toEqual(['default'])
  const calls: [string, () => PromiseLike<unknown>][] = [
    ['put', () => ks.put('a', '1')],
    ['merge', () => ks.merge('a', Buffer.alloc(8))],
    ['delete', () => ks.delete('a')],
    ['deleteRange', () => ks.deleteRange('a')],
    ['get', () => ks.get('a')],
    ['get at a snapshot', () => ks.get('a', { snapshot })],
    ['getMany', () => ks.getMany(['a'])],
    ['has', () => ks.has('a')],
    ['drop', () => db.dropKeyspace('k')],
    ['compact', () => db.compact({ keyspace: 'k' })],
  ]
  for (const [name, call] of calls) expect(await rejected(call()), name).toBe('VARVE_NOT_FOUND')
  for (const call of [() => ks.getSync('a'), () => ks.entriesSync()])
    expect(thrown(call)).toBe('VARVE_NOT_FOUND')
  expect(ks.name).toBe('k')
  expect((await cursor.all()).map(text)).toEqual(['a'])
  snapshot.close()
  const again = await db.keyspace('k', { mergeOperator: 'append' })
  expect(again.name).toBe('k')
  expect(await again.get('a')).toBeUndefined()
  await again.merge('a', 'x')
  expect(text(await again.get('a'))).toBe('x')
  expect(await rejected(ks.get('a'))).toBe('VARVE_NOT_FOUND')
  const events = await db.scanSinceSeqno(1, { keyspaces: ['k'] }).nextBatch()
  expect(events.map(({ seqno, type }) => [seqno, type])).toEqual([
    [1, 'Insert'],
    [2, 'RangeTombstone'],
    [3, 'MergeOperand'],
  ])
  const error = await errorOf(db.dropKeyspace('nope'))
  expect(error).toHaveProperty('code', 'VARVE_NOT_FOUND')
})

test('bytes of another realm are bytes', async () => {
  const foreign = runInNewContext('Uint8Array') as typeof Uint8Array
  const bytes = (input: string): Uint8Array => foreign.from(Buffer.from(input))
  expect(bytes('a')).not.toBeInstanceOf(Uint8Array)
  const merge = (): Buffer => bytes('merged') as Buffer
  const options = { mergeOperator: 'mine', mergeOperators: [{ name: 'mine', merge }] }
  const db = await memoryPlace(options).open()
  const long = 'k'.repeat(300)
  await db.put(bytes(long), bytes('v'.repeat(5000)), { meta: bytes('m') })
  await db.write(
    db
      .batch()
      .put(bytes(`${long}1`), bytes('1'))
      .put(bytes(`${long}2`), bytes('2')),
  )
  await db.merge(bytes('counted'), bytes('x'))
  await db.put('other', 'gone')
  await db.deleteRange(bytes('o'), bytes('p'))
  const replica = await memoryPlace({ ...options, role: 'replica' }).open()
  const events = await db.scanSinceSeqno(1).nextBatch()
  const key = (event: ChangeEvent): object =>
    'key' in event ? { key: bytes(text(event.key)!) } : {}
  await replica.applyChanges(events.map((event) => ({ ...event, ...key(event) }) as ChangeEvent))
  for (const store of [db, replica]) {
    for (let round = 0; round < 2; round++) {
      expect((await store.get(bytes(long)))?.length).toBe(5000)
      expect(text(await store.get(bytes('counted')))).toBe('merged')
      const range = { gt: bytes(long), lte: bytes(`${long}2`), prefix: bytes('k') }
      expect((await store.values(range).all()).map(text)).toEqual(['1', '2'])
      expect(await store.scanSinceSeqno(1, { range }).nextBatch()).toHaveLength(2)
      await store.compact({ start: bytes('a'), end: bytes('z') })
    }
    expect(await store.keys().all()).toHaveLength(4)
  }
  expect(text(events[0]!.commitMeta)).toBe('m')
  expect(decodeCounter(foreign.from(encodeCounter(-7)))).toBe(-7n)
})

test('a closed store answers every call with CLOSED', async () => {
  const place = memoryPlace({ mergeOperator: 'append' })
  const db = await place.open()
  await db.put('a', '1')
  const ks = await db.keyspace('k')
  const consumer = await db.consumer('c')
  const batch = db.batch().put('a', '1')
  const scan = db.scanSinceSeqno(1)
  const cursor = db.keys()
  const tail = db.tail({ from: 'now' })
  const batches = consumer.batches()
  const snapshot = db.snapshot()
  expect(db.status).toBe('open')
  const closing = db.close()
  expect(db.status).toBe('closing')
  const refusedWhileClosing = rejected(db.put('b', '1'))
  await closing
  expect(await refusedWhileClosing).toBe('VARVE_CLOSED')
  expect(db.status).toBe('closed')
  await db.close()
  await db[Symbol.asyncDispose]()
  const CLOSED = 'VARVE_CLOSED'
  const rejecting: [string, () => PromiseLike<unknown>][] = [
    ...([db, ks] as Keyspace[]).flatMap((store): [string, () => PromiseLike<unknown>][] => [
      ['put', () => store.put('a', '1')],
      // In 'k', without an operator, too.
      ['merge', () => store.merge('a', '1')],
      ['delete', () => store.delete('a')],
      ['deleteRange', () => store.deleteRange('a')],
      ['get', () => store.get('a')],
      ['get at a snapshot', () => store.get('a', { snapshot })],
      ['getMany', () => store.getMany(['a'])],
      ['has', () => store.has('a')],
    ]),
    ['keyspace', () => db.keyspace('k')],
    ['new keyspace', () => db.keyspace('k2')],
    ['dropKeyspace', () => db.dropKeyspace('k')],
    ['write', () => db.write(batch)],
    ['scan', () => db.scanSinceSeqno(1).next()],
    ['scan batch', () => db.scanSinceSeqno(1).nextBatch()],
    ['old scan', () => scan.next()],
    ['old consumer batches', () => batches.next().then((r) => (r.done ? rejectClosed() : r))],
    ['tail', () => db.tail({ from: 1 }).next()],
    ['seqnoAt', () => db.seqnoAt(1)],
    ['truncateHistory', () => db.truncateHistory(1)],
    ['consumer', () => db.consumer('c')],
    ['dropConsumer', () => db.dropConsumer('c')],
    ['ack', () => consumer.ack(1)],
    ['batches', () => consumer.batches().next()],
    ['applyChanges', () => db.applyChanges([])],
    ['promote', () => db.promote()],
    ['refresh', () => db.refresh()],
    ['sync', () => db.sync()],
    ['flush', () => db.flush()],
    ['compact', () => db.compact()],
    ['checkpoint', () => db.checkpoint('/else')],
    ['verify', () => db.verify()],
    ['old cursor', () => cursor.next()],
  ]
  for (const [name, call] of rejecting) expect(await rejected(call()), name).toBe(CLOSED)
  const throwing: [string, () => unknown][] = [
    ['getSync', () => db.getSync('a')],
    ['entriesSync', () => [...db.entriesSync()]],
    ['snapshot', () => db.snapshot()],
    ['keyspaces', () => db.keyspaces()],
    ['history', () => db.history()],
    ['consumers', () => db.consumers()],
    ['stats', () => db.stats()],
  ]
  for (const [name, call] of throwing) expect(thrown(call), name).toBe(CLOSED)
  expect(db.location).toBe(place.location)
  expect(db.role).toBe('primary')
  expect(['done', CLOSED]).toContain(
    await tail.next().then(
      (r) => (r.done ? 'done' : 'more'),
      (error: Error) => Reflect.get(error, 'code'),
    ),
  )
})

async function rejectClosed(): Promise<never> {
  throw Object.assign(new Error('ended'), { code: 'VARVE_CLOSED' })
}

test('an aborted write leaves nothing; one whose signal aborts after the log has it is written', async () => {
  const db = await memoryPlace().open()
  const controller = new AbortController()
  const first = db.put('a', '1', { signal: controller.signal })
  const second = db.write(db.batch().put('b', '1').put('c', '1'), { signal: controller.signal })
  const third = db.put('d', '1')
  controller.abort(new Error('reason'))
  const error = await errorOf(first)
  expect(error).toHaveProperty('code', 'VARVE_ABORTED')
  expect(error.cause).toBe(controller.signal.reason)
  expect(await rejected(second)).toBe('VARVE_ABORTED')
  expect(await third).toBe(1)
  expect((await db.keys().all()).map(text)).toEqual(['d'])
  expect(await db.scanSinceSeqno(1).nextBatch()).toHaveLength(1)
  const late = new AbortController()
  expect(await db.put('e', '1', { signal: late.signal, sync: true })).toBe(2)
  late.abort()
  expect(text(await db.get('e'))).toBe('1')
})

test('what was synced survives a power cut, and durable says so', async () => {
  const place = memoryPlace()
  const db = await place.open()
  await db.put('a', '1', { sync: true })
  expect(db.history().durable).toBe(1)
  expect(db.stats().durableSeqno).toBe(1)
  await db.put('b', '1')
  expect(db.history().durable).toBe(1)
  expect(db.history().latest).toBe(2)
  const lost = await memoryPlace({}, { fs: place.fs.crash('lost') }).open()
  expect((await lost.keys().all()).map(text)).toEqual(['a'])
  const kept = await memoryPlace({}, { fs: place.fs.crash('kept') }).open()
  expect((await kept.keys().all()).map(text)).toEqual(['a', 'b'])
  const early = db.put('c', '1', { sync: true })
  await db.put('d', '1')
  expect(text(await db.get('c'))).toBe('1')
  await early
  await db.sync()
  expect(db.history().durable).toBe(4)
  const always = await memoryPlace({ sync: true }).open()
  await always.put('x', 'y')
  expect(always.history().durable).toBe(1)
  await always.put('x', 'y', { sync: false })
  expect(always.history().durable).toBe(1)
})
