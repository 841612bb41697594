import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import { AbortWatch } from '../../src/write/abort-watch.ts'
import type { PendingCommit } from '../../src/write/pending-commit.ts'

const aborted = new VarveError('VARVE_ABORTED', 'the operation was aborted')

interface Waiting {
  readonly commit: PendingCommit
  readonly rejections: unknown[]
}

function waiting(): Waiting {
  const rejections: unknown[] = []
  const commit: PendingCommit = {
    bytes: Buffer.alloc(0),
    start: 0,
    end: 0,
    operations: 1,
    userBytes: 0,
    sync: false,
    timeMs: undefined,
    check: undefined,
    published: undefined,
    resolve: () => undefined,
    reject: (error) => rejections.push(error),
    aborted: undefined,
    unwatch: undefined,
  }
  return { commit, rejections }
}

test('commits that share a signal share one listener, which goes with the last of them', () => {
  const watch = new AbortWatch(() => aborted)
  const { signal } = new AbortController()
  const commits = Array.from({ length: 1000 }, waiting)
  for (const { commit } of commits) watch.add(commit, signal)
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  for (const { commit } of commits.slice(1)) commit.unwatch!()
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  commits[0]!.commit.unwatch!()
  expect(getEventListeners(signal, 'abort')).toHaveLength(0)
})

test('an abort refuses what still waits, once, and nothing of another signal', () => {
  const watch = new AbortWatch(() => aborted)
  const [controller, other] = [new AbortController(), new AbortController()]
  const [written, left, another] = [waiting(), waiting(), waiting()]
  watch.add(written.commit, controller.signal)
  watch.add(left.commit, controller.signal)
  watch.add(another.commit, other.signal)
  written.commit.unwatch!()
  controller.abort()
  left.commit.unwatch!()
  expect(written.rejections).toEqual([])
  expect(left.rejections).toEqual([aborted])
  expect(left.commit.aborted).toBe(aborted)
  expect(another.rejections).toEqual([])
})
