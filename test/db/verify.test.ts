import { expect, test } from 'vitest'
import type { OpenOptions, Varve } from '../../src/index.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { codeOf, fixture, LOCATION } from './open.ts'

/** Two segments, history, a blob file, and a log. */
async function filled(): Promise<{
  db: Varve
  fs: MemoryFileSystem
  open: (options?: OpenOptions) => Promise<Varve>
}> {
  const { open, fs } = fixture({ history: 'none' })
  const db = await open()
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 100; i++) await db.put(`k${i}`, 'v'.repeat(100))
    await db.put('large', Buffer.alloc(20_000))
    await db.flush()
  }
  await db.put('in the log', '1')
  return { db, fs, open }
}

test('an abort ends it with ABORTED, at once', async () => {
  const { db } = await filled()
  const controller = new AbortController()
  const reason = new Error('enough')
  let calls = 0
  const onProgress = (): void => {
    if (++calls === 2) controller.abort(reason)
  }
  const verifying = db.verify({ signal: controller.signal, onProgress })
  await expect(verifying).rejects.toMatchObject({ code: 'VARVE_ABORTED', cause: reason })
  expect(calls).toBe(2)
  expect(await codeOf(() => db.verify({ signal: AbortSignal.abort() }))).toBe('VARVE_ABORTED')
  await db.close()
})

test('at whatever byte it is ended, by its signal or by what hears of its progress, that is no problem of a file', async () => {
  const { db } = await filled()
  let steps = 0
  expect(await db.verify({ onProgress: () => steps++ })).toMatchObject({ ok: true })
  const reason = new Error('enough')
  for (let step = 1; step <= steps; step++) {
    const controller = new AbortController()
    let calls = 0
    const aborting = db.verify({
      signal: controller.signal,
      onProgress: () => {
        if (++calls === step) controller.abort(reason)
      },
    })
    await expect(aborting, `aborted at step ${step}`).rejects.toMatchObject({
      code: 'VARVE_ABORTED',
      cause: reason,
    })
    let heard = 0
    const throwing = db.verify({
      onProgress: () => {
        if (++heard === step) throw reason
      },
    })
    await expect(throwing, `thrown at step ${step}`).rejects.toBe(reason)
    expect([calls, heard]).toEqual([step, step])
  }
  await db.close()
})

test.each([{}, { readOnly: true }])(
  'a close waits for it, and it finds no problem in that (%o)',
  async (options) => {
    const filling = await filled()
    await filling.db.close()
    const db = await filling.open(options)
    const verifying = db.verify()
    const refused = new AbortController()
    const aborting = db.verify({
      signal: refused.signal,
      onProgress: () => {
        if (db.status === 'closing') refused.abort()
      },
    })
    await Promise.all([
      db.close(),
      expect(verifying).resolves.toMatchObject({ ok: true, problems: [] }),
      expect(aborting).rejects.toMatchObject({ code: 'VARVE_ABORTED' }),
    ])
    expect(await codeOf(() => db.verify())).toBe('VARVE_CLOSED')
    expect(filling.fs.openFileCount).toBe(0)
  },
)

test('it gives every descriptor back, also where it is aborted', async () => {
  const { db, fs } = await filled()
  await db.verify()
  const before = fs.openFileCount
  for (let step = 1; step < 12; step++) {
    const controller = new AbortController()
    let calls = 0
    const onProgress = (): void => {
      if (++calls === step) controller.abort()
    }
    await codeOf(() => db.verify({ signal: controller.signal, onProgress }))
    expect(fs.openFileCount, `aborted at step ${step}`).toBe(before)
  }
  await db.close()
})

test('it keeps no file of the store', async () => {
  const { db, fs } = await filled()
  expect(await db.verify()).toMatchObject({ ok: true })
  await db.deleteRange('')
  await db.flush()
  await db.compact()
  expect(fs.list(LOCATION).filter((name) => /\.(seg|blob)$/.test(name))).toEqual([])
  await db.close()
})
