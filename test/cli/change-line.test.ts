import { expect, test } from 'vitest'
import { parseLine } from '../../src/cli/change-line.ts'

test('an event stands inside of its commit, or is refused with its line', () => {
  const event = { type: 'PointTombstone', keyspace: 'default', key: 'k', timestamp: 5 }
  const parsed = (seqno: number, commitSeqno: number, commitLast: number): unknown =>
    parseLine(JSON.stringify({ ...event, seqno, commitSeqno, commitLast }), 'Line 7')
  for (const [seqno, first, last] of [
    [1, 1, 1],
    [5, 4, 6],
    [4, 4, 6],
    [6, 4, 6],
  ] as const) {
    expect(parsed(seqno, first, last)).toMatchObject({ kind: 'event', event: { seqno } })
  }
  for (const [seqno, first, last] of [
    [0, 0, 0],
    [1, 0, 1],
    [3, 4, 6],
    [7, 4, 6],
  ] as const) {
    expect(() => parsed(seqno, first, last), `${seqno} in ${first} to ${last}`).toThrow(/^Line 7 /)
  }
})
