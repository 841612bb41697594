import { expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import {
  isNoSpace,
  isOutOfDescriptors,
  systemCode,
  translateDiskError,
} from '../../src/env/disk-errors.ts'
import { systemError } from '../../src/env/system-error.ts'

const details = { operation: 'append', file: '000001.wal' }

test('a full disk, or a used up quota, is VARVE_NO_SPACE with its cause', () => {
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const cause = systemError(code, 'write', '/db/000001.wal')
    expect(translateDiskError(cause, details)).toMatchObject({
      code: 'VARVE_NO_SPACE',
      cause,
      details: { ...details, systemCode: code },
    })
  }
})

test('a full disk does not say which, so the message does', () => {
  const cause = systemError('ENOSPC', 'write', 'fd 21')
  const error = translateDiskError(cause, { operation: 'write', file: '/data/store' })
  expect(error.message).toMatch(/^no space left in \/data\/store: write: /)
})

test('everything else is VARVE_IO, whatever was thrown', () => {
  for (const cause of [systemError('EIO', 'write', '/db/a'), new Error('x'), 'x', undefined]) {
    expect(translateDiskError(cause, details)).toMatchObject({ code: 'VARVE_IO', cause, details })
  }
})

test('what is ours already passes as it is', () => {
  const error = new VarveError('VARVE_CORRUPTION', 'x')
  expect(translateDiskError(error, details)).toBe(error)
})

test('codes are told apart', () => {
  expect(systemCode(systemError('EEXIST', 'open', '/a'))).toBe('EEXIST')
  expect(systemCode({ code: 5 })).toBeUndefined()
  expect(systemCode(null)).toBeUndefined()
  expect(isOutOfDescriptors(systemError('EMFILE', 'open', '/a'))).toBe(true)
  expect(isOutOfDescriptors(systemError('ENFILE', 'open', '/a'))).toBe(true)
  expect(isOutOfDescriptors(systemError('EIO', 'open', '/a'))).toBe(false)
  expect(isNoSpace(systemError('ENOSPC', 'write', '/a'))).toBe(true)
  expect(isNoSpace(systemError('EIO', 'write', '/a'))).toBe(false)
})
