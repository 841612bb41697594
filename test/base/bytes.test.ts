import { expect, test } from 'vitest'
import { copyWords, viewOf } from '../../src/base/bytes.ts'

test('words are copied whole and alone, from and to anywhere', () => {
  const source = Buffer.from(Array.from({ length: 300 }, (_, i) => 1 + (i % 251)))
  const shared = Buffer.from(new SharedArrayBuffer(300))
  for (let length = 0; length <= 200; length++) {
    const at = (length * 7) % 11
    const start = (length * 5) % 13
    for (const target of [Buffer.alloc(300), shared]) {
      target.fill(0)
      copyWords(viewOf(target), at, viewOf(source), start, length)
      const expected = Buffer.alloc(300)
      source.copy(expected, at, start, start + length)
      expect(target.equals(expected)).toBe(true)
    }
  }
})
