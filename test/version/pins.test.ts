import { describe, expect, test } from 'vitest'
import { ScanHolds, SnapshotRegistry } from '../../src/version/pins.ts'

describe('snapshots', () => {
  test('keep their seqno listed until the last one is released', () => {
    const snapshots = new SnapshotRegistry()
    snapshots.acquire(9, 100)
    snapshots.acquire(4, 200)
    const listed = snapshots.seqnos
    snapshots.acquire(9, 300)
    expect(snapshots.seqnos).toEqual([4, 9])
    expect(snapshots).toMatchObject({ count: 3, oldestSinceMs: 100 })
    snapshots.release(9)
    expect(snapshots.seqnos).toEqual([4, 9])
    snapshots.release(9)
    expect(snapshots.seqnos).toEqual([4])
    expect(snapshots.oldestSinceMs).toBe(200)
    snapshots.release(4)
    expect(snapshots).toMatchObject({ count: 0, oldestSinceMs: undefined })
    expect(listed).toEqual([4, 9])
    expect(() => snapshots.release(4)).toThrow('released')
  })
})

describe('scans', () => {
  test('hold the lowest of their positions', () => {
    const holds = new ScanHolds()
    expect(holds.lowest).toBe(Infinity)
    const first = holds.hold(10)
    const second = holds.hold(20)
    expect(holds.lowest).toBe(10)
    first.advance(30)
    expect(holds.lowest).toBe(20)
    expect(() => first.advance(29)).toThrow('not held again')
    second.release()
    second.release()
    expect(holds).toMatchObject({ lowest: 30, count: 1 })
    first.release()
    expect(holds.lowest).toBe(Infinity)
  })
})
