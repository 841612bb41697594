import { expect, test } from 'vitest'
import { collect } from '../model/driver.ts'
import { codeOf, fixture } from './open.ts'

test('keyspaces are apart, share one seqno, and keep their options', async () => {
  const { open } = fixture()
  let db = await open()
  const users = await db.keyspace('users', { mergeOperator: 'counter', blobThresholdBytes: 64 })
  expect(db.history().latest).toBe(0)
  expect(await db.put('k', 'default')).toBe(1)
  expect(await users.put('k', 'users')).toBe(2)
  expect((await db.get('k'))?.toString()).toBe('default')
  expect((await users.get('k'))?.toString()).toBe('users')
  expect(db.keyspaces()).toEqual(['default', 'users'])
  await db.close()
  db = await open()
  expect(db.keyspaces()).toEqual(['default', 'users'])
  const again = await db.keyspace('users')
  await again.put('n', Buffer.from('0100000000000000', 'hex'))
  await again.merge('n', Buffer.from('0200000000000000', 'hex'))
  expect((await again.get('n'))?.readBigInt64LE()).toBe(3n)
  await db.close()
})

test('a name as strange as __proto__ is a keyspace like any other', async () => {
  const { open } = fixture()
  const db = await open()
  const strange = await db.keyspace('__proto__')
  await strange.put('k', 'v')
  await db.flush()
  expect(Object.keys(db.stats().keyspaces)).toContain('__proto__')
  expect((await strange.get('k'))?.toString()).toBe('v')
  await db.close()
})

test('a dropped keyspace is one event, its handles find nothing, its history stays', async () => {
  const { open } = fixture()
  let db = await open()
  const old = await db.keyspace('temp')
  await old.put('a', '1')
  await db.flush()
  await old.put('b', '2')
  const dropped = db.dropKeyspace('temp')
  expect(await codeOf(() => old.put('c', '3'))).toBe('VARVE_NOT_FOUND')
  expect(await dropped).toBe(3)
  expect(await codeOf(() => old.get('a'))).toBe('VARVE_NOT_FOUND')
  expect(await codeOf(() => old.merge('a', '1'))).toBe('VARVE_NOT_FOUND')
  expect(await codeOf(() => db.dropKeyspace('temp'))).toBe('VARVE_NOT_FOUND')
  expect(db.keyspaces()).toEqual(['default'])

  const fresh = await db.keyspace('temp', { mergeOperator: 'append' })
  expect(await fresh.get('a')).toBeUndefined()
  await fresh.merge('a', 'new')
  const expected = [
    ['Insert', 'temp'],
    ['Insert', 'temp'],
    ['RangeTombstone', 'temp'],
    ['MergeOperand', 'temp'],
  ]
  const check = async (): Promise<void> => {
    const events = await collect(db.scanSinceSeqno(1))
    expect(events.map(({ type, keyspace }) => [type, keyspace])).toEqual(expected)
    expect(events[2]).toMatchObject({ dropsKeyspace: true, endKey: undefined })
    const filtered = await collect(db.scanSinceSeqno(1, { keyspaces: ['temp'] }))
    expect(filtered).toHaveLength(4)
  }
  await check()
  await db.flush()
  await check()
  await db.compact()
  await check()
  await db.close()
  db = await open()
  await check()
  expect((await (await db.keyspace('temp')).get('a'))?.toString()).toBe('new')
  await db.close()
})

test('what is left of a dropped keyspace goes when its history is given up', async () => {
  const { open, fs } = fixture()
  const db = await open()
  const temp = await db.keyspace('temp', { blobThresholdBytes: 50 })
  for (let i = 0; i < 300; i++) await temp.put(`k${i}`, 'v'.repeat(i % 100))
  await db.flush()
  await db.dropKeyspace('temp')
  await db.put('stays', '1')
  await db.flush()
  await db.truncateHistory(db.history().latest + 1)
  await db.compact()
  const { blobs } = db.stats()
  expect(blobs.files).toBe(0)
  await db.close()
  const segments = [...fs.files().keys()].filter((name) => name.endsWith('.seg'))
  expect(segments.length).toBe(1)
  expect([...fs.files().keys()].filter((name) => name.endsWith('.blob'))).toEqual([])
})

test('a drop that is all its memtable holds lets the keyspace go as any other', async () => {
  const { open, fs } = fixture()
  const db = await open()
  const temp = await db.keyspace('temp')
  await temp.put('a', '1')
  await db.flush()
  await db.dropKeyspace('temp')
  await db.flush()
  expect((await collect(db.scanSinceSeqno(1))).map(({ keyspace }) => keyspace)).toEqual([
    'temp',
    'temp',
  ])
  await db.truncateHistory(3)
  await db.compact()
  await db.close()
  expect([...fs.files().keys()].filter((name) => name.endsWith('.seg'))).toEqual([])
})

test('two opens of a new name at once make one keyspace', async () => {
  const { open } = fixture()
  const db = await open()
  const [a, b] = await Promise.all([db.keyspace('same'), db.keyspace('same')])
  await a!.put('k', 'v')
  expect((await b!.get('k'))?.toString()).toBe('v')
  await db.close()
})
