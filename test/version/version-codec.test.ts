import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import type { FieldSource } from '../../src/record/tagged-fields.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { decodeCurrent, encodeCurrent } from '../../src/version/current-file.ts'
import { decodeEpochs, encodeEpochs } from '../../src/version/epochs.ts'
import { decodeEdit, encodeEdit, type StoredEdit } from '../../src/version/version-edit-codec.ts'
import { randomOf } from '../record/record-samples.ts'
import { keyspaceOf, segmentOf } from './version-samples.ts'

const SOURCE: FieldSource = {
  file: 'MANIFEST-000001',
  fail: (reason, position) => {
    throw new VarveError('VARVE_CORRUPTION', reason, { position })
  },
}

function decode(bytes: Uint8Array): StoredEdit {
  return decodeEdit(bytes, 0, bytes.length, SOURCE)
}

const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 1 })
const key = fc.option(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  { nil: undefined },
)
const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 300 })
  .map((text) => text.toWellFormed())

const segment: fc.Arbitrary<SegmentMeta> = fc
  .record({
    number,
    keyspaceId: number,
    bytes: number,
    order: fc.constantFrom('key' as const, 'seqno' as const),
    entries: number,
    pointTombstones: number,
    derivedEntries: number,
    heldEntries: number,
    firstKey: key,
    lastKey: key,
    rangeFragments: number,
    coverStart: key,
    coverEnd: key,
    minSeqno: number,
    maxSeqno: number,
    events: number,
    minEventSeqno: number,
    maxEventSeqno: number,
    blobReferences: fc.array(fc.record({ file: number, bytes: number }), { maxLength: 5 }),
    layout: fc.option(
      fc.record({
        blocks: fc.nat(2 ** 20),
        largestBlockBytes: number,
        dataBytes: fc.integer({ min: 2 ** 20, max: 2 ** 40 }),
        separatorBytes: fc.nat(2 ** 30),
        indexBytes: fc.nat(2 ** 30),
        footerBytes: fc.nat(2 ** 30),
      }),
      { nil: undefined },
    ),
  })
  .map((meta) => ({
    ...meta,
    // A layout fits its file.
    bytes: meta.layout === undefined ? meta.bytes : 2 ** 42 + (meta.bytes % 2 ** 42),
    // Both or neither, and no end without a start.
    lastKey: meta.firstKey === undefined ? undefined : (meta.lastKey ?? meta.firstKey),
    coverEnd: meta.coverStart === undefined ? undefined : meta.coverEnd,
  }))

const keyspace = fc.record({
  id: number,
  name,
  droppedAt: fc.option(fc.integer({ min: 1, max: 2 ** 48 }), { nil: undefined }),
  options: fc.record({
    mergeOperator: fc.option(name, { nil: undefined }),
    blobThresholdBytes: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1 })),
    compression: fc.constantFrom('none' as const, 'deflate' as const, 'lz4' as const),
    bloomBitsPerKey: fc.nat(64),
    blockBytes: fc.integer({ min: 512, max: 2 ** 20 }),
  }),
})
const optional = fc.option(number, { nil: undefined })
const consumer = fc.record({
  name,
  position: number,
  state: fc.constantFrom('active' as const, 'lost' as const),
  maxHeldBytes: optional,
  maxIdleMs: optional,
  createdAt: number,
  lastAckAt: optional,
})
const epoch = fc.record({ epoch: number, id: name, first: number })
const step = fc.nat(2 ** 40)
const series = fc.array(fc.tuple(step, step, step), { maxLength: 300 }).map((steps) => {
  let point = { seqno: 0, timeMs: 0, userBytes: 0 }
  return steps.map(([seqno, timeMs, userBytes]) => {
    point = {
      seqno: point.seqno + seqno,
      timeMs: point.timeMs + timeMs,
      userBytes: point.userBytes + userBytes,
    }
    return point
  })
})

const edit: fc.Arbitrary<StoredEdit> = fc.record({
  additions: fc.array(
    fc
      .tuple(fc.constantFrom(0, 3, 6, 'history' as const), segment)
      .map(([level, meta]) => ({ level, keyspaceId: meta.keyspaceId, meta })),
    { maxLength: 5 },
  ),
  removals: fc.array(number, { maxLength: 5 }),
  moves: fc.array(fc.record({ number, level: fc.constantFrom(1, 'history' as const) }), {
    maxLength: 3,
  }),
  blobAdditions: fc.array(
    fc.record({ number, bytes: number, frames: number, frameBytes: number }),
    { maxLength: 3 },
  ),
  blobRemovals: fc.array(number, { maxLength: 3 }),
  state: fc.record(
    {
      storeId: name,
      logId: name,
      role: fc.constantFrom('primary' as const, 'replica' as const),
      epochs: fc.array(epoch, { maxLength: 5 }),
      floor: number,
      lastFlushedSeqno: number,
      lastFlushedTimeMs: number,
      walNumber: number,
      nextFileNumber: number,
      nextKeyspaceId: number,
      sourceToken: fc.option(name, { nil: null }),
      series,
      cleanClose: fc.record({
        walNumber: number,
        walBytes: number,
        manifestInode: fc.double({ noNaN: true }),
        manifestBirthTimeMs: fc.double({ noNaN: true }),
      }),
      keyspaces: fc.array(keyspace, { maxLength: 3 }),
      forgottenKeyspaces: fc.array(number, { maxLength: 3 }),
      consumers: fc.array(consumer, { maxLength: 3 }),
      droppedConsumers: fc.array(name, { maxLength: 3 }),
    },
    { requiredKeys: ['keyspaces', 'forgottenKeyspaces', 'consumers', 'droppedConsumers'] },
  ),
})

describe('a version edit', () => {
  test('is decoded as it was encoded', () => {
    fc.assert(
      fc.property(edit, (original) => {
        expect(decode(encodeEdit(original))).toEqual(original)
      }),
      { numRuns: 300 },
    )
  })

  test('with an unknown field is skipped or refused, as the tag says', () => {
    const bytes = encodeEdit({ state: { floor: 7 } })
    expect(decode(Buffer.concat([bytes, Buffer.from([99, 1, 0])])).state?.floor).toBe(7)
    expect(() => decode(Buffer.concat([bytes, Buffer.from([98, 1, 0])]))).toThrow(
      expect.objectContaining({ code: 'VARVE_UNSUPPORTED_FORMAT' }),
    )
  })

  test('may carry more in a segment than we know, where that may be ignored', () => {
    const addition = { keyspaceId: 1, level: 2, meta: segmentOf(10) }
    const plain = encodeEdit({ additions: [addition] })
    // Tag 36 and a one-byte length stand before the segment.
    const longer = (tag: number): Buffer => {
      const copy = Buffer.concat([plain, Buffer.from([tag, 2, 5, 5])])
      copy[1]! += 4
      return copy
    }
    expect(decode(longer(3)).additions).toEqual([addition])
    // The layout of a segment whose format is not known: its footer says so.
    expect(decode(longer(1)).additions).toEqual([addition])
    expect(() => decode(longer(2))).toThrow(
      expect.objectContaining({ code: 'VARVE_UNSUPPORTED_FORMAT' }),
    )
  })

  test('with a layout that does not fit the segment is refused', () => {
    const layout = {
      blocks: 3,
      largestBlockBytes: 900,
      dataBytes: 700,
      separatorBytes: 100,
      indexBytes: 110,
      footerBytes: 100,
    }
    const decoded = (changed: Partial<typeof layout>): StoredEdit => {
      const meta = segmentOf(10, { layout: { ...layout, ...changed } })
      return decode(encodeEdit({ additions: [{ keyspaceId: 1, level: 2, meta }] }))
    }
    expect(decoded({}).additions?.[0]?.meta.layout).toEqual(layout)
    expect(() => decoded({ footerBytes: 101 })).toThrow('larger than its file')
    expect(() => decoded({ blocks: 701 })).toThrow('larger than its file')
  })

  test('that was mutated is refused or decoded, and nothing else', () => {
    const seed = Number(process.env['SEED'] ?? 1)
    console.log(`seed ${seed}`)
    const random = randomOf(seed)
    const pick = (n: number): number => Math.floor(random() * n)
    const samples = fc.sample(edit, { seed, numRuns: 40 }).map((sample) => encodeEdit(sample))
    for (let round = 0; round < 6_000; round++) {
      let bytes = Buffer.from(samples[pick(samples.length)]!)
      if (bytes.length === 0) continue
      for (let i = pick(4); i >= 0; i--)
        bytes[pick(bytes.length)] = random() < 0.3 ? 0xff : pick(256)
      if (random() < 0.2) bytes = bytes.subarray(0, pick(bytes.length))
      try {
        decode(bytes)
      } catch (error) {
        expect(error, `round ${round}`).toBeInstanceOf(VarveError)
      }
    }
  })
})

describe('CURRENT', () => {
  test('names a manifest', () => {
    for (const manifest of [1, 12, 1_234_567]) {
      expect(decodeCurrent(encodeCurrent(manifest), 'CURRENT')).toBe(manifest)
    }
    expect(encodeCurrent(12).toString('latin1')).toMatch(
      /^varve 1\nMANIFEST-000012\n[0-9a-f]{8}\n$/,
    )
  })

  test('of a newer version is refused with both versions', () => {
    const bytes = Buffer.from(encodeCurrent(12).toString('latin1').replace('varve 1', 'varve 3'))
    expect(() => decodeCurrent(bytes, '/db/CURRENT')).toThrow(
      expect.objectContaining({
        code: 'VARVE_UNSUPPORTED_FORMAT',
        details: { file: '/db/CURRENT', found: 3, supported: 1 },
      }),
    )
  })

  test('with anything else in it is corruption', () => {
    const good = encodeCurrent(12)
    const bad = [
      Buffer.alloc(0),
      Buffer.from('nonsense'),
      good.subarray(0, -1),
      Buffer.concat([good, Buffer.from('\n')]),
    ]
    for (const bytes of bad) {
      expect(() => decodeCurrent(bytes, 'CURRENT')).toThrow(
        expect.objectContaining({ code: 'VARVE_CORRUPTION' }),
      )
    }
  })
})

test('epochs are decoded as they were encoded, and counted before they are read', () => {
  fc.assert(
    fc.property(fc.array(epoch, { maxLength: 20 }), (epochs) => {
      expect(decodeEpochs(encodeEpochs(epochs), SOURCE)).toEqual(epochs)
    }),
  )
  expect(() => decodeEpochs(Buffer.from([200, 200, 1]), SOURCE)).toThrow(VarveError)
  expect(encodeEpochs([{ epoch: 1, id: keyspaceOf(1).name, first: 1 }])).toHaveLength(6)
})
