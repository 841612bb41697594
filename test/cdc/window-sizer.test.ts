import { describe, expect, test } from 'vitest'
import { WindowSizer } from '../../src/cdc/window-sizer.ts'

const BUDGET = 32 * 2 ** 20
/** Entries of 128 bytes, and 4 for each in the index; `times` as many bytes read. */
function take(sizer: WindowSizer, times: number, first = 1): number {
  const { span } = sizer
  const bytes = span * 128
  const last = first + span - 1
  sizer.fitted({ first, last, indexBytes: span * 4, bytes, bytesRead: bytes * times })
  return span
}

describe('windows', () => {
  test('grow by sixteen up to the budget where events lie together', () => {
    const sizer = new WindowSizer(BUDGET)
    const spans = Array.from({ length: 5 }, () => take(sizer, 1.2))
    expect(spans.slice(0, 3)).toEqual([256, 4096, 65_536])
    expect(spans[3]).toBeGreaterThan(200_000)
    expect(spans[3]! * 140).toBeLessThan(BUDGET)
    expect(spans[4]).toBe(spans[3])
  })

  test('are as large as they may be once one of some size read many times what it took', () => {
    const far = new WindowSizer(BUDGET)
    expect([take(far, 50), take(far, 50)]).toEqual([256, 4096])
    expect(take(far, 5)).toBeGreaterThan(200_000)
    const batched = new WindowSizer(BUDGET)
    batched.begin(1000)
    expect(take(batched, 50)).toBe(1000)
    expect(take(batched, 5)).toBeGreaterThan(200_000)
  })

  test('take no more than what is still expected, where every seqno is an event', () => {
    const page = new WindowSizer(BUDGET, 5000, 5010)
    page.begin(1000)
    expect([take(page, 50, 11), take(page, 50, 1011)]).toEqual([1000, 4000])
    const large = new WindowSizer(BUDGET, 10, 10)
    large.begin(1000)
    // Whoever goes on is in a commit that does not end so soon.
    expect([take(large, 1, 1), take(large, 1, 17), take(large, 1, 273)]).toEqual([16, 256, 4096])
    const filtered = new WindowSizer(BUDGET, 5000)
    filtered.begin(1000)
    expect(take(filtered, 50)).toBe(1000)
    expect(take(filtered, 50)).toBeGreaterThan(200_000)
  })
})
