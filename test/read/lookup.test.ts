import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasCode } from '../../src/base/errors.ts'
import { type MergeOperator, mergeOperators } from '../../src/base/merge-operators.ts'
import { contains, lookup, lookupSync } from '../../src/read/lookup.ts'
import { lookupMany } from '../../src/read/lookup-many.ts'
import { commit, removeRange } from '../memtable/commits.ts'
import { histories, keys } from './histories.ts'
import { BLOB_MIN, KEYSPACE, naiveState, type Stretch, TestView } from './test-view.ts'

const keyspace = { id: KEYSPACE, name: 'test', operator: mergeOperators.append }
const without = { id: KEYSPACE, name: 'test', operator: undefined }

describe('a point lookup', () => {
  test('answers as a naive model does, at every snapshot, wherever the versions lie', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.nat(), fc.boolean(), async (history, n, isDiskFast) => {
        const total = history.reduce((sum, { steps }) => sum + steps.length, 0)
        const snapshot = total - (n % (Math.min(total, 20) + 1))
        const view = new TestView(history, {
          openSnapshots: [snapshot],
          cacheBytes: n % 2 === 0 ? 1 << 20 : 1,
        })
        view.files.isDiskFast = isDiskFast
        const state = new Map(naiveState(history, snapshot))
        const wanted = allKeys()
        const many = lookupMany(
          view,
          keyspace,
          wanted.map((k) => Buffer.from(k)),
          snapshot,
        )
        for (const key of wanted) {
          const bytes = Buffer.from(key)
          const value = await lookup(view, keyspace, bytes, snapshot)
          expect(value?.toString(), key).toBe(state.get(key))
          expect(await contains(view, without, bytes, snapshot), key).toBe(state.has(key))
          const again = lookupSync(view, keyspace, bytes, snapshot)
          expect(again?.toString(), key).toBe(state.get(key))
        }
        expect((await many).map((v) => v?.toString())).toEqual(wanted.map((k) => state.get(k)))
        expect(view.pins).toBe(0)
      }),
      { numRuns: 90 },
    )
  })

  test('answers at once what is in memory, and copies a key that it has to wait with', async () => {
    const view = new TestView([
      { place: 5, steps: [{ type: 'put', key: 'deep', value: 'd' }] },
      { place: 'active', steps: [{ type: 'put', key: 'near', value: 'n' }] },
    ])
    view.files.isDiskFast = false
    expect(lookup(view, keyspace, Buffer.from('near'), 2)).toEqual(Buffer.from('n'))
    const key = Buffer.from('deep')
    const waiting = lookup(view, keyspace, key, 2)
    expect(waiting).toBeInstanceOf(Promise)
    expect(view.pins).toBe(1)
    key.fill(0)
    expect(await waiting).toEqual(Buffer.from('d'))
    expect(view.pins).toBe(0)
    expect(lookup(view, keyspace, Buffer.from('deep'), 2)).toEqual(Buffer.from('d'))
  })

  test('of many keys is not disturbed by range deletes of later commits, also for the last of them', async () => {
    const hidden = { type: 'deleteRange' as const, key: 'k5', value: 'k6' }
    const expected = new Map(
      allOf(100)
        .filter((key) => !key.startsWith('k5'))
        .map((key) => [key, key]),
    )
    const view = new TestView([
      { place: 5, steps: puts(100) },
      { place: 'active', steps: [hidden] },
    ])
    view.files.isDiskFast = false
    const keysWanted = allOf(100)
    const many = lookupMany(
      view,
      keyspace,
      keysWanted.map((k) => Buffer.from(k)),
      view.latest,
    )
    for (let i = 0; i < 300; i++) commit(view.memtables[0]!, [removeRange('a', 'z', KEYSPACE)])
    expect((await many).map((v) => v?.toString())).toEqual(keysWanted.map((k) => expected.get(k)))
  })

  test('hands out bytes that the next lookup does not change', () => {
    const view = new TestView([{ place: 'active', steps: puts(100) }])
    const values = allOf(100).map((key) => lookupSync(view, keyspace, Buffer.from(key), 100)!)
    expect(values.map(String)).toEqual(allOf(100))
    expect(values.every((v) => Object.getPrototypeOf(v) === Buffer.prototype)).toBe(true)
  })

  test('of stored operands without the operator is NO_MERGE_OPERATOR, and of a plain value is not', async () => {
    const view = new TestView([
      {
        place: 'active',
        steps: [
          { type: 'merge', key: 'm', value: 'x' },
          { type: 'put', key: 'p', value: 'y' },
        ],
      },
    ])
    const wrong = catching(() => lookupSync(view, without, Buffer.from('m'), 2))
    expect(hasCode(wrong, 'VARVE_NO_MERGE_OPERATOR')).toBe(true)
    expect(lookupSync(view, without, Buffer.from('p'), 2)).toEqual(Buffer.from('y'))
    const many = lookupMany(view, without, [Buffer.from('p'), Buffer.from('m')], 2)
    await expect(many).rejects.toMatchObject({ code: 'VARVE_NO_MERGE_OPERATOR' })
    expect(view.pins).toBe(0)
  })

  test('is MERGE_FAILED where the operator throws, and right once it does not', () => {
    const view = new TestView([
      { place: 'active', steps: [{ type: 'merge', key: 'm', value: 'x' }] },
    ])
    let isBroken = true
    const operator: MergeOperator = {
      name: 'moody',
      merge: (_key, _base, operands) => {
        if (isBroken) throw new Error('not now')
        return Buffer.concat(operands)
      },
    }
    const moody = { id: KEYSPACE, name: 'test', operator }
    const wrong = catching(() => lookupSync(view, moody, Buffer.from('m'), 1))
    expect(hasCode(wrong, 'VARVE_MERGE_FAILED')).toBe(true)
    isBroken = false
    expect(lookupSync(view, moody, Buffer.from('m'), 1)).toEqual(Buffer.from('x'))
  })

  test('remembers the value of a long chain, and folds only what came after', () => {
    let folded = 0
    const operator: MergeOperator = {
      name: 'counting',
      merge: (_key, base, operands) => {
        folded = operands.length
        return Buffer.concat(base === undefined ? operands : [base, ...operands])
      },
    }
    const counting = { id: KEYSPACE, name: 'test', operator }
    const steps = allOf(500).map((value) => ({ type: 'merge' as const, key: 'm', value }))
    const view = new TestView([{ place: 'active', steps }])
    const key = Buffer.from('m')
    expect(lookupSync(view, counting, key, 500)!.toString()).toBe(allOf(500).join(''))
    expect(folded).toBe(500)
    const again = lookupSync(view, counting, key, 500)!
    expect(again.toString()).toBe(allOf(500).join(''))
    // The caller may do as it likes with its bytes.
    again.fill(0)
    folded = 0
    expect(lookupSync(view, counting, key, 500)!.toString()).toBe(allOf(500).join(''))
    expect(folded).toBe(0)
    expect(lookupSync(view, counting, key, 300)!.toString()).toBe(allOf(300).join(''))
    expect(folded).toBe(300)
  })

  test('lets the operator read the store', () => {
    const view = new TestView([
      {
        place: 'active',
        steps: [
          { type: 'put', key: 'other', value: '-' },
          { type: 'merge', key: 'm', value: 'x' },
          { type: 'merge', key: 'm', value: 'y' },
        ],
      },
    ])
    const operator: MergeOperator = {
      name: 'curious',
      merge: (_key, _base, operands) => {
        const glue = lookupSync(view, keyspace, Buffer.from('other'), 3)!
        return Buffer.concat([operands[0]!, glue, operands[1]!])
      },
    }
    const curious = { id: KEYSPACE, name: 'test', operator }
    expect(lookupSync(view, curious, Buffer.from('m'), 3)!.toString()).toBe('x-y')
  })

  test('reads no blob to know whether a key is there', async () => {
    const value = 'v'.repeat(BLOB_MIN)
    const view = new TestView([{ place: 5, steps: [{ type: 'put', key: 'a', value }] }])
    expect(await contains(view, keyspace, Buffer.from('a'), 1)).toBe(true)
    expect(view.blobReads).toBe(0)
    expect(lookupSync(view, keyspace, Buffer.from('a'), 1)!.toString()).toBe(value)
  })

  test('that fails on a blob lets go of its pins', async () => {
    const value = 'v'.repeat(BLOB_MIN)
    const view = new TestView([{ place: 5, steps: [{ type: 'put', key: 'a', value }] }])
    view.files.isDiskFast = false
    view.blobError = new Error('EIO')
    await expect(lookup(view, keyspace, Buffer.from('a'), 1)).rejects.toThrow('EIO')
    await expect(lookupMany(view, keyspace, [Buffer.from('a')], 1)).rejects.toThrow('EIO')
    expect(view.pins).toBe(0)
  })
})

function allKeys(): string[] {
  const found = new Set<string>()
  for (const key of fc.sample(keys, { numRuns: 300, seed: 1 })) found.add(key)
  return [...found]
}

function allOf(count: number): string[] {
  return [...Array(count).keys()].map((i) => `k${i};`)
}

function puts(count: number): Stretch['steps'] {
  return allOf(count).map((key) => ({ type: 'put' as const, key, value: key }))
}

function catching(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
