import { describe, expect, test } from 'vitest'
import { KIND_INSERT } from '../../src/base/entry-kind.ts'
import {
  CHUNK_BYTES,
  CHUNK_SHIFT,
  FILTERED,
  SLOT_COMMIT,
  SLOT_END,
  SLOT_INTS,
  SLOT_KEY_END,
  SLOT_KIND,
  SLOT_RUN,
  SLOT_START,
  SlotArena,
} from '../../src/cdc/slot-arena.ts'
import { shuffled } from '../../bench/workloads/random.ts'

/** Bytes that tell entries apart, their places and lengths from nothing to larger than a bucket's piece. */
function entryBytes(i: number): Buffer {
  return Buffer.alloc(i % 97 === 0 ? 9000 : (i * 7) % 300, (i % 251) + 1)
}

function mark(arena: SlotArena, seqno: number, run: number, commit = 0): boolean {
  return arena.mark(Float64Array.of(seqno), Int32Array.of(commit), 1, run) === 1
}

function fill(arena: SlotArena, first: number, span: number): void {
  arena.begin(first, span)
  for (let i = 0; i < span; i++) expect(mark(arena, first + i, 1, i * 3)).toBe(true)
  arena.beginRun(1, 7)
  for (const i of shuffled(span, 5)) {
    const bytes = entryBytes(i)
    const keyBytes = bytes.length >> 1
    const phase = i & 3
    const at = arena.add(keyBytes, bytes.length - keyBytes, KIND_INSERT, first + i, phase)
    if ((at & 3) !== phase) expect.fail(`entry ${i} is at ${at}`)
    // All of its words are its own.
    arena.bytes.fill(0xff, at - phase, at)
    arena.bytes.fill(0xff, at + bytes.length, (at + bytes.length + 3) & ~3)
    arena.bytes.set(bytes, at)
  }
}

describe('an arena with a slot for each seqno', () => {
  test.each([
    { limitBytes: 1, span: 40 },
    { limitBytes: 2 ** 16, span: 3000 },
    { limitBytes: 2 ** 22, span: 200 },
    { limitBytes: 2 ** 22, span: 100_000 / 8 },
  ])('keeps entries of all sizes apart: %o', ({ limitBytes, span }) => {
    const arena = new SlotArena({ limitBytes })
    for (const first of [1_000_000_007, 1]) {
      fill(arena, first, span)
      expect(arena.count).toBe(span)
      const { bytes } = arena
      let used = 0
      for (let i = 0; i < span; i++) {
        const expected = entryBytes(i)
        const slot = arena.open(first + i)
        const { slots } = arena
        const start = slots[slot + SLOT_START]!
        const end = slots[slot + SLOT_END]!
        const keyBytes = slots[slot + SLOT_KEY_END]! - start
        const isRight =
          keyBytes === expected.length >> 1 &&
          expected.compare(bytes, start, end) === 0 &&
          slots[slot + SLOT_KIND] === KIND_INSERT &&
          slots[slot + SLOT_RUN] === 1 &&
          slots[slot + SLOT_COMMIT] === i * 3
        if (!isRight) expect.fail(`slot ${i} does not hold its entry`)
        used += expected.length
      }
      expect(arena.usedBytes).toBeGreaterThanOrEqual(used)
    }
  })

  test.each([200, 100_000 / 8])(
    'lends its %i entries in memory that it does not touch again',
    (span) => {
      const arena = new SlotArena({ limitBytes: 2 ** 22 })
      fill(arena, 1, span)
      const lent: { chunk: ArrayBuffer; start: number; end: number; i: number }[] = []
      for (let i = 0; i < span; i++) {
        arena.lend(1 + i)
        const { slots } = arena
        const slot = (1 + i - arena.slotsFirst) * SLOT_INTS
        const start = slots[slot + SLOT_START]!
        const end = slots[slot + SLOT_END]!
        expect(slots[slot + SLOT_KEY_END]! - start).toBe(entryBytes(i).length >> 1)
        expect([slots[slot + SLOT_RUN], slots[slot + SLOT_COMMIT]]).toEqual([1, i * 3])
        const chunk = arena.lent![start >>> CHUNK_SHIFT]!
        lent.push({ chunk, start: start & (CHUNK_BYTES - 1), end: end - (start & -CHUNK_BYTES), i })
      }
      arena.bytes.fill(0)
      fill(arena, 1, 3)
      for (const { chunk, start, end, i } of lent) {
        expect(chunk.byteLength).toBeLessThanOrEqual(CHUNK_BYTES)
        const isRight = entryBytes(i).equals(new Uint8Array(chunk, start, end - start))
        if (!isRight) expect.fail(`entry ${i} is not what was lent`)
      }
    },
  )

  test('pieces that grow stay as small as what is lent', () => {
    const arena = new SlotArena({ limitBytes: 2 ** 24 })
    arena.begin(1, 256)
    arena.beginRun(1, 7)
    for (let i = 0; i < 256; i++) {
      mark(arena, 1 + i, 1, 0)
      arena.add(8, 800, KIND_INSERT, 1 + i, 0)
    }
    arena.lend(1)
    expect(arena.lent!.map(({ byteLength }) => byteLength <= CHUNK_BYTES)).toEqual([
      true,
      true,
      true,
      true,
    ])
  })

  test('lends nothing where little passed, or where it is too much at once', () => {
    const arena = new SlotArena({ limitBytes: 2 ** 20 })
    fill(arena, 1, 100)
    arena.sift((_, start, __, end) => end - start > 100)
    arena.lend(1)
    expect(arena.lent).toBeUndefined()
    const small = new SlotArena({ limitBytes: 2 ** 16 })
    fill(small, 1, 100)
    small.lend(1)
    expect(small.lent).toBeUndefined()
    expect(small.slots[SLOT_KIND]).toBe(KIND_INSERT)
    // Asked for as it stands in the arena, it does.
    fill(arena, 1, 100)
    arena.lend(1)
    expect(arena.lent).toBeDefined()
    const slot = arena.open(8)
    expect(arena.lent).toBeUndefined()
    const [start, end] = [arena.slots[slot + SLOT_START]!, arena.slots[slot + SLOT_END]!]
    expect(entryBytes(7).compare(arena.bytes, start, end)).toBe(0)
  })

  test('leaves out what does not pass, and nothing else', () => {
    const arena = new SlotArena({ limitBytes: 2 ** 20 })
    fill(arena, 50, 3000)
    const seen = new Set<number>()
    arena.sift((kind, start, keyEnd, end, run) => {
      expect([kind, run, keyEnd - start]).toEqual([KIND_INSERT, 1, (end - start) >> 1])
      seen.add(start)
      return end - start > 100
    })
    expect(seen.size).toBe(3000)
    for (let i = 0; i < 3000; i++) {
      const slot = arena.open(50 + i)
      const isLong = entryBytes(i).length > 100
      expect(arena.slots[slot + SLOT_KIND]).toBe(isLong ? KIND_INSERT : FILTERED)
    }
  })

  test('refuses what the index did not name, what comes twice and what is derived', () => {
    const arena = new SlotArena({ limitBytes: 1000 })
    arena.begin(10, 4)
    expect([mark(arena, 10, 1), mark(arena, 11, 2), mark(arena, 10, 2)]).toEqual([
      true,
      true,
      false,
    ])
    const several = Float64Array.of(12, 11, 13)
    expect(arena.mark(several.subarray(1), new Int32Array(2), 2, 1)).toBe(0)
    expect([mark(arena, 9, 1), mark(arena, 14, 1)]).toEqual([false, false])
    expect(arena.firstUnmarked).toBe(12)
    arena.beginRun(1, 7)
    const refused = {
      code: 'VARVE_CORRUPTION',
      details: expect.objectContaining({ file: '000007.seg' }) as unknown,
    }
    for (const seqno of [9, 11, 12, 14]) {
      expect(() => arena.add(1, 1, KIND_INSERT, seqno, 0)).toThrow(expect.objectContaining(refused))
    }
    arena.add(1, 1, KIND_INSERT, 10, 0)
    expect(() => arena.add(1, 1, KIND_INSERT, 10, 0)).toThrow('do not agree')
  })
})
