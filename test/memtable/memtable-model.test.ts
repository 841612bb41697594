import { describe, expect, test } from 'vitest'
import { KIND_MASK, KIND_RANGE_DELETE } from '../../src/base/entry-kind.ts'
import type { EntryIterator } from '../../src/base/entry-iterator.ts'
import { RangeWalker } from '../../src/base/range-tombstones.ts'
import { Memtable, MemtableEntry } from '../../src/memtable/memtable.ts'
import {
  commit,
  merge,
  newMemtable,
  put,
  randomOf,
  remove,
  removeRange,
  type TestOperation,
} from './commits.ts'

/** Everything that was committed, in a list. */
class Model {
  readonly operations: TestOperation[] = []

  versions(keyspaceId: number, key: Buffer, snapshot: number): number[] {
    const seqnos: number[] = []
    for (let i = Math.min(snapshot, this.operations.length); i >= 1; i--) {
      const operation = this.operations[i - 1]!
      if (isRange(operation) || operation.keyspaceId !== keyspaceId) continue
      if (operation.key.equals(key)) seqnos.push(i)
    }
    return seqnos
  }

  covering(keyspaceId: number, key: Buffer, snapshot: number): number {
    for (let i = Math.min(snapshot, this.operations.length); i >= 1; i--) {
      const operation = this.operations[i - 1]!
      if (!isRange(operation) || operation.keyspaceId !== keyspaceId) continue
      const isOpen = operation.kind !== KIND_RANGE_DELETE
      if (operation.key.compare(key) <= 0 && (isOpen || key.compare(operation.value) < 0)) return i
    }
    return 0
  }

  /** Key and seqno of each operation on a key, in entry order. */
  entries(keyspaceId: number): { key: Buffer; seqno: number }[] {
    return this.operations
      .map((operation, i) => ({ operation, key: operation.key, seqno: i + 1 }))
      .filter(({ operation }) => !isRange(operation) && operation.keyspaceId === keyspaceId)
      .sort((a, b) => a.key.compare(b.key) || b.seqno - a.seqno)
  }
}

function isRange(operation: TestOperation): boolean {
  return (operation.kind & KIND_MASK) === KIND_RANGE_DELETE
}

/** Keys that are prefixes of each other, over few or all bytes, some long. */
function keysOf(random: (below: number) => number, shape: number): () => Buffer {
  const letters = [2, 256, 60, 20, 3][shape % 5]!
  const longest = [6, 2, 12, 4, 40][shape % 5]!
  const common = Buffer.alloc(shape % 3 === 0 ? 300 : 0, 0x61)
  return () => {
    const key = Buffer.alloc(1 + random(longest))
    for (let i = 0; i < key.length; i++) key[i] = random(letters)
    return random(4) === 0 ? key : Buffer.concat([common, key])
  }
}

const KEYSPACES = [0, 1, 130]

function operationOf(random: (below: number) => number, key: () => Buffer): TestOperation {
  const keyspaceId = KEYSPACES[random(10) < 8 ? 0 : 1 + random(2)]!
  const value = Buffer.alloc(random(20), random(256))
  switch (random(12)) {
    case 0:
      return remove(key(), keyspaceId)
    case 1:
    case 2:
      return merge(key(), value, keyspaceId)
    case 3: {
      const [start, end] = [key(), key()].sort((a, b) => a.compare(b))
      return start!.equals(end!) || random(8) === 0
        ? removeRange(start!, undefined, keyspaceId)
        : removeRange(start!, end, keyspaceId)
    }
    default:
      return put(key(), value, keyspaceId)
  }
}

function place(iterator: EntryIterator): string {
  if (!iterator.valid) return 'end'
  const key = Buffer.from(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd))
  return `${key.toString('hex')}@${iterator.seqno}`
}

function checkLookups(
  memtable: Memtable,
  model: Model,
  keyspaceId: number,
  key: Buffer,
  snapshot: number,
): void {
  const result = new MemtableEntry()
  const padded = Buffer.concat([Buffer.from([0xff]), key, Buffer.from([0])])
  const expected = model.versions(keyspaceId, key, snapshot)
  const seen: number[] = []
  let more = memtable.find(keyspaceId, padded, 1, padded.length - 1, snapshot, result)
  while (more) {
    seen.push(result.seqno)
    const operation = model.operations[result.seqno - 1]!
    expect(result.kind).toBe(operation.kind)
    expect(operation.value.equals(result.bytes.subarray(result.valueStart, result.valueEnd))).toBe(
      true,
    )
    more = memtable.older(result, snapshot)
  }
  expect(seen).toEqual(expected)
}

describe('a memtable does what a list of its operations does', () => {
  test.each(Array.from({ length: 30 }, (_, i) => i + 1))(
    'lookups, versions, range deletes, snapshots; seed %i',
    (seed) => {
      const random = randomOf(seed)
      const key = keysOf(random, seed)
      const snapshots: number[] = []
      const memtable = newMemtable({ capacityBytes: 1 << 20, openSnapshots: () => snapshots })
      const model = new Model()
      for (let step = 0; step < 60; step++) {
        const batch = Array.from({ length: 1 + random(12) }, () => operationOf(random, key))
        commit(memtable, batch)
        model.operations.push(...batch)
        if (random(5) === 0) snapshots.push(memtable.lastSeqno)
        if (random(9) === 0) snapshots.splice(random(snapshots.length + 1), 1)
        for (let probe = 0; probe < 4; probe++) {
          const wanted =
            random(3) === 0 ? key() : model.operations[random(model.operations.length)]!.key
          const keyspaceId = KEYSPACES[random(3)]!
          checkLookups(memtable, model, keyspaceId, wanted, random(memtable.lastSeqno + 2))
          for (const snapshot of [...snapshots, memtable.lastSeqno, Infinity]) {
            const expected = model.covering(keyspaceId, wanted, snapshot)
            expect(memtable.coveringSeqno(keyspaceId, wanted, 0, wanted.length, snapshot)).toBe(
              expected,
            )
            const walker = new RangeWalker(memtable.rangesAt(keyspaceId), snapshot)
            expect(walker.coveringSeqno(wanted, 0, wanted.length)).toBe(expected)
          }
        }
      }
      for (const keyspaceId of KEYSPACES) {
        const ranges = memtable.rangeDeletes(keyspaceId).map(({ seqno }) => seqno)
        const expected = model.operations.flatMap((operation, i) =>
          isRange(operation) && operation.keyspaceId === keyspaceId ? [i + 1] : [],
        )
        expect(ranges).toEqual(expected)
      }
    },
  )

  test.each(Array.from({ length: 30 }, (_, i) => i + 1))(
    'a flush walks over every operation on a key, as the iterator does; seed %i',
    (seed) => {
      const random = randomOf(seed * 31)
      const key = keysOf(random, seed)
      const memtable = newMemtable({ capacityBytes: 1 << 20 })
      const model = new Model()
      for (let step = 0; step < 150; step++) {
        const batch = Array.from({ length: 1 + random(12) }, () => operationOf(random, key))
        commit(memtable, batch)
        model.operations.push(...batch)
      }
      memtable.seal()
      // As it stands in another thread.
      const sealed = Memtable.fromParts(memtable.toParts())
      for (const keyspaceId of sealed.keyspaceIds()) {
        const found: string[] = []
        let lastKey = ''
        for (const walk = sealed.walk(keyspaceId); walk.valid; walk.next()) {
          const bytes = walk.keyBytes.subarray(walk.keyStart, walk.keyEnd)
          const text = Buffer.from(bytes).toString('hex')
          expect(walk.isOlder).toBe(text === lastKey)
          expect(walk.seqno).toBe(sealed.firstSeqno + walk.ordinal)
          const operation = model.operations[walk.seqno - 1]!
          expect(walk.kind).toBe(operation.kind)
          const value = walk.valueBytes.subarray(walk.valueStart, walk.valueEnd)
          expect(operation.value.equals(value)).toBe(true)
          found.push(`${text}@${walk.seqno}`)
          lastKey = text
        }
        const entries = model.entries(keyspaceId)
        expect(found).toEqual(entries.map(({ key, seqno }) => `${key.toString('hex')}@${seqno}`))
        const newest: number[] = []
        for (const walk = sealed.walk(keyspaceId); walk.valid; walk.nextKey()) {
          newest.push(walk.seqno)
        }
        const expected = entries.filter(({ key }, i) => i === 0 || !key.equals(entries[i - 1]!.key))
        expect(newest).toEqual(expected.map(({ seqno }) => seqno))
      }
    },
  )

  test.each(Array.from({ length: 30 }, (_, i) => i + 1))(
    'moves in both directions while it is written; seed %i',
    (seed) => {
      const random = randomOf(seed * 77)
      const key = keysOf(random, seed)
      const memtable = newMemtable({ capacityBytes: 1 << 20 })
      const model = new Model()
      const write = (): void => {
        const batch = Array.from({ length: 1 + random(6) }, () => operationOf(random, key))
        commit(memtable, batch)
        model.operations.push(...batch)
      }
      for (let i = 0; i < 20; i++) write()
      const iterator = memtable.iterator(0)
      for (let step = 0; step < 60; step++) {
        // What the iterator is bound to show: all up to the seqno at which it was placed. Newer entries are skipped, as readers do.
        const bound = memtable.lastSeqno
        const visible = model.entries(0)
        const skipForward = (): void => {
          while (iterator.valid && iterator.seqno > bound) iterator.next()
        }
        const skipBackward = (): void => {
          while (iterator.valid && iterator.seqno > bound) iterator.prev()
        }
        const probe = random(2) === 0 ? key() : visible[random(visible.length)]!.key
        let index: number
        switch (random(4)) {
          case 0:
            iterator.seekToFirst()
            skipForward()
            index = 0
            break
          case 1:
            iterator.seekToLast()
            skipBackward()
            index = visible.length - 1
            break
          case 2:
            iterator.seek(probe, 0, probe.length)
            skipForward()
            index = visible.findIndex(({ key: other }) => other.compare(probe) >= 0)
            if (index < 0) index = visible.length
            break
          default:
            iterator.seekBefore(probe, 0, probe.length)
            skipBackward()
            index = visible.findLastIndex(({ key: other }) => other.compare(probe) < 0)
        }
        const shownAt = (i: number): string => {
          const entry = visible[i]
          return entry === undefined ? 'end' : `${entry.key.toString('hex')}@${entry.seqno}`
        }
        expect(place(iterator)).toBe(shownAt(index))
        for (let move = 0; move < 40 && iterator.valid; move++) {
          if (random(3) === 0) write()
          if (random(20) < step % 20) {
            iterator.next()
            skipForward()
            index++
          } else {
            iterator.prev()
            skipBackward()
            index--
          }
          expect(place(iterator)).toBe(shownAt(index))
        }
      }
    },
  )

  test.each(Array.from({ length: 8 }, (_, i) => i + 1))(
    'long walks turn round and go on while it is written now and then; seed %i',
    (seed) => {
      const random = randomOf(seed * 31)
      const key = keysOf(random, seed)
      const memtable = newMemtable({ shared: seed % 2 === 0 })
      const model = new Model()
      const write = (operations: number): void => {
        const batch = Array.from({ length: operations }, () => operationOf(random, key))
        commit(memtable, batch)
        model.operations.push(...batch)
      }
      write(3_000)
      const visible = model.entries(0)
      const bound = memtable.lastSeqno
      const iterator = memtable.iterator(0)
      let index = random(visible.length)
      const start = visible[index]!.key
      index = visible.findIndex((entry) => entry.key.equals(start))
      iterator.seek(start, 0, start.length)
      for (let run = 0; run < 40; run++) {
        const forward = random(2) === 0
        for (let left = random(300); left > 0; left--) {
          const target = forward ? index + 1 : index - 1
          if (target < 0 || target >= visible.length) break
          do {
            if (forward) iterator.next()
            else iterator.prev()
          } while (iterator.valid && iterator.seqno > bound)
          index = target
          const { key: expected, seqno } = visible[index]!
          if (iterator.seqno !== seqno || !iterator.valid)
            expect(place(iterator)).toBe(`${expected.toString('hex')}@${seqno}`)
          if (random(100) === 0) write(1)
        }
      }
    },
  )

  test.each([1, 2, 3])(
    'a whole walk shows each entry once, forwards and backwards; seed %i',
    (seed) => {
      const random = randomOf(seed * 1_009)
      const key = keysOf(random, seed)
      const memtable = newMemtable()
      const model = new Model()
      for (let i = 0; i < 200; i++) {
        const batch = Array.from({ length: 20 }, () => operationOf(random, key))
        commit(memtable, batch)
        model.operations.push(...batch)
      }
      memtable.seal()
      for (const table of [memtable, Memtable.fromParts(structuredClone(memtable.toParts()))]) {
        for (const keyspaceId of KEYSPACES) {
          const expected = model
            .entries(keyspaceId)
            .map((entry) => `${entry.key.toString('hex')}@${entry.seqno}`)
          const iterator = table.iterator(keyspaceId)
          const forward: string[] = []
          for (iterator.seekToFirst(); iterator.valid; iterator.next())
            forward.push(place(iterator))
          expect(forward).toEqual(expected)
          const backward: string[] = []
          for (iterator.seekToLast(); iterator.valid; iterator.prev())
            backward.push(place(iterator))
          expect(backward.reverse()).toEqual(expected)
        }
      }
    },
  )
})

describe('keys of every length', () => {
  test('keys up to 65,535 bytes that differ anywhere, or not before one ends', () => {
    const memtable = newMemtable()
    const longest = Buffer.alloc(65_535, 0x78)
    const keys = [
      longest,
      ...[1, 2, 255, 256, 4_096, 65_534].map((length) => longest.subarray(0, length)),
    ]
    for (const at of [0, 1, 300, 65_534]) {
      for (const byte of [0, 0x77, 0x79, 0xff]) {
        const key = Buffer.from(longest)
        key[at] = byte
        keys.push(key)
      }
    }
    for (const key of keys) commit(memtable, [put(key, `${key.length}`)])
    const result = new MemtableEntry()
    for (const key of keys) {
      expect(memtable.find(0, key, 0, key.length, Infinity, result)).toBe(true)
      const absent = Buffer.from(key)
      absent[key.length >> 1]! ^= 0x11
      expect(memtable.find(0, absent, 0, absent.length, Infinity, result)).toBe(false)
    }
    const ordered = keys.toSorted((a, b) => a.compare(b))
    const iterator = memtable.iterator(0)
    iterator.seekToFirst()
    for (const key of ordered) {
      expect(key.equals(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd))).toBe(true)
      iterator.next()
    }
    expect(iterator.valid).toBe(false)
  })

  test('a chain of keys each one byte longer is as deep as it is long', () => {
    const memtable = newMemtable()
    const longest = Buffer.alloc(3_000, 1)
    const batch = Array.from({ length: 3_000 }, (_, i) => put(longest.subarray(0, i + 1), ''))
    commit(memtable, batch.toReversed())
    const iterator = memtable.iterator(0)
    let length = 0
    for (iterator.seekToFirst(); iterator.valid; iterator.next()) {
      expect(iterator.keyEnd - iterator.keyStart).toBe(++length)
    }
    expect(length).toBe(3_000)
    for (iterator.seekToLast(); iterator.valid; iterator.prev()) length--
    expect(length).toBe(0)
  })

  test('a hundred thousand versions of one key are walked backwards in one go', () => {
    const memtable = newMemtable()
    for (let i = 0; i < 100; i++)
      commit(
        memtable,
        Array.from({ length: 1_000 }, () => merge('hot', 'x')),
      )
    const iterator = memtable.iterator(0)
    let seqno = 0
    for (iterator.seekToLast(); iterator.valid && iterator.seqno === seqno + 1; iterator.prev())
      seqno++
    expect(seqno).toBe(100_000)
    expect(iterator.valid).toBe(false)
  })

  test('a thousand keyspaces share one memtable', () => {
    const memtable = newMemtable()
    for (let i = 0; i < 3_000; i++) commit(memtable, [put(`k${i}`, `${i}`, (i * 7) % 1_000)])
    expect(memtable.keyspaceIds()).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    const result = new MemtableEntry()
    for (let i = 0; i < 3_000; i++) {
      const key = Buffer.from(`k${i}`)
      expect(memtable.find((i * 7) % 1_000, key, 0, key.length, Infinity, result)).toBe(true)
      expect(memtable.find((i * 7 + 1) % 1_000, key, 0, key.length, Infinity, result)).toBe(false)
    }
  })
})
