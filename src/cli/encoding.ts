/**
 * Keys and values between bytes and text: as arguments, as lines for people, and inside JSON.
 *
 * In JSON bytes that are UTF-8 are a string; all others are an object with one member that says how they are written:
 * `{"base64": "AP8="}`, `{"hex": "00ff"}`, `{"json": {"a": 1}}`, `{"counter": "42"}`. What is written can always be read back to
 * the same bytes; see docs/ndjson.md.
 */
import { isUtf8 } from 'node:buffer'
import { decodeCounter, encodeCounter } from '../base/merge-operators.ts'
import { usageError } from './exit-codes.ts'

export const KEY_ENCODINGS = ['utf8', 'hex', 'base64', 'json'] as const
export const VALUE_ENCODINGS = ['utf8', 'hex', 'base64', 'json', 'counter'] as const
export type Encoding = (typeof VALUE_ENCODINGS)[number]

export type JsonBytes =
  | string
  | { base64: string }
  | { hex: string }
  | { json: unknown }
  | { counter: string }

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const BASE64URL = /^[A-Za-z0-9_-]*$/
const HEX = /^(?:[0-9a-fA-F]{2})*$/

/** A key given as an argument. json: a JSON string, for its escapes. */
export function parseKey(text: string, encoding: Encoding): Buffer {
  if (encoding !== 'json') return parseValue(text, encoding, 'key')
  const parsed = parseJson(text, 'key')
  if (typeof parsed !== 'string') throw usageError('A key in json is a JSON string, in quotes.')
  return Buffer.from(parsed, 'utf8')
}

/** A value given as an argument. json: checked, and stored without needless space. */
export function parseValue(text: string, encoding: Encoding, what = 'value'): Buffer {
  switch (encoding) {
    case 'utf8':
      return Buffer.from(text, 'utf8')
    case 'hex':
      if (!HEX.test(text)) throw usageError(`The ${what} is not hex: ${JSON.stringify(text)}`)
      return Buffer.from(text, 'hex')
    case 'base64':
      if (!BASE64.test(text) && !BASE64URL.test(text)) {
        throw usageError(`The ${what} is not base64: ${JSON.stringify(text)}`)
      }
      return Buffer.from(text, 'base64')
    case 'json':
      return Buffer.from(JSON.stringify(parseJson(text, what)), 'utf8')
    case 'counter':
      return encodeCounter(parseCounter(text, what))
  }
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw usageError(`The ${what} is not JSON: ${(error as Error).message}`)
  }
}

function parseCounter(text: string, what: string): bigint {
  if (!/^[+-]?\d{1,19}$/.test(text)) {
    throw usageError(`The ${what} is not a whole number: ${JSON.stringify(text)}`)
  }
  return BigInt(text.replace(/^\+/, ''))
}

/** One line for people, with escapes where bytes are not plain text. */
export function printable(bytes: Uint8Array, encoding: Encoding): string {
  const buffer = asBuffer(bytes)
  if (encoding === 'hex' || encoding === 'base64') return buffer.toString(encoding)
  if (encoding === 'counter' && bytes.length === 8) return decodeCounter(bytes).toString()
  if (encoding === 'json' && isUtf8(bytes)) {
    const text = buffer.toString('utf8')
    return isJson(text) ? oneLine(text) : JSON.stringify(text)
  }
  return escaped(buffer)
}

/** As they stand inside JSON. */
export function toJson(bytes: Uint8Array, encoding: Encoding = 'utf8'): JsonBytes {
  const buffer = asBuffer(bytes)
  if (encoding === 'hex') return { hex: buffer.toString('hex') }
  if (encoding === 'base64') return { base64: buffer.toString('base64') }
  if (encoding === 'counter' && bytes.length === 8) {
    return { counter: decodeCounter(bytes).toString() }
  }
  if (!isUtf8(bytes)) return { base64: buffer.toString('base64') }
  const text = buffer.toString('utf8')
  // Only where it comes back as the same bytes: spaces, long numbers and doubled names do not.
  if (encoding === 'json' && isJson(text) && oneLine(text) === text) {
    return { json: JSON.parse(text) as unknown }
  }
  return text
}

/** What `toJson` wrote; undefined for anything else. */
export function fromJson(value: unknown): Buffer | undefined {
  if (typeof value === 'string')
    return value.isWellFormed() ? Buffer.from(value, 'utf8') : undefined
  if (typeof value !== 'object' || value === null) return undefined
  const [[name, content] = [], ...more] = Object.entries(value)
  if (more.length > 0) return undefined
  if (name === 'json') return Buffer.from(JSON.stringify(content), 'utf8')
  if (typeof content !== 'string') return undefined
  if (name === 'base64' && BASE64.test(content)) return Buffer.from(content, 'base64')
  if (name === 'hex' && HEX.test(content)) return Buffer.from(content, 'hex')
  if (name === 'counter' && /^-?\d{1,19}$/.test(content)) return encodeCounter(BigInt(content))
  return undefined
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function oneLine(text: string): string {
  return JSON.stringify(JSON.parse(text))
}

function escaped(bytes: Buffer): string {
  if (!isUtf8(bytes)) return Array.from(bytes, escapedByte).join('')
  // All of ASCII is looked at one by one, so that no control character has to stand in the pattern.
  return bytes
    .toString('utf8')
    .replaceAll(/[^ -[\]-~\u0080-\u{10ffff}]/gu, (character) =>
      escapedByte(character.charCodeAt(0)),
    )
}

function escapedByte(byte: number): string {
  if (byte === 0x5c) return '\\\\'
  if (byte === 0x0a) return '\\n'
  if (byte === 0x0d) return '\\r'
  if (byte === 0x09) return '\\t'
  if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte)
  return `\\x${byte.toString(16).padStart(2, '0')}`
}
