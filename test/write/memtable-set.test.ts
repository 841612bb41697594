import { expect, test } from 'vitest'
import { LoggedMemtables } from './logged-memtables.ts'

test('sealed memtables wait in the order of their seqnos, and go in it', () => {
  const tables = new LoggedMemtables()
  tables.commit(2)
  tables.set.rotate()
  tables.commit(3)
  tables.set.rotate()
  expect(tables.set.sealed.map(({ memtable }) => memtable.lastSeqno)).toEqual([2, 5])
  expect(tables.set.active.memtable.firstSeqno).toBe(6)
  const [first, second] = tables.set.sealed
  expect(() => tables.set.removeOldest(second!)).toThrow('in the order they were sealed')
  tables.set.removeOldest(first!)
  expect(tables.set.sealed).toEqual([second])
})

test('the latest seqno and its time outlive the seal', () => {
  const tables = new LoggedMemtables()
  expect(tables.set.latestTimeMs).toBeUndefined()
  tables.commit(4)
  const { latestTimeMs } = tables.set
  expect(latestTimeMs).toBeTypeOf('number')
  tables.set.rotate()
  expect(tables.set.latestSeqno).toBe(4)
  expect(tables.set.latestTimeMs).toBe(latestTimeMs)
})

test('readers see by the generation that the set is another one, and only then', () => {
  const tables = new LoggedMemtables()
  const { generation } = tables.set
  tables.commit()
  expect(tables.set.generation).toBe(generation)
  tables.set.rotate()
  expect(tables.set.generation).toBe(generation + 1)
  tables.set.removeOldest(tables.set.sealed[0]!)
  expect(tables.set.generation).toBe(generation + 2)
})

test('where the next log cannot be made, nothing has changed', () => {
  const tables = new LoggedMemtables()
  tables.commit()
  const { active, generation } = tables.set
  tables.disk.inject({ operation: 'create', file: /\.wal$/, effect: 'ENOSPC' })
  expect(() => tables.set.rotate()).toThrow('ENOSPC')
  expect(tables.set).toMatchObject({ active, generation, sealed: [] })
  tables.commit()
  expect(tables.set.latestSeqno).toBe(2)
})
