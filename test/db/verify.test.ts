import { expect, test } from 'vitest'
import type { OpenOptions, Varve } from '../../src/index.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import type { Version } from '../../src/version/version.ts'
import type { VersionEdit } from '../../src/version/version-edit.ts'
import { VersionSet } from '../../src/version/version-set.ts'
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

/** Puts an edit in force that no job would make, in a store that is closed. */
async function applyEdit(fs: MemoryFileSystem, edit: (state: Version) => VersionEdit) {
  const { versions } = (await VersionSet.recover({ fs, directory: LOCATION }))!
  await versions.apply(edit(versions.current))
  await versions.close()
}

/** Level 0 compacted with inputs taken over, so that there is history that looks like a live segment. */
async function withHistory(): Promise<ReturnType<typeof fixture>> {
  const made = fixture({ blockBytes: 512 })
  const db = await made.open({}, { level0Trigger: 1000, level0Slowdown: 1000, level0Stop: 1000 })
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 300; i++) await db.put(`key${i}`, `value ${round} `.repeat(4))
    await db.flush()
  }
  await db.compact()
  await db.close()
  return made
}

test('events that no file holds any more are missed, though every file is good', async () => {
  const { fs, open } = await withHistory()
  await applyEdit(fs, (version) => {
    const [files] = version.keyspaces.values()
    return { removals: [files!.history[0]!.number] }
  })
  const db = await open()
  expect(await db.verify()).toMatchObject({ ok: false, problems: [{ code: 'VARVE_CORRUPTION' }] })
  await db.close()
})

test('a segment of history among those that are read is found', async () => {
  const { fs, open } = await withHistory()
  let moved: SegmentMeta | undefined
  await applyEdit(fs, (version) => {
    const [files] = version.keyspaces.values()
    moved = files!.history.find(({ order }) => order === 'key')!
    return { moves: [{ number: moved.number, level: 3 }] }
  })
  const db = await open()
  expect((await db.verify()).problems).toMatchObject([
    { file: `${LOCATION}/${String(moved!.number).padStart(6, '0')}.seg` },
  ])
  await db.close()
})

test('it tells where rot is, and tells it from a disk that cannot be read', async () => {
  const { db, fs } = await filled()
  const [path, bytes] = [...fs.files()].find(([name]) => name.includes('MANIFEST'))!
  const at = Buffer.from(bytes).readUInt32LE(4) + 20
  fs.corrupt(path, at, Uint8Array.of(bytes[at]! ^ 1))
  const [problem] = (await db.verify()).problems
  expect(problem).toMatchObject({ file: path, code: 'VARVE_CORRUPTION' })
  expect(problem!.offset).toBeLessThanOrEqual(at)
  fs.corrupt(path, at, Uint8Array.of(bytes[at]!))
  for (const file of [/\.seg$/, /\.blob$/, /\.wal$/, /MANIFEST/]) {
    fs.inject({ operation: 'read', file, effect: 'EIO' })
    const { ok, problems } = await db.verify()
    expect(ok, String(file)).toBe(false)
    expect(problems, String(file)).toMatchObject([
      { file: expect.stringMatching(file) as string, code: 'VARVE_IO' },
    ])
    fs.clearFaults()
  }
  expect(await db.verify()).toMatchObject({ ok: true, problems: [] })
  await db.close()
})

test('an abort ends it also while the stream is read, and lets go of the history', async () => {
  const { open } = fixture()
  const db = await open()
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 1500; i++) void db.put(`k${i}`, `${round}`)
    await db.flush()
  }
  await db.compact()
  expect(db.stats().keyspaces['default']!.history.segments).toBeGreaterThan(0)
  const { signal } = new AbortController()
  // Looked at once more with the last bytes of the last file; then the stream begins.
  let looks = Number.POSITIVE_INFINITY
  Object.defineProperty(signal, 'aborted', { get: () => looks-- <= 0 })
  const onProgress = (done: number, total: number): void => {
    if (done === total) looks = 1
  }
  expect(await codeOf(() => db.verify({ signal, onProgress }))).toBe('VARVE_ABORTED')
  await db.truncateHistory(db.history().latest + 1)
  await db.compact()
  expect(db.stats().keyspaces['default']!.history.segments).toBe(0)
  await db.close()
})
