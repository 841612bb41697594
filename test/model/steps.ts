/**
 * The steps of a random history, as plain data: fast-check makes them, shrinks them and prints them.
 */
import fc from 'fast-check'
import type { HistoryPolicy } from '../../src/index.ts'

export type OperationStep =
  | { op: 'put'; ks: number; key: number; size: number }
  | { op: 'merge'; ks: number; key: number; size: number }
  | { op: 'delete'; ks: number; key: number }
  | { op: 'deleteRange'; ks: number; start: number; length: number }

export type Step =
  | OperationStep
  | { op: 'batch'; operations: OperationStep[]; meta: boolean }
  | { op: 'burst'; ks: number; count: number; start: number; size: number }
  | { op: 'rewrite'; ks: number; times: number; size: number }
  | { op: 'flush' }
  | { op: 'compact'; ks: number; start: number; length: number }
  | { op: 'compactAll' }
  | { op: 'reopen' }
  | { op: 'openSnapshot' }
  | { op: 'closeSnapshot'; which: number }
  | { op: 'drop'; ks: number }
  | { op: 'advance'; ms: number }
  | { op: 'read'; ks: number; key: number; which: number }
  | {
      op: 'walk'
      ks: number
      lower: number
      upper: number
      flags: number
      limit: number
      which: number
    }
  | { op: 'scan'; from: number; limit: number; how: number }
  | { op: 'openScan'; from: number }
  | { op: 'finishScan'; which: number }
  | { op: 'openTail'; from: number; durable: boolean }
  | { op: 'readTail'; which: number }
  | { op: 'crash'; how: number; synced: boolean }
  | { op: 'truncate'; share: number }
  | { op: 'openConsumer'; which: number; from: number; maxHeldBytes: number }
  | { op: 'ack'; which: number; share: number; inBatch: boolean }
  | { op: 'consume'; which: number }
  | { op: 'dropConsumer'; which: number }

/** How far history reaches back, one for each history that is played. */
const policy: fc.Arbitrary<HistoryPolicy> = fc.oneof(
  { weight: 3, arbitrary: fc.constant('all' as const) },
  { weight: 1, arbitrary: fc.constant('none' as const) },
  {
    weight: 2,
    arbitrary: fc.record({ maxBytes: fc.integer({ min: 1000, max: 40_000 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ maxAgeMs: fc.integer({ min: 1000, max: 500_000 }) }),
  },
)

export const KEYS = 80
export const KEYSPACES = ['default', 'counters', 'custom', 'plain'] as const
/** Keyspaces without a merge operator. */
export const PLAIN = 3

const ks = fc.integer({ min: 0, max: KEYSPACES.length - 1 })
const mergeKs = fc.integer({ min: 0, max: 2 })
const key = fc.integer({ min: 0, max: KEYS - 1 })
const size = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: 200, max: 1500 }) },
)

const operation: fc.Arbitrary<OperationStep> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('put' as const), ks, key, size }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('merge' as const), ks: mergeKs, key, size }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('delete' as const), ks, key }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('deleteRange' as const),
      ks,
      start: key,
      length: fc.integer({ min: 1, max: KEYS }),
    }),
  },
)

const which = fc.nat({ max: 1000 })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: operation },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('batch' as const),
      operations: fc.array(operation, { minLength: 1, maxLength: 12 }),
      meta: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('burst' as const),
      ks,
      count: fc.integer({ min: 10, max: 120 }),
      start: key,
      size: fc.integer({ min: 20, max: 300 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('flush' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('compact' as const),
      ks,
      start: key,
      length: fc.integer({ min: 1, max: KEYS }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('compactAll' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('reopen' as const) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('openSnapshot' as const) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('closeSnapshot' as const), which }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('drop' as const), ks }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('advance' as const),
      ms: fc.integer({ min: -5000, max: 100_000 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('read' as const), ks, key, which }) },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('walk' as const),
      ks,
      lower: key,
      upper: key,
      flags: fc.nat({ max: 255 }),
      limit: fc.integer({ min: 0, max: KEYS }),
      which,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('scan' as const),
      from: fc.nat({ max: 1000 }),
      limit: fc.integer({ min: 1, max: 50 }),
      how: fc.nat({ max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('openScan' as const), from: which }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('finishScan' as const), which }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('openTail' as const),
      from: which,
      durable: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('readTail' as const), which }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('crash' as const),
      how: fc.nat({ max: 1000 }),
      synced: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('truncate' as const), share: fc.nat({ max: 100 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('openConsumer' as const),
      which,
      from: fc.nat({ max: 2 }),
      maxHeldBytes: fc.integer({ min: 500, max: 30_000 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('ack' as const),
      which,
      share: fc.nat({ max: 100 }),
      inBatch: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('consume' as const), which }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('dropConsumer' as const), which }) },
)

/**
 * The same with the same few keys written again and again, each time flushed: compactions take such segments over as history.
 * A step of its own kind would have changed what every seed plays.
 */
const stepWithRewrites: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: step },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('rewrite' as const),
      ks,
      times: fc.integer({ min: 2, max: 3 }),
      size: fc.integer({ min: 40, max: 90 }),
    }),
  },
)

/** One in so many seeds plays histories with rewrites. */
export const REWRITES_ONE_IN = 8

/** What the history of a seed is made of: how far it reaches back, and its steps. */
export function historyOf(
  seed: number,
): [policy: fc.Arbitrary<HistoryPolicy>, steps: fc.Arbitrary<Step[]>] {
  const each = seed % REWRITES_ONE_IN === 0 ? stepWithRewrites : step
  return [policy, fc.array(each, { minLength: 1, maxLength: 220, size: 'max' })]
}
