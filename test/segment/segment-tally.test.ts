import { expect, test } from 'vitest'
import { createRandom } from '../../bench/workloads/random.ts'
import { KIND_INSERT } from '../../src/base/entry-kind.ts'
import { SegmentTally } from '../../src/segment/segment-tally.ts'

const NO_VALUE = new Uint8Array(0)

test.each([1, 2, 4, 5, 8, 12, 17])(
  'the first and the last of keys that come in any order, up to %i bytes beyond a shared prefix',
  (bytesMax) => {
    const random = createRandom(bytesMax)
    for (const prefix of ['', 'abc', 'shared/', '\xff\xff\xff\xff', '\x00'.repeat(9)]) {
      const tally = new SegmentTally({ byKey: false })
      const keys: Buffer[] = []
      for (let i = 0; i < 300; i++) {
        const rest = Buffer.from(Array.from({ length: random.below(bytesMax + 1) }, byteOf))
        const key = Buffer.concat([Buffer.from(prefix, 'latin1'), rest])
        keys.push(key)
        // Keys lie somewhere inside of an arena.
        const arena = Buffer.concat([Buffer.from('zz'), key, Buffer.from('zz')])
        const end = 2 + key.length
        tally.count(arena, 2, end, 1 + i, KIND_INSERT, NO_VALUE, 0, 0)
        const sorted = keys.toSorted((a, b) => a.compare(b))
        expect(tally.firstKey).toEqual(sorted[0])
        expect(tally.lastKey).toEqual(sorted.at(-1))
      }
    }

    function byteOf(): number {
      return [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)]!
    }
  },
)
