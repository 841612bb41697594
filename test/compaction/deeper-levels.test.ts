import { expect, test } from 'vitest'
import { DeeperLevels } from '../../src/compaction/deeper-levels.ts'
import { parseSegment } from './segment-script.ts'

function deeper(...levels: string[]): DeeperLevels {
  return new DeeperLevels(levels.map((level) => level.split(' ').map(parseSegment)))
}

function bottoms(levels: DeeperLevels, keys: string): string {
  return keys
    .split('')
    .filter((key) => levels.isBottom(Buffer.from(key), 0, 1))
    .join('')
}

function hull(levels: DeeperLevels, start: string, end?: string): string {
  const found = levels.hull(Buffer.from(start), end === undefined ? undefined : Buffer.from(end))
  if (found === undefined) return 'nothing'
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
  return `${text(found.start)}..${found.end === undefined ? '' : JSON.stringify(text(found.end))}`
}

test('a key is at the bottom where no deeper segment reaches over it, both ends included', () => {
  expect(bottoms(deeper('1:c-e 2:h-h'), 'abcdefghij')).toBe('abfgij')
  expect(bottoms(deeper('1:c-e', '2:e-g'), 'abcdefghij')).toBe('abhij')
})

test('cover counts as reaching, its end not', () => {
  expect(bottoms(deeper('1:c-d,cover=[d,g)'), 'abcdefghij')).toBe('abghij')
  expect(bottoms(deeper('1:,cover=[e,)'), 'abcdefghij')).toBe('abcd')
})

test('the same key may be asked for again', () => {
  expect(bottoms(deeper('1:c-e'), 'aaccddeeff')).toBe('aaff')
})

test('without deeper levels every key is at the bottom', () => {
  expect(bottoms(new DeeperLevels([[], []]), 'abc')).toBe('abc')
})

test('the hull of a range is what deeper segments leave of it', () => {
  const levels = deeper('1:c-e 2:h-k', '3:d-f')
  expect(hull(levels, 'a', 'z')).toBe('c.."k\\u0000"')
  expect(hull(levels, 'a', 'b')).toBe('nothing')
  expect(hull(levels, 'a', 'c')).toBe('nothing')
  expect(hull(levels, 'a', 'd')).toBe('c.."d"')
  expect(hull(levels, 'd', 'j')).toBe('d.."j"')
  expect(hull(levels, 'f', 'g')).toBe('f.."f\\u0000"')
  expect(hull(levels, 'g')).toBe('h.."k\\u0000"')
  expect(hull(levels, 'l')).toBe('nothing')
  expect(hull(deeper('1:c-e,cover=[d,)'), 'a')).toBe('c..')
})

test('behind the longest key there is no other: the range is left as long as it was', () => {
  const lastKey = Buffer.alloc(65_535, 'k')
  const levels = new DeeperLevels([[{ ...parseSegment('1:c-k'), lastKey }]])
  expect(hull(levels, 'a', 'z')).toBe('c.."z"')
})
