import { describe, expect, test } from 'vitest'
import { type ChangeEvent, encodeCounter, replicate, type Varve } from '../../src/index.ts'
import { any, errorOf, memoryPlace, places, rejected, text } from './store.ts'

const events = (db: Varve, from = 1): Promise<ChangeEvent[]> =>
  db.scanSinceSeqno(from).nextBatch(Infinity)

/** Commits [1..2], [3], [4..6]. */
async function source(): Promise<Varve> {
  const place = memoryPlace()
  const db = await place.open()
  const ks = await db.keyspace('k')
  await db.write(db.batch().put('a', '1').put('b', '', ks), { meta: 'm' })
  place.clock.advance(10)
  await db.delete('a')
  place.clock.advance(10)
  await db.write(db.batch().put('c', '1').deleteRange('x', 'y', ks).deleteRange(''))
  return db
}

test('applyChanges applies whole commits, skips what is held, and refuses holes', async () => {
  const db = await source()
  const all = await events(db)
  const place = memoryPlace({ role: 'replica' })
  const replica = await place.open()
  expect(await replica.applyChanges([])).toEqual({ latest: 0, applied: 0 })
  expect(await errorOf(replica.applyChanges(all.slice(2)))).toMatchObject({
    code: 'VARVE_SEQNO_GAP',
  })
  expect(await rejected(replica.applyChanges([all[0]!, all[2]!]))).toBe('VARVE_SEQNO_GAP')
  expect(replica.history().latest).toBe(0)
  expect(await replica.applyChanges(all.slice(0, 1))).toEqual({ latest: 0, applied: 0 })
  expect(await replica.applyChanges(all.slice(0, 4))).toEqual({ latest: 3, applied: 3 })
  expect(await replica.applyChanges(all.slice(0, 3))).toEqual({ latest: 3, applied: 0 })
  expect(await rejected(replica.applyChanges(all.slice(4)))).toBe('VARVE_SEQNO_GAP')
  expect(await replica.applyChanges(all)).toEqual({ latest: 6, applied: 3 })
  expect(await events(replica)).toEqual(all)
  expect(replica.keyspaces()).toEqual(['default', 'k'])
  expect((await replica.keys().all()).length).toBe(0)
  await replica.close()
  const again = await place.open()
  expect(again.role).toBe('replica')
  expect(await events(again)).toEqual(all)
  const primary = await memoryPlace().open()
  expect(await rejected(primary.applyChanges(all))).toBe('VARVE_INVALID_ARGUMENT')
})

test('the token is kept with the events, and left out with an incomplete commit', async () => {
  const db = await source()
  const all = await events(db)
  const replica = await memoryPlace({ role: 'replica' }).open()
  const scan = db.scanSinceSeqno(1)
  const first = await scan.nextBatch(1)
  const token3 = scan.token
  expect(
    await replica.applyChanges(first, { token: token3, epochs: db.history().epochs, sync: true }),
  ).toEqual({ latest: 2, applied: 2 })
  expect(replica.history()).toMatchObject({
    sourceToken: token3,
    storeId: db.history().storeId,
    durable: 2,
  })
  await scan.nextBatch()
  const token7 = scan.token
  expect(await replica.applyChanges(all.slice(2, 5), { token: token7 })).toEqual({
    latest: 3,
    applied: 1,
  })
  expect(replica.history().sourceToken).toBe(token3)
  await replica.applyChanges(all.slice(3), { token: token7 })
  expect(replica.history().sourceToken).toBe(token7)
  const foreign = await source()
  const theirs = foreign.scanSinceSeqno(7).token
  expect(await errorOf(replica.applyChanges([], { token: theirs }))).toMatchObject({
    code: 'VARVE_WRONG_STORE',
  })
  expect(
    await rejected(replica.applyChanges([], { epochs: [{ epoch: 1, id: 'other', first: 1 }] })),
  ).toBe('VARVE_HISTORY_DIVERGED')
  const epochs = [...db.history().epochs, { epoch: 2, id: 'later', first: 5 }]
  expect(await rejected(replica.applyChanges([], { epochs }))).toBe('VARVE_HISTORY_DIVERGED')
  expect(replica.history().epochs).toEqual(db.history().epochs)
})

test('wrong events are refused before anything is applied', async () => {
  const db = await source()
  const all = await events(db)
  const replica = await memoryPlace({ role: 'replica' }).open()
  const [first, second] = all as [ChangeEvent, ChangeEvent]
  const cases: [string, unknown, string][] = [
    ['no array', first, 'ERR_INVALID_ARG_TYPE'],
    ['undefined', undefined, 'ERR_INVALID_ARG_TYPE'],
    ['no events', [1], 'ERR_INVALID_ARG_TYPE'],
    ['null', [null], 'ERR_INVALID_ARG_TYPE'],
    ['seqno of a wrong type', [{ ...first, seqno: '1' }], 'ERR_INVALID_ARG_TYPE'],
    ['seqno 0', [{ ...first, seqno: 0 }], 'VARVE_INVALID_ARGUMENT'],
    ['an unknown type', [{ ...first, type: 'Put' }], 'VARVE_INVALID_ARGUMENT'],
    ['an empty key', [{ ...first, key: Buffer.alloc(0) }, second], 'VARVE_INVALID_ARGUMENT'],
    ['no value', [{ ...first, value: undefined }, second], 'ERR_INVALID_ARG_TYPE'],
    ['two orders', [second, first], 'VARVE_INVALID_ARGUMENT'],
    ['two bounds', [first, { ...second, commitLast: 3 }], 'VARVE_INVALID_ARGUMENT'],
    ['commitLast below seqno', [{ ...first, commitLast: 0 }], 'VARVE_INVALID_ARGUMENT'],
    ['an empty keyspace name', [{ ...first, keyspace: '' }, second], 'VARVE_INVALID_ARGUMENT'],
    [
      'a meta of 257 bytes',
      [{ ...first, commitMeta: Buffer.alloc(257) }],
      'VARVE_INVALID_ARGUMENT',
    ],
  ]
  for (const [name, given, code] of cases) {
    expect(await rejected(replica.applyChanges(any(given))), name).toBe(code)
    expect(replica.history().latest, name).toBe(0)
  }
  for (const [options, code] of [
    [{ token: 'nonsense' }, 'VARVE_INVALID_ARGUMENT'],
    [{ token: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [{ epochs: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [{ unknown: 1 }, 'VARVE_INVALID_ARGUMENT'],
    [{ sync: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [{ signal: AbortSignal.abort() }, 'VARVE_ABORTED'],
  ] as const) {
    expect(await rejected(replica.applyChanges(all, any(options))), JSON.stringify(options)).toBe(
      code,
    )
    expect(replica.history().latest).toBe(0)
  }
})

test('operands without their operator are refused; drops are followed', async () => {
  const db = await memoryPlace().open()
  const counters = await db.keyspace('counters', { mergeOperator: 'counter' })
  await db.put('a', '1')
  await counters.merge('n', encodeCounter(1))
  await db.dropKeyspace('counters')
  const anew = await db.keyspace('counters')
  await anew.put('x', '1')
  const all = await events(db)
  const replica = await memoryPlace({ role: 'replica' }).open()
  expect(await rejected(replica.applyChanges(all))).toBe('VARVE_NO_MERGE_OPERATOR')
  expect(replica.history().latest).toBe(0)
  await replica.keyspace('counters', { mergeOperator: 'counter' })
  expect(await replica.applyChanges(all)).toEqual({ latest: 4, applied: 4 })
  expect(text(await (await replica.keyspace('counters')).get('x'))).toBe('1')
  expect(await events(replica)).toEqual(all)
})

describe.each(places)('%s', (_where, make) => {
  test('replicate follows until its signal, with the options of the keyspaces', async () => {
    const db = await make({ mergeOperator: 'append' }).open()
    const replica = await make({ role: 'replica' }).open()
    const ks = await db.keyspace('k', { mergeOperator: 'counter', compression: 'deflate' })
    await db.merge('a', '1')
    await ks.merge('n', encodeCounter(2))
    const controller = new AbortController()
    const reached: number[] = []
    let wake = (): void => undefined
    const until = async (latest: number): Promise<void> => {
      while (replica.history().latest < latest) {
        await new Promise<void>((resolve) => (wake = resolve))
      }
    }
    const running = replicate(db, replica, {
      signal: controller.signal,
      onProgress: ({ latest }) => {
        reached.push(latest)
        wake()
      },
    })
    await db.sync()
    await until(2)
    expect(await (await replica.keyspace('k')).get('n')).toEqual(encodeCounter(2))
    expect(text(await replica.get('a'))).toBe('1')
    await db.merge('a', '2', { sync: true })
    await until(3)
    controller.abort()
    expect(await running).toEqual({ latest: 3 })
    expect(reached.at(-1)).toBe(3)
    expect(replica.history().durable).toBe(3)
    expect(text(await replica.get('a'))).toBe('12')
    expect(await rejected(replicate(db, db))).toBe('VARVE_INVALID_ARGUMENT')
    expect(await rejected(replicate(replica, db))).toBe('VARVE_INVALID_ARGUMENT')
    expect(await rejected(replicate(any({}), replica))).toBe('ERR_INVALID_ARG_TYPE')
    expect(await rejected(replicate(db, any(undefined)))).toBe('ERR_INVALID_ARG_TYPE')
    expect(await rejected(replicate(db, replica, any({ stop: true })))).toBe(
      'VARVE_INVALID_ARGUMENT',
    )
    expect(await replicate(db, replica, { signal: AbortSignal.abort() })).toEqual({ latest: 3 })
    await db.put('b', '1')
    const until4 = replicate(db, replica)
    await db.close()
    expect(await until4).toEqual({ latest: 4 })
  })

  test('a replica of a source that has given up its beginning needs a checkpoint', async () => {
    const db = await make({ history: 'none' }).open()
    await db.put('a', '1')
    await db.flush()
    await db.compact()
    const replica = await make({ role: 'replica' }).open()
    expect(await rejected(replicate(db, replica, { stopAtLatest: true }))).toBe(
      'VARVE_HISTORY_TRUNCATED',
    )
  })
})

test('only durable events are replicated', async () => {
  const db = await memoryPlace().open()
  const replica = await memoryPlace({ role: 'replica' }).open()
  await db.put('a', '1', { sync: true })
  await db.put('b', '1')
  const controller = new AbortController()
  const states: { latest: number; sourceLatest: number }[] = []
  const running = replicate(db, replica, {
    signal: controller.signal,
    onProgress: (state) => {
      states.push(state)
      controller.abort()
    },
  })
  expect(await running).toEqual({ latest: 1 })
  expect(states[0]).toEqual({ latest: 1, sourceLatest: 2 })
})

test('a source that closes lets a replica that is still catching up have everything', async () => {
  const db = await memoryPlace({ memtableBytes: 64 * 1024 }).open()
  for (let i = 0; i < 20_000; i++) void db.put(`k${i}`, 'x'.repeat(20))
  await db.sync()
  const replica = await memoryPlace({ role: 'replica' }).open()
  const running = replicate(db, replica)
  void db.put('last', '1')
  await db.close()
  expect(await running).toEqual({ latest: 20_001 })
})

test('a replica that has heard of no source has no epochs, and may be a source itself', async () => {
  const empty = await memoryPlace({ role: 'replica' }).open()
  expect(empty.history()).toMatchObject({ epochs: [], latest: 0, sourceToken: undefined })
  const next = await memoryPlace({ role: 'replica' }).open()
  expect(await replicate(empty, next, { stopAtLatest: true })).toEqual({ latest: 0 })
  const { epochs } = empty.history()
  expect(await next.applyChanges([], { epochs })).toEqual({ latest: 0, applied: 0 })
  expect(next.history().epochs).toEqual([])
  await next.promote()
  expect(next.history().epochs).toEqual([{ epoch: 1, id: expect.any(String), first: 1 }])
  expect(await next.put('a', '1')).toBe(1)
})
