import { expect, test } from 'vitest'
import {
  FLAG_BLOB,
  FLAG_DERIVED,
  FLAG_OPEN_END,
  KIND_DELETE,
  KIND_INSERT,
  KIND_RANGE_DELETE,
} from '../../src/base/entry-kind.ts'
import { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import {
  BLOB_REFERENCE_BYTES_MAX,
  blobFrameBytes,
  encodeBlobReference,
} from '../../src/block/blob-reference.ts'
import type { LogBlock } from '../../src/segment/log-block.ts'
import { SegmentTally } from '../../src/segment/segment-tally.ts'

function count(
  tally: SegmentTally,
  seqno: number,
  kind: number,
  key = 'k',
  value: Uint8Array = Buffer.alloc(0),
) {
  const bytes = Buffer.from(key)
  return tally.count(bytes, 0, bytes.length, seqno, kind, value, 0, value.length)
}

function reference(file: number, length: number): Buffer {
  const bytes = Buffer.alloc(BLOB_REFERENCE_BYTES_MAX)
  return bytes.subarray(0, encodeBlobReference(bytes, 0, { file, offset: 20, length }))
}

test('entries are counted by kind, with the bounds of their seqnos and keys', () => {
  const tally = new SegmentTally({ byKey: true })
  count(tally, 7, KIND_INSERT, 'a')
  count(tally, 3, KIND_DELETE, 'b')
  count(tally, 9, KIND_INSERT | FLAG_DERIVED, 'c')
  expect(tally.bounds(FragmentedRanges.EMPTY)).toMatchObject({
    entries: 3,
    pointTombstones: 1,
    derivedEntries: 1,
    firstKey: Buffer.from('a'),
    minSeqno: 3,
    maxSeqno: 9,
    rangeFragments: 0,
    coverStart: undefined,
  })
  expect(count(tally, 10, KIND_RANGE_DELETE, 'd')).toMatch(/range delete outside history/)
  expect(new SegmentTally({ byKey: true }).bounds(FragmentedRanges.EMPTY)).toMatchObject({
    minSeqno: 0,
    maxSeqno: 0,
  })
})

test('references to blobs are added up by file, in the order of the files', () => {
  const tally = new SegmentTally({ byKey: true })
  count(tally, 1, KIND_INSERT | FLAG_BLOB, 'a', reference(9, 100))
  count(tally, 2, KIND_INSERT | FLAG_BLOB, 'b', reference(4, 50))
  count(tally, 3, KIND_INSERT | FLAG_BLOB, 'c', reference(9, 200))
  expect(tally.bounds(FragmentedRanges.EMPTY).blobReferences).toEqual([
    { file: 4, bytes: blobFrameBytes(50) },
    { file: 9, bytes: blobFrameBytes(100) + blobFrameBytes(200) },
  ])
})

test('fragments of range tombstones widen the bounds of seqnos', () => {
  const bounds = (seqnos: number[]): unknown => {
    const tally = new SegmentTally({ byKey: true })
    count(tally, 10, KIND_INSERT)
    const [start, end] = [Buffer.from('b'), Buffer.from('d')]
    const ranges = FragmentedRanges.build(
      seqnos.map((seqno) => ({ start, end, seqno })),
      [8],
    )
    const { minSeqno, maxSeqno, rangeFragments, coverStart, coverEnd } = tally.bounds(ranges)
    return [minSeqno, maxSeqno, rangeFragments, String(coverStart), String(coverEnd)]
  }
  expect(bounds([5])).toEqual([5, 10, 1, 'b', 'd'])
  expect(bounds([12])).toEqual([10, 12, 1, 'b', 'd'])
  expect(bounds([5, 12])).toEqual([5, 12, 1, 'b', 'd'])
})

test('range deletes of history cover from the first start to the last end, or without end', () => {
  const cover = (...ranges: [string, string | undefined][]): unknown => {
    const tally = new SegmentTally({ byKey: false })
    for (const [i, [start, end]] of ranges.entries()) {
      const flags = end === undefined ? FLAG_OPEN_END : 0
      count(tally, i + 1, KIND_RANGE_DELETE | flags, start, Buffer.from(end ?? ''))
    }
    const { coverStart, coverEnd } = tally.bounds(FragmentedRanges.EMPTY)
    return [String(coverStart), coverEnd === undefined ? undefined : String(coverEnd)]
  }
  expect(cover(['c', 'm'], ['d', 'e'])).toEqual(['c', 'm'])
  expect(cover(['c', 'e'], ['a', 'm'])).toEqual(['a', 'm'])
  expect(cover(['c', 'e'], ['d', undefined])).toEqual(['c', undefined])
  expect(cover(['c', undefined], ['d', 'e'])).toEqual(['c', undefined])
})

test('a block in the form of the log counts with its tombstones and its seqnos', () => {
  const tally = new SegmentTally({ byKey: false })
  const block = { count: 5, pointTombstones: 2, firstSeqno: 11, lastSeqno: 19 }
  tally.countLogged(block as LogBlock)
  tally.countLogged({ ...block, firstSeqno: 20, lastSeqno: 24 } as LogBlock)
  expect(tally.bounds(FragmentedRanges.EMPTY)).toMatchObject({
    entries: 10,
    pointTombstones: 4,
    minSeqno: 11,
    maxSeqno: 24,
  })
})
