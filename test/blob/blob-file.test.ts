import { describe, expect, test } from 'vitest'
import { hasCode } from '../../src/base/errors.ts'
import { BlobReader } from '../../src/blob/blob-reader.ts'
import { BlobWriter } from '../../src/blob/blob-writer.ts'
import {
  BLOB_REFERENCE_BYTES_MAX,
  blobFrameBytes,
  type BlobLocation,
  decodeBlobReference,
} from '../../src/block/blob-reference.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import type { BlobFileMeta } from '../../src/segment/segment-meta.ts'

const PATH = '/store/000009.blob'
const SIZES = [0, 1, 4096, 100_000, 2 ** 18, 1_500_000]

interface WrittenBlobs {
  readonly fs: MemoryFileSystem
  readonly meta: BlobFileMeta
  readonly locations: readonly BlobLocation[]
}

function valueOf(size: number): Buffer {
  return Buffer.alloc(size, `value of ${size} bytes, `)
}

function writeBlobs(): WrittenBlobs {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/store')
  const file = fs.create(PATH)
  const writer = new BlobWriter(file, 9)
  const reference = Buffer.alloc(BLOB_REFERENCE_BYTES_MAX)
  const locations = SIZES.map((size, i) => {
    const offset = writer.append(100 + i, valueOf(size), 0, size)
    const location = decodeBlobReference(reference, 0, writer.encodeReference(reference, 0))
    expect(location).toEqual({ file: 9, offset, length: size })
    return location!
  })
  const meta = writer.finish()
  file.close()
  return { fs, meta, locations }
}

function failure(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

describe('a blob file', () => {
  const { fs, meta, locations } = writeBlobs()

  test('counts its frames and their bytes', () => {
    expect(meta.bytes).toBe(fs.files().get(PATH)!.length)
    expect(meta.frames).toBe(SIZES.length)
    expect(meta.frameBytes).toBe(SIZES.reduce((sum, size) => sum + blobFrameBytes(size), 0))
  })

  test.each([
    ['without a cache', undefined],
    ['with one', 2 ** 20],
  ])('gives every value back, %s', async (_name, capacityBytes) => {
    const cache = capacityBytes === undefined ? undefined : new BlockCache({ capacityBytes })
    const reader = new BlobReader(fs.openRead(PATH), 9, cache)
    for (let round = 0; round < 2; round++) {
      for (const location of locations) {
        expect(reader.readSync(location).equals(valueOf(location.length))).toBe(true)
        const value = await reader.read(location)
        expect(value.equals(valueOf(location.length))).toBe(true)
        // The caller owns it: nobody else sees what is done to it.
        value.fill(0)
      }
    }
    if (cache !== undefined) expect(cache.stats.hits).toBeGreaterThan(0)
    reader.close()
    if (cache === undefined) return
    // A file of the same number that comes later finds nothing of it.
    const { hits } = cache.stats
    const later = new BlobReader(fs.openRead(PATH), 9, cache)
    for (const location of locations) later.readSync(location)
    expect(cache.stats.hits).toBe(hits)
  })

  test('is verified without a problem, byte for byte', async () => {
    let bytes = 0
    const problems = await new BlobReader(fs.openRead(PATH), 9).verify(meta, (n) => (bytes += n))
    expect(problems).toEqual([])
    expect(bytes).toBe(meta.bytes)
  })

  test('refuses a reference beyond its end before allocating anything', () => {
    const reader = new BlobReader(fs.openRead(PATH), 9)
    const error = failure(() => reader.readSync({ file: 9, offset: 20, length: 2 ** 30 }))
    expect(hasCode(error, 'VARVE_CORRUPTION')).toBe(true)
  })

  test('refuses a frame under another number, or of another length', () => {
    const location = locations[3]!
    const other = new BlobReader(fs.openRead(PATH), 10)
    expect(
      hasCode(
        failure(() => other.readSync(location)),
        'VARVE_CORRUPTION',
      ),
    ).toBe(true)
    const cache = new BlockCache({ capacityBytes: 2 ** 20 })
    for (const whole of [location, locations[2]!]) {
      const reader = new BlobReader(fs.openRead(PATH), 9, cache)
      const shorter = { ...whole, length: whole.length - 1 }
      // Before and after the value is in the cache.
      for (let round = 0; round < 2; round++) {
        expect(
          hasCode(
            failure(() => reader.readSync(shorter)),
            'VARVE_CORRUPTION',
          ),
        ).toBe(true)
        reader.readSync(whole)
      }
    }
  })
})

test('verify notices a changed byte anywhere in a blob file', async () => {
  const { fs, meta, locations } = writeBlobs()
  const places = [0, 9, 12, 17, 20, 24, 33, locations[3]!.offset + 50_000, meta.bytes - 1]
  for (const place of places) {
    const copy = fs.crash('kept')
    const before = copy.files().get(PATH)![place]!
    copy.corrupt(PATH, place, Uint8Array.of(before ^ 0x20))
    const problems = await new BlobReader(copy.openRead(PATH), 9).verify(meta)
    expect(problems, `byte ${place}`).toHaveLength(1)
  }
})

test('verify holds the file against what the manifest says of it', async () => {
  const { fs, meta } = writeBlobs()
  for (const wrong of [{ bytes: meta.bytes + 1 }, { frames: meta.frames + 1 }]) {
    const problems = await new BlobReader(fs.openRead(PATH), 9).verify({ ...meta, ...wrong })
    expect(problems, JSON.stringify(wrong)).toHaveLength(1)
  }
})

test('a value larger than the buffer is whole, however full that is', () => {
  const large = valueOf(2 ** 18 + 1)
  for (let left = 0; left <= 2 * blobFrameBytes(0); left++) {
    const fs = new MemoryFileSystem()
    fs.makeDirectory('/store')
    const file = fs.create(PATH)
    const writer = new BlobWriter(file, 9)
    const first = valueOf(2 ** 18 - writer.bytes - blobFrameBytes(0) - left)
    const offsets = [first, large].map((value, i) => writer.append(i + 1, value, 0, value.length))
    writer.finish()
    file.close()
    const reader = new BlobReader(fs.openRead(PATH), 9)
    for (const [i, value] of [first, large].entries()) {
      const found = reader.readSync({ file: 9, offset: offsets[i]!, length: value.length })
      expect(found.equals(value), `${left} bytes left`).toBe(true)
    }
  }
})

test('no other bytes are taken for a reference', () => {
  expect(decodeBlobReference(Buffer.from([1, 2]), 0, 2)).toBeUndefined()
  expect(decodeBlobReference(Buffer.from([1, 2, 3, 4]), 0, 4)).toBeUndefined()
  expect(decodeBlobReference(Buffer.alloc(40, 0xff), 0, 40)).toBeUndefined()
  const huge = Buffer.from([1, 2, 0x81, 0x80, 0x80, 0x80, 0x04])
  expect(decodeBlobReference(huge, 0, huge.length)).toBeUndefined()
})
