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

const NOT_BASE64 = /[^A-Za-z0-9+/]/
const BASE64URL = /^[A-Za-z0-9_-]*$/
const HEX = /^(?:[0-9a-fA-F]{2})*$/

/** A key given as an argument. json: a JSON string, for its escapes. */
export function parseKey(text: string, encoding: Encoding): Buffer {
  if (encoding !== 'json') return parseValue(text, encoding, 'key')
  const parsed = parseJson(text, 'key')
  if (typeof parsed !== 'string') throw usageError('A key in json is a JSON string, in quotes.')
  if (!parsed.isWellFormed()) throw usageError('The key holds half of a surrogate pair.')
  return Buffer.from(parsed, 'utf8')
}

/** A value given as an argument. json: checked, and stored without needless space, its numbers digit by digit. */
export function parseValue(text: string, encoding: Encoding, what = 'value'): Buffer {
  switch (encoding) {
    case 'utf8':
      return Buffer.from(text, 'utf8')
    case 'hex':
      if (!HEX.test(text)) throw usageError(`The ${what} is not hex${shown(text, what)}`)
      return Buffer.from(text, 'hex')
    case 'base64':
      if (!isBase64(text) && !(BASE64URL.test(text) && text.length % 4 !== 1)) {
        throw usageError(`The ${what} is not base64${shown(text, what)}`)
      }
      return Buffer.from(text, 'base64')
    case 'json':
      parseJson(text, what)
      return Buffer.from(withoutSpace(text), 'utf8')
    case 'counter':
      return encodeCounter(parseCounter(text, what))
  }
}

/**
 * A value that came on stdin: as it is in utf8, which may be any bytes; else text in the encoding, which programs that
 * write it break into lines and end with one.
 */
export function parsePiped(bytes: Buffer, encoding: Encoding, what = 'value'): Buffer {
  if (encoding === 'utf8') return bytes
  if (!isUtf8(bytes)) throw usageError(`The ${what} on stdin is not ${encoding}.`)
  const text = bytes.toString('utf8')
  if (encoding === 'json') return parseValue(text, encoding, what)
  return parseValue(
    text.replaceAll(/\s+/g, encoding === 'counter' ? ' ' : '').trim(),
    encoding,
    what,
  )
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
    throw usageError(`The ${what} is not a whole number${shown(text, what)}`)
  }
  return BigInt(text.replace(/^\+/, ''))
}

/** A slip in a short one is seen at once when it is repeated; a long value is nobody's to read in a log. */
function shown(text: string, what: string): string {
  return what === 'key' || text.length <= 40 ? `: ${JSON.stringify(text)}` : ''
}

/** JSON that was checked, without the space between its parts: read and written anew, long numbers would be rounded. */
function withoutSpace(json: string): string {
  let text = ''
  let from = 0
  for (let at = 0; at < json.length; at++) {
    const character = json[at]!
    if (character === '"') {
      at = closingQuote(json, at)
    } else if (' \t\n\r'.includes(character)) {
      text += json.slice(from, at)
      from = at + 1
    }
  }
  return text + json.slice(from)
}

/** What stands under `name` in an object that was checked and has it, without the space between its parts. */
export function memberText(json: string, name: string): string {
  const text = withoutSpace(json)
  let found = ''
  for (let at = 1; text[at] === '"'; at++) {
    const closing = closingQuote(text, at)
    const isNamed = JSON.parse(text.slice(at, closing + 1)) === name
    const start = closing + 2
    at = endOfValue(text, start)
    // Of several the last one counts, as everywhere.
    if (isNamed) found = text.slice(start, at)
  }
  return found
}

/** Of JSON without space: where the comma or the bracket behind a value stands. */
function endOfValue(json: string, start: number): number {
  let depth = 0
  for (let at = start; ; at++) {
    const character = json[at]!
    if (character === '"') at = closingQuote(json, at)
    else if ('{['.includes(character)) depth++
    else if (depth === 0 && ',}]'.includes(character)) return at
    else if ('}]'.includes(character)) depth--
  }
}

function closingQuote(json: string, opening: number): number {
  let at = opening + 1
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1
  return at
}

/** One line for people, with escapes where bytes are not plain text. */
export function printable(bytes: Uint8Array, encoding: Encoding): string {
  const buffer = asBuffer(bytes)
  if (encoding === 'hex' || encoding === 'base64') return buffer.toString(encoding)
  if (encoding === 'counter' && bytes.length === 8) return decodeCounter(bytes).toString()
  if (encoding === 'json' && isUtf8(bytes)) {
    const text = buffer.toString('utf8')
    return isJson(text) ? withoutSpace(text) : JSON.stringify(text)
  }
  return escaped(buffer)
}

/** A name on a line for people. */
export function printableName(name: string): string {
  return escaped(Buffer.from(name, 'utf8'))
}

/** What is said to people, in as many lines as it has; nothing in it does anything to their terminal. */
export function printableMessage(text: string): string {
  return text.replaceAll(/[^\n -~\u00a0-\u{10ffff}]/gu, (character) =>
    escapedByte(character.charCodeAt(0)),
  )
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
  if (encoding === 'json' && isJson(text) && JSON.stringify(JSON.parse(text)) === text) {
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
  if (name === 'base64' && isBase64(content)) return Buffer.from(content, 'base64')
  if (name === 'hex' && HEX.test(content)) return Buffer.from(content, 'hex')
  if (name === 'counter' && /^-?\d{1,19}$/.test(content)) return encodeCounter(BigInt(content))
  return undefined
}

/** With padding, and without a pattern of groups: for each of them the machine keeps a place to go back to, which some MiB exhaust. */
function isBase64(text: string): boolean {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return text.length % 4 === 0 && !NOT_BASE64.test(text.slice(0, text.length - padding))
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
