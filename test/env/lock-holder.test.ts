import { expect, test } from 'vitest'
import {
  decodeHolder,
  describeSelf,
  encodeHolder,
  type LockHolder,
  mayBeAlive,
} from '../../src/env/lock-holder.ts'

const self: LockHolder = {
  pid: 10,
  host: 'here',
  token: 'mine',
  directoryInode: 7,
  startTicks: '100',
  bootId: 'boot',
  pidNamespace: 'pid:1',
  netNamespace: 'net:1',
  utsNamespace: 'uts:1',
}
const container = { pidNamespace: 'pid:2', netNamespace: 'net:2', utsNamespace: 'uts:2' }

const cases: [what: string, holder: Partial<LockHolder>, isProcess: boolean, isAlive: boolean][] = [
  ['a process that runs', {}, true, true],
  ['a process that is gone', {}, false, false],
  ['a process before the last reboot, its id in use again', { bootId: 'older' }, true, false],
  ['a process on another machine', { host: 'there', bootId: 'other' }, false, true],
  ['a process in another container of this machine', { host: 'c', ...container }, false, true],
  ['this container before it was started again', container, true, false],
  ['a process in a sandbox of this host', { ...container, utsNamespace: 'uts:1' }, false, true],
  ['a process that has the original of this copy', { directoryInode: 8 }, true, false],
]

test.each(cases)('%s', (_what, holder, isProcess, isAlive) => {
  expect(mayBeAlive({ ...self, ...holder }, self, () => isProcess)).toBe(isAlive)
})

test('a process id that was used again is not the holder', {
  skip: process.platform !== 'linux',
}, () => {
  const me = describeSelf('token', 1)
  expect(mayBeAlive(me, me)).toBe(true)
  expect(mayBeAlive({ ...me, startTicks: '1' }, me)).toBe(false)
})

test('what was encoded is decoded', () => {
  const me = describeSelf('token', 1)
  expect(decodeHolder(encodeHolder(me))).toEqual(me)
})

test.each([
  '',
  '{',
  'null',
  '[]',
  '{"pid":0,"host":"h","token":"t","directoryInode":1}',
  '{"pid":1,"host":"h","token":"t"}',
])('garbage has no holder: %s', (text) => {
  expect(decodeHolder(text)).toBeUndefined()
})
