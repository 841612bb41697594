import { describe, expect, test } from 'vitest'
import { SeparatorGuide } from '../../src/segment/separator-guide.ts'
import { Separators, SeparatorsBuilder } from '../../src/segment/separators.ts'
import { randomFrom } from './segment-model.ts'

const ROWS = 1500
const random = randomFrom(7)

const fail = (reason: string): never => {
  throw new RangeError(reason)
}

function bytesOf(length: number, choices: readonly number[]): Buffer {
  return Buffer.from(Array.from({ length }, () => choices[random(choices.length)]!))
}

const DIGITS = [...Buffer.from('0123456789')]
const EVERY_BYTE = Array.from({ length: 256 }, (_, byte) => byte)

const DISTRIBUTIONS: Record<string, () => Buffer> = {
  'decimal numbers of one length': () => Buffer.from(String(random(2_000_000)).padStart(16, '0')),
  'random bytes': () => bytesOf(16, EVERY_BYTE),
  'few of all bytes': () => bytesOf(12, [0, 3, 128, 255]),
  'of one byte to nine': () => bytesOf(1 + random(9), DIGITS),
  'that share more than eight bytes behind the first': () =>
    Buffer.from(`${random(2)} the same for all ${random(1e6)}`),
  'most of them close together': () =>
    Buffer.from(random(9) === 0 ? bytesOf(8, EVERY_BYTE) : `mmmmmm${random(1e6)}`),
}

function sortedRows(make: () => Buffer, rows: number): Buffer[] {
  const distinct = new Map<string, Buffer>()
  for (let i = 0; i < rows * 3 && distinct.size < rows; i++) {
    const key = make()
    distinct.set(key.toString('hex'), key)
  }
  return [...distinct.values()].toSorted((a, b) => a.compare(b))
}

/** Keys that are rows, that lie close to them, and others like them or not. */
function questions(rows: readonly Buffer[], make: () => Buffer): Buffer[] {
  return rows.flatMap((row) => {
    const other = Buffer.from(row)
    other[random(other.length)] = random(256)
    return [
      row,
      other,
      row.subarray(0, 1 + random(row.length)),
      Buffer.concat([row, bytesOf(2, [0, 9])]),
      make(),
    ]
  })
}

/** The answer is the last row that is not behind the key. */
function lastNotAbove(rows: readonly Buffer[], key: Buffer): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (rows[middle]!.compare(key) <= 0) low = middle + 1
    else high = middle
  }
  return low
}

function separatorsOf(rows: readonly { key: Buffer; below?: number }[]): Separators {
  const builder = new SeparatorsBuilder()
  builder.add(Buffer.alloc(0), -1, undefined)
  for (const { key, below } of rows) builder.add(key, key.length, below)
  return new Separators(builder.finish(), rows.length + 1, fail)
}

describe('a guide to separators', () => {
  test.each(Object.entries(DISTRIBUTIONS))('leaves the right row: keys %s', (_name, make) => {
    const rows = sortedRows(make, ROWS)
    const separators = separatorsOf(rows.map((key) => ({ key })))
    const keys = questions(rows, make)
    expect(separators.guideBytes).toBe(0)
    // Twice: the guide is made on the way.
    for (const key of [...keys, ...keys]) {
      const found = separators.locate(key, 0, key.length, Number.POSITIVE_INFINITY)
      expect(found).toBe(lastNotAbove(rows, key))
    }
    expect(separators.guideBytes).toBeGreaterThan(0)
  })

  test('knows nothing of versions: they are told apart behind it', () => {
    const keys = sortedRows(DISTRIBUTIONS['decimal numbers of one length']!, 300)
    const rows = keys.flatMap((key) => [30, 20, 10].map((below) => ({ key, below })))
    const separators = separatorsOf(rows)
    for (let round = 0; round < 2; round++) {
      for (const [i, key] of keys.entries()) {
        for (const [seqno, blocks] of [
          [35, 0],
          [30, 1],
          [15, 2],
          [5, 3],
        ] as const) {
          expect(separators.locate(key, 0, key.length, seqno)).toBe(3 * i + blocks)
        }
      }
    }
  })

  test.each([
    ['all equal', () => 5],
    ['descending, as damage leaves them', (row: number) => -row * 1000],
    ['of two kinds', (row: number) => (row & 1) * 7],
  ])('is made of any words: %s', (_name, word) => {
    const high = Int32Array.from({ length: ROWS }, (_, row) => word(row))
    const guide = new SeparatorGuide(high, new Int32Array(ROWS))
    for (let i = 0; i < 2000; i++) {
      const key = bytesOf(random(10), EVERY_BYTE)
      if (!guide.narrow(key, 0, key.length)) continue
      expect(guide.low).toBeGreaterThanOrEqual(0)
      expect(guide.high).toBeLessThan(ROWS)
    }
  })

  test('leaves few rows of decimal numbers, and its size has a limit', () => {
    const rows = Array.from({ length: 60_000 }, (_, i) =>
      Buffer.from(String(i * 33).padStart(16, '0')),
    )
    const separators = separatorsOf(rows.map((key) => ({ key })))
    for (let i = 0; i < rows.length; i++) separators.locate(rows[i]!, 0, 16, 0)
    expect(separators.guideBytes).toBeLessThan(2 * rows.length)
  })
})
