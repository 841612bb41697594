import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  decodeCounter,
  encodeCounter,
  mergeOperators,
  Varve,
  VarveError,
  type StoreEvents,
} from '../../src/index.ts'
import { any, diskPlace, errorOf, memoryPlace, rejected, text, thrown } from './store.ts'

test('files have mode 0600, directories 0700', async () => {
  const place = diskPlace({ blobThresholdBytes: 10 })
  const db = await place.open({})
  await db.put('a', 'x'.repeat(100))
  await db.flush()
  await db.checkpoint(`${place.location}/../deep/copy`)
  for (const directory of [
    place.location,
    join(place.location, '../deep'),
    join(place.location, '../deep/copy'),
  ]) {
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(directory)) {
      const stat = statSync(join(directory, name))
      expect(stat.mode & 0o777, name).toBe(stat.isDirectory() ? 0o700 : 0o600)
    }
  }
})

test('open and destroy refuse what they must', async () => {
  const place = diskPlace()
  const db = await place.open()
  await db.put('a', '1')
  expect(await rejected(Varve.open(place.location))).toBe('VARVE_LOCKED')
  expect(await rejected(Varve.destroy(place.location))).toBe('VARVE_LOCKED')
  expect(await rejected(Varve.repair(place.location))).toBe('VARVE_LOCKED')
  await db.close()
  expect(await rejected(Varve.open(place.location, { errorIfExists: true }))).toBe('VARVE_EXISTS')
  expect(await rejected(Varve.open(place.location, { errorIfExists: true, readOnly: true }))).toBe(
    'VARVE_EXISTS',
  )
  const file = `${place.location}-file`
  writeFileSync(file, 'mine')
  expect(await rejected(Varve.open(file))).toBe('VARVE_INVALID_ARGUMENT')
  expect(await rejected(Varve.open(file, { readOnly: true }))).toBe('VARVE_INVALID_ARGUMENT')
  expect(await rejected(Varve.open(join(file, 'below')))).toMatch(/VARVE_(INVALID_ARGUMENT|IO)/)
  expect(await rejected(Varve.destroy(join(file, 'below')))).toMatch(
    /VARVE_(INVALID_ARGUMENT|IO)|not rejected/,
  )
  expect(await rejected(Varve.open(`${place.location}-none`, { createIfMissing: false }))).toBe(
    'VARVE_NOT_FOUND',
  )
  expect(await rejected(Varve.open(`${place.location}-none`, { readOnly: true }))).toBe(
    'VARVE_NOT_FOUND',
  )
  expect(existsSync(`${place.location}-none`)).toBe(false)
  writeFileSync(join(place.location, 'mine.txt'), 'mine')
  await Varve.destroy(place.location)
  expect(readdirSync(place.location)).toEqual(['mine.txt'])
  await Varve.destroy(place.location)
  expect(readdirSync(place.location)).toEqual(['mine.txt'])
  expect(await rejected(Varve.destroy(file))).toBe('VARVE_INVALID_ARGUMENT')
  const fresh = await place.open({ errorIfExists: true, createIfMissing: true })
  expect(fresh.history().latest).toBe(0)
  await fresh.close()
  const deep = join(place.location, 'a', 'b', 'c')
  const nested = await Varve.open(deep)
  await nested.close()
  await Varve.destroy(deep)
  expect(existsSync(deep)).toBe(false)
  expect(existsSync(join(place.location, 'a', 'b'))).toBe(true)
})

test('destroy removes what repair set aside', async () => {
  const place = memoryPlace()
  const db = await place.open()
  await db.put('a', '1')
  await db.flush()
  await db.put('b', '1')
  await db.close()
  const environment = { fs: place.fs }
  const segment = [...place.fs.files().keys()].find(
    (path) => place.fs.files().get(path)!.length > 0 && /seg|sst|\.vs/i.test(path),
  )
  expect(segment).toBeDefined()
  place.fs.corrupt(segment!, 4, Buffer.alloc(40, 0xee))
  const report = await Varve.repair(place.location, { environment })
  expect(report.filesSetAside.length).toBeGreaterThan(0)
  expect(Object.keys(report).toSorted()).toEqual([
    'epoch',
    'eventsKept',
    'filesRead',
    'filesSetAside',
    'floor',
    'seqnosLost',
  ])
  const again = await place.open()
  expect(again.history().epoch).toBe(report.epoch)
  expect(again.history().floor).toBe(report.floor)
  expect(report.epoch).toBe(2)
  expect((await again.verify()).ok).toBe(true)
  await again.close()
  await Varve.destroy(place.location, { environment })
  expect([...place.fs.files().keys()]).toEqual([])
})

test('repair changes nothing where nothing is damaged', async () => {
  const place = memoryPlace()
  const db = await place.open()
  await db.put('a', '1')
  await db.flush()
  await db.put('b', '1')
  await db.close()
  const before = place.fs.files()
  const operations = place.fs.operationCount
  const report = await Varve.repair(place.location, { environment: { fs: place.fs } })
  expect(report).toMatchObject({
    filesSetAside: [],
    eventsKept: 2,
    seqnosLost: [],
    floor: 1,
    epoch: 1,
  })
  expect(place.fs.operationCount).toBe(operations)
  expect(place.fs.files()).toEqual(before)
  expect(await rejected(Varve.repair('/nowhere', { environment: { fs: place.fs } }))).toBe(
    'VARVE_NOT_FOUND',
  )
  expect(
    await rejected(
      Varve.repair(place.location, { environment: { fs: place.fs }, signal: AbortSignal.abort() }),
    ),
  ).toBe('VARVE_ABORTED')
})

test('stats, flush, compaction and floor events tell the truth', async () => {
  const place = memoryPlace({ blobThresholdBytes: 1000, history: 'none' })
  const db = await place.open()
  const seen: [string, object][] = []
  for (const name of [
    'flush',
    'compaction',
    'historyFloor',
    'stall',
    'consumerAtRisk',
    'backgroundError',
  ] as const) {
    expect(db.on(name, (info: StoreEvents[typeof name]) => seen.push([name, info]))).toBe(db)
  }
  const empty = db.stats()
  expect(empty).toMatchObject({
    latestSeqno: 0,
    durableSeqno: 0,
    keyspaces: { default: { levels: [], history: { segments: 0, bytes: 0, entries: 0 } } },
    blobs: { files: 0, bytes: 0, liveBytes: 0 },
    io: {
      userBytesWritten: 0,
      walBytesWritten: 0,
      flushBytesWritten: 0,
      compactionBytesRead: 0,
      compactionBytesWritten: 0,
    },
    openSnapshots: 0,
    oldestSnapshotAgeMs: 0,
    pendingCompactionBytes: 0,
  })
  expect(Object.keys(empty).toSorted()).toEqual([
    'blobs',
    'blockCache',
    'durableSeqno',
    'io',
    'keyspaces',
    'latestSeqno',
    'memtableBytes',
    'oldestSnapshotAgeMs',
    'openSnapshots',
    'pendingCompactionBytes',
    'wal',
  ])
  expect(Object.keys(empty.blockCache).toSorted()).toEqual(['bytes', 'hits', 'misses'])
  const ks = await db.keyspace('k', { blobThresholdBytes: 1000 })
  await db.put('ab', '123')
  await ks.put('cd', 'x'.repeat(2000))
  await db.deleteRange('x', 'yz')
  const stats = db.stats()
  expect(stats.io.userBytesWritten).toBe(5 + 2002 + 3)
  expect(stats.io.walBytesWritten).toBeGreaterThan(2010)
  expect(stats.wal.files).toBe(1)
  expect(stats.wal.bytes).toBeGreaterThan(2010)
  expect(stats.memtableBytes).toBeGreaterThan(2000)
  await db.flush()
  const flushed = db.stats()
  expect(flushed.durableSeqno).toBe(3)
  expect(flushed.keyspaces['k']!.levels).toEqual([
    { level: 0, segments: 1, bytes: expect.any(Number), entries: 1, minSeqno: 2, maxSeqno: 2 },
  ])
  expect(flushed.blobs.files).toBe(1)
  expect(flushed.blobs.liveBytes).toBeGreaterThanOrEqual(2000)
  expect(flushed.blobs.bytes).toBeGreaterThanOrEqual(flushed.blobs.liveBytes)
  const flushes = seen
    .filter(([name]) => name === 'flush')
    .map(([, info]) => info as StoreEvents['flush'])
  expect(flushes.map(({ keyspace }) => keyspace).toSorted()).toEqual(['default', 'k'])
  for (const flush of flushes) {
    expect(Object.keys(flush).toSorted()).toEqual([
      'bytes',
      'durationMs',
      'entries',
      'keyspace',
      'segment',
    ])
    expect(flush.bytes).toBeGreaterThan(0)
  }
  expect(flushes.find(({ keyspace }) => keyspace === 'k')!.entries).toBe(1)
  expect(seen.find(([name]) => name === 'historyFloor')).toEqual(['historyFloor', { floor: 4 }])
  const sizes = [...place.fs.files()].filter(([path]) => !/LOCK|CURRENT/.test(path))
  const segmentBytes = ['default', 'k']
    .flatMap((name) => flushed.keyspaces[name]!.levels)
    .reduce((sum, { bytes }) => sum + bytes, 0)
  expect(sizes.map(([, bytes]) => bytes.length)).toEqual(
    expect.arrayContaining(
      ['default', 'k'].flatMap((name) => flushed.keyspaces[name]!.levels).map(({ bytes }) => bytes),
    ),
  )
  expect(flushed.io.flushBytesWritten).toBeGreaterThanOrEqual(segmentBytes + flushed.blobs.bytes)
  await db.put('ab', '4')
  await db.flush()
  seen.length = 0
  await db.compact({ keyspace: 'default' })
  const compaction = seen.find(([name]) => name === 'compaction')![1] as StoreEvents['compaction']
  expect(Object.keys(compaction).toSorted()).toEqual([
    'bytesRead',
    'bytesWritten',
    'durationMs',
    'inputs',
    'keyspace',
    'outputs',
  ])
  expect(compaction.keyspace).toBe('default')
  expect(compaction.inputs.length).toBeGreaterThan(0)
  expect(db.stats().io.compactionBytesRead).toBeGreaterThan(0)
  expect(db.stats().keyspaces['default']!.levels.map(({ entries }) => entries)).toEqual([1])
  expect(db.stats().keyspaces['k']!.levels[0]!.level).toBe(0)
  // off
  const listener = (info: StoreEvents['flush']): void => void seen.push(['mine', info])
  db.on('flush', listener)
  expect(db.off('flush', listener)).toBe(db)
  db.off('flush', listener)
  await db.put('z', '1')
  await db.flush()
  expect(seen.some(([name]) => name === 'mine')).toBe(false)
})

test('compact within bounds leaves the rest', async () => {
  const db = await memoryPlace().open()
  await db.put('a', '1')
  await db.flush()
  await db.put('m', '1')
  await db.flush()
  await db.compact({ start: 'a', end: 'b' })
  const levels = db.stats().keyspaces['default']!.levels
  expect(levels.map(({ segments }) => segments)).toEqual([1, 1])
  await db.compact({ start: 'z', end: 'b' })
  await db.compact({ start: '', end: '' })
  await db.compact({ keyspace: 'default', start: 'm' })
  expect(db.stats().keyspaces['default']!.levels.some(({ level }) => level === 0)).toBe(false)
  await (await memoryPlace().open()).compact()
})

test('compression codecs keep the same data', async () => {
  for (const compression of ['none', 'deflate', 'lz4'] as const) {
    const place = memoryPlace({ compression })
    let db = await place.open()
    for (let i = 0; i < 500; i++) void db.put(`key${i}`, 'abc'.repeat(20))
    await db.flush()
    await db.compact()
    const bytes = db.stats().keyspaces['default']!.levels[0]!.bytes
    if (compression !== 'none') expect(bytes).toBeLessThan(20_000)
    await db.close()
    db = await place.open({})
    expect((await db.values().all()).every((value) => text(value) === 'abc'.repeat(20))).toBe(true)
    expect((await db.keys().all()).length).toBe(500)
  }
})

test('verify reads every file and names what is wrong', async () => {
  const place = memoryPlace({ blobThresholdBytes: 100 })
  const db = await place.open()
  for (let i = 0; i < 200; i++) void db.put(`k${i}`, 'v'.repeat(i))
  await db.flush()
  await db.put('late', 'x')
  const progress: [number, number][] = []
  const report = await db.verify({ onProgress: (done, total) => progress.push([done, total]) })
  expect(report).toEqual({
    ok: true,
    filesChecked: expect.any(Number),
    bytesChecked: expect.any(Number),
    problems: [],
  })
  expect(report.filesChecked).toBeGreaterThanOrEqual(4)
  expect(progress.at(-1)![0]).toBe(progress.at(-1)![1])
  expect(await rejected(db.verify({ signal: AbortSignal.abort() }))).toBe('VARVE_ABORTED')
  const files = [...place.fs.files()].filter(
    ([path]) => !/LOCK/.test(path) && /\d/.test(path.split('/').at(-1)!),
  )
  for (const [path, bytes] of files) {
    const at = Math.floor(bytes.length / 2)
    place.fs.corrupt(path, at, Uint8Array.of(bytes[at]! ^ 0xff))
    const bad = await db.verify()
    expect(bad.ok, path).toBe(false)
    expect(bad.problems[0]!.file, path).toContain(path.split('/').at(-1))
    expect(bad.problems[0]!.code).toBe('VARVE_CORRUPTION')
    place.fs.corrupt(path, at, Uint8Array.of(bytes[at]!))
  }
  expect((await db.verify()).ok).toBe(true)
})

test('a merge operator may write over what it is given: keys, events and other versions stay as they are', async () => {
  const ruin = (...all: (Buffer | undefined)[]): void => all.forEach((bytes) => bytes?.fill(0))
  const add = (base: Buffer | undefined, operands: readonly Buffer[]): Buffer =>
    Buffer.from(String([base ?? '0', ...operands].reduce((sum, one) => sum + Number(one), 0)))
  const merge = (key: Buffer, base: Buffer | undefined, operands: readonly Buffer[]): Buffer => {
    const sum = add(base, operands)
    ruin(key, base, ...operands)
    return sum
  }
  const plain = { name: 'plain', merge, validate: (operand: Buffer) => ruin(operand) }
  const combining = {
    ...plain,
    name: 'combining',
    combine: (key: Buffer, operands: readonly Buffer[]) => merge(key, undefined, operands),
  }
  for (const blobThresholdBytes of [false, 1] as const) {
    const place = memoryPlace({ mergeOperators: [plain, combining], blobThresholdBytes })
    let db = await place.open()
    for (const name of ['plain', 'combining']) {
      const keyspace = await db.keyspace(name, { mergeOperator: name, blobThresholdBytes })
      await keyspace.put('based', '1')
      for (let i = 0; i < 40; i++) await keyspace.merge('based', '1')
      await keyspace.merge('bare', '5')
      await keyspace.merge('bare', '6')
      await keyspace.put('z', '1')
    }
    const events = await db.scanSinceSeqno(1).nextBatch()
    const first = db.snapshot()
    for (const name of ['plain', 'combining']) await (await db.keyspace(name)).merge('based', '2')
    const second = db.snapshot()
    for (const name of ['plain', 'combining']) await (await db.keyspace(name)).merge('based', '3')

    for (let round = 0; round < 4; round++) {
      for (const name of ['plain', 'combining']) {
        const keyspace = await db.keyspace(name)
        for (let again = 0; again < 2; again++) {
          expect(text(keyspace.getSync('based'))).toBe('46')
          expect(text(await keyspace.get('based'))).toBe('46')
          expect((await keyspace.getMany(['bare', 'based'])).map(text)).toEqual(['11', '46'])
          expect((await keyspace.entries().all()).flat().map(text)).toEqual([
            'bare',
            '11',
            'based',
            '46',
            'z',
            '1',
          ])
          if (round === 3) continue
          expect(text(await keyspace.get('based', { snapshot: first }))).toBe('41')
          expect(text(await keyspace.get('based', { snapshot: second }))).toBe('43')
        }
      }
      expect(await db.scanSinceSeqno(1, { upTo: events.length }).nextBatch()).toEqual(events)
      if (round === 0) await db.flush()
      if (round === 1) await db.compact()
      if (round !== 2) continue
      first.close()
      second.close()
      await db.compact()
      await db.close()
      db = await place.open()
    }
  }
})

test('merge operators fold, validate, and lose nothing where they fail', async () => {
  const failing = {
    name: 'failing',
    merge: (): Buffer => {
      throw new Error('no')
    },
  }
  const picky = {
    name: 'picky',
    merge: (_k: Buffer, base: Buffer | undefined, ops: readonly Buffer[]) =>
      Buffer.concat([base ?? Buffer.alloc(0), ...ops]),
    validate: (op: Buffer) => {
      if (op.length === 0) throw new Error('empty')
    },
  }
  const place = memoryPlace({ mergeOperators: [failing, picky], mergeOperator: 'counter' })
  const db = await place.open()
  await db.merge('n', encodeCounter(5))
  await db.merge('n', encodeCounter(-7n))
  expect(decodeCounter(await db.get('n'))).toBe(-2n)
  await db.put('n', encodeCounter(2n ** 63n - 1n))
  await db.merge('n', encodeCounter(1))
  expect(decodeCounter(await db.get('n'))).toBe(-(2n ** 63n))
  expect(decodeCounter(undefined)).toBe(0n)
  expect(encodeCounter(1)).toEqual(Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]))
  expect(thrown(() => encodeCounter(1.5))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => encodeCounter(any('1')))).toBe('ERR_INVALID_ARG_TYPE')
  expect(thrown(() => encodeCounter(2n ** 63n))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => encodeCounter(2 ** 60))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => decodeCounter(Buffer.alloc(7)))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => decodeCounter(any('12345678')))).toBe('ERR_INVALID_ARG_TYPE')
  expect(await rejected(db.merge('n', 'abc'))).toBe('VARVE_INVALID_ARGUMENT')
  expect(Object.keys(mergeOperators).toSorted()).toEqual([
    'append',
    'counter',
    'jsonMergePatch',
    'max',
    'min',
  ])
  for (const [key, operator] of Object.entries(mergeOperators)) expect(operator.name).toBe(key)
  const fails = await db.keyspace('f', { mergeOperator: 'failing' })
  await fails.merge('a', '1')
  await fails.put('b', '1')
  for (let round = 0; round < 3; round++) {
    const error = await errorOf(fails.get('a'))
    expect(error).toBeInstanceOf(VarveError)
    expect(error).toMatchObject({ code: 'VARVE_MERGE_FAILED' })
    expect(thrown(() => fails.getSync('a'))).toBe('VARVE_MERGE_FAILED')
    expect(await rejected(fails.entries().all())).toBe('VARVE_MERGE_FAILED')
    expect(await rejected(fails.getMany(['b', 'a']))).toBe('VARVE_MERGE_FAILED')
    expect(text(await fails.get('b'))).toBe('1')
    // Which keys there are does not depend on what they are worth.
    expect((await fails.keys().all()).map(text)).toEqual(['a', 'b'])
    if (round === 0) await db.flush()
    if (round === 1) await db.compact()
  }
  expect(
    (await db.scanSinceSeqno(1, { keyspaces: ['f'] }).nextBatch()).map(({ type }) => type),
  ).toEqual(['MergeOperand', 'Insert'])
  const p = await db.keyspace('p', { mergeOperator: 'picky' })
  expect(await rejected(p.merge('a', ''))).toBe('VARVE_INVALID_ARGUMENT')
  expect(thrown(() => db.batch().merge('a', '', p))).toBe('VARVE_INVALID_ARGUMENT')
  await p.merge('a', 'x')
  expect(text(await p.get('a'))).toBe('x')
  const json = await db.keyspace('j', { mergeOperator: 'jsonMergePatch' })
  expect(await rejected(json.merge('a', '{'))).toBe('VARVE_INVALID_ARGUMENT')
  await json.merge('a', '{"a":{"b":1,"c":null},"d":[1]}')
  await json.merge('a', '{"a":{"b":null,"e":2}}')
  expect(JSON.parse(text(await json.get('a'))!)).toEqual({ a: { e: 2 }, d: [1] })
  const max = await db.keyspace('max', { mergeOperator: 'max' })
  const min = await db.keyspace('min', { mergeOperator: 'min' })
  for (const op of ['b', 'ba', 'a']) await Promise.all([max.merge('a', op), min.merge('a', op)])
  expect([text(await max.get('a')), text(await min.get('a'))]).toEqual(['ba', 'a'])
  expect(await rejected(db.keyspace('j', { mergeOperator: 'max' }))).toBe(
    'VARVE_MERGE_OPERATOR_MISMATCH',
  )
  await db.close()
  expect(await rejected(place.open({ mergeOperators: [picky] }))).toBe(
    'VARVE_MERGE_OPERATOR_MISMATCH',
  )
  expect(await rejected(place.open({ mergeOperator: 'append' }))).toBe(
    'VARVE_MERGE_OPERATOR_MISMATCH',
  )
  const reopened = await place.open(any({ mergeOperator: undefined }))
  expect(decodeCounter(await reopened.get('n'))).toBe(-(2n ** 63n))
})

test('everything with a close has asyncDispose, a snapshot dispose', async () => {
  const db = await memoryPlace().open()
  await db.put('a', '1')
  for (const thing of [db.keys(), db.scanSinceSeqno(1), db.tail({ from: 1 })]) {
    await thing[Symbol.asyncDispose]()
    expect((await thing.next()).done).toBe(true)
  }
  db.snapshot()[Symbol.dispose]()
  await db[Symbol.asyncDispose]()
  expect(db.status).toBe('closed')
})

test('opening stops when its signal aborts', async () => {
  const place = diskPlace()
  const db = await place.open()
  for (let i = 0; i < 2000; i++) void db.put(`k${i}`, 'x'.repeat(100))
  await db.close()
  const controller = new AbortController()
  const opening = place.open({ signal: controller.signal })
  controller.abort()
  expect(await rejected(opening)).toBe('VARVE_ABORTED')
  const again = await place.open()
  expect((await again.keys().all()).length).toBe(2000)
})
