import { describe, expect, test } from 'vitest'
import { cpSync } from 'node:fs'
import { replicate, Varve } from '../../src/index.ts'
import { diskPlace, errorOf, memoryPlace, rejected } from './store.ts'

const read = (db: Varve, token: string): Promise<unknown> =>
  db
    .scanSinceSeqno(token)
    .nextBatch()
    .then((events) => events.map(({ seqno }) => seqno))

test('a clean reopen goes on in the same epoch, an unclean one starts another at latest + 1', async () => {
  const place = memoryPlace()
  let db = await place.open()
  const first = db.history()
  expect(first.epoch).toBe(1)
  expect(first.epochs).toEqual([{ epoch: 1, id: expect.any(String), first: 1 }])
  expect(first).toMatchObject({
    floor: 1,
    latest: 0,
    durable: 0,
    oldestTimestamp: undefined,
    retainedBytes: 0,
    sourceToken: undefined,
  })
  expect(Object.keys(first).toSorted()).toEqual([
    'durable',
    'epoch',
    'epochs',
    'floor',
    'latest',
    'oldestTimestamp',
    'retainedBytes',
    'sourceToken',
    'storeId',
  ])
  await db.put('a', '1')
  await db.put('a', '2')
  await db.sync()
  const synced = db.scanSinceSeqno(3).token
  await db.put('a', '3')
  const lostToken = db.scanSinceSeqno(4).token
  const startToken = db.scanSinceSeqno(1).token
  const image = place.fs.crash('lost')
  await db.close()
  db = await place.open()
  expect(db.history().epochs).toEqual(first.epochs)
  expect(db.history().storeId).toBe(first.storeId)
  expect(await read(db, lostToken)).toEqual([])
  await db.close()

  const after = memoryPlace({}, { fs: image })
  let lost = await after.open()
  const info = lost.history()
  expect(info.storeId).toBe(first.storeId)
  expect(info.epoch).toBe(2)
  expect(info.epochs).toEqual([first.epochs[0], { epoch: 2, id: expect.any(String), first: 3 }])
  expect(info.epochs[1]!.id).not.toBe(info.epochs[0]!.id)
  expect(await read(lost, synced)).toEqual([])
  expect(await read(lost, startToken)).toEqual([1, 2])
  expect(await errorOf(lost.scanSinceSeqno(lostToken).next())).toMatchObject({
    code: 'VARVE_HISTORY_DIVERGED',
  })
  expect(await rejected(lost.tail({ from: lostToken }).next())).toBe('VARVE_HISTORY_DIVERGED')
  await lost.put('b', '1')
  await lost.put('b', '2')
  expect(await read(lost, synced)).toEqual([3, 4])
  expect(await rejected(lost.scanSinceSeqno(lostToken).next())).toBe('VARVE_HISTORY_DIVERGED')
  const current = lost.scanSinceSeqno(5).token
  await lost.close()
  lost = await after.open()
  expect(lost.history().epoch).toBe(2)
  expect(await read(lost, current)).toEqual([])
  // the other branch does not know it
  db = await place.open()
  expect(await rejected(db.scanSinceSeqno(current).next())).toBe('VARVE_HISTORY_DIVERGED')
  const foreign = await memoryPlace().open()
  expect(await errorOf(foreign.scanSinceSeqno(synced).next())).toMatchObject({
    code: 'VARVE_WRONG_STORE',
  })
  expect(await rejected(foreign.tail({ from: synced }).next())).toBe('VARVE_WRONG_STORE')
})

test('an unclean end without any write starts an epoch too; two crashes two', async () => {
  const place = memoryPlace()
  await place.open()
  const one = memoryPlace({}, { fs: place.fs.crash('kept') })
  const db = await one.open()
  expect(db.history().epochs.map(({ epoch, first }) => [epoch, first])).toEqual([
    [1, 1],
    [2, 1],
  ])
  const two = memoryPlace({}, { fs: one.fs.crash('kept') })
  const second = await two.open()
  expect(second.history().epoch).toBe(3)
  expect(new Set(second.history().epochs.map(({ id }) => id)).size).toBe(3)
})

describe('copies', () => {
  test('a copied directory that was closed cleanly counts as unclean; two copies part', async () => {
    const place = diskPlace()
    const db = await place.open()
    await db.put('a', '1')
    const { storeId, epoch } = db.history()
    const token = db.scanSinceSeqno(2).token
    await db.close()
    const paths = ['-one', '-two'].map((suffix) => `${place.location}${suffix}`)
    for (const path of paths) cpSync(place.location, path, { recursive: true })
    const [one, two] = await Promise.all(paths.map((path) => Varve.open(path)))
    for (const copy of [one!, two!]) {
      expect(copy.history()).toMatchObject({ storeId, epoch: epoch + 1 })
      expect(await read(copy, token)).toEqual([])
    }
    expect(one!.history().epochs[1]!.id).not.toBe(two!.history().epochs[1]!.id)
    await one!.put('b', '1')
    await two!.put('c', '1')
    const theirs = one!.scanSinceSeqno(3).token
    expect(await rejected(two!.scanSinceSeqno(theirs).next())).toBe('VARVE_HISTORY_DIVERGED')
    await one!.close()
    await two!.close()
    const again = await place.open()
    expect(again.history().epoch).toBe(epoch)
  })

  test('a checkpoint is the store itself, in an epoch of its own when opened as a primary', async () => {
    const place = memoryPlace({ blobThresholdBytes: 50 })
    const db = await place.open()
    const ks = await db.keyspace('k', { mergeOperator: 'counter' })
    await db.put('a', 'x'.repeat(100))
    await db.flush()
    await ks.merge('n', Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]))
    const consumer = await db.consumer('c')
    await consumer.ack(2)
    await db.put('a', 'y'.repeat(200))
    const before = db.history()
    const result = await db.checkpoint('/data/copy')
    expect(result).toEqual({ seqno: 3 })
    await db.put('a', 'later')
    expect(db.history().epoch).toBe(before.epoch)
    expect(await rejected(db.checkpoint('/data/copy'))).toBe('VARVE_INVALID_ARGUMENT')
    const copyPlace = memoryPlace({}, { fs: place.fs, location: '/data/copy' })
    const copy = await copyPlace.open()
    expect(copy.history()).toMatchObject({ storeId: before.storeId, epoch: 2, latest: 3 })
    expect((await copy.get('a'))!.length).toBe(200)
    expect((await (await copy.keyspace('k')).get('n'))![0]).toBe(1)
    expect((await copy.scanSinceSeqno(1).nextBatch()).map(({ seqno }) => seqno)).toEqual([1, 2, 3])
    expect(copy.consumers()).toMatchObject([{ name: 'c', position: 2 }])
    expect((await copy.verify()).ok).toBe(true)
    await db.compact()
    await db.close()
    await Varve.destroy(place.location, { environment: { fs: place.fs } })
    expect((await copy.get('a'))!.length).toBe(200)
    expect((await copy.verify()).ok).toBe(true)
    // as a replica it starts none
    await copy.checkpoint('/data/replica')
    const replica = await memoryPlace(
      { role: 'replica' },
      { fs: place.fs, location: '/data/replica' },
    ).open()
    expect(replica.role).toBe('replica')
    expect(replica.history().epochs).toEqual(copy.history().epochs)
  })
})

test('a role is stored; a replica refuses local writes until it is promoted, in a new epoch', async () => {
  const place = memoryPlace()
  let db = await place.open()
  expect(db.role).toBe('primary')
  await db.put('a', '1')
  await db.close()
  db = await place.open({ role: 'primary' })
  expect(db.history().epoch).toBe(1)
  await db.close()
  db = await place.open({ role: 'replica' })
  expect(db.role).toBe('replica')
  expect(db.history().epoch).toBe(1)
  const token = db.scanSinceSeqno(2).token
  for (const call of [
    () => db.put('a', '1'),
    () => db.delete('a'),
    () => db.deleteRange('a'),
    () => db.write(db.batch().put('a', '1')),
    () => db.dropKeyspace('nope'),
  ])
    expect(await rejected(call())).toBe('VARVE_READ_ONLY')
  const ks = await db.keyspace('made here')
  expect(await rejected(ks.put('a', '1'))).toBe('VARVE_READ_ONLY')
  await db.consumer('c')
  await db.flush()
  await db.close()
  expect(await rejected(place.open({ role: 'primary' }))).toBe('VARVE_INVALID_ARGUMENT')
  db = await place.open()
  expect(db.role).toBe('replica')
  await db.promote()
  expect(db.role).toBe('primary')
  expect(db.history()).toMatchObject({ epoch: 2, sourceToken: undefined })
  expect(db.history().epochs[1]).toMatchObject({ first: 2 })
  expect(await db.put('a', '2')).toBe(2)
  expect(await read(db, token)).toEqual([2])
  await db.close()
  db = await place.open({ role: 'primary' })
  expect(db.role).toBe('primary')
})

test('tokens of a source are good on its replica, and back, until they part', async () => {
  const source = await memoryPlace().open()
  for (let i = 0; i < 5; i++) await source.put(`${i}`, 'v')
  const replicaPlace = memoryPlace({ role: 'replica' })
  const replica = await replicaPlace.open()
  expect(replica.history()).toMatchObject({ latest: 0, sourceToken: undefined })
  const token3 = source.scanSinceSeqno(3).token
  const progress: object[] = []
  expect(
    await replicate(source, replica, {
      stopAtLatest: true,
      onProgress: (state) => progress.push(state),
    }),
  ).toEqual({ latest: 5 })
  expect(progress.at(-1)).toEqual({ latest: 5, sourceLatest: 5 })
  const info = replica.history()
  expect(info.storeId).toBe(source.history().storeId)
  expect(info.epochs).toEqual(source.history().epochs)
  expect(await read(source, info.sourceToken!)).toEqual([])
  expect(await read(replica, token3)).toEqual([3, 4, 5])
  expect(await replica.scanSinceSeqno(1).nextBatch()).toEqual(
    await source.scanSinceSeqno(1).nextBatch(),
  )
  await source.put('x', '1')
  await source.put('x', '1')
  const ahead = source.scanSinceSeqno(8).token
  expect(await errorOf(replica.scanSinceSeqno(ahead).next())).toMatchObject({
    code: 'VARVE_CURSOR_AHEAD',
    details: { requested: 8, latest: 5 },
  })
  await replicate(source, replica, { stopAtLatest: true })
  expect(await read(replica, ahead)).toEqual([])
  const own = replica.scanSinceSeqno(8).token
  expect(await read(source, own)).toEqual([])
  await replica.promote()
  await replica.put('p', '1')
  const promoted = replica.scanSinceSeqno(9).token
  expect(await rejected(source.scanSinceSeqno(promoted).next())).toBe('VARVE_HISTORY_DIVERGED')
  await source.put('q', '1')
  expect(await rejected(replica.scanSinceSeqno(source.scanSinceSeqno(9).token).next())).toBe(
    'VARVE_HISTORY_DIVERGED',
  )
})
