/**
 * Keys, values, names and seqnos as the public calls take them, checked before anything is written.
 */
import { type BytesLike, EMPTY_BYTES, isBytes } from '../base/bytes.ts'
import { KEY_BYTES_MAX, META_BYTES_MAX, VALUE_BYTES_MAX } from '../base/entry-kind.ts'
import { invalidArgument, VarveError, wrongType } from '../base/errors.ts'

export type { BytesLike }

/** The bytes of an argument; borrowed where it is a Uint8Array. Strings mean their UTF-8 bytes. */
export function toBytes(input: BytesLike, name: string): Uint8Array {
  if (typeof input === 'string') {
    // Lone surrogates all encode to the same three bytes: two different keys would become one.
    if (!input.isWellFormed()) {
      throw invalidArgument(`${name} has a lone surrogate, which no UTF-8 bytes stand for`)
    }
    return input.length === 0 ? EMPTY_BYTES : Buffer.from(input, 'utf8')
  }
  // Where the memory was transferred away the length is 0 too, and most calls on such an array throw.
  if (isBytes(input)) return input.length === 0 ? EMPTY_BYTES : input
  throw wrongType(name, 'a Uint8Array or a string', input)
}

export function toKey(input: BytesLike): Uint8Array {
  const key = toBytes(input, 'key')
  if (key.length === 0 || key.length > KEY_BYTES_MAX) {
    throw invalidArgument(`key must have 1 to ${KEY_BYTES_MAX} bytes, has ${key.length}`, {
      bytes: key.length,
      max: KEY_BYTES_MAX,
    })
  }
  return key
}

/** A bound of a range: as a key, but it may be empty. */
export function toBound(input: BytesLike, name: string): Uint8Array {
  const bound = toBytes(input, name)
  if (bound.length > KEY_BYTES_MAX) {
    throw invalidArgument(`${name} must have at most ${KEY_BYTES_MAX} bytes`, {
      bytes: bound.length,
      max: KEY_BYTES_MAX,
    })
  }
  return bound
}

export function toValue(input: BytesLike, name = 'value'): Uint8Array {
  const value = toBytes(input, name)
  if (value.length > VALUE_BYTES_MAX) {
    throw invalidArgument(`${name} must have at most ${VALUE_BYTES_MAX} bytes`, {
      bytes: value.length,
      max: VALUE_BYTES_MAX,
    })
  }
  return value
}

export function toMeta(input: BytesLike): Uint8Array {
  const meta = toBytes(input, 'meta')
  if (meta.length > META_BYTES_MAX) {
    throw invalidArgument(`meta must have at most ${META_BYTES_MAX} bytes`, {
      bytes: meta.length,
      max: META_BYTES_MAX,
    })
  }
  return meta
}

/** A name of a keyspace or consumer: 1 to 255 bytes of UTF-8. */
export function checkName(name: unknown, what: string): asserts name is string {
  if (typeof name !== 'string') throw wrongType(`${what} name`, 'a string', name)
  const bytes = Buffer.byteLength(name, 'utf8')
  if (bytes < 1 || bytes > 255 || !name.isWellFormed()) {
    throw invalidArgument(`${what} name must have 1 to 255 bytes of UTF-8`, { bytes })
  }
}

export function checkSeqno(value: unknown, name: string, min = 0): asserts value is number {
  if (typeof value !== 'number') throw wrongType(name, 'a number', value)
  if (!Number.isSafeInteger(value) || value < min) {
    throw invalidArgument(`${name} must be an integer of at least ${min}, got ${value}`)
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted(signal)
}

export function aborted(signal: AbortSignal): VarveError {
  return new VarveError('VARVE_ABORTED', 'the operation was aborted', {}, { cause: signal.reason })
}
