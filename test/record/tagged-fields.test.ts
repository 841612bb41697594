import { describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import { ByteReader } from '../../src/base/varint.ts'
import { FieldList, type FieldSource, readFields } from '../../src/record/tagged-fields.ts'

const SOURCE: FieldSource = {
  file: 'file',
  fail: (reason) => {
    throw new VarveError('VARVE_CORRUPTION', reason)
  },
}

function read(bytes: Uint8Array, known: readonly number[]): Map<number, string> {
  const found = new Map<number, string>()
  const reader = new ByteReader(bytes, 0, bytes.length, SOURCE.fail)
  readFields(reader, SOURCE, (tag, field) => {
    if (!known.includes(tag)) return false
    found.set(tag, field.take(field.remaining).toString())
    return true
  })
  return found
}

describe('tagged fields', () => {
  const bytes = new FieldList().addText(2, 'two').addNumber(4, 300).addText(1001, 'odd').bytes()

  test('are found by their tags', () => {
    expect(read(bytes, [2, 4, 1001]).get(2)).toBe('two')
    expect(read(bytes, [2, 4]).size).toBe(2)
  })

  test('that must be known are refused when they are not', () => {
    expect(() => read(bytes, [2, 1001])).toThrow(
      expect.objectContaining({
        code: 'VARVE_UNSUPPORTED_FORMAT',
        details: { file: 'file', found: 'field 4', supported: 'the fields of this version' },
      }),
    )
  })

  test('never reach beyond what holds them', () => {
    for (let end = 0; end < bytes.length; end++) {
      const isBoundary = end === 0 || end === 5 || end === 9
      const attempt = (): unknown => read(bytes.subarray(0, end), [2, 4, 1001])
      if (isBoundary) expect(attempt).not.toThrow()
      else expect(attempt, `${end}`).toThrow(VarveError)
    }
    // One byte longer than there is, in the place of its own length.
    expect(() => read(Buffer.from([2, 2, 65]), [2])).toThrow(VarveError)
  })
})
