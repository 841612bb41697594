import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { main as auditTrail } from '../../examples/audit-trail.ts'
import { main as cacheInvalidation } from '../../examples/cache-invalidation.ts'
import { main as replica } from '../../examples/replica.ts'
import { main as searchIndex, search, updateIndex } from '../../examples/search-index.ts'
import { main as snapshotThenStream, Mirror } from '../../examples/snapshot-then-stream.ts'
import { Varve } from '../../src/index.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'varve-example-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('a search index in the same store follows its articles exactly once', async () => {
  const found = { water: ['tea'], hot: [], iced: ['tea'] }
  expect(await searchIndex(directory)).toEqual(found)
  // Again on what is there: the index goes on where it stood.
  expect(await searchIndex(directory)).toEqual(found)
})

test('a search index and a mirror follow deletes of whole ranges, too', async () => {
  await using db = await Varve.open(directory, { history: 'all' })
  const mirror = new Mirror()
  await db.put('apple', 'round fruit')
  await db.put('banana', 'bent fruit')
  await updateIndex(db)
  await mirror.catchUp(db)
  await db.put('cherry', 'small fruit')
  await db.deleteRange('b', 'd')
  await db.put('date', 'dry fruit')
  await updateIndex(db)
  expect(await search(await db.keyspace('index'), 'fruit')).toEqual(['apple', 'date'])
  expect(await mirror.catchUp(db)).toBe('streamed')
  expect([...mirror.state.keys()]).toEqual(['apple', 'date'])
})

test('an audit trail has every change once, with its author', async () => {
  const file = join(directory, 'audit.ndjson')
  const trail = await auditTrail(join(directory, 'store'), file)
  expect(trail.map(({ seqno, by, what }) => [seqno, by, what])).toEqual([
    [1, 'alice', 'Insert'],
    [2, 'bob', 'Insert'],
    [3, 'alice', 'PointTombstone'],
  ])
})

test('a cache forgets what has changed', async () => {
  expect(await cacheInvalidation(directory)).toEqual([{ dark: true }, { dark: false }, undefined])
})

test('a mirror streams while it can and copies a snapshot when it must', async () => {
  const { how, state } = await snapshotThenStream(directory)
  expect(how).toEqual(['copied', 'streamed', 'copied'])
  expect(state).toContain('key3=changed')
  expect(state).toHaveLength(9)
})

test('replicas follow, start from a checkpoint, and take over', async () => {
  const { told, state } = await replica(directory)
  expect(told).toEqual([
    'the first replica has seqno 100',
    'the second begins with 51',
    'Insert at 101',
    'epochs: 1, 102',
  ])
  expect(state).toContain('key3=changed')
  expect(state).toContain('key4=after the change')
  expect(state).toHaveLength(10)
})
