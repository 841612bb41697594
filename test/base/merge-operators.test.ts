import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hasCode } from '../../src/base/errors.ts'
import {
  combineOperands,
  decodeCounter,
  encodeCounter,
  foldOperands,
  type MergeOperator,
  mergeOperators,
} from '../../src/base/merge-operators.ts'

const KEY = Buffer.from('key')
const bytes = (text: string): Buffer => Buffer.from(text)
const { counter, append, max, min, jsonMergePatch } = mergeOperators

function fold(operator: MergeOperator, base: string | undefined, ...operands: string[]): string {
  const start = base === undefined ? undefined : bytes(base)
  return foldOperands(operator, KEY, start, operands.map(bytes)).toString()
}

describe('operators in general', () => {
  test('the built-in ones are frozen and know their names', () => {
    expect(Object.isFrozen(mergeOperators)).toBe(true)
    for (const [name, operator] of Object.entries(mergeOperators)) {
      expect(operator.name).toBe(name)
      expect(Object.isFrozen(operator)).toBe(true)
    }
  })

  test('one that throws fails with its error as cause, and names the keyspace', () => {
    const cause = new Error('no')
    const broken: MergeOperator = {
      name: 'broken',
      merge: () => {
        throw cause
      },
      combine: () => {
        throw cause
      },
    }
    for (const call of [
      foldOperands,
      (...[o, k, , list]: Parameters<typeof foldOperands>) => combineOperands(o, k, list, 'space'),
    ]) {
      let thrown: unknown
      try {
        call(broken, KEY, undefined, [KEY, KEY], 'space')
      } catch (error) {
        thrown = error
      }
      expect(hasCode(thrown, 'VARVE_MERGE_FAILED')).toBe(true)
      expect(thrown).toMatchObject({ cause, details: { operator: 'broken', keyspace: 'space' } })
    }
  })

  test('one that returns no bytes fails', () => {
    for (const result of [undefined, null, 'text', 7, Promise.resolve(KEY), [1, 2]]) {
      const odd = { name: 'odd', merge: () => result } as unknown as MergeOperator
      expect(() => foldOperands(odd, KEY, undefined, [KEY])).toThrow(/no Buffer/)
    }
  })

  test('a plain Uint8Array is taken as bytes', () => {
    const plain = {
      name: 'plain',
      merge: () => new Uint8Array([1, 2, 3, 4]).subarray(1, 3),
    } as unknown as MergeOperator
    expect(foldOperands(plain, KEY, undefined, [KEY])).toEqual(Buffer.from([2, 3]))
  })

  test('combining needs a combine, and one operand stays what it is', () => {
    expect(combineOperands({ name: 'x', merge: () => KEY }, KEY, [KEY, KEY])).toBeUndefined()
    expect(combineOperands(append, KEY, [KEY])).toBe(KEY)
    expect(combineOperands(append, KEY, [])).toBeUndefined()
  })
})

describe('counter', () => {
  test('adds as 64-bit two’s complement does, wrapping, from any base', () => {
    const values = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    fc.assert(
      fc.property(
        fc.option(values, { nil: undefined }),
        fc.array(values, { minLength: 1 }),
        (base, list) => {
          const start = base === undefined ? undefined : encodeCounter(base)
          const operands = list.map(encodeCounter)
          const expected = BigInt.asIntN(
            64,
            list.reduce((sum, value) => sum + value, base ?? 0n),
          )
          expect(decodeCounter(foldOperands(counter, KEY, start, operands))).toBe(expected)
          const combined = combineOperands(counter, KEY, operands)
          expect(decodeCounter(foldOperands(counter, KEY, start, [combined!]))).toBe(expected)
        },
      ),
    )
  })

  test('encodes little-endian and refuses what is no 64-bit integer', () => {
    expect(encodeCounter(1)).toEqual(Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]))
    expect(encodeCounter(-1n)).toEqual(Buffer.alloc(8, 0xff))
    expect(decodeCounter(undefined)).toBe(0n)
    for (const value of [0.5, Number.NaN, Infinity, 2 ** 53, 2n ** 63n, -(2n ** 63n) - 1n]) {
      expect(() => encodeCounter(value)).toThrow(
        expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' }),
      )
    }
    expect(() => encodeCounter('1' as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
    expect(() => decodeCounter('1' as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
  })

  test('operands, bases and values have eight bytes', () => {
    expect(() => counter.validate!(bytes('1234567'))).toThrow(/8 bytes/)
    expect(() => decodeCounter(bytes(''))).toThrow(/8 bytes/)
    expect(() => foldOperands(counter, KEY, bytes('base'), [encodeCounter(1)])).toThrow(
      expect.objectContaining({ code: 'VARVE_MERGE_FAILED' }),
    )
    counter.validate!(encodeCounter(3))
  })
})

test('append concatenates, oldest first', () => {
  expect(fold(append, undefined, 'a', 'b')).toBe('ab')
  expect(fold(append, 'x', 'a', '', 'b')).toBe('xab')
  expect(combineOperands(append, KEY, [bytes('a'), bytes('b')])).toEqual(bytes('ab'))
})

test('max and min compare bytewise, unsigned', () => {
  expect(fold(max, undefined, 'b', 'abc', 'a')).toBe('b')
  expect(fold(min, 'b', 'abc', 'ab')).toBe('ab')
  const high = [Buffer.from([0x7f]), Buffer.from([0x80])]
  expect(combineOperands(max, KEY, high)).toBe(high[1])
  expect(combineOperands(min, KEY, high)).toBe(high[0])
})

describe('jsonMergePatch', () => {
  // RFC 7396, appendix A: original, patch, result.
  const table: [string, string, string][] = [
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', 'null', 'null'],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ]
  test.each(table)('%s patched with %s is %s', (original, patch, result) => {
    expect(fold(jsonMergePatch, original, patch)).toBe(result)
  })

  test('the example of section 3 comes out as the RFC says', () => {
    const original = `{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},
      "tags":["example","sample"],"content":"This will be unchanged"}`
    const patch = `{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}`
    expect(JSON.parse(fold(jsonMergePatch, original, patch))).toEqual({
      title: 'Hello!',
      author: { givenName: 'John' },
      tags: ['example'],
      content: 'This will be unchanged',
      phoneNumber: '+01-123-456-7890',
    })
  })

  test('an absent base is patched as an empty object', () => {
    expect(fold(jsonMergePatch, undefined, '{"a":{"b":null,"c":1}}')).toBe('{"a":{"c":1}}')
    expect(fold(jsonMergePatch, undefined, '3')).toBe('3')
  })

  test('__proto__ is a name like any other', () => {
    const result = fold(
      jsonMergePatch,
      '{"a":1}',
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"x":1}}}',
    )
    expect(result).toBe('{"a":1,"__proto__":{"polluted":true},"constructor":{"prototype":{"x":1}}}')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    expect(fold(jsonMergePatch, result, '{"__proto__":null}')).toBe(
      '{"a":1,"constructor":{"prototype":{"x":1}}}',
    )
  })

  test('members keep their place, numbers their digits, strings their escapes', () => {
    expect(
      fold(jsonMergePatch, '{"b":12345678901234567890,"1":1.50,"a":"\\u00e9"}', '{"1":2e400}'),
    ).toBe('{"b":12345678901234567890,"1":2e400,"a":"\\u00e9"}')
    expect(
      fold(jsonMergePatch, ' {"k" : [ 1 , {"}":"]\\""} ] , "l":{ "m" : 1 } } ', '{"n":"ü"}'),
    ).toBe('{"k":[ 1 , {"}":"]\\""} ],"l":{ "m" : 1 },"n":"ü"}')
  })

  test('of a name that stands twice the last value counts', () => {
    expect(fold(jsonMergePatch, '{"a":1}', '{"a":2,"a":3}')).toBe('{"a":3}')
    expect(fold(jsonMergePatch, '{"a":1,"\\u0061":7}', '{}')).toBe('{"a":7}')
  })

  test('an operand that is no JSON, no UTF-8 or too deep is refused', () => {
    const deep = '{"a":'.repeat(1_001) + '1' + '}'.repeat(1_001)
    for (const text of ['', '{', '{"a":}', 'nul', '{"a":1,}', '\ufeff{}', deep]) {
      expect(() => jsonMergePatch.validate!(bytes(text))).toThrow()
    }
    expect(() => jsonMergePatch.validate!(Buffer.from([0x22, 0xff, 0x22]))).toThrow()
    jsonMergePatch.validate!(bytes('{"a":'.repeat(1_000) + '1' + '}'.repeat(1_000)))
  })

  test('a base that is no JSON fails the merge', () => {
    expect(() => fold(jsonMergePatch, 'plain', '{}')).toThrow(
      expect.objectContaining({ code: 'VARVE_MERGE_FAILED' }),
    )
  })

  test('a document may be nested deeper than a patch', () => {
    const deep = `{"x":${'['.repeat(50_000)}${']'.repeat(50_000)}}`
    expect(fold(jsonMergePatch, deep, '{"y":1}')).toBe(`${deep.slice(0, -1)},"y":1}`)
  })

  test('patches that do not compose are left alone', () => {
    const combine = (...patches: string[]): string | undefined =>
      combineOperands(jsonMergePatch, KEY, patches.map(bytes))?.toString()
    expect(combine('{"a":1}', '{"b":{"c":null}}')).toBe('{"a":1,"b":{"c":null}}')
    expect(combine('{"a":{"b":1}}', '{"a":{"b":null,"c":2}}')).toBe('{"a":{"b":null,"c":2}}')
    expect(combine('{"a":1}', '[1]', '"x"')).toBe('"x"')
    // An object over a scalar would have to replace whatever object lies below.
    expect(combine('{"a":1}', '{"a":{"b":2}}')).toBeUndefined()
    expect(combine('[1]', '{"a":1}')).toBeUndefined()
    // Removed and added again, the member goes to the end.
    expect(combine('{"a":null}', '{"a":1}')).toBeUndefined()
  })

  test('combining never changes a byte of the result', () => {
    const scalar = fc.constantFrom('null', '1', '"s"', '[1, {"a":null}]')
    const { value } = fc.letrec<{ value: string; object: string }>((tie) => ({
      value: fc.oneof({ maxDepth: 3 }, scalar, tie('object')),
      object: fc
        .array(fc.tuple(fc.constantFrom('a', 'b', '__proto__', '1'), tie('value')), {
          maxLength: 3,
        })
        .map((members) => `{${members.map(([name, text]) => `"${name}": ${text}`).join(' , ')}}`),
    }))
    fc.assert(
      fc.property(
        fc.option(value, { nil: undefined }),
        fc.array(value, { minLength: 2, maxLength: 4 }),
        (base, patches) => {
          const combined = combineOperands(jsonMergePatch, KEY, patches.map(bytes))
          if (combined === undefined) return
          expect(fold(jsonMergePatch, base, combined.toString())).toBe(
            fold(jsonMergePatch, base, ...patches),
          )
        },
      ),
      { numRuns: 3_000 },
    )
  })

  test('patching agrees with the pseudocode of the RFC', () => {
    const mergePatch = (target: unknown, patch: unknown): unknown => {
      if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
      const result: Record<string, unknown> =
        typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {}
      for (const [name, value] of Object.entries(patch)) {
        if (value === null) delete result[name]
        else result[name] = mergePatch(result[name], value)
      }
      return result
    }
    const names = fc.constantFrom('a', 'b', 'c"\\', '\u2028', '')
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, 0, -1.5e300, 'x"]}', ''),
        fc.array(tie('value'), { maxLength: 2 }),
        fc.dictionary(names, tie('value'), { maxKeys: 3 }),
      ),
    })).value
    fc.assert(
      fc.property(json, json, fc.constantFrom(0, 2), (target, patch, indent) => {
        const result = fold(
          jsonMergePatch,
          JSON.stringify(target, null, indent),
          JSON.stringify(patch, null, indent),
        )
        expect(JSON.parse(result)).toEqual(JSON.parse(JSON.stringify(mergePatch(target, patch))))
      }),
      { numRuns: 2_000 },
    )
  })
})
