import { beforeEach, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import { spaceBudget } from '../../src/compaction/space-budget.ts'
import { Backpressure } from '../../src/db/backpressure.ts'
import type { StoreEvents } from '../../src/db/store-events.ts'

const MIB = 2 ** 20
const NO_SPACE = new VarveError('VARVE_NO_SPACE', 'full')
const FAILED = new VarveError('VARVE_IO', 'broken')

let level0Count: number
let level0Bytes: number
let sealed: number[]
let flushFailure: VarveError | undefined
let compactionFailure: VarveError | undefined
let nowMs: number
let measured: number
let stalls: StoreEvents['stall'][]
/** A memtable of 1 MiB, and 32/3 MiB of young data. */
const bounded = spaceBudget({
  keepsHistory: true,
  historyBytes: 16 * MIB,
  memtableBytes: 64 * MIB,
  liveBytes: 0,
})
const unbounded = { ...bounded, slowBytes: Infinity, youngBytes: Infinity }
let budget = unbounded

function backpressure(): Backpressure {
  return new Backpressure({
    tuning: { level0Slowdown: 12, level0Stop: 20 },
    measure: () => {
      measured++
      const pressure = {
        level0Count,
        isSlow: level0Count >= 12,
        isStopped: level0Count >= 20,
      }
      return { pressure, space: { level0Bytes, budget } }
    },
    sealedMemtables: () => sealed,
    flushFailure: () => flushFailure,
    compactionFailure: () => compactionFailure,
    monotonicMs: () => nowMs,
    onStall: (stall) => stalls.push(stall),
  })
}

beforeEach(() => {
  level0Count = 0
  level0Bytes = 0
  sealed = []
  flushFailure = undefined
  compactionFailure = undefined
  nowMs = 0
  measured = 0
  stalls = []
  budget = unbounded
})

test('two sealed memtables may wait for their flush; a third makes writers wait, or is refused where flushing fails', () => {
  const gate = backpressure()
  sealed = [1]
  expect(gate.admit(true)).toEqual({ type: 'go' })
  sealed = [1, 1]
  // The active one has room.
  expect(gate.admit(false)).toEqual({ type: 'go' })
  expect(gate.admit(true)).toEqual({ type: 'wait' })
  flushFailure = FAILED
  expect(gate.admit(true)).toEqual({ type: 'refuse', error: FAILED })
})

test('at the stop of level 0 writers wait for room, or are refused where compaction fails', () => {
  const gate = backpressure()
  level0Count = 20
  expect(gate.admit(true)).toEqual({ type: 'wait' })
  compactionFailure = NO_SPACE
  expect(gate.admit(true)).toEqual({ type: 'refuse', error: NO_SPACE })
  // What fits into the memtable at hand needs nothing of level 0; it is only slow.
  expect(gate.admit(false)).toEqual({ type: 'slow', bytesPerSecond: (64 * MIB) / 16 })
})

test('between slow-down and stop writers become slower and slower', () => {
  const rates = [11, 12, 16, 19].map((count) => {
    level0Count = count
    const admission = backpressure().admit(true)
    return admission.type === 'slow' ? admission.bytesPerSecond / MIB : admission.type
  })
  expect(rates).toEqual(['go', 64, 64 / 8.5, 64 / (1 + 15 * (7 / 8))])
})

test('files are measured when room is needed, not for each commit', () => {
  const gate = backpressure()
  for (let i = 0; i < 5; i++) gate.admit(false)
  expect(measured).toBe(1)
  level0Count = 20
  expect(gate.admit(false)).toEqual({ type: 'go' })
  expect(gate.admit(true)).toEqual({ type: 'wait' })
  expect(measured).toBe(2)
  level0Count = 0
  gate.update()
  expect(gate.admit(false)).toEqual({ type: 'go' })
})

test('where the disk is bounded a memtable is begun only while it, its log and its segment have room', () => {
  budget = bounded
  const { memtableBytes, youngBytes, slowBytes } = bounded
  const room = youngBytes - 3 * memtableBytes
  level0Bytes = room
  expect(backpressure().admit(true)).toMatchObject({ type: 'slow' })
  level0Bytes = room + 1
  expect(backpressure().admit(true)).toEqual({ type: 'wait' })
  // A sealed one counts twice.
  level0Bytes = room - 2 * memtableBytes
  sealed = [memtableBytes]
  expect(backpressure().admit(true).type).not.toBe('wait')
  sealed = [memtableBytes + 1]
  expect(backpressure().admit(true)).toEqual({ type: 'wait' })
  sealed = []
  level0Bytes = slowBytes - 1
  expect(backpressure().admit(false)).toEqual({ type: 'go' })
  level0Bytes = slowBytes
  expect(backpressure().admit(false)).toEqual({ type: 'slow', bytesPerSecond: 64 * MIB })
})

test('a stall is told once it is over, with its first reason and its whole time', () => {
  const gate = backpressure()
  sealed = [1, 1]
  gate.admit(true)
  nowMs = 30
  gate.admit(true)
  sealed = []
  level0Count = 20
  nowMs = 50
  gate.admit(true)
  expect(stalls).toEqual([])
  level0Count = 12
  nowMs = 70
  expect(gate.admit(true).type).toBe('slow')
  expect(stalls).toEqual([{ reason: 'memtables', durationMs: 70 }])
  nowMs = 80
  gate.admit(true)
  expect(stalls).toHaveLength(1)
  level0Count = 20
  gate.admit(true)
  nowMs = 85
  level0Count = 0
  gate.admit(true)
  expect(stalls[1]).toEqual({ reason: 'level0', durationMs: 5 })
})

test('a refusal is a stall of what failed, for want of space where the disk is full', () => {
  const gate = backpressure()
  const told = (): string => {
    gate.admit(true)
    sealed = []
    level0Count = 0
    gate.admit(true)
    return stalls.at(-1)!.reason
  }
  sealed = [1, 1]
  flushFailure = NO_SPACE
  expect(told()).toBe('space')
  sealed = [1, 1]
  flushFailure = FAILED
  expect(told()).toBe('memtables')
  level0Count = 20
  compactionFailure = NO_SPACE
  expect(told()).toBe('space')
  level0Count = 20
  compactionFailure = FAILED
  expect(told()).toBe('level0')
})
