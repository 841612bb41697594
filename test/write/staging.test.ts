import { expect, test } from 'vitest'
import { KIND_INSERT } from '../../src/base/entry-kind.ts'
import { CommitEncoder, encodeFields } from '../../src/batch/commit-encoder.ts'
import { Staging } from '../../src/write/staging.ts'

const KEY = Buffer.from('key')

interface Staged {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

function stage(staging: Staging, value: Buffer, fields: Buffer = Buffer.alloc(0)): Staged {
  staging.encode(KIND_INSERT, 1, KEY, value, fields)
  const { bytes, start, end } = staging
  return { bytes, start, end }
}

/** As a batch of this one operation is encoded. */
function asBatch(value: Buffer, fields: Buffer): Buffer {
  const encoder = new CommitEncoder()
  encoder.add(KIND_INSERT, 1, KEY, value)
  return encoder.finish(fields)
}

test.each([0, 1, 1000, 64 * 1024, 300_000])(
  'a value of %i bytes is encoded as in a batch, with fields and without',
  (size) => {
    const staging = new Staging()
    for (const fields of [encodeFields({}), encodeFields({ meta: Buffer.from('from here') })]) {
      const value = Buffer.alloc(size, 7)
      const { bytes, start, end } = stage(staging, value, fields)
      expect(bytes.subarray(start, end).equals(asBatch(value, fields))).toBe(true)
    }
  },
)

test('commits that wait share memory and do not overlap, also beside large ones', () => {
  const staging = new Staging()
  const values = [100, 200_000, 90, 255_000, 5000, 61_000].flatMap((size) =>
    Array.from({ length: 9 }, (_, i) => Buffer.alloc(size, size + i)),
  )
  const staged = values.map((value) => stage(staging, value))
  for (const [i, { bytes, start, end }] of staged.entries()) {
    expect(bytes.subarray(start, end).equals(asBatch(values[i]!, Buffer.alloc(0)))).toBe(true)
  }
  expect(new Set(staged.map(({ bytes }) => bytes)).size).toBeLessThan(staged.length)
})

test('when none waits any more, the memory is used again', () => {
  const staging = new Staging()
  const value = Buffer.alloc(10_000)
  const rounds = Array.from({ length: 100 }, () => {
    staging.reset()
    return stage(staging, value).bytes
  })
  expect(new Set(rounds.slice(1)).size).toBe(1)
})
