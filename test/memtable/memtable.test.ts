import { describe, expect, test } from 'vitest'
import { KIND_DELETE, KIND_INSERT, KIND_MERGE } from '../../src/base/entry-kind.ts'
import { RangeWalker } from '../../src/base/range-tombstones.ts'
import { Memtable, MemtableEntry } from '../../src/memtable/memtable.ts'
import { commit, encodeCommit, merge, newMemtable, put, remove, removeRange } from './commits.ts'

function found(memtable: Memtable, key: string, snapshot = Infinity, keyspaceId = 0): string {
  const result = new MemtableEntry()
  const probe = Buffer.from(`<${key}>`)
  if (!memtable.find(keyspaceId, probe, 1, probe.length - 1, snapshot, result)) return 'none'
  return shown(result)
}

function shown({ seqno, kind, bytes, valueStart, valueEnd }: MemtableEntry): string {
  const value = Buffer.from(bytes.subarray(valueStart, valueEnd)).toString()
  const name = { [KIND_INSERT]: 'put', [KIND_MERGE]: 'merge', [KIND_DELETE]: 'delete' }[kind]
  return `${seqno} ${name} ${value}`.trim()
}

function walked(memtable: Memtable, keyspaceId = 0): string[] {
  const iterator = memtable.iterator(keyspaceId)
  const lines: string[] = []
  for (iterator.seekToFirst(); iterator.valid; iterator.next()) {
    const key = Buffer.from(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd))
    lines.push(`${key.toString()}@${iterator.seqno}`)
    expect(iterator.ordinal).toBe(iterator.seqno - memtable.firstSeqno)
  }
  return lines
}

function covering(memtable: Memtable, key: string, snapshot = Infinity, keyspaceId = 0): number {
  const probe = Buffer.from(key)
  return memtable.coveringSeqno(keyspaceId, probe, 0, probe.length, snapshot)
}

describe('commits', () => {
  test('are invisible until they are published, and then visible with consecutive seqnos', () => {
    const memtable = newMemtable({ firstSeqno: 10 })
    expect([memtable.isEmpty, memtable.lastSeqno]).toEqual([true, 9])
    const record = encodeCommit(10, [put('a', '1'), remove('b'), put('a', '2')])
    const offset = memtable.append(record, 0, record.length)
    expect([memtable.isEmpty, found(memtable, 'a')]).toEqual([true, 'none'])
    memtable.publish(offset)
    expect([memtable.isEmpty, memtable.lastSeqno]).toEqual([false, 12])
    expect(found(memtable, 'a')).toBe('12 put 2')
    expect(found(memtable, 'a', 11)).toBe('10 put 1')
    expect(found(memtable, 'a', 9)).toBe('none')
    expect(found(memtable, 'a', 3)).toBe('none')
    expect(found(memtable, 'b')).toBe('11 delete')
    expect(found(memtable, 'b', 10)).toBe('none')
    expect(walked(memtable)).toEqual(['a@12', 'a@10', 'b@11'])
  })

  test('that were taken back leave nothing, and their room is used again', () => {
    const memtable = newMemtable()
    commit(memtable, [put('a', '1')])
    const { arenaEnd, bytesUsed } = memtable
    const first = encodeCommit(2, [put('lost', 'x'), put('b', 'y')])
    const second = encodeCommit(4, [put('lost', 'z')])
    const firstAt = memtable.append(first, 0, first.length)
    const secondAt = memtable.append(second, 0, second.length)
    memtable.truncate(secondAt)
    memtable.truncate(firstAt)
    expect([memtable.arenaEnd, memtable.bytesUsed, memtable.lastSeqno]).toEqual([
      arenaEnd,
      bytesUsed,
      1,
    ])
    commit(memtable, [put('b', '2')])
    expect(walked(memtable)).toEqual(['a@1', 'b@2'])
    expect(found(memtable, 'lost')).toBe('none')
  })

  test('several appended ones are published one after the other', () => {
    const memtable = newMemtable()
    const offsets = [1, 2, 3].map((seqno) => {
      const record = encodeCommit(seqno, [put(`k${seqno}`, 'v')])
      return memtable.append(Buffer.concat([Buffer.from('junk'), record]), 4, 4 + record.length)
    })
    expect(() => memtable.publish(offsets[1]!)).toThrow(/order/)
    for (const offset of offsets) memtable.publish(offset)
    expect(walked(memtable)).toEqual(['k1@1', 'k2@2', 'k3@3'])
    expect(() => memtable.truncate(offsets[2]!)).toThrow(/taken back/)
  })

  test('without operations stay in the arena and index nothing', () => {
    const memtable = newMemtable()
    commit(memtable, [], { acks: [{ consumer: 'c', next: 1 }] })
    expect([memtable.isEmpty, memtable.lastSeqno, memtable.commits.count]).toEqual([true, 0, 0])
    expect(memtable.arenaEnd).toBeGreaterThan(0)
    commit(memtable, [put('a', '1')])
    commit(memtable, [], { acks: [{ consumer: 'c', next: 2 }] })
    const offsets = memtable.recordOffsets()
    expect(offsets.length).toBe(3)
    expect(offsets[0]).toBe(0)
    expect(memtable.keyspaceIds()).toEqual([0])
  })

  test('a damaged or wrongly numbered record is refused before anything is visible', () => {
    for (const spoil of [
      (record: Buffer) => record.writeUInt32LE(3, 36), // one operation more than there are
      (record: Buffer) => record.writeUInt32LE(1, 36), // one less
      (record: Buffer) => record.writeUInt8(9, 24), // another seqno
      (record: Buffer) => record.writeUInt8(0x7f, 47), // a value that is too long
    ]) {
      const memtable = newMemtable()
      const record = encodeCommit(1, [put('a', '1'), put('b', '2')])
      spoil(record)
      const offset = memtable.append(record, 0, record.length)
      expect(() => memtable.publish(offset)).toThrow(/assertion/)
      expect([memtable.isEmpty, walked(memtable)]).toEqual([true, []])
      memtable.truncate(offset)
      commit(memtable, [put('c', '3')])
      expect(walked(memtable)).toEqual(['c@1'])
    }
  })

  test('change capture finds each operation and its commit by ordinal', () => {
    const memtable = newMemtable({ firstSeqno: 5 })
    commit(memtable, [put('a', 'one'), merge('bb', 'two', 300)], { meta: Buffer.from('origin') })
    commit(memtable, [], { meta: Buffer.from('nobody') })
    commit(memtable, [removeRange('c', 'd', 7)], { acks: [{ consumer: 'x', next: 2 }] })
    const text = (start: number, end: number): string =>
      Buffer.from(memtable.arena.subarray(start, end)).toString()
    const lines = [2, 0, 1, 0].map((o) => {
      const id = memtable.commitOf(o)
      const { first, size, timeMs } = memtable.commits
      return [
        memtable.keyspaceOf(o),
        memtable.kindOf(o),
        text(memtable.keyStart(o), memtable.keyEnd(o)),
        text(memtable.valueStart(o), memtable.valueEnd(o)),
        [first[id], size[id], timeMs[id], memtable.commits.meta(id)?.toString()].join(),
      ].join(' ')
    })
    expect(lines).toEqual([
      '7 4 c d 7,1,1007,',
      '0 1 a one 5,2,1005,origin',
      '300 2 bb two 5,2,1005,origin',
      '0 1 a one 5,2,1005,origin',
    ])
  })
})

describe('room', () => {
  test('runs out at the capacity, with the index counted', () => {
    const memtable = newMemtable({ capacityBytes: 16 * 1024 })
    let entries = 0
    for (;;) {
      const record = encodeCommit(memtable.lastSeqno + 1, [put(`${entries}`, '')])
      if (!memtable.hasRoom(record.length)) break
      memtable.publish(memtable.append(record, 0, record.length))
      entries++
    }
    expect(memtable.bytesUsed).toBeLessThanOrEqual(16 * 1024)
    expect(memtable.bytesUsed).toBeGreaterThan(15 * 1024)
    expect(memtable.bytesUsed).toBeGreaterThan(memtable.arenaEnd + entries * 28)
  })

  test('an empty memtable takes a commit that is larger than its capacity, and then no other', () => {
    const memtable = newMemtable({ capacityBytes: 16 * 1024 })
    const value = Buffer.alloc(5 * 1024 * 1024, 7)
    const record = encodeCommit(1, [put('big', value), put('small', 'x')])
    expect(memtable.hasRoom(record.length)).toBe(true)
    expect(memtable.hasRoom(2 ** 31 - 2 ** 20)).toBe(true)
    memtable.publish(memtable.append(record, 0, record.length))
    expect(memtable.hasRoom(64)).toBe(false)
    const result = new MemtableEntry()
    expect(memtable.find(0, Buffer.from('big'), 0, 3, Infinity, result)).toBe(true)
    expect(Buffer.compare(result.bytes.subarray(result.valueStart, result.valueEnd), value)).toBe(0)
    expect(found(memtable, 'small')).toBe('2 put x')
  })

  test('bytes that were handed out stay what they are when the arena grows', () => {
    const memtable = newMemtable()
    commit(memtable, [put('a', 'first')])
    const result = new MemtableEntry()
    memtable.find(0, Buffer.from('a'), 0, 1, Infinity, result)
    const before = memtable.arena
    for (let i = 0; i < 40; i++) commit(memtable, [put('a', Buffer.alloc(10_000, i))])
    expect(memtable.arena).not.toBe(before)
    expect(shown(result)).toBe('1 put first')
  })
})

describe('versions', () => {
  test('older goes down the versions of one key', () => {
    const memtable = newMemtable()
    for (let i = 1; i <= 5; i++) commit(memtable, [merge('n', `${i}`), put('other', 'x')])
    const result = new MemtableEntry()
    expect(memtable.find(0, Buffer.from('n'), 0, 1, 8, result)).toBe(true)
    const seen = [shown(result)]
    while (memtable.older(result, 8)) seen.push(shown(result))
    expect(seen).toEqual(['7 merge 4', '5 merge 3', '3 merge 2', '1 merge 1'])
    memtable.find(0, Buffer.from('n'), 0, 1, Infinity, result)
    expect([memtable.older(result, 3), shown(result)]).toEqual([true, '3 merge 2'])
  })

  test('the same key in two keyspaces is two keys', () => {
    const memtable = newMemtable()
    commit(memtable, [put('k', 'zero'), put('k', 'big', 2 ** 31 - 1), put('k', 'one', 1)])
    expect(found(memtable, 'k')).toBe('1 put zero')
    expect(found(memtable, 'k', Infinity, 1)).toBe('3 put one')
    expect(found(memtable, 'k', Infinity, 2 ** 31 - 1)).toBe('2 put big')
    expect(found(memtable, 'k', Infinity, 2)).toBe('none')
    expect(memtable.keyspaceIds()).toEqual([0, 1, 2 ** 31 - 1])
    expect(walked(memtable, 1)).toEqual(['k@3'])
    expect(walked(memtable, 9)).toEqual([])
  })

  test('a walk finds the keys that come to lie ahead of it, in both directions', () => {
    const memtable = newMemtable()
    const name = (i: number): string => String(i).padStart(4, '0')
    commit(
      memtable,
      Array.from({ length: 500 }, (_, i) => put(name(i * 2), '')),
    )
    const iterator = memtable.iterator(0)
    const key = (): string =>
      Buffer.from(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd)).toString()
    iterator.seekToFirst()
    for (let i = 0; i < 300; i++) iterator.next()
    expect(key()).toBe(name(600))
    commit(memtable, [put(name(603), '')])
    iterator.next()
    expect(key()).toBe(name(602))
    iterator.next()
    expect(key()).toBe(name(603))
    iterator.seekToLast()
    for (let i = 0; i < 300; i++) iterator.prev()
    const at = Number(key())
    commit(memtable, [put(name(at - 1), '')])
    iterator.prev()
    expect(key()).toBe(name(at - 1))
  })

  test('an iterator of a keyspace that comes to be later finds it', () => {
    const memtable = newMemtable()
    const iterator = memtable.iterator(4)
    iterator.seekToFirst()
    expect(iterator.valid).toBe(false)
    commit(memtable, [put('x', '1', 4)])
    iterator.seekToLast()
    expect([iterator.valid, iterator.seqno]).toEqual([true, 1])
  })
})

describe('memo', () => {
  const chain = (memtable: Memtable, operands: number): number => {
    for (let i = 0; i < operands; i++) commit(memtable, [merge('hot', '+')])
    return memtable.lastSeqno - memtable.firstSeqno
  }

  test('keeps a copy of the merged value of a long chain, and drops the one before', () => {
    const memtable = newMemtable()
    const early = chain(memtable, 40)
    const value = Buffer.from('forty')
    memtable.remember(early, value)
    value.fill(0)
    expect(memtable.memo(early)?.toString()).toBe('forty')
    const late = chain(memtable, 40)
    memtable.remember(late, Buffer.from('eighty'))
    expect(memtable.memo(late)?.toString()).toBe('eighty')
    expect(memtable.memo(early)).toBeUndefined()
  })

  test('does nothing for short chains, and counts only what came since the last memo', () => {
    const memtable = newMemtable()
    commit(memtable, [put('hot', 'base')])
    const short = chain(memtable, 32)
    memtable.remember(short, Buffer.from('x'))
    expect(memtable.memo(short)).toBeUndefined()
    const long = chain(memtable, 1)
    memtable.remember(long, Buffer.from('x'))
    expect(memtable.memo(long)).toBeDefined()
    const longer = chain(memtable, 5)
    memtable.remember(longer, Buffer.from('y'))
    expect(memtable.memo(longer)).toBeUndefined()
    expect(memtable.memo(long)).toBeDefined()
  })

  test('is bounded by a share of the capacity', () => {
    const memtable = newMemtable({ capacityBytes: 64 * 1024 })
    const newest: number[] = []
    for (let key = 0; key < 10; key++) {
      for (let i = 0; i < 33; i++) commit(memtable, [merge(`key${key}`, '')])
      newest.push(memtable.lastSeqno - 1)
      memtable.remember(newest.at(-1)!, Buffer.alloc(3_000))
    }
    const kept = newest.filter((ordinal) => memtable.memo(ordinal) !== undefined)
    expect(kept).toEqual(newest.slice(-5))
    memtable.remember(newest[0]!, Buffer.alloc(17_000))
    expect(memtable.memo(newest[0]!)).toBeUndefined()
  })
})

describe('range deletes', () => {
  test('are kept apart from the operations on keys', () => {
    const memtable = newMemtable()
    commit(memtable, [
      put('b', '1'),
      removeRange('a', 'c'),
      put('b', '2'),
      removeRange('x', undefined),
    ])
    expect(walked(memtable)).toEqual(['b@3', 'b@1'])
    expect([covering(memtable, 'b'), covering(memtable, 'b', 1), covering(memtable, 'c')]).toEqual([
      2, 0, 0,
    ])
    expect(covering(memtable, 'zzz')).toBe(4)
    expect(memtable.hasRanges(0)).toBe(true)
    expect(memtable.hasRanges(1)).toBe(false)
    expect(memtable.rangesAt(1)).toEqual([])
    expect(
      memtable
        .rangeDeletes(0)
        .map(
          ({ ordinal, seqno, start, end }) =>
            `${ordinal} ${seqno} ${start.toString()} ${end?.toString()}`,
        ),
    ).toEqual(['1 2 a c', '3 4 x undefined'])
    expect(memtable.keyspaceIds()).toEqual([0])
  })

  test('a keyspace with nothing but range deletes is listed', () => {
    const memtable = newMemtable()
    commit(memtable, [removeRange('', undefined, 3)])
    expect(memtable.keyspaceIds()).toEqual([3])
    expect(walked(memtable, 3)).toEqual([])
    expect(covering(memtable, '', Infinity, 3)).toBe(1)
  })

  test('a view stays what it was while more is deleted', () => {
    const memtable = newMemtable()
    for (let i = 0; i < 20; i++) commit(memtable, [removeRange(`k${i}`, `k${i}~`)])
    const seqno = memtable.lastSeqno
    const view = memtable.rangesAt(0)
    expect(memtable.rangesAt(0)).toBe(view)
    for (let i = 0; i < 100; i++) commit(memtable, [removeRange('a', 'z')])
    const probe = Buffer.from('k7')
    expect(new RangeWalker(view, seqno).coveringSeqno(probe, 0, 2)).toBe(8)
    expect(new RangeWalker(memtable.rangesAt(0), Infinity).coveringSeqno(probe, 0, 2)).toBe(120)
    expect(covering(memtable, 'k7')).toBe(120)
  })
})

describe('a sealed memtable', () => {
  test('passes through a structured clone without a copy of its arena, and is the same', () => {
    const memtable = newMemtable({ firstSeqno: 3, openSnapshots: () => [5] })
    commit(memtable, [put('a', '1'), put('a', '2'), removeRange('b', 'c')], {
      meta: Buffer.from('m'),
    })
    commit(memtable, [put('z', '9', 4), merge('a', '3')])
    for (let i = 0; i < 1_000; i++) commit(memtable, [put(`key${i}`, 'v')])
    memtable.seal()
    expect(() => memtable.append(Buffer.alloc(64), 0, 64)).toThrow(/sealed/)
    const parts = structuredClone(memtable.toParts())
    const copy = Memtable.fromParts(parts)
    expect(parts.log.arena.buffer).toBeInstanceOf(SharedArrayBuffer)
    expect(parts.log.commits.first.buffer).toBeInstanceOf(SharedArrayBuffer)
    expect(walked(copy)).toEqual(walked(memtable))
    expect(walked(copy, 4)).toEqual(['z@6'])
    expect(copy.keyspaceIds()).toEqual([0, 4])
    expect(copy.rangeDeletes(0)).toEqual(memtable.rangeDeletes(0))
    expect([covering(copy, 'b', 5), covering(copy, 'b', 4)]).toEqual([5, 0])
    expect([copy.firstSeqno, copy.lastSeqno, copy.commits.count]).toEqual([3, 1_007, 1_002])
    expect(copy.commits.meta(copy.commitOf(1))?.toString()).toBe('m')
    expect(copy.commits.meta(copy.commitOf(3))).toBeUndefined()
    expect(copy.recordOffsets()).toEqual(memtable.recordOffsets())
    expect(found(copy, 'a')).toBe('7 merge 3')
    expect(() => copy.append(Buffer.alloc(64), 0, 64)).toThrow(/sealed/)
  })

  test('without shared memory it has parts as well', () => {
    const memtable = newMemtable({ shared: false })
    commit(memtable, [put('a', '1')])
    memtable.seal()
    const parts = memtable.toParts()
    expect(parts.log.arena.buffer).toBeInstanceOf(ArrayBuffer)
    expect(walked(Memtable.fromParts(parts))).toEqual(['a@1'])
  })
})
