import { describe, expect, test } from 'vitest'
import { KIND_INSERT } from '../../src/base/entry-kind.ts'
import {
  SLOT_END,
  SLOT_INTS,
  SLOT_KEY_END,
  SLOT_RUN,
  SLOT_START,
  SlotArena,
} from '../../src/cdc/slot-arena.ts'
import { shuffled } from '../../bench/workloads/random.ts'

/** Bytes that tell entries apart, their places and lengths from nothing to larger than a bucket's piece. */
function entryBytes(i: number): Buffer {
  return Buffer.alloc(i % 97 === 0 ? 9000 : (i * 7) % 300, (i % 251) + 1)
}

function fill(arena: SlotArena, first: number, span: number): void {
  arena.begin(first, span)
  for (let i = 0; i < span; i++) arena.slots[i * SLOT_INTS + SLOT_RUN] = 1
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
      const { slots, bytes } = arena
      let used = 0
      for (let i = 0; i < span; i++) {
        const expected = entryBytes(i)
        const start = slots[i * SLOT_INTS + SLOT_START]!
        const end = slots[i * SLOT_INTS + SLOT_END]!
        const keyBytes = slots[i * SLOT_INTS + SLOT_KEY_END]! - start
        const isRight =
          keyBytes === expected.length >> 1 && expected.compare(bytes, start, end) === 0
        if (!isRight) expect.fail(`slot ${i} does not hold its entry`)
        used += expected.length
      }
      expect(arena.usedBytes).toBeGreaterThanOrEqual(used)
    }
  })

  test('refuses what the index did not name, what comes twice and what is derived', () => {
    const arena = new SlotArena({ limitBytes: 1000 })
    arena.begin(10, 4)
    arena.slots[SLOT_RUN] = 1
    arena.slots[SLOT_INTS + SLOT_RUN] = 2
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
