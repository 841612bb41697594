import { expect, test } from 'vitest'
import { ChangeFilter } from '../../src/cdc/change-filter.ts'
import type { ChangeFilterOptions } from '../../src/cdc/change-options.ts'
import { PIECE_OPERATIONS, RecentOperations } from '../../src/cdc/recent-operations.ts'
import { put, removeRange } from '../memtable/commits.ts'
import { FakeStore } from './fake-store.ts'

const SIZE = 500

/** More than two pieces in commits of SIZE, in two memtables; what is looked for is rare, and nothing has an "x" before it. */
function makeStore(): FakeStore {
  const store = new FakeStore()
  const commits = Math.ceil((2.5 * PIECE_OPERATIONS) / SIZE)
  for (let c = 0; c < commits; c++) {
    const operations = Array.from({ length: SIZE }, (_, i) =>
      put(`key-${(c * 7919 + i) % 99_991}`, '', 1),
    )
    if (c === 3) operations[77] = put('b', '', 1)
    if (c === 150) operations[9] = removeRange('l', 'n', 1)
    if (c === 200) operations[499] = put('x1', '', 2)
    if (c === commits - 2) operations[0] = put('z', '', 1)
    store.commit(operations)
    if (c === 100) store.seal()
  }
  return store
}

const FILTERS: readonly ChangeFilterOptions[] = [
  { range: { prefix: 'x' } },
  { range: { lt: 'c' } },
  { range: { gte: 'm', lt: 'o' } },
  { range: { gte: 'y' } },
  { range: { gte: 'zz' } },
  { range: { prefix: 'key-99990' } },
  { keyspaces: ['other'] },
  { keyspaces: ['third'] },
  { types: ['RangeTombstone'] },
  { types: ['PointTombstone'] },
  { keyspaces: ['default'], range: { prefix: 'x' } },
]

test('the first commit that passes is found, however many operations there are', () => {
  const store = makeStore()
  const { latest } = store
  const expected = (filter: ChangeFilter, from: number, last: number): number | undefined =>
    store.log.find(({ seqno, keyspaceId, kind, key, value }) => {
      if (seqno < from || seqno > last || !filter.acceptsKeyspace(keyspaceId)) return false
      const [k, v] = [Buffer.from(key), Buffer.from(value)]
      return filter.acceptsEntry(kind, k, 0, k.length, v, 0, v.length)
    })?.commit?.first
  const windows = [
    [1, latest],
    [1, 10],
    [latest, latest],
    [1600, latest],
    [PIECE_OPERATIONS, PIECE_OPERATIONS + 1],
    [PIECE_OPERATIONS + 5, latest - 3],
    [100_000, 100_400],
  ] as const
  const view = store.view()
  const recent = new RecentOperations(view)
  for (const options of FILTERS) {
    const filter = new ChangeFilter(options, (id) => store.keyspaceName(id))
    for (const [from, last] of windows) {
      // One that knows other stretches already, and one that knows nothing.
      const found = recent.firstPassing(filter, from, last)
      expect([options, from, last, found]).toEqual([
        options,
        from,
        last,
        expected(filter, from, last),
      ])
      expect(new RecentOperations(view).firstPassing(filter, from, last)).toBe(found)
    }
  }
  view.release()
})
