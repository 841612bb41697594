/**
 * The formats of segments and blob files, as bytes: what was written by the first version is still read, and the same entries
 * still become the same bytes. A failure here means a new format version, not a new fixture.
 *
 * The fixtures were made by this file: `VARVE_WRITE_FIXTURES=1 npx vitest run test/compat/segment-format.test.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import {
  FLAG_BLOB,
  FLAG_DERIVED,
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MERGE,
  KIND_RANGE_DELETE,
} from '../../src/base/entry-kind.ts'
import { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import { BlobReader } from '../../src/blob/blob-reader.ts'
import { BlobWriter } from '../../src/blob/blob-writer.ts'
import { encodeBlobReference } from '../../src/block/blob-reference.ts'
import { hasNativeLz4 } from '../../src/block/codec.ts'
import type { BlobSink } from '../../src/compaction/blob-sink.ts'
import { LogStretches } from '../../src/compaction/log-stretches.ts'
import { OrdinalSet } from '../../src/compaction/ordinal-set.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { EntryArena } from '../../src/segment/entry-arena.ts'
import { readSegmentFooter } from '../../src/segment/opened-segment.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { SegmentWriter, type SegmentWriterOptions } from '../../src/segment/segment-writer.ts'
import { commit, merge, newMemtable, put, remove } from '../memtable/commits.ts'

const FIXTURES = new URL('./fixtures/', import.meta.url)
const isWriting = process.env.VARVE_WRITE_FIXTURES === '1'

const commits = new CommitTable()
const SINGLE = commits.add(100, 1, 1_700_000_000_000, undefined)
const PAIR = commits.add(103, 2, 1_700_000_000_250, Buffer.from('origin=a'))
const LARGE = commits.add(2 ** 40, 70_000, 1_700_000_900_000, undefined)

type Row = readonly [key: string, seqno: number, kind: number, value: Buffer, commitId: number]

function reference(): Buffer {
  const target = Buffer.alloc(24)
  return target.subarray(0, encodeBlobReference(target, 0, { file: 9, offset: 20, length: 5000 }))
}

const NONE = Buffer.alloc(0)
const TEXT = Buffer.alloc(200, 'sediment, layer by layer; ')

const BY_KEY: readonly Row[] = [
  ['apple', 2 ** 40 + 5, KIND_INSERT, Buffer.from('red'), LARGE],
  ['apple', 100, KIND_INSERT, Buffer.from('green'), SINGLE],
  ['apple/core', 103, KIND_MERGE, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), PAIR],
  ['banana', 104, KIND_DELETE, NONE, PAIR],
  ['cherry', 50, KIND_INSERT | FLAG_DERIVED, TEXT, NO_COMMIT],
  ['damson', 2 ** 40 + 69_999, KIND_INSERT | FLAG_BLOB, reference(), LARGE],
  [`elder/${'berry/'.repeat(60)}1`, 40, KIND_INSERT, TEXT, NO_COMMIT],
  [`elder/${'berry/'.repeat(60)}2`, 41, KIND_INSERT, TEXT, NO_COMMIT],
  ['\xff\xff', 42, KIND_INSERT, Buffer.alloc(1000, 7), NO_COMMIT],
]

const BY_SEQNO: readonly Row[] = [
  ['fig', 100, KIND_INSERT, TEXT, SINGLE],
  ['grape', 103, KIND_RANGE_DELETE, Buffer.from('kiwi'), PAIR],
  ['', 104, KIND_RANGE_DELETE | FLAG_OPEN_END, NONE, PAIR],
  ['apple', 2 ** 40 + 1, KIND_DELETE, NONE, LARGE],
]

const RANGES = FragmentedRanges.build(
  [
    { start: Buffer.from('b'), end: Buffer.from('d'), seqno: 60 },
    { start: Buffer.from('c'), end: undefined, seqno: 70 },
  ],
  [65],
)

interface Case {
  readonly file: string
  readonly rows: readonly Row[]
  readonly options: Partial<SegmentWriterOptions>
  readonly ranges: FragmentedRanges
  /** Whether every zlib, and every LZ4, makes the same bytes of the same input. */
  readonly isReproducible: boolean
}

const CASES: readonly Case[] = [
  { file: 'segment-1-plain.seg', rows: BY_KEY, options: {}, ranges: RANGES, isReproducible: true },
  {
    file: 'segment-1-lz4.seg',
    rows: BY_KEY,
    options: { compression: 'lz4', bloomBitsPerKey: 0 },
    ranges: FragmentedRanges.EMPTY,
    isReproducible: !hasNativeLz4,
  },
  {
    file: 'segment-1-deflate.seg',
    rows: BY_KEY,
    options: { compression: 'deflate' },
    ranges: FragmentedRanges.EMPTY,
    isReproducible: false,
  },
  {
    file: 'segment-1-history.seg',
    rows: BY_SEQNO,
    options: { order: 'seqno' },
    ranges: FragmentedRanges.EMPTY,
    isReproducible: true,
  },
]

function write({ rows, options, ranges }: Case): Buffer {
  const fs = new MemoryFileSystem()
  const file = fs.create('/7.seg')
  const writer = new SegmentWriter(file, {
    number: 7,
    keyspaceId: 2,
    order: 'key',
    blockBytes: 512,
    compression: 'none',
    bloomBitsPerKey: 10,
    ...options,
  })
  for (const [key, seqno, kind, value, commitId] of rows) {
    const bytes = Buffer.from(key, 'latin1')
    writer.add(bytes, 0, bytes.length, seqno, kind, value, 0, value.length, commits, commitId)
  }
  writer.addRangeFragments(ranges)
  writer.finish()
  file.close()
  return Buffer.from(fs.files().get('/7.seg')!)
}

function place(bytes: Uint8Array, path: string): MemoryFileSystem {
  const fs = new MemoryFileSystem()
  const file = fs.create(path)
  file.append(bytes, 0, bytes.length)
  file.close()
  return fs
}

function fixture(name: string, bytes: Buffer): Buffer {
  if (isWriting) writeFileSync(new URL(name, FIXTURES), bytes)
  return readFileSync(new URL(name, FIXTURES))
}

describe.each(CASES)('$file', (each) => {
  const bytes = fixture(each.file, write(each))

  test.runIf(each.isReproducible)('is what the writer still makes of the same entries', () => {
    expect(write(each).equals(bytes)).toBe(true)
  })

  test('is read: entries, events and commits', async () => {
    const file = place(bytes, '/7.seg').openRead('/7.seg')
    const reader = new SegmentReader(file, readSegmentFooter(file).meta, undefined)
    expect(await reader.verify()).toEqual([])
    const { commits: read, commitOf } = reader.commitsByOrdinal()
    const iterator = reader.iterator({ mayRead: true })
    const rows: Row[] = []
    for (iterator.seekToFirst(); iterator.valid; iterator.next()) {
      const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = iterator
      const key = Buffer.from(keyBytes.subarray(keyStart, keyEnd)).toString('latin1')
      const value = Buffer.from(valueBytes.subarray(valueStart, valueEnd))
      const id = commitOf[iterator.ordinal]!
      const commitId = id === NO_COMMIT ? id : commits.first.indexOf(read.first[id]!)
      rows.push([key, iterator.seqno, iterator.kind, value, commitId])
      if (id === NO_COMMIT) continue
      expect(read.size[id]).toBe(commits.size[commitId])
      expect(read.timeMs[id]).toBe(commits.timeMs[commitId])
      expect(read.meta(id)).toEqual(commits.meta(commitId))
    }
    expect(rows).toEqual(each.rows)
    expect(reader.ranges.encode().equals(each.ranges.encode())).toBe(true)
  })
})

describe('segment-1-log.seg', () => {
  const memtable = newMemtable({ firstSeqno: 2 ** 40 })
  commit(memtable, [put('fig', TEXT, 2), put('grape', 'other keyspace', 3), remove('fig', 2)])
  commit(memtable, [], { acks: [{ consumer: 'c', next: 1 }] })
  commit(memtable, [merge('kiwi', '1', 2)], { meta: Buffer.from('origin=a') })
  commit(memtable, [put('fig', 'live', 2), put(`lime${'/'.repeat(200)}`, TEXT, 2)])
  const count = memtable.lastSeqno - memtable.firstSeqno + 1
  const retired = new OrdinalSet(count)
  const ordinals = [0, 2, 3, 5]
  for (const ordinal of ordinals) retired.add(ordinal)

  const write = (): Buffer => {
    const commitOf = Int32Array.from({ length: count }, (_, ordinal) => memtable.commitOf(ordinal))
    const blobs = { concerns: () => false } as unknown as BlobSink
    const stretches = new LogStretches(memtable, { retired, commitOf, blobs })
    expect(stretches.take(0, count)).toBe(-1)
    const fs = new MemoryFileSystem()
    const file = fs.create('/7.seg')
    const writer = new SegmentWriter(file, {
      number: 7,
      keyspaceId: 2,
      order: 'seqno',
      blockBytes: 512,
      compression: 'none',
      bloomBitsPerKey: 10,
    })
    writer.addLogBlock(stretches.block, memtable.commits)
    writer.finish()
    file.close()
    return Buffer.from(fs.files().get('/7.seg')!)
  }
  const bytes = fixture('segment-1-log.seg', write())

  test('is what the writer still makes of the same operations', () => {
    expect(write().equals(bytes)).toBe(true)
  })

  test('is read: entries, events and commits', async () => {
    const file = place(bytes, '/7.seg').openRead('/7.seg')
    const reader = new SegmentReader(file, readSegmentFooter(file).meta, undefined)
    expect(await reader.verify()).toEqual([])
    expect(reader.meta).toMatchObject({ entries: 4, events: 4, pointTombstones: 1 })
    const { commits: read, commitOf } = reader.commitsByOrdinal()
    const iterator = reader.iterator({ mayRead: true })
    iterator.seekToFirst()
    for (const ordinal of ordinals) {
      const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = iterator
      const { arena } = memtable
      expect([iterator.seqno, iterator.kind]).toEqual([
        memtable.firstSeqno + ordinal,
        memtable.kindOf(ordinal),
      ])
      expect(Buffer.from(keyBytes.subarray(keyStart, keyEnd))).toEqual(
        arena.subarray(memtable.keyStart(ordinal), memtable.keyEnd(ordinal)),
      )
      expect(Buffer.from(valueBytes.subarray(valueStart, valueEnd))).toEqual(
        arena.subarray(memtable.valueStart(ordinal), memtable.valueEnd(ordinal)),
      )
      const [id, own] = [commitOf[iterator.ordinal]!, memtable.commitOf(ordinal)]
      expect(read.first[id]).toBe(memtable.commits.first[own])
      expect(read.size[id]).toBe(memtable.commits.size[own])
      expect(read.meta(id)).toEqual(memtable.commits.meta(own))
      iterator.next()
    }
    expect(iterator.valid).toBe(false)
  })

  test.each([
    ['all', [0, 1, 2, 3]],
    ['some', [1, 3]],
    ['one', [2]],
  ])('its entries are gathered where they stand: %s', async (_name, rows) => {
    const file = place(bytes, '/7.seg').openRead('/7.seg')
    const reader = new SegmentReader(file, readSegmentFooter(file).meta, undefined)
    const arena = new EntryArena({ limitBytes: 2 ** 20 })
    const result = await reader.gather(Int32Array.from(rows), rows.length, arena, true)
    expect(result).toMatchObject({ gathered: rows.length, blocksRead: 1 })
    for (const [i, row] of rows.entries()) {
      const ordinal = ordinals[row]!
      expect([arena.seqno[i], arena.kind[i]]).toEqual([
        memtable.firstSeqno + ordinal,
        memtable.kindOf(ordinal),
      ])
      const [start, end] = [memtable.keyStart(ordinal), memtable.valueEnd(ordinal)]
      expect(Buffer.from(arena.bytes.subarray(arena.keyStart[i], arena.valueEnd[i]))).toEqual(
        memtable.arena.subarray(start, end),
      )
      expect(arena.keyEnd[i]! - arena.keyStart[i]!).toBe(memtable.keyEnd(ordinal) - start)
    }
  })
})

describe('blob-1.blob', () => {
  const values = [Buffer.alloc(5000, 'a large value; '), NONE, Buffer.from('x')]
  const write = (): Buffer => {
    const fs = new MemoryFileSystem()
    const file = fs.create('/9.blob')
    const writer = new BlobWriter(file, 9)
    values.forEach((value, i) => writer.append(2 ** 40 + i, value, 0, value.length))
    writer.finish()
    file.close()
    return Buffer.from(fs.files().get('/9.blob')!)
  }
  const bytes = fixture('blob-1.blob', write())

  test('is what the writer still makes of the same values', () => {
    expect(write().equals(bytes)).toBe(true)
  })

  test('is read, and verified', async () => {
    const reader = new BlobReader(place(bytes, '/9.blob').openRead('/9.blob'), 9)
    let offset = 20
    for (const value of values) {
      expect(reader.readSync({ file: 9, offset, length: value.length }).equals(value)).toBe(true)
      offset += 14 + value.length
    }
    const meta = { number: 9, bytes: bytes.length, frames: 3, frameBytes: bytes.length - 20 }
    expect(await reader.verify(meta)).toEqual([])
  })
})
