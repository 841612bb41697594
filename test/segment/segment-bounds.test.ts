import { describe, expect, test } from 'vitest'
import { overlaps, positionOf } from '../../src/segment/segment-bounds.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { makeSegment, writeSegment } from './segment-model.ts'

const BASE = writeSegment(makeSegment(1, { entries: 5, keys: 5, valueBytesMax: 5 })).meta

interface Bounds {
  readonly first?: string
  readonly last?: string
  readonly from?: string
  readonly to?: string
}

function meta({ first, last, from, to }: Bounds): SegmentMeta {
  const bytes = (text: string | undefined): Buffer | undefined =>
    text === undefined ? undefined : Buffer.from(text)
  return {
    ...BASE,
    firstKey: bytes(first),
    lastKey: bytes(last),
    coverStart: bytes(from),
    coverEnd: bytes(to),
  }
}

const KEYS = meta({ first: 'd', last: 'h' })
const COVER = meta({ from: 'd', to: 'h' })
const BOTH = meta({ first: 'f', last: 'k', from: 'd', to: 'h' })
const OPEN = meta({ first: 'f', last: 'k', from: 'd' })

describe('where a segment lies', () => {
  test.each([
    ['keys', KEYS, { c: 1, d: 0, g: 0, h: 0, ha: -1 }],
    ['a cover, whose end is exclusive', COVER, { c: 1, d: 0, gz: 0, h: -1, i: -1 }],
    ['keys and a cover', BOTH, { c: 1, d: 0, i: 0, k: 0, ka: -1 }],
    ['a cover without an end', OPEN, { c: 1, d: 0, z: 0 }],
    ['nothing', meta({}), { a: -1 }],
  ])('with %s', (_name, segment, expected) => {
    const found = Object.keys(expected).map((key) => [key, positionOf(segment, Buffer.from(key))])
    expect(Object.fromEntries(found)).toEqual(expected)
  })

  test.each([
    ['keys', KEYS, 'a', 'd', false],
    ['keys', KEYS, 'a', 'da', true],
    ['keys', KEYS, 'h', 'z', true],
    ['keys', KEYS, 'ha', undefined, false],
    ['a cover', COVER, 'h', 'z', false],
    ['a cover', COVER, 'gz', 'z', true],
    ['both', BOTH, 'i', 'j', true],
    ['a cover without an end', OPEN, 'y', 'z', true],
    ['keys', KEYS, undefined, undefined, true],
    ['nothing', meta({}), undefined, undefined, false],
  ])('with %s, [%s %s %s): %s', (_name, segment, lower, upper, expected) => {
    const bytes = (text: string | undefined): Buffer | undefined =>
      text === undefined ? undefined : Buffer.from(text)
    expect(overlaps(segment, { lower: bytes(lower), upper: bytes(upper) })).toBe(expected)
  })
})
