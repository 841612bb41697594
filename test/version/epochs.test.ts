import { describe, expect, test } from 'vitest'
import {
  epochEnd,
  epochOf,
  isCleanClose,
  newerEpochs,
  startEpoch,
} from '../../src/version/epochs.ts'
import { newState } from './version-samples.ts'

describe('epochs', () => {
  const state = newState({
    epochs: [
      { epoch: 1, id: 'a', first: 1 },
      { epoch: 2, id: 'b', first: 101 },
      // Everything of epoch 2 was lost: the next one begins where it began.
      { epoch: 3, id: 'c', first: 101 },
      { epoch: 4, id: 'd', first: 150 },
    ],
  })

  test('begin behind the latest seqno', () => {
    expect(startEpoch(state, 200, 'e').at(-1)).toEqual({ epoch: 5, id: 'e', first: 201 })
    expect(startEpoch({ epochs: [] }, 0, 'x')).toEqual([{ epoch: 1, id: 'x', first: 1 }])
    expect(state.epochs).toHaveLength(4)
  })

  test('hold the seqnos from their first to before the next one', () => {
    const ids = [1, 100, 101, 149, 150, 9999].map((seqno) => epochOf(state, seqno)?.id)
    expect(ids).toEqual(['a', 'a', 'c', 'c', 'd', 'd'])
    expect(epochOf(state, 0)).toBeUndefined()
  })

  test('end where a later one begins; one that lost everything ends before it began', () => {
    expect(epochEnd(state, 'a')).toBe(100)
    expect(epochEnd(state, 'b')).toBe(100)
    expect(epochEnd(state, 'c')).toBe(149)
    expect(epochEnd(state, 'd')).toBe(Infinity)
    expect(epochEnd(state, 'unknown')).toBeUndefined()
  })

  test('end where the lowest of the later ones begins: a repair may begin one below the last', () => {
    const repaired = newState({ epochs: [...state.epochs, { epoch: 5, id: 'e', first: 60 }] })
    const ends = ['a', 'b', 'c', 'd', 'e'].map((id) => epochEnd(repaired, id))
    expect(ends).toEqual([59, 59, 59, 59, Infinity])
    expect(epochOf(repaired, 59)?.id).toBe('a')
    expect(epochOf(repaired, 120)?.id).toBe('e')
  })

  test('of the log hold where any of them is new, else those of the manifest', () => {
    const stored = state.epochs.slice(0, 2)
    expect(newerEpochs(stored, undefined)).toBe(stored)
    expect(newerEpochs(stored, state.epochs)).toBe(state.epochs)
    expect(newerEpochs(stored, stored.slice(0, 1))).toBe(stored)
  })
})

test('a close is clean only for the very manifest file that records it', () => {
  const cleanClose = { walNumber: 1, walBytes: 2, manifestInode: 3, manifestBirthTimeMs: 4.5 }
  const state = newState({ cleanClose })
  expect(isCleanClose(state, { inode: 3, birthTimeMs: 4.5 })).toBe(true)
  expect(isCleanClose(state, { inode: 4, birthTimeMs: 4.5 })).toBe(false)
  expect(isCleanClose(state, { inode: 3, birthTimeMs: 4 })).toBe(false)
  expect(isCleanClose(newState(), { inode: 3, birthTimeMs: 4.5 })).toBe(false)
})
