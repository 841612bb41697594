import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { compactionOptions } from '../../src/compaction/compaction-options.ts'
import { planManualCompaction } from '../../src/compaction/manual-compaction.ts'
import {
  type CompactionPick,
  pendingCompactionBytes,
  pickCompaction,
  pickExpired,
  type PickerInput,
  writePressure,
} from '../../src/compaction/picker.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { parseStore, type ScriptStore } from './segment-script.ts'

const KIB = 1024
const options = compactionOptions({ segmentBytes: 64 * KIB, memtableBytes: 64 * KIB })

function pickerInput(store: ScriptStore): PickerInput {
  const numbers = (word: string): number[] => (store.words.get(word) ?? []).map(Number)
  const blobs = (store.words.get('blobs') ?? []).map((text) => text.split(':').map(Number))
  return {
    keyspaces: [{ id: 1, files: { levels: store.levels, history: store.history } }],
    blobs: new Map(
      blobs.map(([number, bytes]) => [
        number!,
        { number: number!, bytes: bytes! * KIB, frames: 1, frameBytes: bytes! * KIB },
      ]),
    ),
    busy: new Set(numbers('busy')),
    snapshots: numbers('snapshots'),
    bands: numbers('bands'),
    level0Bytes: Number(store.words.get('level0Bytes')?.[0] ?? Infinity) * KIB,
    options,
  }
}

function format(pick: CompactionPick | 'wait' | undefined): string {
  const list = (metas: readonly SegmentMeta[]): string => metas.map((m) => m.number).join(' ')
  if (pick === undefined) return 'nothing'
  if (pick === 'wait') return 'wait'
  switch (pick.type) {
    case 'compact':
      return `compact ${pick.reason} ${pick.level}>${pick.outputLevel} ${list(pick.upper)} + ${list(pick.lower)}`.trim()
    case 'move':
      return `move ${pick.level}>${pick.outputLevel} ${list(pick.segments)}`
    case 'merge-history':
      return `merge-history ${list(pick.inputs)}`
  }
}

const script = readFileSync(new URL('testdata/picker.txt', import.meta.url), 'utf8')
for (const block of script.split('\n\n').filter((text) => !text.startsWith('#'))) {
  const [title, ...lines] = block.trim().split('\n')
  test(title!, () => {
    const store = parseStore(lines)
    expect(format(pickCompaction(pickerInput(store)))).toBe(store.words.get('pick')!.join(' '))
  })
}

test('history whose newest event is below the drop floor expires, and blob files that only it referenced', () => {
  const store = parseStore([
    'L6 10:a-b,blob=3:1',
    'H 1:a-z,seqnos=10..19,blob=1:5 2:a-z,seqnos=10..29,blob=2:5 4:a-z,seqnos=10..19',
    'blobs 1:10 2:10 3:10',
    'busy 4',
  ])
  expect(pickExpired({ ...pickerInput(store), dropFloor: 20 })).toEqual({
    segments: [{ keyspaceId: 1, number: 1 }],
    blobs: [1],
  })
  expect(pickExpired({ ...pickerInput(store), dropFloor: 19 }).segments).toEqual([])
})

test('writers slow down and stop by the fullest level 0', () => {
  const level0 = (count: number): string =>
    `L0 ${Array.from({ length: count }, (_, i) => `${i + 1}:a-z`).join(' ')}`
  const pressure = (count: number): object =>
    writePressure(pickerInput(parseStore([level0(count)])).keyspaces, options)
  expect(pressure(11)).toEqual({ level0Count: 11, isSlow: false, isStopped: false })
  expect(pressure(12)).toEqual({ level0Count: 12, isSlow: true, isStopped: false })
  expect(pressure(20)).toEqual({ level0Count: 20, isSlow: true, isStopped: true })
})

test('of several keyspaces over the bound of the disk the one with the largest level 0 is compacted', () => {
  const large = parseStore(['L0 2:a-z,size=30 1:a-z,size=30', 'L6 10:a-z'])
  const small = parseStore(['L0 4:a-z,size=20 3:a-z,size=20', 'L6 11:a-z'])
  const files = ({ levels, history }: ScriptStore): PickerInput['keyspaces'][number]['files'] => ({
    levels,
    history,
  })
  const input: PickerInput = {
    ...pickerInput(small),
    keyspaces: [
      { id: 1, files: files(small) },
      { id: 2, files: files(large) },
    ],
    level0Bytes: 100 * KIB,
  }
  expect(pickCompaction(input)).toMatchObject({ type: 'compact', keyspaceId: 2 })
  expect(pendingCompactionBytes(input)).toBe(60 * KIB)
  expect(pickCompaction({ ...input, level0Bytes: 101 * KIB })).toBeUndefined()
  expect(pendingCompactionBytes({ ...input, level0Bytes: 101 * KIB })).toBe(0)
})

function manual(lines: string[], range: { lower?: string; upper?: string } = {}): string {
  const store = parseStore(lines)
  const bound = (text: string | undefined): Buffer | undefined =>
    text === undefined ? undefined : Buffer.from(text)
  return format(
    planManualCompaction({
      ...pickerInput(store),
      keyspaceId: 1,
      files: { levels: store.levels, history: store.history },
      range: { lower: bound(range.lower), upper: bound(range.upper) },
      startedAt: 50,
    }),
  )
}

test('a manual compaction takes level 0 down first, then each level, then what the last one can lose', () => {
  expect(manual(['L0 2:a-c 1:b-d', 'L5 20:a-b', 'L6 10:a-b'])).toBe('compact manual 0>5 2 1 + 20')
  expect(manual(['L5 20:a-b 21:c-d', 'L6 10:a-b'])).toBe('compact manual 5>6 20 21 + 10')
  expect(manual(['L4 20:a-b', 'L6 10:c-d'])).toBe('move 4>5 20')
  expect(manual(['L6 10:a-b 11:c-d,tomb=1'])).toBe('compact manual 6>6 11 +')
  expect(manual(['L6 10:a-b 11:c-d,held=1 60:e-f,tomb=1'])).toBe('compact manual 6>6 11 +')
  expect(manual(['L6 60:e-f,tomb=1'])).toBe('nothing')
})

test('a manual compaction leaves alone what lies outside its range, and what was flushed after it began', () => {
  expect(manual(['L0 60:a-c', 'L6 10:a-b,tomb=1'], { lower: 'c' })).toBe('nothing')
  expect(manual(['L0 1:a-c', 'L6 10:a-b'], { lower: 'd' })).toBe('nothing')
  expect(manual(['L5 20:a-b 21:c-d', 'L6 10:a-b'], { lower: 'c' })).toBe('move 5>6 21')
  expect(manual(['L5 20:a-b 21:c-d', 'L6 10:a-b'], { upper: 'c' })).toBe(
    'compact manual 5>6 20 + 10',
  )
})

test('a manual compaction waits for a job that holds what it needs', () => {
  expect(manual(['L0 2:a-c 1:b-d', 'L6 10:a-b', 'busy 10'])).toBe('wait')
  expect(manual(['L5 20:a-b', 'L6 10:a-b', 'busy 20'])).toBe('wait')
})
