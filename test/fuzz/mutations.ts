/** Damage to bytes as plain data: fast-check makes it, shrinks it and prints it. */
import fc from 'fast-check'

export type Mutation =
  | { readonly type: 'set'; readonly at: number; readonly byte: number }
  | { readonly type: 'flip'; readonly at: number; readonly bit: number }
  | { readonly type: 'number'; readonly at: number; readonly value: number }
  | { readonly type: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly type: 'remove'; readonly at: number; readonly length: number }
  | { readonly type: 'repeat'; readonly at: number; readonly length: number }
  | { readonly type: 'cut'; readonly at: number }

/** Positions as a share of the length, so that one mutation fits any sample. */
const AT = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
/** Where lengths and counts go wrong. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]

const MUTATION: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ type: fc.constant('set' as const), at: AT, byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ type: fc.constant('flip' as const), at: AT, bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ type: fc.constant('number' as const), at: AT, value: fc.constantFrom(...EDGES) }),
  fc.record({
    type: fc.constant('insert' as const),
    at: AT,
    bytes: fc.uint8Array({ maxLength: 9 }),
  }),
  fc.record({
    type: fc.constant('remove' as const),
    at: AT,
    length: fc.integer({ min: 1, max: 40 }),
  }),
  fc.record({
    type: fc.constant('repeat' as const),
    at: AT,
    length: fc.integer({ min: 1, max: 40 }),
  }),
  fc.record({ type: fc.constant('cut' as const), at: AT }),
)

/** Where damaged bytes come from: a sample and what happens to it, or nothing but noise. */
export interface Damage {
  readonly sample: number | undefined
  readonly mutations: readonly Mutation[]
  readonly noise: Uint8Array
}

export const DAMAGE: fc.Arbitrary<Damage> = fc.record({
  sample: fc.option(fc.nat(), { nil: undefined, freq: 8 }),
  mutations: fc.array(MUTATION, { minLength: 1, maxLength: 4 }),
  noise: fc.uint8Array({ maxLength: 300 }),
})

export function damaged({ sample, mutations, noise }: Damage, samples: readonly Buffer[]): Buffer {
  if (sample === undefined) return Buffer.from(noise)
  return mutations.reduce<Buffer>(mutated, samples[sample % samples.length]!)
}

function mutated(bytes: Buffer, mutation: Mutation): Buffer {
  const at = Math.floor(mutation.at * bytes.length)
  const before = bytes.subarray(0, at)
  switch (mutation.type) {
    case 'set':
      return overwritten(bytes, at, [mutation.byte])
    case 'flip':
      return overwritten(bytes, at, [(bytes[at] ?? 0) ^ (1 << mutation.bit)])
    case 'number': {
      const number = Buffer.alloc(4)
      number.writeUInt32LE(mutation.value)
      return overwritten(bytes, at, number)
    }
    case 'insert':
      return Buffer.concat([before, mutation.bytes, bytes.subarray(at)])
    case 'remove':
      return Buffer.concat([before, bytes.subarray(at + mutation.length)])
    case 'repeat':
      return Buffer.concat([before, bytes.subarray(at, at + mutation.length), bytes.subarray(at)])
    case 'cut':
      return before
  }
}

function overwritten(bytes: Buffer, at: number, values: ArrayLike<number>): Buffer {
  const copy = Buffer.from(bytes)
  for (let i = 0; i < values.length && at + i < copy.length; i++) copy[at + i] = values[i]!
  return copy
}
