/** What verify holds against each other where every checksum is good: the parts of a segment, and the manifest. */
import { expect, test } from 'vitest'
import { writeU32 } from '../../src/base/bytes.ts'
import { NO_COMMIT } from '../../src/base/commit-table.ts'
import { checksum } from '../../src/base/checksum.ts'
import { FLAG_DERIVED } from '../../src/base/entry-kind.ts'
import { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import { readSegmentFooter, sectionPlaces } from '../../src/segment/opened-segment.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { verifySegment } from '../../src/segment/segment-verify.ts'
import {
  makeSegment,
  type ModelEntry,
  type ModelSegment,
  PLAIN,
  writeSegment,
  type WrittenSegment,
} from './segment-model.ts'

const RANGES = FragmentedRanges.build(
  [{ start: Buffer.from('b'), end: Buffer.from('d'), seqno: 5 }],
  [],
)
const segment = makeSegment(21, { entries: 260, keys: 90, valueBytesMax: 30, derivedPercent: 10 })
const written = writeSegment(segment, {}, RANGES)

async function problemsOf(
  bytes: Uint8Array,
  meta: SegmentMeta = written.meta,
): Promise<readonly string[]> {
  const fs = written.fs.crash('kept')
  fs.remove(written.path)
  const file = fs.create(written.path)
  file.append(bytes, 0, bytes.length)
  file.close()
  const problems = await verifySegment(fs.openRead(written.path), meta)
  return problems.map(({ message }) => message)
}

/** The blocks of one segment with everything else of another one. */
function spliced(blocks: WrittenSegment, rest: WrittenSegment): Buffer {
  const { dataBytes } = readSegmentFooter(rest.fs.openRead(rest.path)).parts
  const of = readSegmentFooter(blocks.fs.openRead(blocks.path)).parts
  expect(of.dataBytes).toBe(dataBytes)
  return Buffer.concat([blocks.bytes.subarray(0, dataBytes), rest.bytes.subarray(dataBytes)])
}

function withEntries(change: (entries: ModelEntry[]) => void): ModelSegment {
  const entries = [...segment.entries]
  change(entries)
  return { entries, commits: segment.commits }
}

/** Whether a byte of a part that is changed by one, under a checksum that fits, lets verify say so. */
async function isFoundIn(start: number, length: number, what: RegExp): Promise<boolean> {
  const end = start + length - 4
  for (let at = start; at < end; at++) {
    const bytes = Buffer.from(written.bytes)
    bytes[at]! ^= 1
    writeU32(bytes, end, checksum(bytes, start, end, PLAIN.number))
    if ((await problemsOf(bytes)).some((message) => what.test(message))) return true
  }
  return false
}

test('a segment that is whole has no problem', async () => {
  expect(await problemsOf(written.bytes)).toEqual([])
})

test('every count and bound of the manifest is held against the entries', async () => {
  const { meta } = written
  const wrong: Partial<SegmentMeta>[] = [
    { entries: meta.entries + 1 },
    { pointTombstones: meta.pointTombstones + 1 },
    { derivedEntries: meta.derivedEntries - 1 },
    { firstKey: Buffer.from('0') },
    { lastKey: undefined },
    { rangeFragments: 2 },
    { coverStart: Buffer.from('c') },
    { coverEnd: undefined },
    { minSeqno: meta.minSeqno + 1 },
    { maxSeqno: meta.maxSeqno + 1 },
    { events: meta.events - 1 },
    { minEventSeqno: meta.minEventSeqno + 1 },
    { maxEventSeqno: meta.maxEventSeqno + 1 },
    { blobReferences: [{ file: 3, bytes: 10 }] },
  ]
  for (const one of wrong) {
    const problems = await problemsOf(written.bytes, { ...meta, ...one })
    expect(problems.length, Object.keys(one)[0]).toBeGreaterThan(0)
  }
})

test('the change index is held against the entries that it names', async () => {
  const at = segment.entries.findIndex(
    ({ key, kind }, i) =>
      (kind & FLAG_DERIVED) === 0 && segment.entries[i + 1]?.key.equals(key) === false,
  )
  const derived = withEntries((entries) => {
    const { kind } = entries[at]!
    entries[at] = { ...entries[at]!, kind: kind | FLAG_DERIVED, commitId: NO_COMMIT }
  })
  expect(await problemsOf(spliced(writeSegment(derived, {}, RANGES), written))).toContain(
    `entry ${at} of block 0 is derived and yet an event`,
  )
  const { dataBytes, changeBytes } = readSegmentFooter(written.fs.openRead(written.path)).parts
  expect(await isFoundIn(dataBytes, changeBytes, /is two events/)).toBe(true)
  expect(await isFoundIn(dataBytes, changeBytes, /is indexed under another seqno/)).toBe(true)
})

test('separators are held against the keys on both sides of them', async () => {
  const footer = readSegmentFooter(written.fs.openRead(written.path))
  const { position, length } = sectionPlaces(footer).separators
  expect(await isFoundIn(position, length, /is not where the index separates/)).toBe(true)
})

test('versions of a key stand newest first', async () => {
  const at = segment.entries.findIndex(
    ({ key }, i) => segment.entries[i + 1]?.key.equals(key) === true,
  )
  const [newer, older] = [segment.entries[at]!, segment.entries[at + 1]!]
  const swapped = withEntries((entries) => {
    entries[at] = { ...newer, seqno: older.seqno }
    entries[at + 1] = { ...older, seqno: newer.seqno }
  })
  // Written by somebody who does not look.
  const paranoid = Symbol.for('varve.paranoid')
  Reflect.set(globalThis, paranoid, false)
  try {
    const { bytes, meta } = writeSegment(swapped, {}, RANGES)
    expect((await problemsOf(bytes, meta)).some((what) => /is out of order/.test(what))).toBe(true)
  } finally {
    Reflect.set(globalThis, paranoid, true)
  }
})
