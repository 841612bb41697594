import { expect, test } from 'vitest'
import {
  blobFileName,
  CURRENT_FILE,
  joinPath,
  LOCK_FILE,
  lockAsideName,
  manifestFileName,
  parseFileName,
  segmentFileName,
  temporaryFileName,
  walFileName,
} from '../../src/env/file-names.ts'

const names: [name: string, type: string, number: number][] = [
  [segmentFileName(123), 'segment', 123],
  [segmentFileName(1_234_567), 'segment', 1_234_567],
  [blobFileName(0), 'blob', 0],
  [walFileName(999_999), 'wal', 999_999],
  [manifestFileName(12), 'manifest', 12],
  [CURRENT_FILE, 'current', 0],
  [LOCK_FILE, 'lock', 0],
  [temporaryFileName(CURRENT_FILE), 'temporary', 0],
  [temporaryFileName(LOCK_FILE), 'temporary', 0],
  [temporaryFileName(segmentFileName(5)), 'temporary', 5],
  [lockAsideName('a_-9'), 'temporary', 0],
]

test.each(names)('%s is a %s file', (name, type, number) => {
  expect(parseFileName(name)).toEqual({ type, number })
})

test.each([
  '',
  'x.seg',
  '123.seg',
  '0000123.seg',
  '000123.SEG',
  '000123.seg ',
  '000123.txt',
  'MANIFEST-1',
  'MANIFEST-000001.tmp.tmp',
  'CURRENT2',
  'notes.tmp',
  '.tmp',
  '99999999999999999999.seg',
  '9999999999999999.seg',
])('%j is not ours', (name) => {
  expect(parseFileName(name)).toBeUndefined()
})

test('names are as documented', () => {
  expect(segmentFileName(123)).toBe('000123.seg')
  expect(blobFileName(123)).toBe('000123.blob')
  expect(walFileName(123)).toBe('000123.wal')
  expect(manifestFileName(12)).toBe('MANIFEST-000012')
})

test('paths are joined', () => {
  expect(joinPath('/db', 'a')).toBe('/db/a')
  expect(joinPath('/', 'a')).toBe('/a')
})
