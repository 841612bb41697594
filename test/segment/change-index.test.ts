import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CommitTable } from '../../src/base/commit-table.ts'
import { ByteReader } from '../../src/base/varint.ts'
import { BitReader, BitWriter } from '../../src/segment/bit-stream.ts'
import { decodeChunk, encodeChunk, type SortedEvents } from '../../src/segment/change-chunk.ts'
import { sortSeqnos } from '../../src/segment/seqno-sort.ts'

const U48 = 2 ** 48 - 1

describe('the bit stream', () => {
  test('gives back integers of any width', () => {
    const values = fc
      .integer({ min: 0, max: 48 })
      .chain((width) => fc.tuple(fc.constant(width), fc.maxSafeNat()))
      .map(([width, n]) => ({ width, value: n % 2 ** width }))
    fc.assert(
      fc.property(fc.array(values, { maxLength: 300 }), (parts) => {
        const writer = new BitWriter()
        for (const { value, width } of parts) writer.write(value, width)
        const bytes = writer.take()
        const reader = new BitReader(bytes, 0, bytes.length)
        for (const { value, width } of parts) {
          if (reader.read(width) !== value) expect.fail(`${value} in ${width} bits`)
        }
        expect(reader.isBeyondEnd).toBe(false)
        expect(reader.end - reader.position).toBeLessThan(8)
      }),
    )
  })

  test('knows that it read beyond its end', () => {
    const reader = new BitReader(Buffer.from([1, 2]), 0, 2)
    reader.read(48)
    expect(reader.isBeyondEnd).toBe(true)
  })
})

describe('sorting seqnos', () => {
  test.each([
    ['a few thousand', 3000],
    ['a 32-bit range', 2 ** 32 - 1],
    ['all 48 bits', U48],
  ])('over %s is what a sort would do', (_name, range) => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.maxSafeNat().map((n) => 1 + (n % range)),
          { maxLength: 400 },
        ),
        (seqnos) => {
          const steps = sortSeqnos(Float64Array.from(seqnos), seqnos.length)
          let step = steps.next()
          while (!step.done) step = steps.next()
          const sorted = step.value
          expect([...sorted.seqnos]).toEqual(seqnos.toSorted((a, b) => a - b))
          expect([...sorted.rows].map((row) => seqnos[row])).toEqual([...sorted.seqnos])
        },
      ),
    )
  })
})

interface Event {
  readonly seqno: number
  readonly ordinal: number
  readonly commit: { first: number; size: number; timeMs: number; meta: Buffer | undefined }
}

/** Commits of all sizes, parts of them missing, with gaps small and huge between them. */
const eventLists: fc.Arbitrary<Event[]> = fc
  .array(
    fc.record({
      gap: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(100_000), fc.nat(2 ** 31)),
      size: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 40 }), fc.constant(2 ** 32 - 1)),
      kept: fc.array(fc.nat(30), { minLength: 1, maxLength: 8 }),
      elapsedMs: fc.oneof(fc.constant(0), fc.integer({ min: -50, max: 5000 }), fc.nat(2 ** 40)),
      meta: fc.option(fc.constantFrom('origin a', 'origin b', 'x'.repeat(256)), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 120 },
  )
  .map((commits) => {
    const events: Event[] = []
    let next = 1
    let timeMs = 1000
    for (const { gap, size, kept, elapsedMs, meta } of commits) {
      timeMs = Math.min(U48, Math.max(0, timeMs + elapsedMs))
      const commit = {
        first: next + gap,
        size,
        timeMs,
        meta: meta === undefined ? undefined : Buffer.from(meta),
      }
      next += gap + size
      const offsets = [...new Set(kept.map((k) => k % size))].sort((a, b) => a - b)
      for (const offset of offsets) {
        events.push({ seqno: commit.first + offset, ordinal: 0, commit })
      }
    }
    return events
  })

function encode(events: readonly Event[]): { bytes: Buffer; entries: number } {
  const table = new CommitTable()
  const ids = events.map(({ commit }) =>
    table.add(commit.first, commit.size, commit.timeMs, commit.meta),
  )
  const sorted: SortedEvents = {
    seqnos: Float64Array.from(events, ({ seqno }) => seqno),
    ordinals: Int32Array.from(events, ({ ordinal }) => ordinal),
    isInOrder: false,
    rows: Int32Array.from(events.keys()),
    commitIds: Int32Array.from(ids),
    tableIds: new Uint16Array(events.length),
    tables: [table],
  }
  const bytes = Buffer.from(encodeChunk(sorted, 0, events.length, new BitWriter()).bytes())
  return { bytes, entries: Math.max(...events.map(({ ordinal }) => ordinal)) + 1 }
}

function decode(bytes: Buffer, events: readonly Event[], entries: number, upTo = U48): Event[] {
  const reader = new ByteReader(bytes, 0, bytes.length, (reason) => {
    throw new RangeError(reason)
  })
  const count = events.length
  const target = {
    seqnos: new Float64Array(count),
    ordinals: new Int32Array(count),
    commitIds: new Int32Array(count),
    commits: new CommitTable(),
  }
  const firstSeqno = events[0]!.seqno
  const lastSeqno = events[count - 1]!.seqno
  const bounds = { events: count, firstSeqno, lastSeqno, entries }
  const rows = decodeChunk(reader, bounds, target, 0, upTo)
  const { commits } = target
  return Array.from(target.seqnos.subarray(0, rows), (seqno, i) => {
    const id = target.commitIds[i]!
    const commit = {
      first: commits.first[id]!,
      size: commits.size[id]!,
      timeMs: commits.timeMs[id]!,
      meta: commits.meta(id),
    }
    return { seqno, ordinal: target.ordinals[i]!, commit }
  })
}

const withOrdinals = fc
  .tuple(eventLists, fc.constantFrom('file order', 'ascending', 'random'), fc.integer())
  .map(([events, order, seed]) => {
    let ordinal = 0
    return events.map((event, i) => {
      if (order === 'random') ordinal = Math.imul(i + 1, seed | 1) >>> 1
      else ordinal += order === 'ascending' ? 1 + ((i * 7) % 5) : 1
      return { ...event, ordinal }
    })
  })

describe('a chunk of the change index', () => {
  test('gives back events, places and commits', () => {
    fc.assert(
      fc.property(withOrdinals, (events) => {
        const { bytes, entries } = encode(events)
        expect(decode(bytes, events, entries)).toEqual(events)
      }),
      { numRuns: 200 },
    )
  })

  test('gives its first events alone', () => {
    fc.assert(
      fc.property(withOrdinals, fc.nat(), fc.nat(3), (events, at, more) => {
        const { bytes, entries } = encode(events)
        const upTo = events[at % events.length]!.seqno + more
        const wanted = events.filter(({ seqno }) => seqno <= upTo)
        expect(decode(bytes, events, entries, upTo)).toEqual(wanted)
      }),
      { numRuns: 200 },
    )
  })

  test('damaged, fails or stays within its bounds', () => {
    fc.assert(
      fc.property(
        withOrdinals,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }),
        (events, changes) => {
          const { bytes, entries } = encode(events)
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte
          let decoded: Event[]
          try {
            decoded = decode(bytes, events, entries)
          } catch (error) {
            expect(error).toBeInstanceOf(RangeError)
            return
          }
          let before = 0
          for (const { seqno, ordinal, commit } of decoded) {
            const isSound =
              seqno > before &&
              ordinal >= 0 &&
              ordinal < entries &&
              commit.first >= 1 &&
              commit.first <= seqno &&
              seqno < commit.first + commit.size &&
              commit.timeMs >= 0 &&
              commit.timeMs <= U48
            if (!isSound) expect.fail(`unsound event ${seqno}`)
            before = seqno
          }
        },
      ),
      { numRuns: 400 },
    )
  })

  test('costs little more than what its ordinals carry', () => {
    const singles = Array.from({ length: 2048 }, (_, i) => ({
      seqno: 5000 + i,
      ordinal: Math.imul(i, 0x9e3779b1) >>> 12,
      commit: { first: 5000 + i, size: 1, timeMs: 1.7e12 + (i >> 4), meta: undefined },
    }))
    expect(encode(singles).bytes.length / 2048).toBeLessThan(3)
    const inOrder = singles.map((event, i) => ({ ...event, ordinal: i }))
    expect(encode(inOrder).bytes.length / 2048).toBeLessThan(0.4)
  })
})
