/**
 * Keys and values, the same for every engine.
 *
 * Key `i` is 16 decimal digits of 2i, as db_bench writes them; the odd numbers are the keys that are missing. Values are
 * half compressible (a random half, repeated) and come from a pool of templates, so that making one costs the measured
 * loop an array access. Which template belongs to a key follows from its index and its generation (how often it was
 * overwritten): a wrong read is found by comparing four bytes, and in one of 512 reads all of them.
 */
import { createRandom, type Random } from './random.ts'

export const KEY_BYTES = 16
const POOL_BYTES_MAX = 8 << 20
const TEMPLATES_MAX = 8192
/** Odd multipliers that spread neighbours (Knuth; a prime near 2^31 / golden ratio). */
const INDEX_SPREAD = 0x9e3779b1
const GENERATION_SPREAD = 0x85ebca6b

export class Dataset {
  readonly valueBytes: number
  readonly #templates: Buffer[] = []
  #checks = 0

  constructor(valueBytes: number) {
    this.valueBytes = valueBytes
    const random = createRandom(valueBytes)
    const count = Math.min(TEMPLATES_MAX, Math.max(64, Math.floor(POOL_BYTES_MAX / valueBytes)))
    for (let i = 0; i < count; i++) this.#templates.push(createTemplate(valueBytes, i, random))
  }

  value(index: number, generation = 0): Buffer {
    return this.#templates[this.#templateOf(index, generation)] as Buffer
  }

  /** Throws unless `value` is what key `index` was last given. */
  check(index: number, value: Uint8Array | undefined, generation = 0): void {
    const expected = this.value(index, generation)
    const isRight =
      value !== undefined &&
      value.length === expected.length &&
      value[0] === expected[0] &&
      value[1] === expected[1] &&
      value[2] === expected[2] &&
      value[3] === expected[3]
    if (!isRight) throw new WrongRead(index, value)
    if ((this.#checks++ & 511) === 0 && expected.compare(value) !== 0) {
      throw new WrongRead(index, value)
    }
  }

  #templateOf(index: number, generation: number): number {
    const spread = Math.imul(index, INDEX_SPREAD) ^ Math.imul(generation, GENERATION_SPREAD)
    return ((spread ^ (spread >>> 15)) >>> 0) % this.#templates.length
  }
}

export class WrongRead extends Error {
  constructor(index: number, value: Uint8Array | undefined) {
    const found = value === undefined ? 'nothing' : `${value.length} bytes`
    super(`wrong read: key ${index} gave ${found}, which is not what was written`)
  }
}

function createTemplate(valueBytes: number, id: number, random: Random): Buffer {
  const template = Buffer.allocUnsafe(valueBytes)
  const half = valueBytes >> 1
  for (let i = 0; i < half; i++) template[i] = random.next() & 0xff
  if (half >= 4) template.writeUInt32LE(id, 0)
  for (let i = half; i < valueBytes; i++) template[i] = template[i - half] as number
  return template
}

/** A buffer that `writeKey` may be used on. */
export function createKey(): Buffer {
  return Buffer.alloc(KEY_BYTES, 0x30)
}

export function createKeys(count: number): Buffer[] {
  return Array.from({ length: count }, createKey)
}

/** Writes the digits of key `index` over those of another. */
export function writeKey(key: Buffer, index: number): Buffer {
  return writeDigits(key, index * 2)
}

/** A key that no store holds. */
export function writeMissingKey(key: Buffer, index: number): Buffer {
  return writeDigits(key, index * 2 + 1)
}

export function keyIndex(key: Uint8Array): number {
  let number = 0
  for (let i = 4; i < KEY_BYTES; i++) number = number * 10 + (key[i] as number) - 0x30
  return number / 2
}

/** The digits above 10^9 are never written: indexes stay below 2^31. */
function writeDigits(key: Buffer, number: number): Buffer {
  for (let at = KEY_BYTES - 1; at >= KEY_BYTES - 10; at--) {
    const rest = Math.floor(number / 10)
    key[at] = 0x30 + number - rest * 10
    number = rest
  }
  return key
}
