/** Segments and their parts, blob files, and what stands inside of blocks. */
import { checksum } from '../../src/base/checksum.ts'
import { VarveError } from '../../src/base/errors.ts'
import { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import { BlobReader } from '../../src/blob/blob-reader.ts'
import { BlobWriter } from '../../src/blob/blob-writer.ts'
import { decodeBlobReference } from '../../src/block/blob-reference.ts'
import { blockProblem } from '../../src/block/block-check.ts'
import { blockEntries } from '../../src/block/block-entries.ts'
import { CODEC_DEFLATE, CODEC_LZ4, decompress } from '../../src/block/codec.ts'
import { runReadsSync } from '../../src/block/read-fully.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { BlockIndex } from '../../src/segment/block-index.ts'
import { BloomFilter, bloomProblem } from '../../src/segment/bloom-filter.ts'
import {
  readFooterSteps,
  sectionPlaces,
  type WholeSegment,
  wholeSteps,
} from '../../src/segment/opened-segment.ts'
import { salvageEntries } from '../../src/segment/segment-salvage.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { Separators } from '../../src/segment/separators.ts'
import { verifySegment } from '../../src/segment/segment-verify.ts'
import { putFile } from '../record/record-samples.ts'
import {
  hashOf,
  makeSegment,
  type ModelSegment,
  writeSegment,
  type WrittenSegment,
} from '../segment/segment-model.ts'
import { type FuzzTarget, mustBe } from './fuzzing.ts'

const fail = (reason: string, position: number): never => {
  throw new VarveError('VARVE_CORRUPTION', reason, { position })
}
const RANGES = FragmentedRanges.build(
  [
    { start: Buffer.from('a'), end: Buffer.from('c'), seqno: 4 },
    { start: Buffer.from('b'), end: undefined, seqno: 9 },
  ],
  [5],
)

interface Sample extends WrittenSegment {
  readonly model: ModelSegment
}

function sampleSegment(
  seed: number,
  options: Parameters<typeof writeSegment>[1] = {},
  order: 'key' | 'seqno' = 'key',
): Sample {
  const model = makeSegment(seed, {
    entries: 150,
    keys: 90,
    valueBytesMax: 60,
    withMetas: true,
    derivedPercent: 10,
    seqnoGapMax: 4,
    order,
  })
  const ranges = order === 'key' ? RANGES : undefined
  return { ...writeSegment(model, { blockBytes: 512, order, ...options }, ranges), model }
}

const SEGMENTS: readonly Sample[] = [
  sampleSegment(1),
  sampleSegment(2, { compression: 'deflate' }),
  sampleSegment(3, { compression: 'lz4', bloomBitsPerKey: 0 }),
  sampleSegment(4, {}, 'seqno'),
]

/** Whatever changed is found by verify, and answers are right or refused. */
const segment: FuzzTarget = {
  name: 'segment',
  samples: SEGMENTS.map(({ bytes }) => bytes),
  decode: async (bytes) => {
    const sample = SEGMENTS.find(({ meta }) => meta.bytes === bytes.length) ?? SEGMENTS[0]!
    const file = fileOf(bytes, sample.path)
    const problems = await verifySegment(file, sample.meta)
    mustBe((problems.length === 0) === bytes.equals(sample.bytes), 'verify finds every change')
    await readAll(sample, bytes, true)
  },
}

/** Parts of a segment, damaged, with checksums that fit again. The answer may be wrong then: it must be an answer. */
const sealedParts: FuzzTarget[] = SEGMENTS.flatMap((sample, index) => {
  return partsOf(sample).map(({ name, start, end, seed }) => ({
    name: `${name} of segment ${index + 1}, with a good checksum`,
    samples: [sample.bytes.subarray(start, end)],
    decode: async (part: Buffer): Promise<void> => {
      const bytes = Buffer.from(sample.bytes)
      // Parts keep their size: what is cut off becomes zeros.
      bytes.fill(0, start, end)
      part.copy(bytes, start, 0, Math.min(part.length, end - start))
      bytes.writeUInt32LE(checksum(bytes, start, end, seed), end)
      const problems = await verifySegment(fileOf(bytes, sample.path), sample.meta)
      const isSame = bytes.equals(sample.bytes)
      if (isSame) mustBe(problems.length === 0, 'nothing is wrong')
      await salvage(sample, bytes)
      await readAll(sample, bytes, false)
    },
  }))
})

const blocks = SEGMENTS.slice(0, 1).map(({ bytes, firstBlockBytes }) =>
  bytes.subarray(0, firstBlockBytes - 5),
)

const block: FuzzTarget = {
  name: 'block',
  samples: blocks,
  decode: (bytes) => {
    for (const count of [1, 3, countOf(bytes)]) {
      if (blockProblem(bytes, 0, bytes.length, count) !== undefined) continue
      let slots = 0
      for (const { key, value } of blockEntries(bytes, 0, bytes.length)) {
        mustBe(key.length > 0 && value.length <= bytes.length, 'an entry')
        slots++
      }
      mustBe(slots === count, 'all entries')
    }
  },
}

const compressed: FuzzTarget = {
  name: 'compressed block',
  samples: SEGMENTS.slice(1, 3).map(({ bytes, firstBlockBytes }) =>
    bytes.subarray(0, firstBlockBytes - 5),
  ),
  decode: (bytes) => {
    for (const codec of [CODEC_DEFLATE, CODEC_LZ4]) {
      // Also sizes that nobody should believe.
      for (const rawBytes of [1, 512, 70_000, 2 ** 31 - 1]) {
        const room = rawBytes > 2 ** 20 ? 16 : rawBytes
        const target = Buffer.alloc(room + 8, 0xee)
        const isDone = decompress(codec, bytes, 0, bytes.length, target, 0, rawBytes)
        mustBe(!isDone || rawBytes <= room, 'the declared size')
        mustBe(target.subarray(room).equals(Buffer.alloc(8, 0xee)), 'nothing behind it')
      }
    }
  },
}

const { index: sampleIndex, footer: sampleFooter } = open(SEGMENTS[0]!, SEGMENTS[0]!.bytes)
const blockIndex: FuzzTarget = {
  name: 'block index',
  samples: [sectionOf(SEGMENTS[0]!, 'index')],
  decode: (bytes) => {
    const { blocks, largestBlockBytes, meta, parts } = sampleFooter
    const bounds = { blocks, largestBlockBytes, entries: meta.entries, dataBytes: parts.dataBytes }
    const index = new BlockIndex(bytes, bounds, fail)
    let block = 0
    for (let ordinal = 0; ordinal < meta.entries; ordinal++) {
      block = index.blockOfOrdinal(ordinal, block)
      index.check(block)
      const first = index.firstOrdinals[block]!
      mustBe(first <= ordinal && ordinal < index.firstOrdinals[block + 1]!, 'the block of an entry')
      mustBe(index.positions[block]! + index.storedBytes(block) <= parts.dataBytes, 'in the data')
    }
  },
}

const separators: FuzzTarget = {
  name: 'separators',
  samples: [sectionOf(SEGMENTS[0]!, 'separators')],
  decode: (bytes) => {
    const decoded = new Separators(bytes, sampleFooter.blocks, fail)
    for (const { key, seqno } of SEGMENTS[0]!.model.entries) {
      const found = decoded.locate(key, 0, key.length, seqno)
      mustBe(found >= 0 && found < sampleIndex.count, 'a block')
    }
    for (let block = 1; block < sampleIndex.count; block++) decoded.separator(block)
  },
}

const bloom: FuzzTarget = {
  name: 'bloom filter',
  samples: [sectionOf(SEGMENTS[0]!, 'bloom')],
  decode: (bytes) => {
    const problem = bloomProblem(bytes)
    if (problem !== undefined) fail(problem, 0)
    const filter = new BloomFilter(bytes)
    for (const { key } of SEGMENTS[0]!.model.entries) filter.mayContain(hashOf(key))
  },
}

const ranges: FuzzTarget = {
  name: 'range fragments',
  samples: [sectionOf(SEGMENTS[0]!, 'ranges')],
  decode: (bytes) => {
    const decoded = FragmentedRanges.decode(bytes, fail)
    for (const key of ['', 'a', 'bb', 'z']) {
      const seqno = decoded.coveringSeqno(Buffer.from(key), 0, key.length, 2 ** 40)
      mustBe(Number.isSafeInteger(seqno) && seqno >= 0, 'a seqno')
    }
  },
}

const reference: FuzzTarget = {
  name: 'blob reference',
  samples: [Buffer.of(9, 20, 0x80, 0x01)],
  decode: (bytes) => {
    const location = decodeBlobReference(bytes, 0, bytes.length)
    if (location === undefined) fail('no reference', 0)
    const { file, offset, length } = location!
    mustBe([file, offset, length].every(Number.isSafeInteger), 'numbers')
  },
}

const BLOB_PATH = '/db/000009.blob'
const VALUES = [Buffer.alloc(40, 1), Buffer.alloc(0), Buffer.alloc(700, 2)]
const { blobBytes, blobMeta, locations } = sampleBlob()
const blob: FuzzTarget = {
  name: 'blob file',
  samples: [blobBytes],
  decode: async (bytes) => {
    const reader = new BlobReader(fileOf(bytes, BLOB_PATH), 9, undefined)
    const problems = await reader.verify(blobMeta)
    mustBe((problems.length === 0) === bytes.equals(blobBytes), 'verify finds every change')
    let refusal: unknown
    for (const [index, location] of locations.entries()) {
      for (const length of [location.length, 0, 2 ** 30]) {
        try {
          const value = reader.readSync({ ...location, length })
          // Where bytes were moved another frame may stand there, and fit a reference that is wrong itself: a whole value still.
          const possible = length === location.length ? [VALUES[index]!] : VALUES
          mustBe(
            possible.some((one) => one.equals(value)),
            'a value that was written',
          )
        } catch (error) {
          if (length === location.length || !(error instanceof VarveError)) refusal = error
        }
      }
    }
    reader.close()
    if (refusal !== undefined) throw refusal
  },
}

export const SEGMENT_TARGETS: readonly FuzzTarget[] = [
  segment,
  ...sealedParts,
  block,
  compressed,
  blockIndex,
  separators,
  bloom,
  ranges,
  reference,
  blob,
]

// -------------------------------------------------------------------------------------------------- helpers

function fileOf(bytes: Uint8Array, path: string): ReturnType<MemoryFileSystem['openRead']> {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/db')
  fs.makeDirectory('/store')
  if (path.startsWith('/db/')) putFile(fs, path.slice(4), bytes)
  else {
    const file = fs.create(path)
    if (bytes.length > 0) file.append(bytes, 0, bytes.length)
    file.close()
  }
  return fs.openRead(path)
}

function open({ path, meta }: WrittenSegment, bytes: Buffer): WholeSegment {
  const file = fileOf(bytes, path)
  return runReadsSync(file, wholeSteps(file.path, file.size, meta))
}

/** Bytes of a section, without its checksum. */
function sectionOf(sample: Sample, name: keyof ReturnType<typeof sectionPlaces>): Buffer {
  const { position, length } = sectionPlaces(open(sample, sample.bytes).footer)[name]
  return sample.bytes.subarray(position, position + length - 4)
}

interface Part {
  readonly name: string
  readonly start: number
  /** Where its checksum stands. */
  readonly end: number
  readonly seed: number
}

function partsOf(sample: Sample): Part[] {
  const { meta, bytes } = sample
  const file = fileOf(bytes, sample.path)
  const footer = runReadsSync(file, readFooterSteps(file.path, file.size))
  const seed = meta.number
  const parts: Part[] = [
    { name: 'first block', start: 0, end: sample.firstBlockBytes - 4, seed },
    {
      name: 'only chunk',
      start: footer.parts.dataBytes,
      end: footer.parts.dataBytes + footer.parts.changeBytes - 4,
      seed,
    },
  ]
  for (const [name, { position, length }] of Object.entries(sectionPlaces(footer))) {
    if (length > 0) parts.push({ name, start: position, end: position + length - 4, seed })
  }
  const { parts: sizes } = footer
  const propertiesAt =
    sizes.dataBytes +
    sizes.changeBytes +
    sizes.directoryBytes +
    sizes.rangeBytes +
    sizes.bloomBytes +
    sizes.separatorBytes +
    sizes.indexBytes
  parts.push({ name: 'footer', start: propertiesAt, end: bytes.length - 4, seed: 0 })
  return parts
}

function countOf(bytes: Buffer): number {
  return bytes.length < 4 ? 0 : bytes.readUInt32LE(bytes.length - 4) & 0x3fffffff
}

/** Everything that can be asked of a segment. `isExact`: what is answered must be right. */
async function readAll(sample: Sample, bytes: Buffer, isExact: boolean): Promise<void> {
  const reader = new SegmentReader(fileOf(bytes, sample.path), sample.meta, undefined)
  let rows = 0
  try {
    await reader.readAllBlocks({
      visit: (block) => {
        for (const entry of blockEntries(block.bytes, block.start, block.end)) {
          const expected = sample.model.entries[rows++]
          if (!isExact) continue
          mustBe(expected?.key.equals(entry.key) === true, 'the key that was written')
          mustBe(expected?.value.equals(entry.value) === true, 'the value that was written')
        }
      },
      damaged: (problem) => {
        throw new VarveError('VARVE_CORRUPTION', JSON.stringify(problem))
      },
    })
    const { commits, commitOf } = reader.commitsByOrdinal()
    for (const row of commitOf) mustBe(row < commits.count, 'a commit')
    const run = await reader.events(0, 2 ** 47, 10_000)
    for (let i = 0; i < run.count; i++) {
      mustBe(run.ordinals[i]! < sample.meta.entries, 'an entry')
    }
  } finally {
    reader.close()
  }
}

/** What repair does with it. */
async function salvage(sample: Sample, bytes: Buffer): Promise<void> {
  try {
    await salvageEntries(fileOf(bytes, sample.path), sample.meta, {
      entry: ({ key }) => mustBe(key.length > 0, 'a key'),
    })
  } catch (error) {
    if (!(error instanceof VarveError)) throw error
  }
}

function sampleBlob(): {
  blobBytes: Buffer
  blobMeta: Parameters<BlobReader['verify']>[0]
  locations: { file: number; offset: number; length: number }[]
} {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/db')
  const file = fs.create(BLOB_PATH)
  const writer = new BlobWriter(file, 9)
  const found = VALUES.map((value, index) => {
    const offset = writer.append(index + 1, value, 0, value.length)
    return { file: 9, offset, length: value.length }
  })
  const meta = writer.finish()
  file.close()
  return { blobBytes: Buffer.from(fs.files().get(BLOB_PATH)!), blobMeta: meta, locations: found }
}
