import { describe, expect, test } from 'vitest'
import { Memtable, MemtableEntry } from '../../src/memtable/memtable.ts'
import { KEY_GROUP } from '../../src/memtable/radix-tree.ts'
import { commit, newMemtable, put, randomOf, type TestOperation } from './commits.ts'

const KEYSPACES = [0, 1]

/** What a memtable holds: of each keyspace keys in order with their seqnos, as walked and as looked up. */
function contents(memtable: Memtable): string[] {
  const lines: string[] = []
  for (const keyspaceId of memtable.keyspaceIds()) {
    const iterator = memtable.iterator(keyspaceId)
    for (iterator.seekToFirst(); iterator.valid; iterator.next()) {
      const key = iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd)
      const value = iterator.valueBytes.subarray(iterator.valueStart, iterator.valueEnd)
      const result = new MemtableEntry()
      const isFound = memtable.find(keyspaceId, key, 0, key.length, iterator.seqno, result)
      const seqno = isFound && result.seqno === iterator.seqno ? iterator.seqno : 'not found'
      lines.push(`${keyspaceId} ${hex(key)} ${seqno} ${hex(value)}`)
    }
  }
  return lines
}

/** The same, from the list of operations. */
function expected(operations: readonly TestOperation[]): string[] {
  return operations
    .map(({ keyspaceId, key, value }, index) => ({ keyspaceId, key, value, seqno: index + 1 }))
    .toSorted((a, b) => a.keyspaceId - b.keyspaceId || a.key.compare(b.key) || b.seqno - a.seqno)
    .map(({ keyspaceId, key, seqno, value }) => `${keyspaceId} ${hex(key)} ${seqno} ${hex(value)}`)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function check(batches: readonly (readonly TestOperation[])[]): void {
  const memtable = newMemtable()
  for (const batch of batches) commit(memtable, batch)
  expect(contents(memtable)).toEqual(expected(batches.flat()))
}

function inBatches(operations: readonly TestOperation[], size: number): TestOperation[][] {
  const batches: TestOperation[][] = []
  for (let i = 0; i < operations.length; i += size) batches.push(operations.slice(i, i + size))
  return batches
}

const decimal = (n: number, digits = 8): string => String(n).padStart(digits, '0')
const KEYS: readonly (readonly [name: string, keyOf: (i: number) => string | Buffer])[] = [
  ['ascending numbers', (i) => decimal(i)],
  ['descending numbers', (i) => decimal(5000 - i)],
  ['numbers of any length', (i) => String(i)],
  ['numbers with a long prefix', (i) => `${'p'.repeat(300)}${decimal(i)}`],
  ['keys that begin with the key before', (i) => 'a'.repeat((i % 40) + 1)],
  ['keys that the key before begins with', (i) => 'a'.repeat(40 - (i % 40))],
  ['two bytes, all that there are of the second', (i) => Buffer.from([i >> 8, i & 0xff])],
  ['the same key again and again', (i) => decimal(i >> 4)],
  ['a shorter key now and then', (i) => (i % 7 === 3 ? decimal(i).slice(0, 7) : decimal(i))],
  ['two runs of numbers in turn', (i) => (i % 2 === 0 ? `a${decimal(i)}` : `b${decimal(i)}`)],
]

describe('batches of neighbours are indexed as any others are', () => {
  for (const [name, keyOf] of KEYS) {
    test(name, () => {
      const operations = Array.from({ length: 2000 }, (_, i) => put(keyOf(i), `v${i}`))
      for (const size of [1, 4, 5, KEY_GROUP, KEY_GROUP + 1, 1000]) {
        check(inBatches(operations, size))
      }
    })
  }

  test('in two keyspaces in turn', () => {
    const operations = Array.from({ length: 2000 }, (_, i) => put(decimal(i >> 1), `v${i}`, i % 2))
    for (const size of [4, KEY_GROUP, 500]) check(inBatches(operations, size))
  })

  test('beside batches of others, which replace the nodes that the last way leads through', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = randomOf(seed)
      const batches: TestOperation[][] = []
      for (let n = 0; n < 60; n++) {
        const first = random(3000)
        const keyspaceId = KEYSPACES[random(2)]!
        const kind = random(4)
        const size = 1 + random(30)
        const keyOf = (i: number): Buffer => {
          if (kind === 0) return Buffer.from(decimal(first + i, 5))
          if (kind === 1) return Buffer.from(decimal(random(3000), 5))
          if (kind === 2) return Buffer.from([random(3), random(3), first & 0xff, i * 3])
          return Buffer.from(decimal(first + i, 5).slice(0, 1 + random(5)))
        }
        batches.push(Array.from({ length: size }, (_, i) => put(keyOf(i), `${n}.${i}`, keyspaceId)))
      }
      check(batches)
    }
  })
})
