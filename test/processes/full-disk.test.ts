import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { Workshop } from './child-process.ts'

const workshop = new Workshop()
afterAll(() => workshop.close())

/** A mount namespace of its own: whatever ends the process takes the mount with it. */
const PREFIX = ['unshare', '--mount']
const reason = whyNot()
const suffix = reason === undefined ? '' : ` (skipped: ${reason})`

test(`a real disk that fills up refuses writes, and takes them when it has grown${suffix}`, {
  timeout: 300_000,
  skip: reason !== undefined,
}, async () => {
  const mount = workshop.path('mount')
  fs.mkdirSync(mount)
  const child = workshop.start('full-disk', [mount], { prefix: PREFIX })
  const [found] = await child.results<{ refusals: number }>()
  expect(found).toMatchObject({
    codes: ['VARVE_NO_SPACE'],
    isPrompt: true,
    resumesSoon: true,
    ok: true,
    problems: [],
  })
  expect(found!.refusals).toBeGreaterThan(500)
})

test(`a store below a read-only file system says that this is why it cannot be made${suffix}`, {
  skip: reason !== undefined,
}, async () => {
  const mount = workshop.path('read-only')
  fs.mkdirSync(mount)
  const child = workshop.start('read-only-disk', [mount], { prefix: PREFIX })
  const [said] = await child.results<object>()
  expect(said).toMatchObject({ code: 'VARVE_IO', details: { systemCode: 'EROFS' } })
})

function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'no Linux'
  const mount = workshop.path('attempt')
  fs.mkdirSync(mount)
  const [command, ...rest] = PREFIX
  const args = [...rest, 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mount]
  const { status, error, stderr } = spawnSync(command!, args, { encoding: 'utf8' })
  if (status === 0) return undefined
  return error?.message ?? stderr.trim()
}
