import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { FLAG_DERIVED } from '../../src/base/entry-kind.ts'
import { formatEntry, parseEntry, sortEntries, testOperators } from './sorter-harness.ts'

const script = readFileSync(new URL('testdata/entry-sorter.txt', import.meta.url), 'utf8')
const cases = script.split('\n\n').filter((block) => !block.startsWith('#'))

for (const block of cases) {
  const [title, ...lines] = block.trim().split('\n')
  test(title!, () => {
    const said = new Map(lines.map((line) => [line.split(' ')[0]!, line.split(' ').slice(1)]))
    const ranges = (said.get('ranges') ?? []).map(Number).sort((a, b) => b - a)
    const sorted = sortEntries({
      entries: (said.get('versions') ?? []).map((text) => parseEntry(text, 'k')),
      snapshots: (said.get('snapshots') ?? []).map(Number),
      dropFloor: Number(said.get('floor')?.[0] ?? 1),
      operator: testOperators[said.get('operator')?.[0] ?? ''],
      ranges:
        ranges.length === 0
          ? undefined
          : { coveringSeqno: (_k, _s, _e, snapshot) => ranges.find((r) => r <= snapshot) ?? 0 },
      isBottom: () => said.has('bottom'),
    })
    expect(sorted.live.map(formatEntry)).toEqual(said.get('live') ?? [])
    expect(sorted.history.map(formatEntry)).toEqual(said.get('history') ?? [])
    expect(sorted.history.every((e) => e.isEvent)).toBe(true)
    expect(
      sorted.live.every(
        (e) =>
          e.isEvent ===
          ((e.kind & FLAG_DERIVED) === 0 && e.seqno >= Number(said.get('floor')?.[0] ?? 1)),
      ),
    ).toBe(true)
    expect(sorted.started).toEqual(sorted.live.length > 0 ? ['k'] : [])
  })
}

test('a chain of many runs folds like one', () => {
  const versions = Array.from({ length: 40_000 }, (_, i) => ({
    key: 'k',
    seqno: 50_000 - i,
    kind: parseEntry('1:merge=', 'k').kind,
    value: String((50_000 - i) % 10),
  }))
  const expected = versions
    .map((v) => v.value)
    .reverse()
    .join('')
  for (const [operator, isBottom, kind] of [
    ['digits', true, 'put'],
    ['append', false, 'merge'],
  ] as const) {
    const sorted = sortEntries({
      entries: versions,
      snapshots: [],
      dropFloor: 1,
      operator: testOperators[operator],
      ranges: undefined,
      isBottom: () => isBottom,
    })
    expect(sorted.live.map(formatEntry)).toEqual([`50000:${kind}=${expected}*`])
    expect(sorted.history.length).toBe(40_000)
  }
})
