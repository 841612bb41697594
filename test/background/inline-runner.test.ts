import { expect, test } from 'vitest'
import { InlineRunner } from '../../src/background/job-runner.ts'
import { createTimers } from '../../src/env/timers.ts'
import { put } from '../memtable/commits.ts'
import { TinyTree } from '../compaction/tiny-tree.ts'

const K = 1

function filled(commits: number): TinyTree {
  const tree = new TinyTree([{}])
  for (let i = 0; i < commits; i++) tree.write([put(`k${i}`, 'v'.repeat(100), K)])
  return tree
}

test('a job on the calling thread leaves turns to others', async () => {
  const tree = filled(20_000)
  const runner = new InlineRunner({ fs: tree.fs, timers: createTimers() })
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const result = await runner.run(tree.flushJob(), new Map())
  isDone = true
  expect(result.entries).toBe(20_000)
  expect(turns).toBeGreaterThan(3)
  await runner.close()
})

test('closing aborts what runs, and its files are gone', async () => {
  const tree = filled(20_000)
  const runner = new InlineRunner({ fs: tree.fs, timers: createTimers() })
  const running = runner.run(tree.flushJob(), new Map())
  const failure = running.catch((error: unknown) => error)
  await new Promise((resolve) => setImmediate(resolve))
  await runner.close()
  expect(await failure).toMatchObject({ code: 'VARVE_ABORTED' })
  expect(tree.fs.list('/store')).toEqual([])
  await expect(runner.run(tree.flushJob(), new Map())).rejects.toMatchObject({
    code: 'VARVE_ABORTED',
  })
})

test('a signal aborts one job and no other', async () => {
  const tree = filled(20_000)
  const runner = new InlineRunner({ fs: tree.fs, timers: createTimers() })
  const abort = new AbortController()
  const first = runner.run(tree.flushJob(), new Map(), { signal: abort.signal })
  const second = runner.run(tree.flushJob(), new Map())
  abort.abort()
  await expect(first).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
  const result = await second
  expect(tree.fs.list('/store').length).toBe(result.added.length)
  const already = { signal: AbortSignal.abort() }
  await expect(runner.run(tree.flushJob(), new Map(), already)).rejects.toMatchObject({
    code: 'VARVE_ABORTED',
  })
  await runner.close()
})
