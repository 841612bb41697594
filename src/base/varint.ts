/**
 * Unsigned LEB128 integers up to 2^53 - 1, and a bounded reader for everything that is decoded from a disk.
 */
import { EMPTY_BYTES, readU16, readU32, readU48 } from './bytes.ts'

/** Longest encoding of a safe integer. */
export const VARINT_BYTES_MAX = 8

/** Writes `value` at `at`; returns the position after it. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest > 0x7fffffff) {
    target[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  while (rest > 0x7f) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

export function varintBytes(value: number): number {
  let bytes = 1
  let rest = value
  while (rest > 0x7f) {
    rest = Math.floor(rest / 128)
    bytes++
  }
  return bytes
}

/**
 * Reads forward through [start, end) and never past it. A read that would cross the end, or a varint beyond 2^53 - 1, calls
 * `fail` with a reason and the position; it must throw. For cold paths: manifests, footers, indexes, tokens.
 */
export class ByteReader {
  readonly bytes: Uint8Array
  position: number
  readonly end: number
  readonly #fail: (reason: string, position: number) => never

  constructor(
    bytes: Uint8Array,
    start: number,
    end: number,
    fail: (reason: string, position: number) => never,
  ) {
    this.bytes = bytes
    this.position = start
    this.end = end
    this.#fail = fail
  }

  get remaining(): number {
    return this.end - this.position
  }

  fail(reason: string): never {
    return this.#fail(reason, this.position)
  }

  u8(): number {
    return this.bytes[this.#take(1)]!
  }

  u16(): number {
    return readU16(this.bytes, this.#take(2))
  }

  u32(): number {
    return readU32(this.bytes, this.#take(4))
  }

  u48(): number {
    return readU48(this.bytes, this.#take(6))
  }

  varint(): number {
    // One loop and no call for each byte: a manifest has thousands, and whoever opens a store first interprets this.
    const { bytes } = this
    const start = this.position
    const first = bytes[start]!
    if (first < 0x80 && start < this.end) {
      this.position = start + 1
      return first
    }
    const limit = Math.min(this.end, start + VARINT_BYTES_MAX)
    let value = 0
    let scale = 1
    let at = start
    let byte = 0x80
    while (byte > 0x7f && at < limit) {
      byte = bytes[at++]!
      value += (byte & 0x7f) * scale
      scale *= 128
    }
    this.position = at
    if (byte <= 0x7f && value <= Number.MAX_SAFE_INTEGER) return value
    // It goes on behind the end,
    if (byte > 0x7f && at - start < VARINT_BYTES_MAX) this.#take(1)
    return this.fail('varint is too large')
  }

  /** A varint that must be at most `max`: for counts and lengths, before anything is allocated by them. */
  bounded(max: number, what: string): number {
    const value = this.varint()
    if (value > max) this.fail(`${what} is ${value}, at most ${max} is possible`)
    return value
  }

  /** `length` bytes, copied. */
  take(length: number): Buffer {
    const start = this.#take(length)
    return length === 0 ? EMPTY_BYTES : Buffer.from(this.bytes.subarray(start, start + length))
  }

  /** A length and so many bytes, copied. */
  block(): Buffer {
    return this.take(this.bounded(this.remaining, 'length'))
  }

  text(): string {
    return this.block().toString()
  }

  #take(length: number): number {
    const start = this.position
    if (length > this.end - start) this.fail(`${length} bytes are needed, ${this.end - start} left`)
    this.position = start + length
    return start
  }
}

/** Appends to a buffer that grows. The counterpart of ByteReader, for the same cold paths. */
export class ByteWriter {
  #bytes: Buffer
  #length = 0

  constructor(capacity = 256) {
    this.#bytes = Buffer.allocUnsafe(capacity)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): this {
    const at = this.#reserve(1)
    this.#bytes[at] = value
    return this
  }

  u16(value: number): this {
    const at = this.#reserve(2)
    this.#bytes.writeUInt16LE(value, at)
    return this
  }

  u32(value: number): this {
    const at = this.#reserve(4)
    this.#bytes.writeUInt32LE(value, at)
    return this
  }

  u48(value: number): this {
    const at = this.#reserve(6)
    this.#bytes.writeUIntLE(value, at, 6)
    return this
  }

  varint(value: number): this {
    const at = this.#reserve(varintBytes(value))
    writeVarint(this.#bytes, at, value)
    return this
  }

  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  /** A length and the bytes. */
  block(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes)
  }

  text(text: string): this {
    return this.block(Buffer.from(text))
  }

  /** What was written so far; valid until the next write. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #reserve(length: number): number {
    const at = this.#length
    if (at + length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, at + length))
      this.#bytes.copy(grown, 0, 0, at)
      this.#bytes = grown
    }
    this.#length = at + length
    return at
  }
}
