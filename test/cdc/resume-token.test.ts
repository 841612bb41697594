import { describe, expect, test } from 'vitest'
import {
  decodeToken,
  encodeToken,
  positionOfToken,
  tokenAt,
  type TokenHome,
} from '../../src/cdc/resume-token.ts'

const home: TokenHome = {
  storeId: '0123456789abcdef0123456789abcdef',
  epochs: [
    { epoch: 1, id: 'e1', first: 1 },
    { epoch: 2, id: 'e2', first: 50 },
    { epoch: 3, id: 'e3', first: 90 },
  ],
  isWriter: true,
  latest: 120,
}

function outcome(of: TokenHome, token: string): unknown {
  try {
    return positionOfToken(of, decodeToken(token))
  } catch (error) {
    const { code, details } = error as { code: string; details: unknown }
    return { code, details }
  }
}

describe('a resume token', () => {
  test('is URL-safe and gives back what it was made of', () => {
    const fields = { storeId: home.storeId, epochId: 'ünïcode', epochFirst: 7, next: 2 ** 48 }
    const token = encodeToken(fields)
    expect(token).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(decodeToken(token)).toEqual(fields)
  })

  test('that was changed in any character is refused', () => {
    const token = tokenAt(home, 100)
    for (let i = 0; i < token.length; i++) {
      for (const other of ['A', 'b', '_', '=', ' ', '+', 'é']) {
        if (token[i] === other) continue
        const changed = token.slice(0, i) + other + token.slice(i + 1)
        expect(outcome(home, changed), changed).toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' })
      }
    }
    for (const wrong of [
      '',
      'x',
      token.slice(1),
      token + 'A',
      token.slice(0, -1),
      'A'.repeat(5000),
    ]) {
      expect(outcome(home, wrong), wrong).toMatchObject({ code: 'VARVE_INVALID_ARGUMENT' })
    }
  })

  test('is one text only: other spare bits in the last character are refused', () => {
    const refused: string[] = []
    for (const epochId of ['e', 'ee', 'eee']) {
      const token = encodeToken({ storeId: home.storeId, epochId, epochFirst: 1, next: 2 })
      const bytes = Buffer.from(token, 'base64url')
      for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
        const text = token.slice(0, -1) + last
        if (text === token || !Buffer.from(text, 'base64url').equals(bytes)) continue
        refused.push(text)
        expect(() => decodeToken(text), text).toThrow(/not canonical/)
      }
    }
    expect(refused.length).toBeGreaterThan(0)
  })

  test('names the epoch that gave out the last seqno its reader has seen', () => {
    const epochIdAt = (next: number): string => decodeToken(tokenAt(home, next)).epochId
    expect([1, 2, 50, 51, 90, 91, 121].map(epochIdAt)).toEqual([
      'e1',
      'e1',
      'e1',
      'e2',
      'e2',
      'e3',
      'e3',
    ])
  })

  test('of this history is good in every epoch, up to its end + 1', () => {
    for (const next of [1, 49, 50, 51, 89, 90, 91, 121]) {
      expect(outcome(home, tokenAt(home, next))).toBe(next)
    }
  })

  test('of another store is WRONG_STORE', () => {
    expect(outcome({ ...home, storeId: 'other' }, tokenAt(home, 5))).toEqual({
      code: 'VARVE_WRONG_STORE',
      details: { expected: 'other', found: home.storeId },
    })
  })

  test('of an epoch that this copy never had, or that began elsewhere, is HISTORY_DIVERGED', () => {
    const copy = { ...home, epochs: [home.epochs[0]!, { epoch: 2, id: 'x2', first: 50 }] }
    expect(outcome(copy, tokenAt(home, 70))).toEqual({
      code: 'VARVE_HISTORY_DIVERGED',
      details: { requested: 70, epochId: 'e2' },
    })
    const moved = { ...home, epochs: [home.epochs[0]!, { epoch: 2, id: 'e2', first: 60 }] }
    expect(outcome(moved, tokenAt(home, 70))).toMatchObject({ code: 'VARVE_HISTORY_DIVERGED' })
    // What it has seen is shared by both copies.
    expect(outcome(copy, tokenAt(home, 50))).toBe(50)
  })

  test('beyond the end of its epoch is HISTORY_DIVERGED: those seqnos mean something else now', () => {
    const before = { ...home, epochs: home.epochs.slice(0, 1), latest: 60 }
    expect(outcome(home, tokenAt(before, 61))).toEqual({
      code: 'VARVE_HISTORY_DIVERGED',
      details: { requested: 61, epochId: 'e1', epochEnd: 49 },
    })
    expect(outcome(home, tokenAt(before, 50))).toBe(50)
  })

  test('ahead of its writer in the current epoch is HISTORY_DIVERGED, ahead of a replica only ahead', () => {
    const ahead = tokenAt({ ...home, latest: 200 }, 201)
    expect(outcome(home, ahead)).toMatchObject({ code: 'VARVE_HISTORY_DIVERGED' })
    expect(outcome({ ...home, isWriter: false }, ahead)).toBe(201)
  })

  test('of an epoch that lost everything is refused', () => {
    const lost = {
      ...home,
      epochs: [...home.epochs, { epoch: 4, id: 'e4', first: 70 }],
      latest: 75,
    }
    expect(outcome(lost, tokenAt(home, 91))).toMatchObject({ code: 'VARVE_HISTORY_DIVERGED' })
    expect(outcome(lost, tokenAt(home, 80))).toMatchObject({ code: 'VARVE_HISTORY_DIVERGED' })
    expect(outcome(lost, tokenAt(home, 70))).toBe(70)
  })
})
