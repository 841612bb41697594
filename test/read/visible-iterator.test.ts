import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasCode } from '../../src/base/errors.ts'
import { KIND_DELETE, KIND_INSERT, KIND_MERGE } from '../../src/base/entry-kind.ts'
import { type MergeOperator, mergeOperators } from '../../src/base/merge-operators.ts'
import { FragmentedRanges, RangeWalker } from '../../src/base/range-tombstones.ts'
import { ForwardVisibleIterator } from '../../src/read/forward-visible-iterator.ts'
import { mergeSources } from '../../src/read/merging-iterator.ts'
import { BLOCKED_COVER, type RangeCover } from '../../src/read/range-cover.ts'
import { ResultPool } from '../../src/read/result-pool.ts'
import { ReverseVisibleIterator } from '../../src/read/reverse-visible-iterator.ts'
import { CHAIN_IN_PLACE_MAX, type VisibleIterator } from '../../src/read/visible-iterator.ts'
import { blocksBySeed, type FakeEntry, FakeIterator } from './fake-entries.ts'
import { readScript, type ScriptCase } from './read-script.ts'

/** Range tombstones that must be loaded now and then before they answer. */
class FakeCover implements RangeCover {
  inMemtables = 0
  readonly #walker: RangeWalker
  readonly #blocks: () => boolean
  constructor(script: Pick<ScriptCase, 'ranges' | 'snapshot'>, blocks: () => boolean) {
    const ranges = FragmentedRanges.build(script.ranges, [script.snapshot])
    this.#walker = new RangeWalker(ranges, script.snapshot)
    this.#blocks = blocks
  }
  coveringSeqno(key: Uint8Array, start: number, end: number): number {
    return this.#blocks() ? BLOCKED_COVER : this.#walker.coveringSeqno(key, start, end)
  }
  load(): Promise<void> {
    return Promise.resolve()
  }
}

type Walk = Omit<ScriptCase, 'name' | 'expected'>

function open(
  script: Walk,
  isForward: boolean,
  {
    seed = 0,
    operator = mergeOperators.append,
    hasOperator = true,
    needsValues = true,
  }: { seed?: number; operator?: MergeOperator; hasOperator?: boolean; needsValues?: boolean },
): { visible: VisibleIterator; near: Buffer | undefined } {
  const blocks = seed === 0 ? () => false : blocksBySeed(seed)
  const from = script.from === undefined ? undefined : Buffer.from(script.from)
  const to = script.to === undefined ? undefined : Buffer.from(script.to)
  const options = {
    source: mergeSources(script.sources.map((s) => new FakeIterator(s, blocks))),
    snapshot: script.snapshot,
    bound: isForward ? to : from,
    cover: script.ranges.length === 0 ? undefined : new FakeCover(script, blocks),
    needsValues,
    keyspace: { id: 1, name: 'default', operator: hasOperator ? operator : undefined },
    pool: new ResultPool(),
  }
  return isForward
    ? { visible: new ForwardVisibleIterator(options), near: from }
    : { visible: new ReverseVisibleIterator(options), near: to }
}

async function walk(
  script: Walk,
  isForward: boolean,
  { seed = 0, keepsKeys = false, needsValues = true },
): Promise<string> {
  const { visible, near } = open(script, isForward, { seed, needsValues })
  const seen: string[] = []
  visible.start(near)
  for (;;) {
    while (visible.blocked) await visible.load()
    if (!visible.valid) return seen.join(' ')
    const key = Buffer.from(visible.keyBytes.subarray(visible.keyStart, visible.keyEnd))
    if (!needsValues) seen.push(key.toString())
    else {
      expect(visible.isDeferred && visible.isChain).toBe(false)
      const { valueBytes, valueStart, valueEnd } = visible
      const value = visible.isChain
        ? visible.fold()
        : Buffer.from(valueBytes.subarray(valueStart, valueEnd))
      seen.push(`${key.toString()}=${value.toString()}`)
    }
    if (keepsKeys) visible.keepKey(key, 0, key.length)
    visible.advance()
  }
}

describe('what a snapshot sees', () => {
  for (const script of readScript('visible.txt')) {
    for (const { directive, text } of script.expected) {
      test(`${script.name} (${directive})`, async () => {
        for (let seed = 0; seed < 6; seed++) {
          for (const keepsKeys of [false, true]) {
            const options = { seed, keepsKeys }
            const seen = await walk(script, directive === 'forward', options)
            expect(seen, JSON.stringify(options)).toBe(text)
            const keys = await walk(script, directive === 'forward', {
              ...options,
              needsValues: false,
            })
            expect(keys, `keys, ${JSON.stringify(options)}`).toBe(text.replaceAll(/=\S*/g, ''))
          }
        }
      })
    }
  }

  test('is what a naive model sees, in both directions and with any pattern of blocking', async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ walkOf, seed }) => {
        const expected = naive(walkOf)
        const forward = await walk(walkOf, true, { seed, keepsKeys: seed % 3 === 0 })
        expect(forward).toBe(expected.join(' '))
        const reverse = await walk(walkOf, false, { seed })
        expect(reverse).toBe(expected.toReversed().join(' '))
      }),
      { numRuns: 600 },
    )
  })

  test('leaves a long chain to a lookup, and goes on behind it', () => {
    const operands = [...Array(CHAIN_IN_PLACE_MAX + 1).keys()].map((i) => merge('b', i + 2))
    const sources = [[insert('a', 1), ...operands, insert('c', 90)]]
    for (const isForward of [true, false]) {
      const { visible, near } = open(everything(sources), isForward, {})
      visible.start(near)
      visible.advance()
      expect(visible.isChain && visible.isDeferred).toBe(true)
      expect(visible.keyBytes[visible.keyStart]).toBe('b'.charCodeAt(0))
      visible.advance()
      expect(visible.isChain).toBe(false)
      expect(visible.keyBytes[visible.keyStart]).toBe((isForward ? 'c' : 'a').charCodeAt(0))
    }
  })

  test('leaves a chain with a blob to a lookup, and hands out the reference of a plain one', () => {
    const blob = 8
    const plain = { ...insert('a', 1), kind: KIND_INSERT | blob }
    const below = [merge('b', 3), { ...insert('b', 2), kind: KIND_INSERT | blob }]
    const above = [{ ...merge('c', 5), kind: KIND_MERGE | blob }, insert('c', 4)]
    for (const isForward of [true, false]) {
      const walkOf = everything([[plain, ...below, ...above]])
      const { visible, near } = open(walkOf, isForward, {})
      const seen: string[] = []
      for (visible.start(near); visible.valid; visible.advance()) {
        const key = String.fromCharCode(visible.keyBytes[visible.keyStart]!)
        seen.push(`${key} ${visible.isBlob} ${visible.isChain && visible.isDeferred}`)
      }
      const expected = ['a true false', 'b false true', 'c false true']
      expect(seen).toEqual(isForward ? expected : expected.toReversed())
    }
  })

  test('needs the operator for operands, but not to know the keys', () => {
    const script = everything([[merge('a', 1)]])
    const { visible, near } = open(script, true, { hasOperator: false })
    visible.start(near)
    expect(visible.valid).toBe(true)
    expect(catching(() => visible.fold())).toSatisfy((e) => hasCode(e, 'VARVE_NO_MERGE_OPERATOR'))
  })

  test('is MERGE_FAILED where the operator throws', () => {
    const broken: MergeOperator = {
      name: 'broken',
      merge: () => {
        throw new Error('no')
      },
    }
    const { visible, near } = open(everything([[merge('a', 1)]]), true, { operator: broken })
    visible.start(near)
    expect(catching(() => visible.fold())).toSatisfy((e) => hasCode(e, 'VARVE_MERGE_FAILED'))
  })
})

function insert(key: string, seqno: number): FakeEntry {
  return { key, seqno, kind: KIND_INSERT, value: `${seqno}` }
}

function merge(key: string, seqno: number): FakeEntry {
  return { key, seqno, kind: KIND_MERGE, value: `${seqno}` }
}

function everything(sources: FakeEntry[][]): Walk {
  const snapshot = Number.MAX_SAFE_INTEGER
  return { sources, ranges: [], snapshot, from: undefined, to: undefined }
}

function catching(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}

const keys = fc.constantFrom('a', 'aa', 'ab', 'b', 'ba', 'bb', 'bbbbbbbbb', 'bbbbbbbbc', 'c')
const kinds = fc.constantFrom(KIND_INSERT, KIND_INSERT, KIND_MERGE, KIND_DELETE)
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ key: keys, kind: kinds, source: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ start: keys, end: fc.option(keys) }) },
)
/** Operations in seqno order; where a version lies does not matter to what is seen. */
const history = fc
  .record({
    operations: fc.array(operation, { maxLength: 40 }),
    snapshot: fc.nat(45),
    from: fc.option(keys, { nil: undefined, freq: 4 }),
    to: fc.option(keys, { nil: undefined, freq: 4 }),
    seed: fc.nat(1000),
  })
  .map(({ operations, snapshot, from, to, seed }) => {
    const walkOf: Walk = { sources: [[], [], [], []], ranges: [], snapshot, from, to }
    for (const [i, op] of operations.entries()) {
      const seqno = i + 1
      if ('source' in op) {
        const value = op.kind === KIND_DELETE ? '' : `v${seqno}`
        walkOf.sources[op.source]!.push({ key: op.key, seqno, kind: op.kind, value })
      } else if (op.end === null || op.start < op.end) {
        const end = op.end === null ? undefined : Buffer.from(op.end)
        walkOf.ranges.push({ start: Buffer.from(op.start), end, seqno })
      }
    }
    return { walkOf, seed }
  })

/** Replays the history up to the snapshot into a map. */
function naive({ sources, ranges, snapshot, from, to }: Walk): string[] {
  const state = new Map<string, string>()
  const steps: { seqno: number; apply: () => void }[] = []
  for (const { key, seqno, kind, value } of sources.flat()) {
    const apply = (): void => {
      if (kind === KIND_DELETE) state.delete(key)
      else state.set(key, kind === KIND_MERGE ? (state.get(key) ?? '') + value : value)
    }
    steps.push({ seqno, apply })
  }
  for (const { start, end, seqno } of ranges) {
    const apply = (): void => {
      for (const key of state.keys()) {
        const bytes = Buffer.from(key)
        const isBefore = end === undefined || Buffer.compare(bytes, end) < 0
        if (Buffer.compare(bytes, start) >= 0 && isBefore) state.delete(key)
      }
    }
    steps.push({ seqno, apply })
  }
  steps.sort((a, b) => a.seqno - b.seqno)
  for (const step of steps) if (step.seqno <= snapshot) step.apply()
  return [...state.entries()]
    .filter(([key]) => (from === undefined || key >= from) && (to === undefined || key < to))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
}
