import { expect, test } from 'vitest'
import { hasCode } from '../../src/base/errors.ts'
import { followSource, isStandIn, type Lineage, STAND_IN_EPOCH } from '../../src/cdc/lineage.ts'
import type { TokenFields } from '../../src/cdc/resume-token.ts'
import type { Epoch } from '../../src/version/store-state.ts'

/** 'a1 b5': epoch a from seqno 1, b from 5, counted from 1. */
function list(text: string): Epoch[] {
  return text
    .split(' ')
    .map((word, i) => ({ epoch: i + 1, id: word[0]!, first: Number(word.slice(1)) }))
}

function show(epochs: readonly Epoch[]): string {
  return epochs.map(({ id, first }) => `${id}${first}`).join(' ')
}

function token(epoch: string, next: number, storeId = 's'): TokenFields {
  return { storeId, epochId: epoch[0]!, epochFirst: Number(epoch.slice(1)), next }
}

interface Case {
  readonly own: string
  readonly latest: number
  /** Default: latest. */
  readonly newest?: number
  readonly epochs?: string
  readonly token?: TokenFields
}

function follow(given: Case): string {
  const own: Lineage = { storeId: 's', epochs: list(given.own) }
  const { latest, newest = latest } = given
  const epochs = given.epochs === undefined ? undefined : list(given.epochs)
  try {
    const lineage = followSource(own, { token: given.token, epochs }, { latest, newest })
    return lineage === own ? 'as it was' : show(lineage.epochs)
  } catch (error) {
    if (hasCode(error, 'VARVE_HISTORY_DIVERGED')) return 'diverged'
    if (hasCode(error, 'VARVE_WRONG_STORE')) return 'wrong store'
    throw error
  }
}

const cases: [what: string, given: Case, outcome: string][] = [
  ['nothing is said', { own: 'a1', latest: 3 }, 'as it was'],
  ['the same is said', { own: 'a1', latest: 3, epochs: 'a1', token: token('a1', 4) }, 'as it was'],
  ['a new epoch behind what is held', { own: 'a1', latest: 3, epochs: 'a1 b4' }, 'a1 b4'],
  ['a new epoch far behind', { own: 'a1', latest: 3, newest: 5, epochs: 'a1 b40' }, 'a1 b40'],
  ['a new epoch at latest', { own: 'a1', latest: 4, epochs: 'a1 b4' }, 'diverged'],
  ['a new epoch below', { own: 'a1', latest: 9, newest: 12, epochs: 'a1 b4' }, 'diverged'],
  ['another beginning', { own: 'a1 b4', latest: 9, epochs: 'a1 b5' }, 'diverged'],
  ['a list from before, nothing new', { own: 'a1 b4', latest: 9, epochs: 'a1' }, 'as it was'],
  [
    'a list from before, with more events',
    { own: 'a1 b4', latest: 9, newest: 12, epochs: 'a1' },
    'diverged',
  ],
  [
    'an epoch of our own in which nothing was written',
    { own: 'a1 x10', latest: 9, newest: 12, epochs: 'a1' },
    'a1',
  ],
  ['the same, and nothing new', { own: 'a1 x10', latest: 9, epochs: 'a1' }, 'as it was'],
  [
    'an epoch of our own and one that we do not know',
    { own: 'a1 x5', latest: 9, epochs: 'a1 b20' },
    'diverged',
  ],
  [
    'a token of a new epoch',
    { own: 'a1', latest: 9, newest: 12, token: token('b10', 13) },
    'a1 b10',
  ],
  ['a token of a new epoch below', { own: 'a1', latest: 9, token: token('b5', 10) }, 'diverged'],
  ['a token with another beginning', { own: 'a1', latest: 9, token: token('a2', 10) }, 'diverged'],
  [
    'a token that shows that ours was empty',
    { own: 'a1 x10', latest: 9, newest: 12, token: token('a1', 13) },
    'a1',
  ],
  [
    'a token beyond the end of its epoch',
    { own: 'a1 b5', latest: 9, newest: 12, token: token('a1', 13) },
    'diverged',
  ],
  ['a token from before', { own: 'a1 b5', latest: 9, token: token('a1', 3) }, 'as it was'],
  [
    'a token and a list, both new',
    { own: 'a1', latest: 3, newest: 9, epochs: 'a1 b4 c8', token: token('c8', 10) },
    'a1 b4 c8',
  ],
  ['another store', { own: 'a1', latest: 3, token: token('q1', 4, 'other') }, 'wrong store'],
  [
    'a list, to one that had learned from tokens',
    { own: 'b5', latest: 9, newest: 12, epochs: 'a1 b5' },
    'a1 b5',
  ],
  [
    'a list that begins later than ours',
    { own: 'a1 b5', latest: 9, newest: 12, epochs: 'b5 c10' },
    'a1 b5 c10',
  ],
]

test.each(cases)('%s', (_what, given, outcome) => {
  expect(follow(given)).toBe(outcome)
})

test('a stand-in becomes a replica of the first store that it hears of', () => {
  const own = { storeId: 'mine', epochs: [{ epoch: STAND_IN_EPOCH, id: 'z', first: 1 }] }
  expect(isStandIn(own)).toBe(true)
  const held = { latest: 0, newest: 4 }
  expect(followSource(own, { token: token('b3', 5), epochs: list('a1 b3') }, held)).toEqual({
    storeId: 's',
    epochs: list('a1 b3'),
  })
  expect(followSource(own, { token: token('b3', 5), epochs: undefined }, held)).toEqual({
    storeId: 's',
    epochs: [{ epoch: 1, id: 'b', first: 3 }],
  })
  const listed = followSource(own, { token: undefined, epochs: list('a1') }, held)
  expect(listed).toEqual({ storeId: 'mine', epochs: list('a1') })
  // The epoch's id tells that it is the same store.
  expect(
    followSource(listed, { token: token('a1', 5), epochs: undefined }, { latest: 4, newest: 4 }),
  ).toEqual({ storeId: 's', epochs: list('a1') })
})
