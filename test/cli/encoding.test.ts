import { expect, test } from 'vitest'
import {
  fromJson,
  memberText,
  parseKey,
  parseValue,
  printable,
  toJson,
} from '../../src/cli/encoding.ts'
import { successorOf } from '../../src/cli/key-successor.ts'
import { encodeCounter } from '../../src/base/merge-operators.ts'

const ALL = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

test('bytes come back from JSON as they were, in every encoding', () => {
  const values = [
    '',
    'text',
    '{"a":1}',
    '{ "a": 1 }',
    '1e3',
    '"x"',
    '{"a":1,"a":2}',
    '\u0000\ufeff',
  ]
  for (const bytes of [...values.map((text) => Buffer.from(text)), ALL, encodeCounter(-5)]) {
    for (const encoding of ['utf8', 'hex', 'base64', 'json', 'counter'] as const) {
      const json: unknown = JSON.parse(JSON.stringify(toJson(bytes, encoding)))
      expect(fromJson(json), `${bytes.toString('hex')} as ${encoding}`).toEqual(bytes)
    }
  }
  expect(toJson(Buffer.from('{"a":1}'), 'json')).toEqual({ json: { a: 1 } })
  expect(toJson(Buffer.from('{ "a": 1 }'), 'json')).toBe('{ "a": 1 }')
  expect(toJson(encodeCounter(42), 'counter')).toEqual({ counter: '42' })
  expect(toJson(Buffer.from('seven b'), 'counter')).toBe('seven b')
})

test('what stands for no bytes, or for more than one thing, is not read', () => {
  const wrong = [
    '\ud800',
    1,
    null,
    {},
    { hex: '0' },
    { hex: 'zz' },
    { base64: 'a' },
    { base64: 'ab_-' },
    { counter: '1.5' },
    { counter: 5 },
    { other: 'x' },
    { hex: '00', base64: 'AA==' },
  ]
  for (const value of wrong) expect(fromJson(value), JSON.stringify(value)).toBeUndefined()
})

test('values of many MiB come back, in every encoding that holds all bytes', () => {
  const bytes = Buffer.alloc(24 * 2 ** 20 + 1, ALL)
  for (const encoding of ['utf8', 'hex', 'base64'] as const) {
    const json = toJson(bytes, encoding)
    expect(fromJson(json)?.equals(bytes), encoding).toBe(true)
    const [[name, text] = ['', '']] = Object.entries(json) as [string, string][]
    expect(parseValue(text, name as 'hex').equals(bytes), encoding).toBe(true)
  }
})

test('base64 is refused where its padding or its length is wrong', () => {
  const wrong = ['=', '==', 'a===', '====', 'ab=c', 'abcd====', 'abcde===', 'ab==abcd', 'abcdef=']
  for (const base64 of [...wrong, 'abc\n', 'ab c', 'abc']) {
    expect(fromJson({ base64 }), base64).toBeUndefined()
  }
  for (const base64 of ['', 'abcd', 'abcdef==', 'abcdefg=']) {
    expect(fromJson({ base64 }), base64).toEqual(Buffer.from(base64, 'base64'))
  }
})

test('arguments are refused where they are not in their encoding', () => {
  expect(parseValue('00fF', 'hex')).toEqual(Buffer.from([0, 255]))
  expect(parseValue('_-8', 'base64')).toEqual(Buffer.from([255, 239]))
  expect(parseValue('{ "a": 1 }', 'json')).toEqual(Buffer.from('{"a":1}'))
  expect(parseValue('+7', 'counter')).toEqual(encodeCounter(7))
  expect(parseKey('"a\\u0000"', 'json')).toEqual(Buffer.from('a\0'))
  for (const [text, encoding] of [
    ['0', 'hex'],
    ['a b', 'base64'],
    ['{', 'json'],
    ['1.5', 'counter'],
  ] as const) {
    expect(() => parseValue(text, encoding), text).toThrow()
  }
  expect(() => parseKey('1', 'json')).toThrow(/JSON string/)
})

test('a member of an object is taken as it stands there', () => {
  const wide =
    ' { "a" : { "n" : [ 12345678901234567890 , 1.0 ] , "}" : "\\"] x" } , "b\\u0041":[ ] ,"c":"," } '
  expect(memberText(wide, 'a')).toBe('{"n":[12345678901234567890,1.0],"}":"\\"] x"}')
  expect(memberText(wide, 'bA')).toBe('[]')
  expect(memberText(wide, 'c')).toBe('","')
  expect(memberText('{"a":[1],"x":{"a":[2]},"a":[{"a":3}]}', 'a')).toBe('[{"a":3}]')
  expect(memberText('{"__proto__":{"a":1e400}}', '__proto__')).toBe('{"a":1e400}')
})

test('a line for people holds no control character', () => {
  for (const bytes of [ALL, ALL.subarray(0, 128), Buffer.from('a\r\n\t\\\u001b[2Jé')]) {
    expect(printable(bytes, 'utf8')).toMatch(/^[ -~é]*$/)
  }
  expect(printable(Buffer.from('a\r\n\t\\é'), 'utf8')).toBe('a\\r\\n\\t\\\\é')
  expect(printable(Buffer.from('a\n'), 'json')).toBe('"a\\n"')
  expect(printable(encodeCounter(-5), 'counter')).toBe('-5')
  expect(printable(Buffer.from('seven b'), 'counter')).toBe('seven b')
})

test('behind all keys with a prefix comes its successor, where there is one', () => {
  const hex = (text: string): string | undefined =>
    successorOf(Buffer.from(text, 'hex'))?.toString('hex')
  expect(hex('61')).toBe('62')
  expect(hex('61ff')).toBe('62')
  expect(hex('61fe')).toBe('61ff')
  expect(hex('61feff')).toBe('61ff')
  expect(hex('ffff')).toBeUndefined()
  expect(hex('')).toBeUndefined()
})
