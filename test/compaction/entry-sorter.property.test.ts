/** The entry sorter against a model that does the obvious thing: reads before and after must agree, and no event be lost. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  FLAG_DERIVED,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_MERGE,
} from '../../src/base/entry-kind.ts'
import { formatEntry, sortEntries, type TestEntry, testOperators } from './sorter-harness.ts'

interface Scene {
  entries: TestEntry[]
  /** Older than every entry of its key; the tree below the job. */
  deeper: Map<string, TestEntry[]>
  ranges: { start: string; end: string; seqno: number }[]
  snapshots: number[]
  dropFloor: number
  operator: string
}

const KEYS = ['a', 'ab', 'b', 'c']
const KINDS = [KIND_INSERT, KIND_INSERT, KIND_MERGE, KIND_MERGE, KIND_DELETE]

const scenes: fc.Arbitrary<Scene> = fc
  .record({
    operations: fc.array(
      fc.record({
        key: fc.constantFrom(...KEYS),
        kind: fc.constantFrom(...KINDS),
        range: fc.option(fc.constantFrom(...KEYS), { freq: 8 }),
      }),
      { maxLength: 30 },
    ),
    deeperCount: fc.nat(6),
    snapshots: fc.uniqueArray(fc.nat(32), { maxLength: 4 }),
    dropFloor: fc.nat(34),
    operator: fc.constantFrom('append', 'digits', 'broken', 'none'),
  })
  .map(({ operations, deeperCount, snapshots, dropFloor, operator }) => {
    const scene: Scene = {
      entries: [],
      deeper: new Map(),
      ranges: [],
      snapshots: snapshots.sort((a, b) => a - b),
      dropFloor,
      operator,
    }
    operations.forEach(({ key, kind, range }, i) => {
      const seqno = i + 1
      const entry = { key, seqno, kind, value: kind === KIND_DELETE ? '' : `${seqno}.` }
      if (i < deeperCount) {
        const list = scene.deeper.get(key) ?? []
        list.unshift(entry)
        scene.deeper.set(key, list)
      } else if (range !== null && range !== undefined && key < range) {
        scene.ranges.push({ start: key, end: range, seqno })
      } else {
        scene.entries.push(entry)
      }
    })
    scene.entries.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : b.seqno - a.seqno))
    return scene
  })

function cover(scene: Scene, key: string, snapshot: number): number {
  const over = scene.ranges.filter((r) => r.start <= key && key < r.end && r.seqno <= snapshot)
  return Math.max(0, ...over.map((r) => r.seqno))
}

/** What a reader at the snapshot gets, the operands in it spelled out; undefined: nothing. */
function read(
  scene: Scene,
  entries: TestEntry[],
  key: string,
  snapshot: number,
): string | undefined {
  const floor = cover(scene, key, snapshot)
  let text = ''
  for (const entry of [...entries, ...(scene.deeper.get(key) ?? [])]) {
    if (entry.key !== key || entry.seqno > snapshot || entry.seqno < floor) continue
    const kind = entry.kind & KIND_MASK
    if (kind === KIND_DELETE) return text === '' ? undefined : text
    text = entry.value + text
    if (kind === KIND_INSERT) return text
  }
  return text === '' ? undefined : text
}

test('reads at every snapshot agree before and after, and every event at or above the floor is somewhere once', () => {
  fc.assert(
    fc.property(scenes, (scene) => {
      const sorted = sortEntries({
        ...scene,
        operator: testOperators[scene.operator],
        ranges:
          scene.ranges.length === 0
            ? undefined
            : {
                coveringSeqno: (bytes, start, end, snapshot) =>
                  cover(scene, Buffer.from(bytes.subarray(start, end)).toString(), snapshot),
              },
        isBottom: (key) => !scene.deeper.has(key),
      })
      for (const key of KEYS) {
        for (const snapshot of [...scene.snapshots, Number.MAX_SAFE_INTEGER]) {
          expect(read(scene, sorted.live, key, snapshot)).toBe(
            read(scene, scene.entries, key, snapshot),
          )
        }
      }
      const events = (list: TestEntry[]): string[] =>
        list
          .filter((e) => (e.kind & FLAG_DERIVED) === 0 && e.seqno >= scene.dropFloor)
          .map((e) => `${e.key} ${formatEntry({ ...e, isHeld: false })}`)
          .sort()
      expect(events([...sorted.live, ...sorted.history])).toEqual(events(scene.entries))
      expect(sorted.history.every((e) => (e.kind & FLAG_DERIVED) === 0)).toBe(true)
      for (let i = 1; i < sorted.live.length; i++) {
        const a = sorted.live[i - 1]!
        const b = sorted.live[i]!
        expect(a.key < b.key || (a.key === b.key && a.seqno > b.seqno)).toBe(true)
      }
      // As little stays as the rules allow: one version per key and stripe, where operands can be folded.
      if (scene.operator === 'append') {
        for (const key of KEYS) {
          const kept = sorted.live.filter((e) => e.key === key)
          expect(kept.length).toBeLessThanOrEqual(scene.snapshots.length + 1)
          if (scene.snapshots.length > 0 || scene.deeper.has(key)) continue
          expect(kept.some((e) => (e.kind & KIND_MASK) === KIND_DELETE)).toBe(false)
        }
      }
      // Sorting what was sorted changes nothing any more.
      if (scene.operator !== 'append' || scene.ranges.length > 0) return
      const again = sortEntries({
        ...scene,
        entries: sorted.live,
        operator: testOperators[scene.operator],
        ranges: undefined,
        isBottom: (key) => !scene.deeper.has(key),
      })
      expect(again.live.map(formatEntry)).toEqual(sorted.live.map(formatEntry))
    }),
    { numRuns: 3000 },
  )
})
