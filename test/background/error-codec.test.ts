import { expect, test } from 'vitest'
import { decodeError, encodeError } from '../../src/background/error-codec.ts'
import { corruption, VarveError } from '../../src/base/errors.ts'

function across(error: unknown): Error {
  return decodeError(structuredClone(encodeError(error)))
}

test('an error of the operating system keeps its code, call and path', () => {
  const error = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
    errno: -28,
    syscall: 'write',
    path: '/store/000001.seg',
  })
  const decoded = across(error)
  expect(decoded).toMatchObject({
    message: error.message,
    code: 'ENOSPC',
    errno: -28,
    syscall: 'write',
    path: '/store/000001.seg',
  })
  expect(decoded).not.toBeInstanceOf(VarveError)
  expect(decoded.stack).toBe(error.stack)
})

test('a VarveError is one again, with details and causes', () => {
  const decoded = across(corruption('bad block', { file: '/f', offset: 7 }, new TypeError('inner')))
  expect(decoded).toBeInstanceOf(VarveError)
  expect(decoded).toMatchObject({
    code: 'VARVE_CORRUPTION',
    details: { file: '/f', offset: 7 },
    cause: { message: 'inner', name: 'TypeError' },
  })
})

test('details that cannot be cloned are spelled out', () => {
  const holder = { pid: 7, run: () => undefined }
  const decoded = across(new VarveError('VARVE_LOCKED', 'locked', { holder, ids: [1, 2] }))
  expect(decoded).toMatchObject({
    details: { holder: expect.stringContaining('pid: 7'), ids: '[ 1, 2 ]' },
  })
})

test('what is thrown without being an error becomes one', () => {
  expect(across('text')).toMatchObject({ message: 'text' })
  expect(across(undefined)).toMatchObject({ message: 'undefined' })
})

test('a chain of causes that bites its tail ends', () => {
  const error = new Error('a')
  error.cause = error
  expect(across(error).message).toBe('a')
})
