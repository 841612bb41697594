import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type ChangeEvent, replicate, Varve } from '../../src/index.ts'
import { openStore } from '../../src/db/open.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { codeOf, fixture, LOCATION } from './open.ts'

const COPY = '/data/copy'

async function eventsOf(store: Varve, from = 1): Promise<ChangeEvent[]> {
  const events: ChangeEvent[] = []
  for await (const event of store.scanSinceSeqno(from)) events.push(event)
  return events
}

async function entriesOf(store: Varve): Promise<string[]> {
  const entries = await store.entries().all()
  return entries.map(([key, value]) => `${key.toString('hex')}=${value.toString('hex')}`)
}

function openAt(
  fs: MemoryFileSystem,
  location: string,
  options: Parameters<typeof openStore>[1] = {},
): Promise<Varve> {
  return openStore(location, {
    memtableBytes: 64 * 1024,
    syncIntervalMs: 0,
    history: 'all',
    environment: { fs },
    ...options,
  })
}

/** Segments, history, blob files, and something in the log. */
async function fill(store: Varve): Promise<void> {
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 50; i++) await store.put(`k${i}`, `${round}`)
    await store.put(`big${round}`, Buffer.alloc(20_000, round))
    await store.flush()
  }
  await store.compact()
  await store.put('in the log', '1', { meta: 'm' })
  await store.deleteRange('k1', 'k2')
}

test('a checkpoint is the whole store, with its history and its consumers', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await fill(store)
  const consumer = await store.consumer('c')
  await consumer.ack(20)
  const { seqno } = await store.checkpoint(COPY)
  expect(seqno).toBe(store.history().latest)
  await consumer.ack(30)
  await store.put('later', '1')
  const copy = await openAt(fs, COPY)
  expect(await eventsOf(copy)).toEqual((await eventsOf(store)).slice(0, seqno))
  expect(copy.consumers()).toMatchObject([{ name: 'c', position: 20, state: 'active' }])
  expect(await copy.get('later')).toBeUndefined()
  expect(await copy.get('in the log')).toEqual(Buffer.from('1'))
  expect(await copy.verify()).toMatchObject({ ok: true })
  await copy.close()
  await store.close()
})

test('a checkpoint opened as a primary is another branch of the same store', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await fill(store)
  const { seqno } = await store.checkpoint(COPY)
  const { token } = store.scanSinceSeqno(seqno + 1)
  const copy = await openAt(fs, COPY)
  const [ours, theirs] = [store.history(), copy.history()]
  expect(theirs.storeId).toBe(ours.storeId)
  expect(theirs.epochs.slice(0, -1)).toEqual(ours.epochs)
  expect(theirs.epochs.at(-1)).toMatchObject({ epoch: ours.epoch + 1, first: seqno + 1 })
  expect(await copy.scanSinceSeqno(token).nextBatch()).toEqual([])
  await copy.put('here', '1')
  await store.put('there', '1')
  expect(
    await codeOf(() => store.scanSinceSeqno(copy.scanSinceSeqno(seqno + 2).token).nextBatch()),
  ).toBe('VARVE_HISTORY_DIVERGED')
  expect(await codeOf(() => replicate(copy, store))).toBe('VARVE_INVALID_ARGUMENT')
  await copy.close()
  await store.close()
})

test('neither store minds what becomes of the other', async () => {
  const { fs, open } = fixture({ history: 'none' })
  const store = await open()
  await fill(store)
  const before = await entriesOf(store)
  await store.checkpoint(COPY)
  const copy = await openAt(fs, COPY)
  for (let i = 0; i < 50; i++) await store.put(`k${i}`, 'new')
  await store.compact()
  await copy.deleteRange('')
  await copy.compact()
  expect(await entriesOf(copy)).toEqual([])
  expect(await store.get('k7')).toEqual(Buffer.from('new'))
  expect(await store.verify()).toMatchObject({ ok: true })
  await copy.close()
  await Varve.destroy(COPY, { environment: { fs } })
  expect(fs.stat(COPY)).toBeUndefined()
  expect(await store.verify()).toMatchObject({ ok: true })
  expect(before.length).toBeGreaterThan(40)
  await store.close()
})

test('a replica of a source that has given up its beginning is based on a checkpoint', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await fill(store)
  await store.truncateHistory(100)
  await store.checkpoint(COPY)
  await store.put('later', '1')
  const replica = await openAt(fs, COPY, { role: 'replica' })
  expect(replica.role).toBe('replica')
  expect(replica.history().epochs).toEqual(store.history().epochs)
  await replicate(store, replica, { stopAtLatest: true })
  expect(await eventsOf(replica, 100)).toEqual(await eventsOf(store, 100))
  expect(await entriesOf(replica)).toEqual(await entriesOf(store))
  await replica.close()
  await store.close()
})

test('a checkpoint of a replica is one, and knows where to go on', async () => {
  const source = await fixture().open()
  const { fs, open } = fixture({ role: 'replica' })
  const replica = await open()
  await fill(source)
  await replicate(source, replica, { stopAtLatest: true })
  await replica.checkpoint(COPY)
  await source.put('later', '1')
  const copy = await openAt(fs, COPY)
  expect(copy.role).toBe('replica')
  expect(copy.history().sourceToken).toBe(replica.history().sourceToken)
  await replicate(source, copy, { stopAtLatest: true })
  expect(await eventsOf(copy)).toEqual(await eventsOf(source))
  for (const store of [source, replica, copy]) await store.close()
})

test('checkpoints are consistent while the store is written, flushed and compacted', async () => {
  const { fs, open } = fixture({ memtableBytes: 16 * 1024, segmentBytes: 16 * 1024 })
  const store = await open({}, { level0Trigger: 2 } as never)
  let isDone = false
  const writing = (async () => {
    for (let i = 0; !isDone; i++) {
      const batch = store.batch()
      for (let j = 0; j < 5; j++) batch.put(`k${(i * 7 + j * 13) % 200}`, `${i}`.repeat(20))
      await store.write(batch)
      if (i % 40 === 0) await store.deleteRange(`k${i % 9}`, `k${(i % 9) + 1}`)
    }
  })()
  for (let i = 0; i < 4; i++) {
    const directory = `${COPY}${i}`
    const { seqno } = await store.checkpoint(directory)
    const copy = await openAt(fs, directory)
    expect(copy.history().latest).toBe(seqno)
    expect(await copy.verify()).toMatchObject({ ok: true })
    const events = await eventsOf(copy)
    expect(events.at(-1)!.commitLast).toBe(seqno)
    const expected: ChangeEvent[] = []
    for await (const event of store.scanSinceSeqno(1, { upTo: seqno })) expected.push(event)
    expect(events).toEqual(expected)
    await copy.close()
  }
  isDone = true
  await writing
  await store.close()
})

test.each(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP'])(
  'files are copied where links are refused with %s',
  async (code) => {
    const { fs, open } = fixture()
    const store = await open()
    await fill(store)
    const link = fs.link.bind(fs)
    let refused = 0
    fs.link = () => {
      refused++
      throw Object.assign(new Error(code), { code })
    }
    const openFiles = fs.openFileCount
    await store.checkpoint(COPY)
    expect(fs.openFileCount).toBe(openFiles)
    fs.link = link
    expect(refused).toBe(1)
    await store.close()
    await Varve.destroy(LOCATION, { environment: { fs } })
    const copy = await openAt(fs.crash('lost'), COPY)
    expect(await copy.verify()).toMatchObject({ ok: true })
    expect(await copy.get('big1')).toEqual(Buffer.alloc(20_000, 1))
    await copy.close()
  },
)

test('a directory that is not new or empty is refused', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await store.put('a', '1')
  await store.checkpoint(COPY)
  for (const directory of [COPY, LOCATION, '/data', `${COPY}/CURRENT`]) {
    expect(await codeOf(() => store.checkpoint(directory)), directory).toBe(
      'VARVE_INVALID_ARGUMENT',
    )
  }
  fs.makeDirectory('/data/empty')
  expect(await store.checkpoint('/data/empty')).toEqual({ seqno: 1 })
  expect(await codeOf(() => store.checkpoint(7 as never))).toBe('ERR_INVALID_ARG_TYPE')
  const reader = await open({ readOnly: true })
  expect(await codeOf(() => reader.checkpoint('/data/other'))).toBe('VARVE_READ_ONLY')
  await reader.close()
  await store.close()
  expect(await codeOf(() => store.checkpoint('/data/other'))).toBe('VARVE_CLOSED')
})

test('on the real disk files are links, also while a worker compacts', async () => {
  const home = mkdtempSync(join(tmpdir(), 'varve-checkpoint-'))
  try {
    const store = await Varve.open(join(home, 'store'), {
      memtableBytes: 64 * 1024,
      segmentBytes: 64 * 1024,
      history: 'all',
    })
    const inodes = (directory: string): number[] =>
      readdirSync(join(home, directory))
        .filter((name) => name.endsWith('.seg'))
        .map((name) => statSync(join(home, directory, name)).ino)
    for (let i = 0; i < 500; i++) await store.put(`key${i}`, `${i}`)
    await store.flush()
    const before = inodes('store')
    const made = store.checkpoint(join(home, 'first'))
    const writes: Promise<number>[] = []
    for (let i = 0; i < 4_000; i++) writes.push(store.put(`key${i % 500}`, `${i}`.repeat(10)))
    await Promise.all(writes)
    const { seqno } = await made
    expect(inodes('first')).toEqual(expect.arrayContaining(before))
    const copy = await Varve.open(join(home, 'first'), { role: 'replica' })
    expect(copy.history().latest).toBe(seqno)
    await replicate(store, copy, { stopAtLatest: true })
    expect(await entriesOf(copy)).toEqual(await entriesOf(store))
    expect(await copy.verify()).toMatchObject({ ok: true })
    await copy.close()
    await store.close()
  } finally {
    rmSync(home, { recursive: true })
  }
})

test('two checkpoints at once do not get into the same directory', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await fill(store)
  const codes = await Promise.all([1, 2].map(() => codeOf(() => store.checkpoint(COPY))))
  expect(codes.filter((code) => code === 'no error')).toHaveLength(1)
  const copy = await openAt(fs, COPY)
  expect(await copy.verify()).toMatchObject({ ok: true })
  await copy.close()
  await store.close()
})

test('a checkpoint that comes first while the other waits for the lock stays as it is', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await fill(store)
  const lock = fs.lock.bind(fs)
  let waited = 0
  fs.lock = async (path) => {
    fs.lock = lock
    waited++
    await store.checkpoint(path)
    return lock(path)
  }
  expect(await codeOf(() => store.checkpoint(COPY))).toBe('VARVE_INVALID_ARGUMENT')
  expect(waited).toBe(1)
  const copy = await openAt(fs, COPY)
  expect(await copy.verify()).toMatchObject({ ok: true })
  expect(await entriesOf(copy)).toEqual(await entriesOf(store))
  await copy.close()
  await store.close()
})

test('what a checkpoint has its store has too, whatever power cut comes', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await store.put('a', '1')
  await store.flush()
  await store.put('b', '2')
  expect(store.history().durable).toBe(1)
  const { seqno } = await store.checkpoint(COPY)
  expect(seqno).toBe(2)
  const after = fs.crash('lost')
  const again = await openAt(after, LOCATION)
  const copy = await openAt(after, COPY)
  expect(await entriesOf(copy)).toHaveLength(2)
  expect(await entriesOf(again)).toEqual(await entriesOf(copy))
  expect(again.history().latest).toBe(2)
  await copy.close()
  await again.close()
})

test('once it is made the store keeps no file for it', async () => {
  const { fs, open } = fixture({ history: 'none' })
  const store = await open()
  await fill(store)
  await store.checkpoint(COPY)
  await store.deleteRange('')
  await store.flush()
  await store.truncateHistory(store.history().latest + 1)
  await store.compact()
  const left = fs.list(LOCATION).filter((name) => /\.(seg|blob)$/.test(name))
  expect(left).toEqual([])
  await store.close()
})

test('a checkpoint that fails leaves the directory empty and the store as it was', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await fill(store)
  fs.inject({ operation: 'write', file: /copy\/.*MANIFEST/, effect: 'ENOSPC' })
  expect(await codeOf(() => store.checkpoint(COPY))).toBe('VARVE_NO_SPACE')
  expect([...fs.files().keys()].filter((path) => path.startsWith(COPY))).toEqual([])
  expect(store.status).toBe('open')
  fs.clearFaults()
  await store.checkpoint(COPY)
  const copy = await openAt(fs, COPY)
  expect(await copy.verify()).toMatchObject({ ok: true })
  await copy.close()
  await store.close()
})

test('a checkpoint that fails is removed in such an order that no crash leaves half of it to be repaired', async () => {
  const { fs, open } = fixture()
  const store = await open()
  await fill(store)
  const images: MemoryFileSystem[] = []
  const remove = fs.remove.bind(fs)
  fs.remove = (path) => {
    if (path.startsWith(`${COPY}/`)) images.push(fs.crash('kept'))
    remove(path)
  }
  fs.inject({ operation: 'syncDirectory', file: /copy/, after: 3, effect: 'EIO' })
  expect(await codeOf(() => store.checkpoint(COPY))).toBe('VARVE_IO')
  expect(fs.list(COPY)).toEqual([])
  expect(images.length).toBeGreaterThan(5)
  // While CURRENT is there all of it is.
  const halves = images.filter((image) => !image.list(COPY).includes('CURRENT'))
  expect(halves).toHaveLength(images.length - 1)
  for (const image of halves) {
    const environment = { fs: image }
    const names = image.list(COPY).join()
    expect(await codeOf(() => openAt(image, COPY)), names).toBe('VARVE_CORRUPTION')
    expect(await codeOf(() => Varve.repair(COPY, { environment })), names).toBe('VARVE_CORRUPTION')
  }
  await store.close()
})

test.each([
  ['only a log', false],
  ['files', true],
] as const)(
  'a crash in the middle leaves a whole checkpoint or a directory that open refuses: %s',
  async (_what, hasFiles) => {
    const base = fixture()
    let store = await base.open()
    await store.put('a', '1')
    if (hasFiles) {
      await store.put('big', Buffer.alloc(9_000))
      await store.flush()
      await store.put('a', '2')
    }
    const expected = await eventsOf(store)
    await store.sync()
    const outcomes = new Set<unknown>()
    for (let operation = 1; !outcomes.has('made'); operation++) {
      const { fs, open } = fixture({}, base.fs.crash('kept'))
      store = await open()
      fs.dieAtOperation(fs.operationCount + operation)
      const made = await codeOf(() => store.checkpoint(COPY))
      if (made === 'no error') outcomes.add('made')
      await store.close().catch(() => undefined)
      for (const image of [fs.crash('lost'), fs.crash('kept'), fs.crash({ seed: operation })]) {
        const isThere = image.stat(COPY) !== undefined && image.list(COPY).length > 0
        let copy: Varve | undefined
        const code = await codeOf(async () => {
          copy = await openAt(image, COPY, { createIfMissing: false })
        })
        outcomes.add(code)
        if (made === 'no error') expect(code).toBe('no error')
        if (copy === undefined) {
          // Nothing was made yet, or it says what it is; never a store that is empty, or lacks something.
          const expectedCode = isThere ? 'VARVE_CORRUPTION' : 'VARVE_NOT_FOUND'
          expect(code).toBe(expectedCode)
          const environment = { fs: image }
          expect(await codeOf(() => Varve.open(COPY, { readOnly: true, environment }))).toBe(code)
          expect(await codeOf(() => Varve.repair(COPY, { environment }))).toBe(code)
          await Varve.destroy(COPY, { environment })
          expect(image.stat(COPY)).toBeUndefined()
          continue
        }
        expect(await eventsOf(copy)).toEqual(expected)
        expect(image.list(COPY)).not.toContain('CHECKPOINT')
        await copy.close()
      }
    }
    expect(outcomes).toEqual(new Set(['VARVE_CORRUPTION', 'VARVE_NOT_FOUND', 'made', 'no error']))
    store = await fixture({}, base.fs.crash('lost')).open()
    expect(await eventsOf(store)).toEqual(expected)
    await store.close()
  },
)

test('a power cut behind a checkpoint that failed leaves nothing, or what is refused with the advice to remove it', async () => {
  const { open, fs } = fixture()
  const db = await open()
  for (let round = 0; round < 3; round++) {
    await db.put('key', `value ${round}`)
    await db.flush()
  }
  fs.inject({ operation: 'write', file: /copy\/.*MANIFEST/, effect: 'ENOSPC' })
  expect(await codeOf(() => db.checkpoint(COPY))).toBe('VARVE_NO_SPACE')
  for (let seed = 0; seed < 40; seed++) {
    const after = fs.crash({ seed })
    const opening = openAt(after, COPY, { createIfMissing: false })
    await expect(opening).rejects.toThrow(/there is no store|remove the directory/)
  }
  await db.close()
})
