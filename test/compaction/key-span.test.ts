import { expect, test } from 'vitest'
import {
  type KeySpan,
  meetsRange,
  overlapping,
  spanOf,
  spanOfAll,
  spansMeet,
} from '../../src/compaction/key-span.ts'
import { parseSegment } from './segment-script.ts'

const span = (text: string): KeySpan => spanOf(parseSegment(`1:${text}`))!
const shown = ({ lower, upper, isUpperIncluded }: KeySpan): string =>
  `${String(lower)}..${upper === undefined ? '' : String(upper)}${isUpperIncluded ? ' included' : ''}`

test('a segment spans its keys and what its range tombstones cover', () => {
  expect(shown(span('b-d'))).toBe('b..d included')
  expect(shown(span(',cover=[a,c)'))).toBe('a..c')
  expect(shown(span('b-d,cover=[a,c)'))).toBe('a..d included')
  expect(shown(span('b-d,cover=[c,f)'))).toBe('b..f')
  expect(shown(span('b-d,cover=[c,)'))).toBe('b..')
})

test('of two that end at the same key the one that holds it reaches further', () => {
  expect(shown(span('b-d,cover=[a,d)'))).toBe('a..d included')
  expect(shown(spanOfAll(['1:b-d', '2:,cover=[a,d)'].map(parseSegment))!)).toBe('a..d included')
  expect(shown(spanOfAll(['2:,cover=[a,d)', '1:b-d'].map(parseSegment))!)).toBe('a..d included')
})

test('spans meet at a last key, not at the end of a cover', () => {
  expect(spansMeet(span('a-c'), span('c-d'))).toBe(true)
  expect(spansMeet(span(',cover=[a,c)'), span('c-d'))).toBe(false)
  expect(spansMeet(span('c-d'), span(',cover=[a,c)'))).toBe(false)
  expect(spansMeet(span(',cover=[a,)'), span('z-z'))).toBe(true)
  expect(spansMeet(undefined, span('a-b'))).toBe(false)
})

test('a span meets a range from its lower bound on and below its upper one', () => {
  const meets = (text: string, lower: string | undefined, upper: string | undefined): boolean =>
    meetsRange(span(text), {
      lower: lower === undefined ? undefined : Buffer.from(lower),
      upper: upper === undefined ? undefined : Buffer.from(upper),
    })
  expect(meets('c-e', 'e', 'f')).toBe(true)
  expect(meets('c-e', 'a', 'c')).toBe(false)
  expect(meets('c-e', 'a', 'c0')).toBe(true)
  expect(meets(',cover=[c,e)', 'e', undefined)).toBe(false)
  expect(meets('c-e', undefined, undefined)).toBe(true)
})

test('those of a level that meet a span are neighbours', () => {
  const level = ['10:a-b', '11:c-d,cover=[b0,f)', '12:f-g', '13:h-i'].map(parseSegment)
  const met = (text: string): number[] => overlapping(level, span(text)).map(({ number }) => number)
  expect(met('b-b')).toEqual([10])
  expect(met('b0-e')).toEqual([11])
  expect(met('f-f')).toEqual([12])
  expect(met('b-h')).toEqual([10, 11, 12, 13])
  expect(met('j-k')).toEqual([])
})
