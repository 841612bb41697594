/**
 * A refresh puts what it reads of the log into memtables that reads stand in. Where many range deletes came over the same keys, only
 * the newest was kept, which those reads must not see yet: what the ones before had deleted was there again, until the refresh ended.
 */
import { expect, test } from 'vitest'
import type { Varve } from '../../src/index.ts'
import { codeOf, fixture } from './open.ts'

/** A key in a segment, deleted by the log that a reader has read, and then over and over again. */
async function deletedAgain(): Promise<{ writer: Varve; reader: Varve }> {
  const { open } = fixture()
  const own = { name: 'own', merge: () => Buffer.from('merged') }
  const writer = await open({ mergeOperators: [own] })
  await writer.put('b', 'deleted')
  await writer.flush()
  await writer.deleteRange('a', 'c')
  const reader = await open({ readOnly: true })
  for (let i = 0; i < 100; i++) await writer.deleteRange('a', 'c')
  return { writer, reader }
}

test('what was deleted stays deleted while a refresh is under way', async () => {
  const { writer, reader } = await deletedAgain()
  let isDone = false
  const refreshing = reader.refresh().finally(() => {
    isDone = true
  })
  let looks = 0
  for (; looks < 1000 && !isDone; looks++) {
    expect(reader.getSync('b')).toBeUndefined()
    expect([...reader.entriesSync()]).toEqual([])
    await Promise.resolve()
  }
  expect(looks).toBeGreaterThan(3)
  expect(await refreshing).toBe(102)
  expect(reader.getSync('b')).toBeUndefined()
  await reader.close()
  await writer.close()
})

test('and after one that was refused', async () => {
  const { writer, reader } = await deletedAgain()
  await writer.keyspace('k', { mergeOperator: 'own' })
  for (let i = 0; i < 2; i++) {
    expect(await codeOf(() => reader.refresh())).toBe('VARVE_MERGE_OPERATOR_MISMATCH')
    for (let n = 0; n < 40; n++) await writer.deleteRange('a', 'c')
  }
  expect(reader.history().latest).toBe(2)
  expect(reader.getSync('b')).toBeUndefined()
  expect(await reader.keys().all()).toEqual([])
  await reader.close()
  await writer.close()
})
