/**
 * Each kind of operation on each kind of file fails, once or for ever, at the open or in the middle of work. Allowed: the store
 * carries on, or answers with a typed error; afterwards it is as promised. Nothing hangs, nothing leaks, nothing is rejected
 * into the void.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fault } from '../../src/env/fault-plan.ts'
import { type FaultCase, runFault } from './fault-run.ts'

const FILES: ReadonlyMap<string, RegExp> = new Map([
  ['log', /\.wal$/],
  ['segment', /\.seg$/],
  ['blob file', /\.blob$/],
  ['manifest', /MANIFEST-\d+$/],
  ['CURRENT', /CURRENT/],
  ['directory', /\/store$/],
])

/** Which effects an operation can meet, and on what. */
const PLANS: readonly {
  readonly operation: Fault['operation']
  readonly files: readonly string[]
  readonly effects: readonly Fault['effect'][]
}[] = [
  {
    operation: 'create',
    files: ['log', 'segment', 'blob file', 'manifest', 'CURRENT'],
    effects: ['EIO', 'ENOSPC', 'EMFILE'],
  },
  {
    operation: 'write',
    files: ['log', 'segment', 'blob file', 'manifest', 'CURRENT'],
    effects: ['EIO', 'ENOSPC', 'short'],
  },
  {
    operation: 'sync',
    files: ['log', 'segment', 'blob file', 'manifest', 'CURRENT'],
    effects: ['EIO', 'ENOSPC'],
  },
  { operation: 'syncDirectory', files: ['directory'], effects: ['EIO', 'ENOSPC'] },
  { operation: 'rename', files: ['CURRENT'], effects: ['EIO', 'ENOSPC'] },
  { operation: 'remove', files: ['log', 'segment', 'blob file', 'manifest'], effects: ['EIO'] },
  {
    operation: 'read',
    files: ['log', 'segment', 'blob file', 'manifest', 'CURRENT'],
    effects: ['EIO', 'EMFILE'],
  },
]

/** So many matching operations pass before the fault; a seed of its own for each. */
const AFTER = [0, 1, 4]

function* cases(operation: Fault['operation']): Iterable<FaultCase> {
  let seed = 0
  for (const plan of PLANS.filter((one) => one.operation === operation)) {
    for (const file of plan.files) {
      for (const effect of plan.effects) {
        for (const times of [1, Infinity]) {
          for (const [index, after] of AFTER.entries()) {
            for (const atOpen of index === 0 ? [true, false] : [false]) {
              const fault: Fault = { operation, file: FILES.get(file)!, effect, times, after }
              const when = atOpen ? 'from the open on' : `after ${after}`
              const often = times === 1 ? 'once' : 'for ever'
              const name = `${effect} at ${operation} of ${file}, ${often}, ${when}`
              yield { name, fault, seed: ++seed, atOpen }
            }
          }
        }
      }
    }
  }
}

const rejections: unknown[] = []
const note = (reason: unknown): void => void rejections.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterAll(() => void process.off('unhandledRejection', note))

describe.each(['create', 'write', 'sync', 'syncDirectory', 'rename', 'remove', 'read'] as const)(
  'a failing %s',
  (operation) => {
    for (const one of cases(operation)) {
      test(one.name, async () => {
        await runFault(one)
        await new Promise((resolve) => setImmediate(resolve))
        expect(rejections.splice(0), 'no rejection is left unhandled').toEqual([])
      })
    }
  },
)
