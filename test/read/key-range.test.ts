import { describe, expect, test } from 'vitest'
import { isEmptyRange, type KeyBounds, keyRange } from '../../src/read/key-range.ts'

type Bounds = { [side in keyof KeyBounds]?: string }

function fold(bounds: Bounds): string {
  const given = Object.entries(bounds).map(([side, bound]) => [side, Buffer.from(bound, 'latin1')])
  const range = keyRange(Object.fromEntries(given) as KeyBounds)
  const { lower, upper } = range
  const show = (bound: Uint8Array | undefined): string =>
    bound === undefined ? '-' : Buffer.from(bound).toString('latin1')
  return `${show(lower)}..${show(upper)}${isEmptyRange(range) ? ' empty' : ''}`
}

describe('bounds and prefix become one half-open range', () => {
  const table: [string, Bounds, string][] = [
    ['nothing given', {}, '-..-'],
    ['gte and lt as they are', { gte: 'b', lt: 'd' }, 'b..d'],
    ['gt and lte just above', { gt: 'b', lte: 'd' }, 'b\0..d\0'],
    ['the higher lower bound', { gt: 'b', gte: 'c' }, 'c..-'],
    ['the lower upper bound', { lt: 'd', lte: 'c' }, '-..c\0'],
    ['a prefix', { prefix: 'ab' }, 'ab..ac'],
    ['an empty prefix', { prefix: '' }, '-..-'],
    ['a prefix of 0xff only', { prefix: '\xff\xff' }, '\xff\xff..-'],
    ['a prefix that ends in 0xff', { prefix: 'a\xff' }, 'a\xff..b'],
    ['a prefix with bounds inside it', { prefix: 'a', gt: 'ab', lt: 'ay' }, 'ab\0..ay'],
    ['a prefix with bounds around it', { prefix: 'b', gte: 'a', lte: 'z' }, 'b..c'],
    ['an empty lower bound', { gte: '' }, '..-'],
    ['bounds that meet', { gte: 'b', lt: 'b' }, 'b..b empty'],
    ['bounds that hold one key', { gte: 'b', lte: 'b' }, 'b..b\0'],
    ['bounds that cross', { gte: 'c', lt: 'b' }, 'c..b empty'],
    ['an empty upper bound', { lt: '' }, '.. empty'.replace('..', '-..')],
    ['a prefix outside the bounds', { prefix: 'x', lt: 'b' }, 'x..b empty'],
  ]
  test.each(table)('%s', (_name, bounds, expected) => {
    expect(fold(bounds)).toBe(expected)
  })

  test('with bytes of its own', () => {
    const gte = Buffer.from('b')
    const range = keyRange({ gte })
    gte.fill(0)
    expect(range.lower).toEqual(Buffer.from('b'))
  })
})
