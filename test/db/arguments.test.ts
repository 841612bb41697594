import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Varve, Varve as Store } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { codeOf, fixture, LOCATION } from './open.ts'

const any = (value: unknown): never => value as never

describe('what a call refuses, before anything is written', () => {
  let db: Varve
  beforeEach(async () => {
    db = await fixture().open()
  })
  afterEach(() => db.close())

  const refused: [what: string, code: string, call: () => unknown][] = [
    ['an empty key', 'VARVE_INVALID_ARGUMENT', () => db.put('', 'v')],
    ['an empty key as bytes', 'VARVE_INVALID_ARGUMENT', () => db.get(new Uint8Array(0))],
    ['a key of 65,536 bytes', 'VARVE_INVALID_ARGUMENT', () => db.put(Buffer.alloc(65_536), 'v')],
    ['a lone surrogate in a key', 'VARVE_INVALID_ARGUMENT', () => db.put('\ud800', 'v')],
    ['a lone surrogate in a value', 'VARVE_INVALID_ARGUMENT', () => db.put('k', 'x\udc00')],
    ['a number as key', 'ERR_INVALID_ARG_TYPE', () => db.put(any(7), 'v')],
    ['no value', 'ERR_INVALID_ARG_TYPE', () => db.put('k', any(undefined))],
    ['an array as value', 'ERR_INVALID_ARG_TYPE', () => db.put('k', any([1, 2]))],
    [
      'an unknown write option',
      'VARVE_INVALID_ARGUMENT',
      () => db.put('k', 'v', any({ snc: true })),
    ],
    ['sync of a wrong type', 'ERR_INVALID_ARG_TYPE', () => db.put('k', 'v', any({ sync: 1 }))],
    [
      'meta of 257 bytes',
      'VARVE_INVALID_ARGUMENT',
      () => db.put('k', 'v', { meta: Buffer.alloc(257) }),
    ],
    ['a merge without operator', 'VARVE_NO_MERGE_OPERATOR', () => db.merge('k', 'v')],
    ['a range that ends where it starts', 'VARVE_INVALID_ARGUMENT', () => db.deleteRange('a', 'a')],
    [
      'a range that ends before it starts',
      'VARVE_INVALID_ARGUMENT',
      () => db.deleteRange('b', 'a'),
    ],
    ['an empty range', 'VARVE_INVALID_ARGUMENT', () => db.deleteRange('', '')],
    ['an empty batch', 'VARVE_INVALID_ARGUMENT', () => db.write(db.batch())],
    ['something that is no batch', 'ERR_INVALID_ARG_TYPE', () => db.write(any({}))],
    [
      'a batch with nothing but an ack',
      'VARVE_INVALID_ARGUMENT',
      () => db.write(db.batch().ack('c', 1)),
    ],
    ['an unknown range option', 'VARVE_INVALID_ARGUMENT', () => db.entries(any({ from: 'a' }))],
    ['a limit below 0', 'VARVE_INVALID_ARGUMENT', () => db.entries({ limit: -1 })],
    ['a wrong type of bound', 'ERR_INVALID_ARG_TYPE', () => db.keys({ gt: any(3) })],
    ['an unknown read option', 'VARVE_INVALID_ARGUMENT', () => db.get('k', any({ snapsot: 1 }))],
    [
      'a strange snapshot',
      'ERR_INVALID_ARG_TYPE',
      () => db.get('k', { snapshot: any({ seqno: 1 }) }),
    ],
    ['an unknown keyspace dropped', 'VARVE_NOT_FOUND', () => db.dropKeyspace('nope')],
    ['the default keyspace dropped', 'VARVE_INVALID_ARGUMENT', () => db.dropKeyspace('default')],
    ['an empty keyspace name', 'VARVE_INVALID_ARGUMENT', () => db.keyspace('')],
    ['a keyspace name of 256 bytes', 'VARVE_INVALID_ARGUMENT', () => db.keyspace('x'.repeat(256))],
    ['an unknown keyspace option', 'VARVE_INVALID_ARGUMENT', () => db.keyspace('x', any({ a: 1 }))],
    [
      'an unknown operator',
      'VARVE_MERGE_OPERATOR_MISMATCH',
      () => db.keyspace('x', { mergeOperator: 'nope' }),
    ],
    [
      'compaction of an unknown keyspace',
      'VARVE_NOT_FOUND',
      () => db.compact({ keyspace: 'nope' }),
    ],
    ['an unknown event', 'VARVE_INVALID_ARGUMENT', () => db.on(any('nope'), () => undefined)],
    ['a scan from beyond the end', 'VARVE_CURSOR_AHEAD', () => db.scanSinceSeqno(2).nextBatch()],
    ['a scan from -1', 'VARVE_INVALID_ARGUMENT', () => db.scanSinceSeqno(-1)],
    ['a scan from 1.5', 'VARVE_INVALID_ARGUMENT', () => db.scanSinceSeqno(1.5)],
    ['a scan limit of 0', 'VARVE_INVALID_ARGUMENT', () => db.scanSinceSeqno(1, { limit: 0 })],
    ['a token that is none', 'VARVE_INVALID_ARGUMENT', () => db.scanSinceSeqno('nonsense')],
    ['a floor above the next seqno', 'VARVE_INVALID_ARGUMENT', () => db.truncateHistory(2)],
  ]
  test.each(refused)('%s is %s', async (_what, code, call) => {
    expect(await codeOf(call)).toBe(code)
    expect(db.history().latest).toBe(0)
  })

  test('a batch is written once, and again after clear()', async () => {
    const batch = db.batch().put('a', '1')
    expect(await db.write(batch)).toEqual({ first: 1, last: 1 })
    expect(await codeOf(() => db.write(batch))).toBe('VARVE_BATCH_USED')
    expect(await codeOf(() => batch.put('b', '2'))).toBe('VARVE_BATCH_USED')
    expect(batch.clear().length).toBe(0)
    expect(await db.write(batch.put('b', '2').delete('a'))).toEqual({ first: 2, last: 3 })
  })

  test('inputs are copied during the call', async () => {
    const key = Buffer.from('key')
    const value = Buffer.from('value')
    const written = db.put(key, value)
    key.fill(0)
    value.fill(0)
    await written
    expect((await db.get('key'))?.toString()).toBe('value')
  })

  test('a handle of another store is refused', async () => {
    const other = await fixture().open()
    const keyspace = await other.keyspace('theirs')
    expect(await codeOf(() => db.batch().put('k', 'v', keyspace))).toBe('VARVE_INVALID_ARGUMENT')
    expect(await codeOf(() => db.get('k', { snapshot: other.snapshot() }))).toBe(
      'VARVE_INVALID_ARGUMENT',
    )
    await other.close()
  })

  test('an aborted write takes no seqno', async () => {
    expect(await codeOf(() => db.put('k', 'v', { signal: AbortSignal.abort() }))).toBe(
      'VARVE_ABORTED',
    )
    const controller = new AbortController()
    const written = db.put('k', 'v', { signal: controller.signal })
    controller.abort()
    expect(await codeOf(() => written)).toBe('VARVE_ABORTED')
    expect(await db.put('k', 'w')).toBe(1)
  })

  test('many writes may share a signal', async () => {
    const warnings: Error[] = []
    const listen = (warning: Error): void => void warnings.push(warning)
    process.on('warning', listen)
    const { signal } = new AbortController()
    await Promise.all(Array.from({ length: 50 }, () => db.put('k', 'v', { signal })))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', listen)
    expect(warnings).toEqual([])
    const controller = new AbortController()
    const writes = [1, 2, 3].map(() =>
      codeOf(() => db.put('k', 'v', { signal: controller.signal })),
    )
    controller.abort()
    expect(await Promise.all(writes)).toEqual(['VARVE_ABORTED', 'VARVE_ABORTED', 'VARVE_ABORTED'])
    expect(db.history().latest).toBe(50)
  })
})

const withPart = (part: object): object => ({
  mergeOperators: [{ name: 'mine', merge: (): Buffer => Buffer.alloc(0), ...part }],
})

describe('what open refuses', () => {
  const fs = new MemoryFileSystem()
  const environment = { fs }
  const refused: [what: string, code: string, options: object][] = [
    ['an unknown option', 'VARVE_INVALID_ARGUMENT', { memtable: 1 }],
    ['too small a memtable', 'VARVE_INVALID_ARGUMENT', { memtableBytes: 100 }],
    ['a wrong type', 'ERR_INVALID_ARG_TYPE', { sync: 'yes' }],
    ['an unknown codec', 'VARVE_INVALID_ARGUMENT', { compression: 'zip' }],
    ['an unknown operator', 'VARVE_MERGE_OPERATOR_MISMATCH', { mergeOperator: 'nope' }],
    ['a validate of the wrong type', 'ERR_INVALID_ARG_TYPE', withPart({ validate: 1 })],
    ['a combine of the wrong type', 'ERR_INVALID_ARG_TYPE', withPart({ combine: 'x' })],
    ['a module of the wrong type', 'ERR_INVALID_ARG_TYPE', withPart({ module: null })],
    ['an unknown history policy', 'VARVE_INVALID_ARGUMENT', { history: 'some' }],
    ['an unknown history bound', 'VARVE_INVALID_ARGUMENT', { history: { maxAge: 1 } }],
    ['no store when none may be made', 'VARVE_NOT_FOUND', { createIfMissing: false }],
    ['no store to read only', 'VARVE_NOT_FOUND', { readOnly: true }],
    ['an aborted signal', 'VARVE_ABORTED', { signal: AbortSignal.abort() }],
  ]
  test.each(refused)('%s is %s, and makes no directory', async (_what, code, options) => {
    expect(await codeOf(() => Store.open('/none', { ...options, environment }))).toBe(code)
    expect([...fs.files().keys()]).toEqual([])
    expect(fs.stat('/none')).toBeUndefined()
  })

  test('all problems are reported at once', async () => {
    const error: unknown = await Store.open('/none', {
      memtableBytes: 1,
      segmentBytes: 1,
      environment,
    }).catch((caught: unknown) => caught)
    expect(String(error)).toMatch(/memtableBytes.*segmentBytes/)
  })

  test('a location of the wrong type is a TypeError', async () => {
    expect(await codeOf(() => Store.open(undefined as never))).toBe('ERR_INVALID_ARG_TYPE')
  })

  test('a second open of an open store is LOCKED, and works after close', async () => {
    const { open } = fixture()
    const db = await open()
    expect(await codeOf(() => open())).toBe('VARVE_LOCKED')
    expect(await codeOf(() => open({ errorIfExists: true }))).toBe('VARVE_LOCKED')
    await db.close()
    expect(await codeOf(() => open({ errorIfExists: true }))).toBe('VARVE_EXISTS')
    await (await open()).close()
  })

  test('a file in the place of the directory is INVALID_ARGUMENT', async () => {
    const disk = new MemoryFileSystem()
    disk.makeDirectory('/data')
    disk.create(LOCATION).close()
    const { open } = fixture({}, disk)
    expect(await codeOf(() => open())).toBe('VARVE_INVALID_ARGUMENT')
  })

  test('a stored operator cannot be changed or left out, but added', async () => {
    const operator = { name: 'mine', merge: (): Buffer => Buffer.from('x') }
    const { open } = fixture()
    let db = await open()
    const plain = await db.keyspace('plain')
    await db.keyspace('special', { mergeOperator: 'counter' })
    await db.close()
    db = await open({ mergeOperator: 'mine', mergeOperators: [operator] })
    expect(await codeOf(() => db.keyspace('special', { mergeOperator: 'append' }))).toBe(
      'VARVE_MERGE_OPERATOR_MISMATCH',
    )
    expect(plain.name).toBe('plain')
    await db.keyspace('plain', { mergeOperator: 'max' })
    await db.close()
    expect(await codeOf(() => open())).toBe('VARVE_MERGE_OPERATOR_MISMATCH')
    expect(await codeOf(() => open({ mergeOperator: 'append', mergeOperators: [operator] }))).toBe(
      'VARVE_MERGE_OPERATOR_MISMATCH',
    )
    db = await open({ mergeOperators: [operator] })
    await db.merge('k', 'v')
    expect((await db.get('k'))?.toString()).toBe('x')
    await db.close()
  })
})
