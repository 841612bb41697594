import { describe, expect, test } from 'vitest'
import type { EntryIterator } from '../../src/base/entry-iterator.ts'
import { MergingIterator } from '../../src/read/merging-iterator.ts'
import { blocksBySeed, compareEntries, FakeIterator } from './fake-entries.ts'
import { readScript, type ScriptCase } from './read-script.ts'

async function settle(iterator: EntryIterator): Promise<void> {
  while (iterator.blocked) await iterator.load()
}

function show(iterator: EntryIterator): string {
  const key = Buffer.from(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd))
  return `${key.toString()}@${iterator.seqno}`
}

async function walk(script: ScriptCase, isForward: boolean, seed: number): Promise<string> {
  const blocks = seed === 0 ? () => false : blocksBySeed(seed)
  const merged = new MergingIterator(script.sources.map((s) => new FakeIterator(s, blocks)))
  const from = script.from === undefined ? undefined : Buffer.from(script.from)
  const to = script.to === undefined ? undefined : Buffer.from(script.to)
  if (isForward && from !== undefined) merged.seek(from, 0, from.length)
  else if (isForward) merged.seekToFirst()
  else if (to !== undefined) merged.seekBefore(to, 0, to.length)
  else merged.seekToLast()
  const seen: string[] = []
  for (;;) {
    await settle(merged)
    if (!merged.valid) break
    seen.push(show(merged))
    if (isForward) merged.next()
    else merged.prev()
  }
  return seen.join(' ')
}

describe('a merging iterator', () => {
  for (const script of readScript('merging.txt')) {
    for (const { directive, text } of script.expected) {
      test(`${script.name} (${directive})`, async () => {
        for (let seed = 0; seed < 8; seed++) {
          expect(await walk(script, directive === 'forward', seed), `seed ${seed}`).toBe(text)
        }
      })
    }
  }

  test('turns round at any entry', async () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = numbers(seed + 1)
      const sources = [...Array(1 + random(6)).keys()].map((s) =>
        [...Array(random(8)).keys()].map((i) => ({
          key: 'k'.repeat(random(3)) + String.fromCharCode(97 + random(5)),
          seqno: 1 + i * 7 + s,
          kind: 1,
          value: '',
        })),
      )
      const all = sources.flat().sort(compareEntries)
      const blocks = seed % 2 === 0 ? () => false : blocksBySeed(seed)
      const merged = new MergingIterator(sources.map((s) => new FakeIterator(s, blocks)))
      merged.seekToFirst()
      await settle(merged)
      let at = 0
      for (let step = 0; step < 40 && merged.valid; step++) {
        expect(show(merged), `seed ${seed}`).toBe(`${all[at]!.key}@${all[at]!.seqno}`)
        if (random(3) > 0) {
          at++
          merged.next()
        } else {
          at--
          merged.prev()
        }
        await settle(merged)
        expect(merged.valid, `seed ${seed}`).toBe(at >= 0 && at < all.length)
      }
    }
  })

  test('closes its sources', () => {
    const sources = [new FakeIterator([]), new FakeIterator([])]
    new MergingIterator(sources).close()
    expect(sources.every((source) => source.isClosed)).toBe(true)
  })
})

function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return (state >>> 8) % below
  }
}
