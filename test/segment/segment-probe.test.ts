/** A probe answers as the open segment does or leaves it to that one, whatever became of the bytes it reads. */
import { describe, expect, test } from 'vitest'
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { VarveError } from '../../src/base/errors.ts'
import { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import { readSegmentFooter, sectionPlaces } from '../../src/segment/opened-segment.ts'
import { PROBED_BLOCKS_MIN, SegmentProbe } from '../../src/segment/segment-probe.ts'
import { FoundEntry } from '../../src/segment/segment-reader.ts'
import {
  hashOf,
  makeSegment,
  modelFind,
  type ModelSegment,
  openSegment,
  randomFrom,
  writeSegment,
  type WrittenSegment,
} from './segment-model.ts'

const SHAPE = { entries: 9000, keys: 5000, valueBytesMax: 40, derivedPercent: 10 }
const OPTIONS = { blockBytes: 512 }
const BLOCKS_MIN = 64

function probeOf(written: WrittenSegment, bytes?: Uint8Array): SegmentProbe | undefined {
  const fs = bytes === undefined ? written.fs : written.fs.crash('kept')
  if (bytes !== undefined) fs.corrupt(written.path, 0, bytes)
  return SegmentProbe.open(fs.openRead(written.path), written.meta, BLOCKS_MIN)
}

function ask(probe: SegmentProbe, key: Uint8Array, snapshot: number): string {
  const result = new FoundEntry()
  const probed = probe.find(key, 0, key.length, hashOf(key), snapshot, result)
  if (probed !== 'found') return probed
  const value = Buffer.from(result.bytes.subarray(result.valueStart, result.valueEnd))
  return `${result.seqno} ${result.kind} ${value.toString('hex')}`
}

function told(segment: ModelSegment, key: Uint8Array, snapshot: number): string {
  const entry = modelFind(segment, key, snapshot)
  return entry === undefined
    ? 'absent'
    : `${entry.seqno} ${entry.kind} ${entry.value.toString('hex')}`
}

/** Versions of keys that differ within eight bytes, as most do behind what all have in common. */
function plainSegment(keys: number): ModelSegment {
  const random = randomFrom(keys)
  const entries = []
  let seqno = 3 * keys
  for (let i = 0; i < keys; i++) {
    const key = Buffer.from(`entry-${String(i * 7).padStart(8, '0')}`)
    for (let versions = 1 + random(3); versions > 0; versions--) {
      const value = Buffer.alloc(random(40), i)
      entries.push({ key, seqno: seqno--, kind: 1, value, commitId: NO_COMMIT })
    }
  }
  return { entries, commits: new CommitTable() }
}

/** Like what a probe says of it, where it is sure. Answers whether it was. */
function agrees(probe: SegmentProbe, segment: ModelSegment, key: Uint8Array, at: number): boolean {
  const answer = ask(probe, key, at)
  if (answer === 'unsure') return false
  expect(answer).toBe(told(segment, key, at))
  return true
}

describe.each(['none', 'deflate', 'lz4'] as const)('with compression %s', (compression) => {
  const segment = plainSegment(3000)
  const written = writeSegment(segment, { ...OPTIONS, compression })

  test('what it says of keys, versions and what is not there is so, and mostly it says it', () => {
    const probe = probeOf(written)!
    const random = randomFrom(9)
    let asked = 0
    let sure = 0
    const check = (key: Uint8Array, at: number): void => {
      asked++
      if (agrees(probe, segment, key, at)) sure++
    }
    for (let i = 0; i < segment.entries.length; i += 1 + random(9)) {
      const { key, seqno } = segment.entries[i]!
      check(key, seqno)
      check(key, seqno - 1)
      check(Buffer.concat([key, Buffer.of(random(256))]), 1e9)
      check(key.subarray(0, 12), 1e9)
      check(Buffer.of(random(256)), 1e9)
    }
    expect(sure / asked).toBeGreaterThan(0.7)
  })

  test('changed bytes of what it reads make it unsure, or no difference', () => {
    const random = randomFrom(3)
    const { index } = sectionPlaces(readSegmentFooter(written.fs.openRead(written.path)))
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(written.bytes)
      const from = round % 3 === 0 ? 0 : index.position - 4000
      for (let n = 1 + random(400); n > 0; n--) {
        bytes[from + random(bytes.length - from)]! ^= 1 << random(8)
      }
      try {
        const probe = probeOf(written, bytes)
        for (let n = 0; probe !== undefined && n < 5; n++) {
          const { key, seqno } = segment.entries[random(segment.entries.length)]!
          agrees(probe, segment, key, seqno)
        }
      } catch (error) {
        if (!(error instanceof VarveError)) throw error
        expect(error.details.file).toBe(written.path)
      }
    }
  })

  test('rows of index and separators that lie are not believed', () => {
    const random = randomFrom(7)
    const places = sectionPlaces(readSegmentFooter(written.fs.openRead(written.path)))
    let sure = 0
    let unsure = 0
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(written.bytes)
      const { position, length } = round % 2 === 0 ? places.index : places.separators
      // Behind the heads, of which it would see that they do not fit.
      for (let n = 1 + random(length >>> 2); n > 0; n--) {
        bytes[position + 16 + random(length - 16)] = random(256)
      }
      const probe = probeOf(written, bytes)
      for (let n = 0; probe !== undefined && n < 5; n++) {
        const { key, seqno } = segment.entries[random(segment.entries.length)]!
        if (agrees(probe, segment, key, seqno)) sure++
        else unsure++
      }
    }
    expect(sure).toBeGreaterThan(50)
    expect(unsure).toBeGreaterThan(50)
  })
})

describe('where the manifest tells where things are', () => {
  const segment = plainSegment(3000)
  const written = writeSegment(segment, OPTIONS)
  const { meta, path } = written
  const { footerBytes } = meta.layout!

  test('the footer is not read, and without that it is, with the same answers', () => {
    const bytes = Buffer.from(written.bytes).fill(0, written.bytes.length - footerBytes)
    const probe = probeOf(written, bytes)!
    const fs = written.fs.crash('kept')
    const byFooter = SegmentProbe.open(
      fs.openRead(path),
      { ...meta, layout: undefined },
      BLOCKS_MIN,
    )
    let sure = 0
    for (let i = 0; i < segment.entries.length; i += 7) {
      const { key, seqno } = segment.entries[i]!
      expect(ask(byFooter!, key, seqno)).toBe(ask(probe, key, seqno))
      if (agrees(probe, segment, key, seqno)) sure++
    }
    expect(sure).toBeGreaterThan(100)
    fs.corrupt(path, 0, bytes)
    expect(() =>
      SegmentProbe.open(fs.openRead(path), { ...meta, layout: undefined }, BLOCKS_MIN),
    ).toThrow('does not end like a segment')
  })

  test.each([
    'blocks',
    'largestBlockBytes',
    'dataBytes',
    'separatorBytes',
    'indexBytes',
    'footerBytes',
  ] as const)('a lie about %s gives no wrong answer, and the open segment says so', (field) => {
    for (const by of [-1, 1, -40, 40]) {
      const lie = { ...meta, layout: { ...meta.layout!, [field]: meta.layout![field] + by } }
      const probe = SegmentProbe.open(written.fs.openRead(path), lie, BLOCKS_MIN)
      for (let i = 0; probe !== undefined && i < segment.entries.length; i += 91) {
        const { key, seqno } = segment.entries[i]!
        agrees(probe, segment, key, seqno)
      }
      const reader = openSegment({ ...written, meta: lie })
      expect(() => reader.openSync()).toThrow(`footer and manifest disagree about ${field}`)
      reader.close()
    }
  })
})

test('a key with versions in many blocks is found at every snapshot, or left to the open segment', () => {
  const segment = makeSegment(2, { entries: 4000, keys: 3, valueBytesMax: 60 })
  const written = writeSegment(segment, OPTIONS)
  const probe = probeOf(written)!
  for (const { key, seqno } of segment.entries) agrees(probe, segment, key, seqno)
})

test('keys that share more than the words of the separators are told apart, or left', () => {
  const base = makeSegment(6, { ...SHAPE, keyBytesMax: 3 })
  const written = writeSegment(base, OPTIONS)
  const probe = probeOf(written)!
  for (const { key, seqno } of base.entries) agrees(probe, base, key, seqno)
})

test('the first lookups of a large segment probe, then it is opened', () => {
  const segment = plainSegment(16_000)
  const written = writeSegment(segment, OPTIONS)
  const { blocks } = readSegmentFooter(written.fs.openRead(written.path))
  expect(blocks).toBeGreaterThan(PROBED_BLOCKS_MIN)
  const reader = openSegment(written)
  const find = (i: number): void => {
    const { key, seqno, value } = segment.entries[i]!
    const result = new FoundEntry()
    expect(reader.find(key, 0, key.length, hashOf(key), seqno, true, result)).toBe(1)
    const found = result.bytes.subarray(result.valueStart, result.valueEnd)
    expect(Buffer.from(found).equals(value)).toBe(true)
  }
  // Not the first of its block.
  find(12_349)
  expect(reader.isOpen).toBe(false)
  let lookups = 1
  while (!reader.isOpen) find((lookups++ * 911) % segment.entries.length)
  expect(lookups).toBeLessThanOrEqual(Math.ceil(blocks / 256) + 1)
  for (let i = 0; i < segment.entries.length; i += 37) find(i)
  reader.release()
  find(12_349)
  expect(reader.isOpen).toBe(false)
  reader.close()
})

test('the filter is read when it would have spared as much', () => {
  const segment = makeSegment(5, SHAPE)
  const written = writeSegment(segment, OPTIONS)
  const { bloomBytes } = readSegmentFooter(written.fs.openRead(written.path)).parts
  const reader = openSegment(written)
  reader.openSync()
  const miss = (): number =>
    reader.find(Buffer.from('zz'), 0, 2, hashOf(Buffer.from('zz')), 1e9, true, new FoundEntry())
  let misses = 0
  while (!reader.isSifted) {
    expect(miss()).toBe(0)
    misses++
  }
  expect(misses).toBe(Math.ceil(bloomBytes / 8192) + 1)
  expect(miss()).toBe(0)
  reader.close()
})

test('who may not read is blocked until the filter is there', async () => {
  const segment = makeSegment(5, SHAPE)
  const reader = openSegment(writeSegment(segment, OPTIONS))
  await reader.open()
  const key = Buffer.from('zz')
  const miss = (): number => reader.find(key, 0, 2, hashOf(key), 1e9, false, new FoundEntry())
  for (let n = 0; n < 50 && !reader.isSifted; n++) {
    if (miss() === -1) await reader.loadBlocked()
  }
  expect(reader.isSifted).toBe(true)
  expect(miss()).toBe(0)
  reader.close()
})

test('a small segment, one with range fragments and one in seqno order are not probed', () => {
  const ranges = FragmentedRanges.build(
    [{ start: Buffer.from('b'), end: Buffer.from('d'), seqno: 5 }],
    [],
  )
  const small = writeSegment(makeSegment(1, { entries: 50, keys: 30, valueBytesMax: 20 }), OPTIONS)
  const ranged = writeSegment(makeSegment(1, SHAPE), OPTIONS, ranges)
  const history = writeSegment(makeSegment(1, { ...SHAPE, order: 'seqno' }), {
    ...OPTIONS,
    order: 'seqno',
  })
  for (const written of [small, ranged, history]) expect(probeOf(written)).toBeUndefined()
})
