import { expect, test } from 'vitest'
import { CsvReader } from '../../src/cli/csv.ts'

/** Fields of each record, with the number of its first and its last line. */
function read(text: string, separator = ','): unknown[] {
  const reader = new CsvReader(separator)
  const records: unknown[] = []
  let end = 0
  for (const [index, line] of text.split('\n').entries()) {
    end += line.length + 1
    const hasReturn = line.endsWith('\r')
    const bare = hasReturn ? line.slice(0, -1) : line
    const record = reader.take({ text: bare, hasReturn, number: index + 1, end })
    if (record !== undefined) records.push([...record.fields, record.number, record.lastNumber])
  }
  reader.finish()
  return records
}

test('fields in quotes hold separators, doubled quotes and line ends', () => {
  expect(read('a,"b,c","d""e"\n\nf,"g\nh",\n"",i,""')).toEqual([
    ['a', 'b,c', 'd"e', 1, 1],
    ['f', 'g\nh', '', 3, 4],
    ['', 'i', '', 5, 5],
  ])
  expect(read('a,"b\r\nc\nd"\r\ne,f\r')).toEqual([
    ['a', 'b\r\nc\nd', 1, 3],
    ['e', 'f', 4, 4],
  ])
  expect(read('a;"b;c";d', ';')).toEqual([['a', 'b;c', 'd', 1, 1]])
  expect(read('"""",""""""')).toEqual([['"', '""', 1, 1]])
})

test('what stands behind quotes, and quotes that are never closed, are refused with their line', () => {
  expect(() => read('a\n"b"c,d')).toThrow(/Line 2: something stands behind the quotes/)
  expect(() => read('a\n"b\nc')).toThrow(/quotes that open in line 2 are never closed/)
})
