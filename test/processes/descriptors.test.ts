import { spawnSync } from 'node:child_process'
import { afterAll, expect, test } from 'vitest'
import { Workshop } from './child-process.ts'

const workshop = new Workshop()
afterAll(() => workshop.close())

const LIMIT = 64
const canLimit = spawnSync('prlimit', ['--version']).status === 0
const suffix = canLimit ? '' : ' (skipped: no prlimit)'

test(`${LIMIT} descriptors are enough for a store of hundreds of segments${suffix}`, {
  timeout: 300_000,
  skip: !canLimit,
}, async () => {
  const child = workshop.start('crowd', [workshop.path('crowd'), String(LIMIT)])
  const [found] = await child.results<{ segments: number; descriptorsMax: number }>()
  expect(found).toMatchObject({
    right: 6_000,
    walked: 20 * 6_000,
    events: 6_000,
    ok: true,
    failures: [],
    status: 'closed',
  })
  expect(found!.segments).toBeGreaterThan(200)
  expect(found!.descriptorsMax).toBeLessThanOrEqual(LIMIT)
})
