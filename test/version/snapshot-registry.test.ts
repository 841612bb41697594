import { expect, test } from 'vitest'
import { SnapshotRegistry } from '../../src/version/snapshot-registry.ts'

test('a seqno stays listed until the last snapshot of it is released', () => {
  const snapshots = new SnapshotRegistry()
  snapshots.acquire(9)
  snapshots.acquire(4)
  const listed = snapshots.seqnos
  snapshots.acquire(9)
  expect(snapshots.seqnos).toEqual([4, 9])
  snapshots.release(9)
  expect(snapshots.seqnos).toEqual([4, 9])
  snapshots.release(9)
  expect(snapshots.seqnos).toEqual([4])
  snapshots.release(4)
  expect(snapshots.seqnos).toEqual([])
  expect(listed).toEqual([4, 9])
  expect(() => snapshots.release(4)).toThrow('released')
})
