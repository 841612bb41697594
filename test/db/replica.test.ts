import { describe, expect, test } from 'vitest'
import { type ChangeEvent, encodeCounter, replicate, Varve } from '../../src/index.ts'
import { codeOf, type Fixture, fixture } from './open.ts'

const REPLICA = { role: 'replica' } as const

function replicaFixture(): Fixture {
  return fixture(REPLICA)
}

async function eventsOf(store: Varve, from = 1): Promise<ChangeEvent[]> {
  const events: ChangeEvent[] = []
  for await (const event of store.scanSinceSeqno(from)) events.push(event)
  return events
}

async function stateOf(store: Varve): Promise<Record<string, [string, string][]>> {
  const state: Record<string, [string, string][]> = {}
  for (const name of store.keyspaces()) {
    const keyspace = name === 'default' ? store : await store.keyspace(name)
    const entries = await keyspace.entries().all()
    state[name] = entries.map(([key, value]) => [key.toString('hex'), value.toString('hex')])
  }
  return state
}

/** One commit of each kind of event, in two keyspaces. */
async function write(store: Varve): Promise<void> {
  const counts = await store.keyspace('counts', { mergeOperator: 'counter' })
  await store.put('a', '1', { meta: 'from afar' })
  await store.write(
    store.batch().put('b', '2').merge('n', encodeCounter(5), counts).delete('a').put('c', '3'),
  )
  await store.deleteRange('b', 'c')
  await store.deleteRange('x')
  await store.put('big', Buffer.alloc(10_000, 7))
  await counts.merge('n', encodeCounter(-2))
}

test('a replica has the events of its source, byte for byte, and its identity', async () => {
  const source = await fixture().open()
  const replica = await replicaFixture().open()
  await write(source)
  expect(await replicate(source, replica, { stopAtLatest: true })).toEqual({ latest: 9 })
  expect(await eventsOf(replica)).toEqual(await eventsOf(source))
  expect(await stateOf(replica)).toEqual(await stateOf(source))
  const { storeId, epochs, latest, sourceToken } = replica.history()
  expect({ storeId, epochs, latest }).toEqual({
    storeId: source.history().storeId,
    epochs: source.history().epochs,
    latest: 9,
  })
  expect(sourceToken).toBe(source.scanSinceSeqno(10).token)
  await source.close()
  await replica.close()
})

test('keyspaces without events are made with their options', async () => {
  const source = await fixture().open()
  const { open, fs } = replicaFixture()
  const replica = await open()
  await source.keyspace('counts', { mergeOperator: 'counter' })
  await source.put('a', '1')
  await replicate(source, replica, { stopAtLatest: true })
  expect(replica.keyspaces()).toEqual(['counts', 'default'])

  // Dropped and made again, with another operator: neither has events of its own but for the drop.
  await source.keyspace('gone')
  await source.dropKeyspace('gone')
  await source.dropKeyspace('counts')
  await source.keyspace('counts', { mergeOperator: 'append' })
  await source.sync()
  const stop = new AbortController()
  let late: Promise<unknown> | undefined
  const following = replicate(source, replica, {
    signal: stop.signal,
    onProgress: ({ latest }) => {
      if (latest === 4) stop.abort()
      late ??= source.keyspace('late').then(() => source.put('b', '2', { sync: true }))
    },
  })
  expect(await following).toEqual({ latest: 4 })
  await late
  expect(replica.keyspaces()).toEqual(source.keyspaces())
  await replica.close()
  await source.close()

  const again = await fixture(REPLICA, fs).open()
  const code = (mergeOperator: string): Promise<unknown> =>
    codeOf(() => again.keyspace('counts', { mergeOperator }))
  expect(await code('counter')).toBe('VARVE_MERGE_OPERATOR_MISMATCH')
  expect(await code('append')).toBe('no error')
  await again.close()
})

test('a replica of a source without events takes its identity all the same', async () => {
  const source = await fixture().open()
  const replica = await replicaFixture().open()
  expect(await replicate(source, replica, { stopAtLatest: true })).toEqual({ latest: 0 })
  const { storeId, epochs, sourceToken } = replica.history()
  expect({ storeId, epochs }).toEqual({
    storeId: source.history().storeId,
    epochs: source.history().epochs,
  })
  expect(sourceToken).toBe(source.scanSinceSeqno(1).token)
  await source.close()
  await replica.close()
})

test('a replica goes on where it stands, follows, and stops with the signal', async () => {
  const source = await fixture().open()
  const replicas = replicaFixture()
  let replica = await replicas.open()
  await write(source)
  await replicate(source, replica, { stopAtLatest: true })
  await replica.close()
  replica = await replicas.open()
  expect(replica.role).toBe('replica')
  expect(replica.history().sourceToken).toBeDefined()
  const controller = new AbortController()
  const seen: number[] = []
  const following = replicate(source, replica, {
    signal: controller.signal,
    onProgress: ({ latest }) => {
      seen.push(latest)
      if (latest === 12) controller.abort()
    },
  })
  for (let i = 0; i < 3; i++) await source.put(`k${i}`, 'v', { sync: true })
  expect(await following).toEqual({ latest: 12 })
  expect(seen.at(-1)).toBe(12)
  expect(await eventsOf(replica)).toEqual(await eventsOf(source))
  await source.close()
  await replica.close()
})

test('a replica that follows ends when its source closes', async () => {
  const source = await fixture().open()
  const replica = await replicaFixture().open()
  const following = replicate(source, replica)
  await source.put('a', '1', { sync: true })
  await source.put('b', '2')
  await source.close()
  expect(await following).toEqual({ latest: 2 })
  await replica.close()
})

test('a token of the source is good on the replica, and back', async () => {
  const source = await fixture().open()
  const replica = await replicaFixture().open()
  await write(source)
  await replicate(source, replica, { stopAtLatest: true })
  const scan = source.scanSinceSeqno(1, { limit: 3 })
  await scan.nextBatch()
  const rest = await replica.scanSinceSeqno(scan.token).nextBatch()
  expect(rest).toEqual((await eventsOf(source)).slice(scan.position - 1))
  expect(await source.scanSinceSeqno(replica.scanSinceSeqno(5).token).nextBatch()).toHaveLength(5)
  await source.close()
  await replica.close()
})

test('replicas chain', async () => {
  const source = await fixture().open()
  const middle = await replicaFixture().open()
  const last = await replicaFixture().open()
  // The other way round first: a replica that knows no source yet gives none on.
  await replicate(middle, last, { stopAtLatest: true })
  await write(source)
  await replicate(source, middle, { stopAtLatest: true })
  await replicate(middle, last, { stopAtLatest: true })
  expect(await eventsOf(last)).toEqual(await eventsOf(source))
  expect(last.history().storeId).toBe(source.history().storeId)
  await last.applyChanges([], { token: source.scanSinceSeqno(10).token })
  for (const store of [source, middle, last]) await store.close()
})

describe('applyChanges', () => {
  test('skips what is held, and tells how many events it took', async () => {
    const source = await fixture().open()
    const replica = await replicaFixture().open()
    await replica.keyspace('counts', { mergeOperator: 'counter' })
    await write(source)
    const events = await eventsOf(source)
    expect(await replica.applyChanges(events.slice(0, 5))).toEqual({ latest: 5, applied: 5 })
    expect(await replica.applyChanges(events)).toEqual({ latest: 9, applied: 4 })
    expect(await replica.applyChanges(events)).toEqual({ latest: 9, applied: 0 })
    expect(await replica.applyChanges([])).toEqual({ latest: 9, applied: 0 })
    expect(await eventsOf(replica)).toEqual(events)
    await source.close()
    await replica.close()
  })

  test('refuses holes, and applies nothing then', async () => {
    const source = await fixture().open()
    const replica = await replicaFixture().open()
    for (let i = 0; i < 5; i++) await source.put('k', `${i}`)
    const events = await eventsOf(source)
    const gap = [events[0]!, events[1]!, events[3]!]
    expect(await codeOf(() => replica.applyChanges(events.slice(1)))).toBe('VARVE_SEQNO_GAP')
    expect(await codeOf(() => replica.applyChanges(gap))).toBe('VARVE_SEQNO_GAP')
    const beyond = { token: source.scanSinceSeqno(6).token }
    expect(await codeOf(() => replica.applyChanges(events.slice(0, 2), beyond))).toBe(
      'VARVE_SEQNO_GAP',
    )
    expect(replica.history().latest).toBe(0)
    await source.close()
    await replica.close()
  })

  test('leaves an incomplete commit out, together with the token', async () => {
    const source = await fixture().open()
    const replica = await replicaFixture().open()
    await source.put('a', '1')
    await source.write(source.batch().put('b', '2').put('c', '3'))
    const events = await eventsOf(source)
    const { token } = source.scanSinceSeqno(4)
    expect(await replica.applyChanges(events.slice(0, 2), { token })).toEqual({
      latest: 1,
      applied: 1,
    })
    expect(replica.history().sourceToken).toBeUndefined()
    expect(replica.history().storeId).toBe(source.history().storeId)
    expect(await replica.get('b')).toBeUndefined()
    expect(await replica.applyChanges(events.slice(1), { token })).toEqual({
      latest: 3,
      applied: 2,
    })
    expect(replica.history().sourceToken).toBe(token)
    await source.close()
    await replica.close()
  })

  test('refuses operands without their operator, before anything is written', async () => {
    const source = await fixture({ mergeOperator: 'counter' }).open()
    const replica = await replicaFixture().open()
    await source.put('a', encodeCounter(1))
    await source.merge('a', encodeCounter(1))
    const events = await eventsOf(source)
    expect(await codeOf(() => replica.applyChanges(events))).toBe('VARVE_NO_MERGE_OPERATOR')
    expect(replica.history().latest).toBe(0)
    await replicate(source, replica, { stopAtLatest: true })
    expect(await replica.get('a')).toEqual(encodeCounter(2))
    await source.close()
    await replica.close()
  })

  test('drops keyspaces, and tells their namesakes apart', async () => {
    const source = await fixture().open()
    const replicas = replicaFixture()
    let replica = await replicas.open()
    const first = await source.keyspace('things', { mergeOperator: 'counter' })
    await first.merge('n', encodeCounter(1))
    await source.dropKeyspace('things')
    const second = await source.keyspace('things', { mergeOperator: 'append' })
    await second.merge('n', 'abc')
    await source.dropKeyspace('things')
    const third = await source.keyspace('things')
    await third.put('n', 'plain')
    await replicate(source, replica, { stopAtLatest: true })
    expect(await stateOf(replica)).toEqual(await stateOf(source))
    expect(await eventsOf(replica)).toEqual(await eventsOf(source))
    await replica.close()
    replica = await replicas.open()
    expect(await stateOf(replica)).toEqual(await stateOf(source))
    await replica.flush()
    expect(await eventsOf(replica)).toEqual(await eventsOf(source))
    await source.close()
    await replica.close()
  })

  test('refuses a source that is another store', async () => {
    const [source, other] = [await fixture().open(), await fixture().open()]
    const replica = await replicaFixture().open()
    await source.put('a', '1')
    await other.put('a', '1')
    await replicate(source, replica, { stopAtLatest: true })
    expect(await codeOf(() => replicate(other, replica, { stopAtLatest: true }))).toBe(
      'VARVE_WRONG_STORE',
    )
    const { token } = other.scanSinceSeqno(2)
    expect(await codeOf(() => replica.applyChanges([], { token }))).toBe('VARVE_WRONG_STORE')
    for (const store of [source, other, replica]) await store.close()
  })

  test('refuses a history that went on apart', async () => {
    const sources = fixture()
    let source = await sources.open()
    await source.put('a', '1')
    const replica = await replicaFixture().open()
    // Not durable: what a replica fed by hand can know of, and its source may forget.
    await source.put('b', '2')
    await replica.applyChanges(await eventsOf(source), { epochs: source.history().epochs })
    expect(replica.history().latest).toBe(2)
    const after = fixture({}, sources.fs.crash('lost'))
    source = await after.open()
    expect(source.history().latest).toBe(0)
    await source.put('other', '1')
    await source.put('other', '2')
    await source.put('other', '3')
    const events = await eventsOf(source, 3)
    const { epochs } = source.history()
    expect(await codeOf(() => replica.applyChanges(events, { epochs }))).toBe(
      'VARVE_HISTORY_DIVERGED',
    )
    expect(await codeOf(() => replicate(source, replica, { stopAtLatest: true }))).toBe(
      'VARVE_HISTORY_DIVERGED',
    )
    expect(replica.history().latest).toBe(2)
    await source.close()
    await replica.close()
  })

  test('refuses lists of epochs that no source has', async () => {
    const replicas = replicaFixture()
    let replica = await replicas.open()
    const epoch = { epoch: 1, id: 'a', first: 1 }
    const refused = async (...epochs: (typeof epoch)[]): Promise<void> => {
      expect(await codeOf(() => replica.applyChanges([], { epochs }))).toBe(
        'VARVE_INVALID_ARGUMENT',
      )
      expect(replica.history().epochs).toEqual([])
    }
    await refused({ ...epoch, epoch: 0 })
    await refused({ ...epoch, epoch: 1.5 })
    await refused({ ...epoch, epoch: Number.MAX_SAFE_INTEGER })
    await refused({ ...epoch, first: 0 })
    await refused({ ...epoch, first: Number.MAX_SAFE_INTEGER })
    await refused({ ...epoch, id: '' })
    await refused({ ...epoch, id: 'a\ud800' })
    await refused(epoch, { ...epoch, epoch: 2, first: 3 })
    // The last that may be: the store can still be promoted, and opened afterwards.
    const last = { epoch: 2 ** 48 - 1, id: 'a', first: 1 }
    await replica.applyChanges([], { epochs: [last] })
    await replica.promote()
    const { epochs } = replica.history()
    expect(epochs).toEqual([last, { epoch: 2 ** 48, id: epochs[1]?.id, first: 1 }])
    await replica.close()
    replica = await replicas.open({ role: 'primary' })
    expect(replica.history().epochs).toEqual(epochs)
    await replica.close()
  })

  test('refuses what no source says', async () => {
    const replica = await replicaFixture().open()
    const event = {
      type: 'Insert',
      keyspace: 'default',
      seqno: 1,
      commitSeqno: 1,
      commitLast: 1,
      timestamp: 5,
      key: Buffer.from('k'),
      value: Buffer.from('v'),
    }
    const apply = (...events: unknown[]): Promise<unknown> =>
      codeOf(() => replica.applyChanges(events as ChangeEvent[]))
    expect(await apply({ ...event, type: 'Put' })).toBe('VARVE_INVALID_ARGUMENT')
    expect(await apply({ ...event, key: 'text' })).toBe('ERR_INVALID_ARG_TYPE')
    expect(await apply({ ...event, key: Buffer.alloc(0) })).toBe('VARVE_INVALID_ARGUMENT')
    expect(await apply({ ...event, timestamp: -1 })).toBe('VARVE_INVALID_ARGUMENT')
    expect(await apply({ ...event, timestamp: undefined })).toBe('ERR_INVALID_ARG_TYPE')
    expect(await apply({ ...event, commitSeqno: 2 })).toBe('VARVE_INVALID_ARGUMENT')
    expect(await apply({ ...event, keyspace: '' })).toBe('VARVE_INVALID_ARGUMENT')
    expect(await apply(event, event)).toBe('VARVE_INVALID_ARGUMENT')
    expect(await apply(null)).toBe('ERR_INVALID_ARG_TYPE')
    expect(await codeOf(() => replica.applyChanges('x' as never))).toBe('ERR_INVALID_ARG_TYPE')
    expect(await codeOf(() => replica.applyChanges([], { token: 'x' }))).toBe(
      'VARVE_INVALID_ARGUMENT',
    )
    expect(await codeOf(() => replica.applyChanges([], { meta: 'x' }))).toBe(
      'VARVE_INVALID_ARGUMENT',
    )
    const drop = {
      ...event,
      type: 'RangeTombstone',
      startKey: Buffer.alloc(0),
      endKey: undefined,
      dropsKeyspace: true,
    }
    expect(await apply(drop)).toBe('VARVE_INVALID_ARGUMENT')
    expect(replica.history().latest).toBe(0)
    await replica.close()
  })

  test('copies its input during the call', async () => {
    const source = await fixture().open()
    const replica = await replicaFixture().open()
    await source.put('key', 'value')
    const events = await eventsOf(source)
    const applied = replica.applyChanges(events)
    const event = events[0]!
    if (event.type === 'Insert') event.value.fill(0)
    await applied
    expect((await replica.get('key'))?.toString()).toBe('value')
    await source.close()
    await replica.close()
  })

  test('is refused on a primary, as is promote', async () => {
    const primary = await fixture().open()
    expect(await codeOf(() => primary.applyChanges([]))).toBe('VARVE_INVALID_ARGUMENT')
    expect(await codeOf(() => primary.promote())).toBe('VARVE_INVALID_ARGUMENT')
    await primary.close()
  })
})

describe('a replica', () => {
  test('refuses local writes until it is promoted; promotion starts an epoch', async () => {
    const source = await fixture().open()
    const replicas = replicaFixture()
    let replica = await replicas.open()
    await source.put('a', '1')
    await replicate(source, replica, { stopAtLatest: true })
    expect(await codeOf(() => replica.put('b', '2'))).toBe('VARVE_READ_ONLY')
    await replica.promote()
    expect(replica.role).toBe('primary')
    expect(replica.history().sourceToken).toBeUndefined()
    expect(await replica.put('b', '2')).toBe(2)
    const { epochs } = replica.history()
    expect(epochs.map(({ epoch, first }) => [epoch, first])).toEqual([
      [1, 1],
      [2, 2],
    ])
    expect(epochs[0]).toEqual(source.history().epochs[0])
    await replica.close()
    replica = await replicas.open({ role: 'primary' })
    expect(replica.role).toBe('primary')
    expect(replica.history().epochs).toEqual(epochs)
    await replica.close()
    // Back to being a replica: the old source never had what was written here.
    replica = await replicas.open({ role: 'replica' })
    await source.put('c', '3')
    await source.put('c', '4')
    expect(await codeOf(() => replicate(source, replica, { stopAtLatest: true }))).toBe(
      'VARVE_HISTORY_DIVERGED',
    )
    expect(
      await codeOf(async () =>
        replica.applyChanges(await eventsOf(source), { epochs: source.history().epochs }),
      ),
    ).toBe('VARVE_HISTORY_DIVERGED')
    await source.close()
    await replica.close()
  })

  test('that a promoted one feeds goes on', async () => {
    const source = await fixture().open()
    const [first, second] = [await replicaFixture().open(), await replicaFixture().open()]
    await source.put('a', '1')
    await replicate(source, first, { stopAtLatest: true })
    await replicate(source, second, { stopAtLatest: true })
    await source.close()
    await first.promote()
    await first.put('b', '2')
    await replicate(first, second, { stopAtLatest: true })
    expect(await eventsOf(second)).toEqual(await eventsOf(first))
    expect(second.history().epochs).toEqual(first.history().epochs)
    await first.close()
    await second.close()
  })

  test('keeps token and epochs through power cuts, flushes and closes', async () => {
    const sources = fixture()
    let source = await sources.open()
    await source.put('a', '1')
    await source.sync()
    // Not closed: the next open starts an epoch.
    source = await fixture({}, sources.fs.crash('lost')).open()
    await source.put('b', '2')
    let replicas = replicaFixture()
    let replica = await replicas.open()
    await replicate(source, replica, { stopAtLatest: true })
    const { epochs, sourceToken } = replica.history()
    expect(epochs).toEqual(source.history().epochs)
    expect(epochs).toHaveLength(2)
    replicas = fixture(REPLICA, replicas.fs.crash('lost'))
    replica = await replicas.open()
    expect(replica.history()).toMatchObject({ epochs, sourceToken, latest: 2 })
    await replica.flush()
    await replica.close()
    replica = await replicas.open()
    expect(replica.history()).toMatchObject({ epochs, sourceToken, latest: 2 })
    const reader = await replicas.open({ readOnly: true })
    expect(reader.history()).toMatchObject({ epochs, latest: 2 })
    await reader.close()
    await replica.close()
    await source.close()
  })

  test('learns of an epoch that its source started since', async () => {
    const sources = fixture()
    let source = await sources.open()
    await source.put('a', '1')
    const replicas = replicaFixture()
    let replica = await replicas.open()
    await replicate(source, replica, { stopAtLatest: true })
    source = await fixture({}, sources.fs.crash('lost')).open()
    await source.put('b', '2')
    await replicate(source, replica, { stopAtLatest: true })
    const { epochs } = source.history()
    expect(epochs).toHaveLength(2)
    expect(replica.history().epochs).toEqual(epochs)
    replica = await fixture(REPLICA, replicas.fs.crash('lost')).open()
    expect(replica.history().epochs).toEqual(epochs)
    await source.put('c', '3')
    await replicate(source, replica, { stopAtLatest: true })
    await replica.flush()
    expect(replica.history().epochs).toEqual(epochs)
    expect(await eventsOf(replica)).toEqual(await eventsOf(source))
    await source.close()
    await replica.close()
  })

  test('killed at any operation it goes on, and knows in which epoch each event was', async () => {
    const sources = fixture()
    let source = await sources.open()
    await source.put('a', '1', { sync: true })
    const base = fixture(REPLICA)
    let replica = await base.open()
    await replicate(source, replica, { stopAtLatest: true })
    source = await fixture({}, sources.fs.crash('lost')).open()
    const other = await source.keyspace('other', { mergeOperator: 'append' })
    for (let i = 0; i < 4; i++) await source.put('k', Buffer.alloc(5_000, i))
    await source.write(source.batch().merge('m', 'x', other).delete('k'))
    await source.sync()
    const expected = await eventsOf(source)
    let isKilled = true
    for (let operation = 1; isKilled; operation++) {
      const options = { ...REPLICA, memtableBytes: 16 * 1024 }
      const replicas = fixture(options, base.fs.crash('lost'))
      replica = await replicas.open()
      replicas.fs.dieAtOperation(replicas.fs.operationCount + operation)
      isKilled =
        (await codeOf(() => replicate(source, replica, { stopAtLatest: true }))) !== 'no error'
      await replica.close().catch(() => undefined)
      for (const how of ['lost', 'kept', { seed: operation }] as const) {
        const left = fixture(REPLICA, replicas.fs.crash(how))
        replica = await left.open()
        const held = await eventsOf(replica)
        expect(held).toEqual(expected.slice(0, held.length))
        expect(held.at(-1)?.commitLast ?? 0).toBe(held.length)
        await replicate(source, replica, { stopAtLatest: true })
        expect(await eventsOf(replica)).toEqual(expected)
        expect(replica.history().epochs).toEqual(source.history().epochs)
        await replica.close()
      }
    }
    await source.close()
  })

  test('has consumers of its own, whose acks do not disturb the times of events', async () => {
    const sources = fixture()
    const source = await sources.open()
    const replicas = replicaFixture()
    const replica = await replicas.open()
    await source.put('a', '1')
    await replicate(source, replica, { stopAtLatest: true })
    // The replica's clock is ahead.
    replicas.clock.advance(60_000)
    const consumer = await replica.consumer('c')
    await consumer.ack(2)
    expect(replica.consumers()[0]).toMatchObject({ position: 2, lastAckAt: 1_060_000 })
    sources.clock.advance(1_000)
    await source.put('b', '2')
    await replicate(source, replica, { stopAtLatest: true })
    expect(await eventsOf(replica)).toEqual(await eventsOf(source))
    await source.close()
    await replica.close()
  })

  test('is what the old source becomes when another has taken over, if it has nothing more', async () => {
    let sources = fixture()
    let source = await sources.open()
    await source.put('a', '1')
    const replica = await replicaFixture().open()
    await replicate(source, replica, { stopAtLatest: true })
    sources = fixture({}, sources.fs.crash('kept'))
    await source.close()
    await replica.promote()
    await replica.put('b', '2')
    // An epoch in which nothing was written does not count.
    source = await sources.open()
    expect(source.history().epochs).toHaveLength(2)
    await source.close()
    source = await sources.open({ role: 'replica' })
    await replicate(replica, source, { stopAtLatest: true })
    expect(await eventsOf(source)).toEqual(await eventsOf(replica))
    expect(source.history().epochs).toEqual(replica.history().epochs)
    await source.close()
    const ahead = fixture({}, sources.fs.crash('kept'))
    source = await ahead.open({ role: 'replica' })
    await source.promote()
    await source.put('c', '3')
    await source.close()
    source = await ahead.open({ role: 'replica' })
    await replica.put('d', '4')
    expect(await codeOf(() => replicate(replica, source, { stopAtLatest: true }))).toBe(
      'VARVE_HISTORY_DIVERGED',
    )
    await source.close()
    await replica.close()
  })

  // Once: there is space again for the commits behind the one that was refused, and they must not take its seqnos.
  test.each([1, Infinity])(
    'whose disk is full keeps whole commits, and goes on when there is space: %s',
    async (times) => {
      const source = await fixture().open()
      for (let i = 0; i < 20; i++) {
        await source.write(source.batch().put(`k${i}`, Buffer.alloc(3_000, i)).delete(`d${i}`))
      }
      const replicas = fixture({ ...REPLICA, memtableBytes: 16 * 1024 })
      const replica = await replicas.open()
      replicas.fs.inject({
        operation: 'write',
        file: /\.wal$/,
        after: 2,
        times,
        effect: 'ENOSPC',
      })
      const events = await eventsOf(source)
      expect(await codeOf(() => replica.applyChanges(events))).toBe('VARVE_NO_SPACE')
      const { latest } = replica.history()
      expect(latest % 2).toBe(0)
      expect(latest).toBeLessThan(40)
      expect(await eventsOf(replica)).toEqual(events.slice(0, latest))
      replicas.fs.clearFaults()
      await replicate(source, replica, { stopAtLatest: true })
      expect(await eventsOf(replica)).toEqual(events)
      await source.close()
      await replica.close()
    },
  )

  test('applies durably where that is asked for', async () => {
    const source = await fixture().open()
    await source.put('a', '1')
    await source.put('b', '2')
    const replicas = replicaFixture()
    let replica = await replicas.open()
    const events = await eventsOf(source)
    await replica.applyChanges(events.slice(0, 1), { sync: true })
    await replica.applyChanges(events)
    expect(replica.history()).toMatchObject({ latest: 2, durable: 1 })
    // Held already, but not durable: sent again it becomes so.
    await replica.applyChanges(events, { sync: true })
    expect(replica.history().durable).toBe(2)
    replica = await fixture(REPLICA, replicas.fs.crash('lost')).open()
    expect(await eventsOf(replica)).toEqual(events)
    await source.close()
    await replica.close()
  })

  test('that is aborted, closed or promoted in the middle says so', async () => {
    const source = await fixture().open()
    for (let i = 0; i < 50; i++) await source.put('k', `${i}`)
    const events = await eventsOf(source)
    const replica = await replicaFixture().open()
    const controller = new AbortController()
    const applied = codeOf(() => replica.applyChanges(events, { signal: controller.signal }))
    controller.abort()
    expect(await applied).toBe('VARVE_ABORTED')
    expect(await codeOf(() => replica.applyChanges(events, { signal: controller.signal }))).toBe(
      'VARVE_ABORTED',
    )
    const promoted = replica.promote()
    const late = codeOf(() => replica.applyChanges(events))
    await promoted
    expect(await late).toBe('VARVE_INVALID_ARGUMENT')
    await replica.close()
    const other = await replicaFixture().open()
    const following = codeOf(() => replicate(source, other))
    await other.close()
    expect(await following).toBe('VARVE_CLOSED')
    const third = await replicaFixture().open()
    await source.sync()
    let caughtUp = (): void => {}
    const progressed = new Promise<void>((resolve) => (caughtUp = resolve))
    const waiting = codeOf(() => replicate(source, third, { onProgress: caughtUp }))
    await progressed
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    // It waits for the source's next event, and hears of the replica's end all the same.
    await third.close()
    expect(await waiting).toBe('VARVE_CLOSED')
    const aborted = await replicaFixture().open()
    expect(await replicate(source, aborted, { signal: AbortSignal.abort() })).toEqual({ latest: 0 })
    await aborted.close()
    await source.close()
  })

  test('takes from a source that is readOnly beside its writer', async () => {
    const sources = fixture()
    const writer = await sources.open()
    await writer.put('a', '1')
    const reader = await sources.open({ readOnly: true })
    const replica = await replicaFixture().open()
    expect(await replicate(reader, replica, { stopAtLatest: true })).toEqual({ latest: 1 })
    await writer.put('b', '2')
    await reader.refresh()
    expect(await replicate(reader, replica, { stopAtLatest: true })).toEqual({ latest: 2 })
    expect(await codeOf(() => reader.applyChanges([]))).toBe('VARVE_READ_ONLY')
    for (const store of [writer, reader, replica]) await store.close()
  })

  test('of a source whose history starts above its end is refused', async () => {
    const source = await fixture().open()
    for (let i = 0; i < 10; i++) await source.put('k', `${i}`)
    await source.truncateHistory(6)
    const replica = await replicaFixture().open()
    expect(await codeOf(() => replicate(source, replica))).toBe('VARVE_HISTORY_TRUNCATED')
    await source.close()
    await replica.close()
  })

  test('cannot be opened as a primary', async () => {
    const replicas = replicaFixture()
    await (await replicas.open()).close()
    expect(await codeOf(() => replicas.open({ role: 'primary' }))).toBe('VARVE_INVALID_ARGUMENT')
  })
})

test('replicate refuses what makes no sense', async () => {
  const source = await fixture().open()
  const replica = await replicaFixture().open()
  expect(await codeOf(() => replicate(replica, replica))).toBe('VARVE_INVALID_ARGUMENT')
  expect(await codeOf(() => replicate(replica, source))).toBe('VARVE_INVALID_ARGUMENT')
  expect(await codeOf(() => replicate({} as Varve, replica))).toBe('ERR_INVALID_ARG_TYPE')
  expect(await codeOf(() => replicate(source, replica, { stop: true } as never))).toBe(
    'VARVE_INVALID_ARGUMENT',
  )
  await source.close()
  expect(await codeOf(() => replicate(source, replica))).toBe('VARVE_CLOSED')
  await replica.close()
  expect(await codeOf(() => replicate(source, replica))).toBe('VARVE_CLOSED')
})

test('a replica takes nothing that a power cut may take from its source', async () => {
  const source = await fixture().open()
  const replica = await replicaFixture().open()
  await source.put('kept', '1', { sync: true })
  await source.put('not yet', '2')
  expect(source.stats()).toMatchObject({ latestSeqno: 2, durableSeqno: 1 })
  const stop = new AbortController()
  const seen: unknown[] = []
  await replicate(source, replica, {
    signal: stop.signal,
    onProgress: (state) => {
      seen.push(state)
      // The first is of the batch, the second says that it is caught up.
      if (seen.length === 2) stop.abort()
    },
  })
  expect(seen).toEqual(Array(2).fill({ latest: 1, sourceLatest: 2 }))
  expect(replica.history().latest).toBe(1)
  await replica.close()
  await source.close()
})

test('a replica that fails lets go of the history of its source', async () => {
  const source = await fixture().open()
  const { open, fs } = replicaFixture()
  const replica = await open()
  for (const round of ['1', '2', '3']) {
    for (let i = 0; i < 2_500; i++) void source.put(`key${i}`, round)
    await source.flush()
  }
  await source.compact()
  expect(source.stats().keyspaces['default']!.history.segments).toBeGreaterThan(0)
  fs.inject({ operation: 'write', times: Number.POSITIVE_INFINITY, effect: 'EIO' })
  expect(await codeOf(() => replicate(source, replica))).toMatch(/VARVE_(IO|POISONED)/)
  await source.truncateHistory(source.history().latest + 1)
  await source.compact()
  expect(source.stats().keyspaces['default']!.history.segments).toBe(0)
  fs.clearFaults()
  await codeOf(() => replica.close())
  await source.close()
})

test('a keyspace without blob files has none on the replica either', async () => {
  const source = await fixture().open()
  const replica = await replicaFixture().open()
  const plain = await source.keyspace('plain', { blobThresholdBytes: false })
  const early = await source.keyspace('early', { blobThresholdBytes: 100 })
  await plain.put('a', Buffer.alloc(10_000))
  await replicate(source, replica, { stopAtLatest: true })
  await replica.flush()
  expect(replica.stats().blobs.files).toBe(0)
  await early.put('a', Buffer.alloc(200))
  await replicate(source, replica, { stopAtLatest: true })
  await replica.flush()
  expect(replica.stats().blobs.files).toBe(1)
  await replica.close()
  await source.close()
})
