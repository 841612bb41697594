/** Jobs that meet a failing disk: the error comes out as it is, no file stays behind, no descriptor stays open. */
import { expect, test } from 'vitest'
import { hasCode } from '../../src/base/errors.ts'
import type { Job } from '../../src/compaction/job.ts'
import { startJob } from '../../src/compaction/run-job.ts'
import { joinPath, segmentFileName } from '../../src/env/file-names.ts'
import { put, removeRange } from '../memtable/commits.ts'
import { TinyTree } from './tiny-tree.ts'

const K = 1

/** Two overlapping segments in level 0 with history, and a memtable that is not flushed. */
async function tree(): Promise<TinyTree> {
  const made = new TinyTree([{ blobThresholdBytes: 200 }])
  for (let flush = 0; flush < 2; flush++) {
    for (let i = 0; i < 200; i++)
      made.write([put(`k${i % 150}`, 'v'.repeat(100 + (i % 3) * 100), K)])
    made.write([removeRange('k10', 'k12', K)])
    await made.flush()
  }
  for (let i = 0; i < 200; i++) made.write([put(`k${i % 150}`, 'w'.repeat(100 + (i % 3) * 100), K)])
  return made
}

function jobs(made: TinyTree): [string, () => Job][] {
  const { levels, history } = made.files(K)
  const pick = { type: 'compact', keyspaceId: K, reason: 'manual' } as const
  return [
    ['flush', () => made.flushJob()],
    [
      'compaction',
      () => made.compactJob({ ...pick, level: 0, outputLevel: 6, upper: levels[0]!, lower: [] }),
    ],
    [
      'merge of history',
      () => made.compactJob({ type: 'merge-history', keyspaceId: K, inputs: history }),
    ],
  ]
}

for (const kind of ['flush', 'compaction', 'merge of history']) {
  for (const [operation, effect] of [
    ['create', 'EMFILE'],
    ['create', 'ENOSPC'],
    ['write', 'ENOSPC'],
    ['write', 'EIO'],
    ['sync', 'EIO'],
    ['read', 'EIO'],
  ] as const) {
    if (kind === 'flush' && operation === 'read') continue
    test(`a ${kind} that meets ${effect} at any ${operation} removes its files and says so`, async () => {
      const made = await tree()
      const job = jobs(made).find(([name]) => name === kind)![1]
      const before = made.fs.list('/store')
      for (let after = 0; ; after++) {
        made.fs.inject({ operation, effect, after })
        const failure = await made.run(job()).then(
          () => undefined,
          (error: unknown) => error,
        )
        made.fs.clearFaults()
        expect(made.fs.openFileCount).toBe(0)
        if (failure === undefined) {
          expect(after).toBeGreaterThan(0)
          break
        }
        expect(Reflect.get(Object(failure), 'code')).toBe(effect)
        expect(made.fs.list('/store')).toEqual(before)
      }
    })
  }
}

test('a flush of which a sync begun ahead has failed says so, whatever a write meets meanwhile', async () => {
  const made = new TinyTree([{}, {}], 2 ** 25)
  for (let i = 0; i < 9; i++) made.write([put(`k${i}`, 'v'.repeat(2 ** 20), K)])
  for (let i = 0; i < 9; i++) made.write([put(`k${i}`, 'v'.repeat(100), K + 1)])
  const before = made.fs.list('/store')
  const create = made.fs.create.bind(made.fs)
  let syncs = 0
  made.fs.create = (path) => {
    const file = create(path)
    const sync = file.sync.bind(file)
    file.sync = () => {
      syncs++
      return sync()
    }
    return file
  }
  // Up to where everything is written, and the end of the job waits for the sync.
  let isAhead = false
  for (let after = 0; syncs < 2; after++) {
    syncs = 0
    made.fs.inject({ operation: 'sync', effect: 'EIO' })
    made.fs.inject({ operation: 'write', effect: 'ENOSPC', after })
    const failure: unknown = await made.run(made.flushJob()).catch((error: unknown) => error)
    made.fs.clearFaults()
    expect(failure).toMatchObject({ code: syncs > 0 ? 'EIO' : 'ENOSPC' })
    expect(made.fs.list('/store')).toEqual(before)
    expect(made.fs.openFileCount).toBe(0)
    isAhead ||= syncs === 1
  }
  expect(isAhead).toBe(true)
})

test('an input that is damaged fails the job with its file and leaves everything as it was', async () => {
  const made = await tree()
  const victim = made.files(K).levels[0]![1]!
  const path = joinPath('/store', segmentFileName(victim.number))
  const before = made.fs.list('/store')
  made.fs.corrupt(path, 700, Buffer.from('damage'))
  const failure: unknown = await made.run(jobs(made)[1]![1]()).catch((error: unknown) => error)
  expect(hasCode(failure, 'VARVE_CORRUPTION')).toBe(true)
  expect(failure).toMatchObject({ details: { file: path } })
  expect(made.fs.list('/store')).toEqual(before)
  expect(made.fs.openFileCount).toBe(0)
})

test('an input of which the manifest and the file disagree fails the job', async () => {
  const made = await tree()
  const { levels } = made.files(K)
  const wrong = { ...levels[0]![0]!, entries: levels[0]![0]!.entries + 1 }
  const pick = { type: 'compact', keyspaceId: K, reason: 'manual' } as const
  const upper = [wrong, levels[0]![1]!]
  const job = made.compactJob({ ...pick, level: 0, outputLevel: 6, upper, lower: [] })
  await expect(made.run(job)).rejects.toMatchObject({ code: 'VARVE_CORRUPTION' })
})

test('a job that is ended between any two steps leaves no file and no descriptor', async () => {
  const made = await tree()
  const before = made.fs.list('/store')
  for (const [, job] of jobs(made)) {
    for (let steps = 1; ; steps++) {
      const running = startJob(job(), {
        fs: made.fs,
        operators: made.operators,
        historyBufferBytes: 1024,
        readAheadBytes: 4096,
      })
      let step = running.next()
      for (let i = 1; i < steps && step.done !== true; i++) {
        await step.value
        step = running.next()
      }
      if (step.done === true) {
        for (const name of made.fs.list('/store')) {
          if (!before.includes(name)) made.fs.remove(joinPath('/store', name))
        }
        break
      }
      await step.value
      running.return(undefined as never)
      expect(made.fs.list('/store')).toEqual(before)
      expect(made.fs.openFileCount).toBe(0)
    }
  }
})

test('a compaction reads a chunk of the change index of an input in a step: aborting it never waits for more', async () => {
  const made = new TinyTree([{}])
  made.mayTakeOver = false
  for (let flush = 0; flush < 3; flush++) {
    made.write(Array.from({ length: 5000 }, (_, i) => put(`k${i}`, 'v', K)))
    await made.flush()
  }
  const upper = made.files(K).levels[0]!
  const pick = { type: 'compact', keyspaceId: K, reason: 'manual' } as const
  const job = made.compactJob({ ...pick, level: 0, outputLevel: 6, upper, lower: [] })
  const before = made.fs.list('/store')
  const running = startJob(job, {
    fs: made.fs,
    operators: made.operators,
    historyBufferBytes: 2 ** 20,
    readAheadBytes: 4096,
  })
  let steps = 0
  while (made.fs.list('/store').length === before.length) {
    await running.next().value
    steps++
  }
  running.return(undefined as never)
  expect(steps).toBeGreaterThan(3 * 3)
  expect(made.fs.list('/store')).toEqual(before)
})

test('everything that a finished job wrote survives a power cut, once the directory is synced', async () => {
  const made = await tree()
  const result = await made.flush()
  await made.fs.syncDirectory('/store')
  const image = made.fs.crash('lost')
  for (const { meta } of result.added) {
    const path = joinPath('/store', segmentFileName(meta.number))
    expect(Buffer.from(image.files().get(path)!).equals(made.fs.files().get(path)!)).toBe(true)
  }
})
