/** No byte of a segment can change unnoticed, and nothing that decodes one does harm when it meets bytes it did not write. */
import { describe, expect, test } from 'vitest'
import { writeU32 } from '../../src/base/bytes.ts'
import { NO_COMMIT } from '../../src/base/commit-table.ts'
import { checksum } from '../../src/base/checksum.ts'
import { hasCode, VarveError } from '../../src/base/errors.ts'
import { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { runReadsSync } from '../../src/block/read-fully.ts'
import { RUN_BLOCKS_MIN } from '../../src/segment/block-source.ts'
import { EntryArena } from '../../src/segment/entry-arena.ts'
import { openSteps, readSegmentFooter, sectionPlaces } from '../../src/segment/opened-segment.ts'
import { salvageEntries } from '../../src/segment/segment-salvage.ts'
import { FoundEntry, SegmentReader } from '../../src/segment/segment-reader.ts'
import {
  hashOf,
  makeSegment,
  type ModelSegment,
  openSegment,
  PLAIN,
  randomFrom,
  writeSegment,
  type WrittenSegment,
} from './segment-model.ts'

const RANGES = FragmentedRanges.build(
  [{ start: Buffer.from('b'), end: Buffer.from('d'), seqno: 5 }],
  [],
)
const SHAPE = { entries: 260, keys: 90, valueBytesMax: 30, derivedPercent: 10, withMetas: true }

/** A reader of the segment with other bytes in its file. */
function changed(written: WrittenSegment, bytes: Uint8Array): SegmentReader {
  const fs = written.fs.crash('kept')
  fs.corrupt(written.path, 0, bytes)
  return new SegmentReader(fs.openRead(written.path), written.meta, undefined)
}

/** Everything that a reader does, once. Only Varve's own errors may come of it. */
async function useAll(reader: SegmentReader, segment: ModelSegment): Promise<VarveError[]> {
  const errors: VarveError[] = []
  const attempt = async (run: () => unknown): Promise<void> => {
    try {
      await run()
    } catch (error) {
      if (!(error instanceof VarveError)) throw error
      expect(error.code).toMatch(/^VARVE_(CORRUPTION|UNSUPPORTED_FORMAT)$/)
      expect(error.details.file).toBe('/store/000007.seg')
      errors.push(error)
    }
  }
  for (let i = 0; i < segment.entries.length; i += 13) {
    const { key, seqno } = segment.entries[i]!
    await attempt(() => reader.find(key, 0, key.length, hashOf(key), seqno, true, new FoundEntry()))
  }
  const iterator = reader.iterator({ mayRead: true })
  await attempt(() => {
    for (iterator.seekToFirst(); iterator.valid; iterator.next());
  })
  await attempt(() => {
    for (iterator.seekToLast(); iterator.valid; iterator.prev());
  })
  await attempt(() => reader.eventsSync(0, 1e9, 1e9))
  await attempt(() => reader.commitsByOrdinal())
  await attempt(async () => {
    const ordinals = Int32Array.from(segment.entries.keys())
    await reader.gather(ordinals, ordinals.length, new EntryArena({ limitBytes: 2 ** 20 }), true)
  })
  return errors
}

describe.each(['none', 'deflate', 'lz4'] as const)(
  'a segment with compression %s',
  (compression) => {
    const segment = makeSegment(21, SHAPE)
    const written = writeSegment(segment, { compression }, RANGES)

    test('is verified without a problem, byte for byte', async () => {
      let bytes = 0
      expect(await openSegment(written).verify((n) => (bytes += n))).toEqual([])
      expect(bytes).toBe(written.meta.bytes)
    })

    test('shows every single changed byte to verify', async () => {
      const random = randomFrom(1)
      // One after the other where the formats are dense, samples in the blocks.
      const dataBytes = readSegmentFooter(written.fs.openRead(written.path)).parts.dataBytes
      for (
        let at = 0;
        at < written.bytes.length;
        at += at < dataBytes ? 1 + random(40) : 1 + random(3)
      ) {
        const bytes = Buffer.from(written.bytes)
        bytes[at]! ^= 1 << random(8)
        const problems = await changed(written, bytes).verify()
        expect(problems.length, `byte ${at}`).toBeGreaterThan(0)
      }
    })

    test('cut off anywhere is refused when it is opened', () => {
      const random = randomFrom(2)
      for (let length = 0; length < written.bytes.length; length += 1 + random(200)) {
        const fs = written.fs.crash('kept')
        fs.remove(written.path)
        const file = fs.create(written.path)
        file.append(written.bytes, 0, length)
        const meta = { ...written.meta, bytes: length }
        const reader = new SegmentReader(fs.openRead(written.path), meta, undefined)
        expect(() => reader.openSync()).toThrow(VarveError)
      }
    })

    test('with changed bytes fails only with errors of its own', async () => {
      const random = randomFrom(3)
      for (let round = 0; round < 60; round++) {
        const bytes = Buffer.from(written.bytes)
        for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)] = random(256)
        await useAll(changed(written, bytes), segment)
      }
    })

    test('with changed bytes under good checksums does no harm', async () => {
      const random = randomFrom(4)
      let refused = 0
      for (let round = 0; round < 240; round++) {
        const reader = changed(written, forge(written, random))
        const errors = await useAll(reader, segment)
        if (errors.length > 0) refused++
        await reader.verify()
      }
      expect(refused).toBeGreaterThan(80)
    })
  },
)

/** Changes bytes of one part and makes its checksum fit again, as somebody who means harm would. */
function forge(written: WrittenSegment, random: (n: number) => number): Buffer {
  const bytes = Buffer.from(written.bytes)
  const footer = readSegmentFooter(written.fs.openRead(written.path))
  const parts: { start: number; end: number; seed: number }[] = []
  const places = sectionPlaces(footer)
  for (const { position, length } of Object.values(places)) {
    if (length > 0) parts.push({ start: position, end: position + length - 4, seed: PLAIN.number })
  }
  // The first block and the first chunk of the change index stand for all.
  parts.push({ start: 0, end: written.firstBlockBytes - 4, seed: PLAIN.number })
  if (footer.changeChunks === 1) {
    const start = footer.parts.dataBytes
    parts.push({ start, end: start + footer.parts.changeBytes - 4, seed: PLAIN.number })
  }
  parts.push({ start: bytes.length - footer.bytes, end: bytes.length - 4, seed: 0 })
  const { start, end, seed } = parts[random(parts.length)]!
  for (let n = 1 + random(3); n > 0; n--) {
    const at = start + random(end - start)
    bytes[at] = random(2) === 0 ? random(256) : bytes[at]! + (random(2) === 0 ? 1 : -1)
  }
  writeU32(bytes, end, checksum(bytes, start, end, seed))
  return bytes
}

/** So many blocks are summed by one call. */
const MANY_BLOCKS = { entries: 5000, keys: 5000, valueBytesMax: 60 }

test.each([
  { shape: SHAPE, blockBytes: 1024, rounds: 60 },
  { shape: MANY_BLOCKS, blockBytes: 512, rounds: 20 },
])('a damaged block is refused by a gather of all entries, and of no other: %j', async (about) => {
  const { shape, blockBytes, rounds } = about
  const segment = makeSegment(9, shape)
  const written = writeSegment(segment, { blockBytes })
  const footer = readSegmentFooter(written.fs.openRead(written.path))
  expect(footer.blocks >= RUN_BLOCKS_MIN).toBe(shape === MANY_BLOCKS)
  const random = randomFrom(6)
  const all = Int32Array.from(segment.entries.keys())
  for (let round = 0; round < rounds; round++) {
    const bytes = Buffer.from(written.bytes)
    const at = random(footer.parts.dataBytes)
    bytes[at]! ^= 1 << random(8)
    const reader = changed(written, bytes)
    const damaged = blockAt(written, at)
    const gather = (ordinals: Int32Array): Promise<unknown> =>
      reader.gather(ordinals, ordinals.length, new EntryArena({ limitBytes: 2 ** 20 }), true)
    await expect(gather(all)).rejects.toThrow(/the checksum of a block does not fit/)
    const others = all.filter((ordinal) => reader.blockOf(ordinal) !== damaged)
    await expect(gather(others)).resolves.toMatchObject({ gathered: others.length })
    const iterator = reader.iterator({ mayRead: true })
    const walk = (): void => {
      for (iterator.seekToFirst(); iterator.valid; iterator.next());
    }
    expect(walk).toThrow(/the checksum of a block does not fit/)
  }
})

function blockAt(written: WrittenSegment, position: number): number {
  const { index } = runReadsSync(
    written.fs.openRead(written.path),
    openSteps(written.path, written.bytes.length, written.meta),
  )
  let block = 0
  while (index.positions[block + 1]! <= position) block++
  return block
}

test('a compressed block cannot become more than the footer allows', () => {
  const segment = makeSegment(8, SHAPE)
  const written = writeSegment(segment, { compression: 'deflate' })
  const footer = readSegmentFooter(written.fs.openRead(written.path))
  const bytes = Buffer.from(written.bytes)
  const { position, length } = sectionPlaces(footer).index
  // The last column: bytes of each block when decompressed, then the checksum.
  const firstRawAt = position + length - 4 - 4 * footer.blocks
  expect(bytes.readUInt32LE(firstRawAt)).toBeLessThanOrEqual(footer.largestBlockBytes)
  writeU32(bytes, firstRawAt, footer.largestBlockBytes + 1)
  writeU32(
    bytes,
    position + length - 4,
    checksum(bytes, position, position + length - 4, PLAIN.number),
  )
  const { key, seqno } = segment.entries[0]!
  const reader = changed(written, bytes)
  expect(() => reader.find(key, 0, key.length, hashOf(key), seqno, true, new FoundEntry())).toThrow(
    /block 0 cannot have/,
  )
})

test('a file that is another segment is refused, whatever its name says', () => {
  const written = writeSegment(makeSegment(1, SHAPE), { number: 8 })
  const meta = { ...written.meta, number: 7 }
  const reader = new SegmentReader(written.fs.openRead(written.path), meta, undefined)
  expect(() => reader.openSync()).toThrow(/disagree about number/)
})

test('a segment of a later format says so', () => {
  const written = writeSegment(makeSegment(1, SHAPE))
  const bytes = Buffer.from(written.bytes)
  bytes[bytes.length - 14] = 2
  const footer = readSegmentFooter(written.fs.openRead(written.path))
  const start = bytes.length - footer.bytes
  writeU32(bytes, bytes.length - 4, checksum(bytes, start, bytes.length - 4))
  let error: unknown
  try {
    changed(written, bytes).openSync()
  } catch (thrown) {
    error = thrown
  }
  expect(hasCode(error, 'VARVE_UNSUPPORTED_FORMAT')).toBe(true)
})

test('a failed read leaves the cache as it was, and the block readable afterwards', () => {
  const segment = makeSegment(3, SHAPE)
  const written = writeSegment(segment)
  const cache = new BlockCache({ capacityBytes: 2 ** 20 })
  const reader = new SegmentReader(written.fs.openRead(written.path), written.meta, cache)
  reader.openSync()
  const { key, seqno } = segment.entries[100]!
  const find = (): number =>
    reader.find(key, 0, key.length, hashOf(key), seqno, true, new FoundEntry())
  written.fs.inject({ operation: 'read', effect: 'EIO' })
  expect(find).toThrow(/EIO/)
  written.fs.clearFaults()
  expect(find()).toBe(1)
})

describe('salvage', () => {
  const segment = makeSegment(31, { entries: 6000, keys: 3000, valueBytesMax: 20 })
  const written = writeSegment(segment, {}, RANGES)
  const footer = readSegmentFooter(written.fs.openRead(written.path))
  const places = sectionPlaces(footer)

  async function salvaged(
    at: number,
  ): Promise<{ entries: number; events: number; ranges: number }> {
    const fs = written.fs.crash('kept')
    fs.corrupt(written.path, at, Uint8Array.of(written.bytes[at]! ^ 4))
    let entries = 0
    let events = 0
    const ranges = await salvageEntries(fs.openRead(written.path), written.meta, {
      entry: ({ commitId }) => {
        entries++
        if (commitId !== NO_COMMIT) events++
      },
    })
    return { entries, events, ranges: ranges.count }
  }

  test('loses one block with its entries', async () => {
    const { entries, events, ranges } = await salvaged(written.firstBlockBytes >>> 1)
    expect(entries).toBe(events)
    expect(entries).toBeGreaterThan(5800)
    expect(entries).toBeLessThan(6000)
    expect(ranges).toBe(1)
  })

  test('loses nothing with the filter', async () => {
    expect(await salvaged(places.bloom.position + 9)).toEqual({
      entries: 6000,
      events: 6000,
      ranges: 1,
    })
  })

  test('loses the events of one chunk of the change index', async () => {
    const { entries, events } = await salvaged(footer.parts.dataBytes + 9)
    expect([entries, events]).toEqual([6000, 6000 - 2048])
  })

  test('loses all events with the change directory', async () => {
    expect(await salvaged(places.directory.position)).toMatchObject({ entries: 6000, events: 0 })
  })

  test('loses range fragments that are damaged, and says nothing is left without an index', async () => {
    expect(await salvaged(places.ranges.position)).toEqual({
      entries: 6000,
      events: 6000,
      ranges: 0,
    })
    await expect(salvaged(places.index.position + 5)).rejects.toThrow(VarveError)
  })
})
