/** The worker thread itself: needs real threads, and a real disk, which is all that a worker can see. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WorkerRunner } from '../../src/background/worker-runner.ts'
import type { MergeOperator } from '../../src/base/merge-operators.ts'
import type { CompactJob, FlushJob, KeyspaceSettings } from '../../src/compaction/job.ts'
import { createNodeFileSystem } from '../../src/env/node-file-system.ts'
import { createTimers } from '../../src/env/timers.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { commit, merge, newMemtable, put, type TestOperation } from '../memtable/commits.ts'

const fs = createNodeFileSystem()
const K = 1
let directory: string
let warnings: string[]
let runners: WorkerRunner[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'varve-worker-'))
  mkdirSync(join(directory, 'store'))
  warnings = []
  runners = []
})

afterEach(async () => {
  for (const runner of runners) await runner.close()
  rmSync(directory, { recursive: true })
})

function newRunner(entry?: URL): WorkerRunner {
  const quiet = (): void => undefined
  const runner = new WorkerRunner({
    fs,
    timers: createTimers(),
    logger: { debug: quiet, info: quiet, warn: (message) => warnings.push(message), error: quiet },
    ...(entry === undefined ? {} : { entry }),
  })
  runners.push(runner)
  return runner
}

let nextFileNumber = 1

function base(settings: Partial<KeyspaceSettings> = {}): Omit<FlushJob, 'type' | 'memtable'> {
  const firstFileNumber = nextFileNumber
  nextFileNumber += 1000
  return {
    directory: join(directory, 'store'),
    firstFileNumber,
    fileNumberCount: 1000,
    dropFloor: 1,
    snapshots: [],
    bands: [],
    segmentBytes: 1 << 20,
    keyspaces: [
      {
        id: K,
        blobThresholdBytes: Infinity,
        compression: 'none',
        bloomBitsPerKey: 10,
        blockBytes: 4096,
        ...settings,
      },
    ],
  }
}

function flushOf(
  operations: TestOperation[],
  options: { firstSeqno?: number; settings?: Partial<KeyspaceSettings> } = {},
): FlushJob {
  const memtable = newMemtable({ firstSeqno: options.firstSeqno ?? 1 })
  commit(memtable, operations)
  memtable.seal()
  return { ...base(options.settings), type: 'flush', memtable: memtable.toParts() }
}

function compactionOf(upper: SegmentMeta[]): CompactJob {
  return {
    ...base(),
    type: 'compact',
    keyspaceId: K,
    level: 0,
    outputLevel: 6,
    upper,
    lower: [],
    deeper: [],
    overlapBytesMax: 1 << 30,
    rewriteBlobFiles: [],
    mayTakeOver: true,
  }
}

function values(meta: SegmentMeta): string[] {
  const path = join(directory, 'store', `${String(meta.number).padStart(6, '0')}.seg`)
  const file = fs.openRead(path)
  const iterator = new SegmentReader(file, meta, undefined).iterator({ mayRead: true })
  const found: string[] = []
  for (iterator.seekToFirst(); iterator.valid; iterator.next()) {
    found.push(
      Buffer.from(iterator.valueBytes.subarray(iterator.valueStart, iterator.valueEnd)).toString(),
    )
  }
  file.close()
  return found
}

function many(count: number, from = 0): TestOperation[] {
  return Array.from({ length: count }, (_, i) => put(`k${from + i}`, 'v'.repeat(100), K))
}

test('a flush and a compaction run in the worker, and their results come back as Buffers', async () => {
  const runner = newRunner()
  const first = await runner.run(flushOf([put('a', '1', K), put('b', '1', K)]), new Map())
  const second = await runner.run(flushOf([put('b', '2', K)], { firstSeqno: 3 }), new Map())
  const upper = [second.added[0]!.meta, first.added[0]!.meta]
  const result = await runner.run(compactionOf(upper), new Map())
  expect(new Set(result.added.map(({ level }) => level))).toEqual(new Set([6, 'history']))
  const live = result.added.find(({ level }) => level === 6)!.meta
  expect(values(live)).toEqual(['1', '2'])
  expect(Buffer.isBuffer(live.firstKey)).toBe(true)
  expect(warnings).toEqual([])
})

test('a flush does not wait behind a compaction', async () => {
  const runner = newRunner()
  const parts = await Promise.all(
    [0, 1, 2].map((i) =>
      runner.run(flushOf(many(40_000), { firstSeqno: 1 + i * 40_000 }), new Map()),
    ),
  )
  const ended: string[] = []
  const upper = parts.map(({ added }) => added[0]!.meta).reverse()
  const compaction = runner.run(compactionOf(upper), new Map()).then(() => ended.push('compaction'))
  const flush = runner
    .run(flushOf(many(100), { firstSeqno: 200_000 }), new Map())
    .then(() => ended.push('flush'))
  await Promise.all([compaction, flush])
  expect(ended).toEqual(['flush', 'compaction'])
})

test('an error crosses the thread with its code', async () => {
  const runner = newRunner()
  const job = flushOf([put('a', '1', K)])
  const missing = { ...job, directory: join(directory, 'missing') }
  await expect(runner.run(missing, new Map())).rejects.toMatchObject({
    code: 'ENOENT',
    syscall: 'open',
  })
  const { added } = await runner.run(job, new Map())
  const damaged = { ...added[0]!.meta, entries: 2 }
  await expect(runner.run(compactionOf([damaged]), new Map())).rejects.toMatchObject({
    name: 'VarveError',
    code: 'VARVE_CORRUPTION',
    details: { file: expect.stringContaining('.seg') },
  })
})

test('an aborted job in the worker removes its files', async () => {
  const runner = newRunner()
  await runner.run(flushOf([put('a', '1', K)]), new Map())
  const before = readdirSync(join(directory, 'store'))
  const abort = new AbortController()
  const running = runner.run(flushOf(many(100_000), { firstSeqno: 2 }), new Map(), {
    signal: abort.signal,
  })
  abort.abort()
  await expect(running).rejects.toMatchObject({ code: 'VARVE_ABORTED' })
  expect(readdirSync(join(directory, 'store'))).toEqual(before)
})

test('closing aborts what runs and ends the thread', async () => {
  const runner = newRunner()
  const running = runner.run(flushOf(many(100_000)), new Map()).catch((error: unknown) => error)
  await runner.close()
  expect(await running).toMatchObject({ code: 'VARVE_ABORTED' })
  expect(readdirSync(join(directory, 'store'))).toEqual([])
  await expect(runner.run(flushOf([put('a', '1', K)]), new Map())).rejects.toMatchObject({
    code: 'VARVE_ABORTED',
  })
})

const doubling: MergeOperator = {
  name: 'doubling',
  merge: (_key, base, operands) => Buffer.from(`here:${base?.toString() ?? ''}:${operands.length}`),
  combine: (_key, operands) => Buffer.from(`here:${operands.length}`),
}

test('an operator with a module is loaded in the worker', async () => {
  const path = join(directory, 'operator.mjs')
  writeFileSync(
    path,
    `export default { name: 'doubling', merge: () => Buffer.from('there'), combine: (key, operands) => Buffer.from('there:' + operands.length) }`,
  )
  const settings = { mergeOperator: 'doubling', operatorModule: pathToFileURL(path).href }
  const operators = new Map([['doubling', { ...doubling, module: settings.operatorModule }]])
  const runner = newRunner()
  const operations = [merge('a', '1', K), merge('a', '2', K)]
  const { added } = await runner.run(flushOf(operations, { settings }), operators)
  expect(values(added[0]!.meta)).toEqual(['there:2'])
})

test('an operator without a module folds on the calling thread', async () => {
  const settings = { mergeOperator: 'doubling' }
  const runner = newRunner()
  const operations = [merge('a', '1', K), merge('a', '2', K)]
  const { added } = await runner.run(
    flushOf(operations, { settings }),
    new Map([['doubling', doubling]]),
  )
  expect(values(added[0]!.meta)).toEqual(['here:2'])
  expect(warnings).toEqual([])
})

test('an operator whose module cannot be loaded folds on the calling thread, with one warning', async () => {
  const settings = {
    mergeOperator: 'doubling',
    operatorModule: pathToFileURL(join(directory, 'missing.mjs')).href,
  }
  const runner = newRunner()
  for (let i = 0; i < 2; i++) {
    const operations = [merge('a', '1', K), merge('a', '2', K)]
    const { added } = await runner.run(
      flushOf(operations, { settings, firstSeqno: 1 + 2 * i }),
      new Map([['doubling', doubling]]),
    )
    expect(values(added[0]!.meta)).toEqual(['here:2'])
  }
  expect(warnings.length).toBe(1)
})

test('where no worker can be started, jobs run on the calling thread, with one warning', async () => {
  const runner = newRunner(pathToFileURL(join(directory, 'nothing.mjs')))
  const { added } = await runner.run(flushOf([put('a', '1', K)]), new Map())
  expect(values(added[0]!.meta)).toEqual(['1'])
  await runner.run(flushOf([put('a', '1', K)], { firstSeqno: 2 }), new Map())
  expect(warnings.length).toBe(1)
})

test('when the worker dies its jobs fail, their files are removed, and the next job gets another worker', async () => {
  const path = join(directory, 'mortal.mjs')
  const store = join(directory, 'store')
  const source = new URL('../../src/background/job-worker.mjs', import.meta.url).href
  writeFileSync(
    path,
    `import { existsSync, writeFileSync } from 'node:fs'
     import { parentPort } from 'node:worker_threads'
     if (existsSync(${JSON.stringify(join(directory, 'died'))})) await import(${JSON.stringify(source)})
     else {
       parentPort.postMessage({ type: 'ready' })
       let jobs = 0
       parentPort.on('message', ({ id, job }) => {
         // An answer comes behind 'ready'; an error may overtake both.
         if (++jobs === 1) {
           const error = { isVarve: false, name: 'Error', message: 'first', fields: {}, details: {} }
           return parentPort.postMessage({ type: 'failed', id, error })
         }
         writeFileSync(${JSON.stringify(`${store}/`)} + String(job.firstFileNumber).padStart(6, '0') + '.seg', 'part')
         writeFileSync(${JSON.stringify(join(directory, 'died'))}, '')
         throw new Error('died')
       })
     }`,
  )
  writeFileSync(join(store, '999999.seg'), 'of somebody else')
  const runner = newRunner(pathToFileURL(path))
  await expect(runner.run(flushOf([put('a', '1', K)]), new Map())).rejects.toThrow('first')
  const failure = await runner.run(flushOf([put('a', '1', K)]), new Map()).catch((e: unknown) => e)
  expect(failure).toMatchObject({ code: 'VARVE_IO', cause: { message: 'died' } })
  expect(readdirSync(store)).toEqual(['999999.seg'])
  const { added } = await runner.run(flushOf([put('a', '1', K)]), new Map())
  expect(values(added[0]!.meta)).toEqual(['1'])
})

test('when the worker dies before anything was heard of it, its job runs on the calling thread, without its files', async () => {
  const path = join(directory, 'stillborn.mjs')
  const store = join(directory, 'store')
  writeFileSync(
    path,
    `import { writeFileSync } from 'node:fs'
     import { parentPort } from 'node:worker_threads'
     parentPort.on('message', ({ job }) => {
       writeFileSync(${JSON.stringify(`${store}/`)} + String(job.firstFileNumber).padStart(6, '0') + '.seg', 'part')
       throw new Error('died')
     })`,
  )
  const runner = newRunner(pathToFileURL(path))
  const { added } = await runner.run(flushOf([put('a', '1', K)]), new Map())
  expect(values(added[0]!.meta)).toEqual(['1'])
  expect(warnings).toHaveLength(1)
})

test('a job that cannot be sent is rejected, and the runner goes on', async () => {
  const runner = newRunner()
  const job = { ...flushOf([put('a', '1', K)]), bad: () => undefined }
  await expect(runner.run(job, new Map())).rejects.toMatchObject({ name: 'DataCloneError' })
  await runner.run(flushOf([put('a', '1', K)]), new Map())
})
