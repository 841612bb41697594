import { expect, test } from 'vitest'
import { drawLayers, type Layer } from '../../src/cli/layer-picture.ts'

const layer = (name: string, ...segments: (readonly [number, number])[]): Layer => ({
  name,
  segments: segments.map(([minSeqno, maxSeqno]) => ({ minSeqno, maxSeqno })),
  note: `${segments.length}`,
})

test('a segment is drawn from its first seqno to its last, darker where more of them reach', () => {
  const layers = [
    layer('memtable', [9, 10]),
    layer('L0', [1, 5], [3, 8]),
    layer('L1', ...Array.from({ length: 3 }, () => [1, 2] as const)),
    layer('history', ...Array.from({ length: 5 }, () => [10, 10] as const)),
    layer('none'),
  ]
  expect(drawLayers(layers, { first: 1, last: 10 }, 10)).toEqual([
    '  memtable  ········░░  1',
    '  L0        ░░▒▒▒░░░··  2',
    '  L1        ▓▓········  3',
    '  history   ·········█  5',
    '  none      ··········  0',
  ])
})

test('an axis that is shorter or longer than the picture fills it', () => {
  expect(drawLayers([layer('a', [1, 1]), layer('b', [2, 2])], { first: 1, last: 2 }, 4)).toEqual([
    '  a  ░░··  1',
    '  b  ··░░  1',
  ])
  const [wide] = drawLayers([layer('a', [1, 250], [251, 500])], { first: 1, last: 1000 }, 4)
  expect(wide).toBe('  a  ░░··  2')
})
