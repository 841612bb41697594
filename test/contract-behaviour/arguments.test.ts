import { beforeEach, describe, expect, test } from 'vitest'
import {
  type Environment,
  type Keyspace,
  type MergeOperator,
  type OpenOptions,
  replicate,
  type Snapshot,
  Varve,
} from '../../src/index.ts'
import { any, memoryPlace, rejected, text, thrown } from './store.ts'

const TYPE = 'ERR_INVALID_ARG_TYPE'
const INVALID = 'VARVE_INVALID_ARGUMENT'

describe('wrong arguments', () => {
  let db: Varve
  let counters: Keyspace
  beforeEach(async () => {
    db = await memoryPlace().open()
    counters = await db.keyspace('counters', { mergeOperator: 'counter' })
  })

  const lone = '\ud800'
  const rejecting: [string, string, () => PromiseLike<unknown>][] = [
    ...['put', 'get', 'has', 'delete', 'merge'].flatMap(
      (name): [string, string, () => PromiseLike<unknown>][] => {
        const call = (key: unknown): PromiseLike<unknown> =>
          any(
            Reflect.apply(
              Reflect.get(counters, name),
              counters,
              [key, Buffer.alloc(8)].slice(0, name === 'put' || name === 'merge' ? 2 : 1),
            ),
          )
        return [
          [`${name}: an empty key`, INVALID, () => call('')],
          [`${name}: a key of 65,536 bytes`, INVALID, () => call('é'.repeat(32768))],
          [`${name}: a lone surrogate`, INVALID, () => call(`a${lone}`)],
          [`${name}: a number`, TYPE, () => call(1)],
          [`${name}: null`, TYPE, () => call(null)],
          [`${name}: an ArrayBuffer`, TYPE, () => call(new ArrayBuffer(3))],
          [`${name}: Uint16Array`, TYPE, () => call(new Uint16Array(3))],
          [`${name}: nothing`, TYPE, () => call(undefined)],
        ]
      },
    ),
    ['value null', TYPE, () => db.put('a', any(null))],
    ['value number', TYPE, () => db.put('a', any(1))],
    ['value lone', INVALID, () => db.put('a', lone)],
    ['operand lone', INVALID, () => counters.merge('a', lone)],
    ['operand not 8 bytes', INVALID, () => counters.merge('a', 'abc')],
    ['merge none', 'VARVE_NO_MERGE_OPERATOR', () => db.merge('a', 'b')],
    ['options null', TYPE, () => db.put('a', 'b', any(null))],
    ['options string', TYPE, () => db.put('a', 'b', any('sync'))],
    ['options sync', TYPE, () => db.put('a', 'b', { sync: any('yes') })],
    ['options unknown', INVALID, () => db.put('a', 'b', any({ fsync: true }))],
    ['meta 257', INVALID, () => db.put('a', 'b', { meta: 'é'.repeat(129) })],
    ['meta lone', INVALID, () => db.put('a', 'b', { meta: lone })],
    ['meta type', TYPE, () => db.put('a', 'b', { meta: any(4) })],
    ['signal type', TYPE, () => db.put('a', 'b', { signal: any({}) })],
    ['deleteRange nothing', TYPE, () => db.deleteRange(any(undefined))],
    ['deleteRange null end', TYPE, () => db.deleteRange('a', any(null))],
    ['deleteRange equal', INVALID, () => db.deleteRange('a', 'a')],
    ['deleteRange above', INVALID, () => db.deleteRange('b', 'a')],
    ['deleteRange empty', INVALID, () => db.deleteRange('', '')],
    ['deleteRange a to empty', INVALID, () => db.deleteRange('a', '')],
    ['deleteRange lone', INVALID, () => db.deleteRange('a', lone)],
    ['deleteRange options', INVALID, () => db.deleteRange('a', 'b', any({ x: 1 }))],
    ['get options unknown', INVALID, () => db.get('a', any({ snap: 1 }))],
    ['get options type', TYPE, () => db.get('a', any(7))],
    ['get snapshot type', TYPE, () => db.get('a', { snapshot: any(7) })],
    ['get snapshot shape', TYPE, () => db.get('a', { snapshot: any({ seqno: 0 }) })],
    ['getMany type', TYPE, () => db.getMany(any('abc'))],
    ['getMany item', TYPE, () => db.getMany([any(1)])],
    ['getMany hole', TYPE, () => db.getMany(Array<string>(2))],
    ['getMany item empty', INVALID, () => db.getMany([''])],
    ['keyspace empty', INVALID, () => db.keyspace('')],
    ['keyspace 256', INVALID, () => db.keyspace('é'.repeat(128))],
    ['keyspace lone', INVALID, () => db.keyspace(lone)],
    ['keyspace type', TYPE, () => db.keyspace(any(1))],
    ['keyspace bytes', TYPE, () => db.keyspace(any(Buffer.from('a')))],
    ['keyspace option unknown', INVALID, () => db.keyspace('a', any({ merge: 'x' }))],
    ['keyspace option type', TYPE, () => db.keyspace('a', { mergeOperator: any(1) })],
    ['keyspace threshold true', TYPE, () => db.keyspace('a', { blobThresholdBytes: any(true) })],
    ['keyspace threshold -1', INVALID, () => db.keyspace('a', { blobThresholdBytes: -1 })],
    ['keyspace compression', INVALID, () => db.keyspace('a', { compression: any('zip') })],
    ['keyspace compression type', TYPE, () => db.keyspace('a', { compression: any(1) })],
    ['keyspace bloom', INVALID, () => db.keyspace('a', { bloomBitsPerKey: -1 })],
    ['keyspace bloom NaN', INVALID, () => db.keyspace('a', { bloomBitsPerKey: NaN })],
    ['keyspace block small', INVALID, () => db.keyspace('a', { blockBytes: 511 })],
    ['keyspace block big', INVALID, () => db.keyspace('a', { blockBytes: 2 ** 20 + 1 })],
    ['keyspace block type', TYPE, () => db.keyspace('a', { blockBytes: any('4096') })],
    ['drop type', TYPE, () => db.dropKeyspace(any(1))],
    ['drop unknown', 'VARVE_NOT_FOUND', () => db.dropKeyspace('nope')],
    ['drop default', INVALID, () => db.dropKeyspace('default')],
    ['drop option', INVALID, () => db.dropKeyspace('counters', any({ a: 1 }))],
    ['write undefined', TYPE, () => db.write(any(undefined))],
    ['write object', TYPE, () => db.write(any({}))],
    ['write array', TYPE, () => db.write(any([]))],
    ['write empty', INVALID, () => db.write(db.batch())],
    ['write only ack', INVALID, () => db.write(db.batch().ack('c', 1))],
    ['write options', INVALID, () => db.write(db.batch().put('a', 'b'), any({ a: 1 }))],
    ['write options type', TYPE, () => db.write(db.batch().put('a', 'b'), any(3))],
    ['seqnoAt type', TYPE, () => db.seqnoAt(any('now'))],
    ['seqnoAt Date', TYPE, () => db.seqnoAt(any(new Date()))],
    ['seqnoAt NaN', INVALID, () => db.seqnoAt(NaN)],
    ['truncate type', TYPE, () => db.truncateHistory(any('1'))],
    ['truncate NaN', INVALID, () => db.truncateHistory(NaN)],
    ['truncate -1', INVALID, () => db.truncateHistory(-1)],
    ['truncate 1.5', INVALID, () => db.truncateHistory(1.5)],
    ['truncate beyond', INVALID, () => db.truncateHistory(2)],
    ['consumer type', TYPE, () => db.consumer(any(1))],
    ['consumer empty', INVALID, () => db.consumer('')],
    ['consumer long', INVALID, () => db.consumer('x'.repeat(256))],
    ['consumer lone', INVALID, () => db.consumer(lone)],
    ['consumer option', INVALID, () => db.consumer('c', any({ start: 1 }))],
    ['consumer from type', TYPE, () => db.consumer('c', { from: any({}) })],
    ['consumer from word', INVALID, () => db.consumer('c', { from: any('latest') })],
    ['consumer from NaN', INVALID, () => db.consumer('c', { from: NaN })],
    ['consumer from -1', INVALID, () => db.consumer('c', { from: -1 })],
    ['consumer from ahead', 'VARVE_CURSOR_AHEAD', () => db.consumer('c', { from: 2 })],
    ['consumer held', INVALID, () => db.consumer('c', { maxHeldBytes: -1 })],
    ['consumer held type', TYPE, () => db.consumer('c', { maxHeldBytes: any('1') })],
    ['consumer idle', INVALID, () => db.consumer('c', { maxIdleMs: -1 })],
    ['dropConsumer type', TYPE, () => db.dropConsumer(any(1))],
    ['dropConsumer unknown', 'VARVE_NOT_FOUND', () => db.dropConsumer('nope')],
    ['apply on primary', INVALID, () => db.applyChanges([])],
    ['promote primary', INVALID, () => db.promote()],
    ['compact option', INVALID, () => db.compact(any({ from: 'a' }))],
    ['compact type', TYPE, () => db.compact({ start: any(1) })],
    ['compact keyspace type', TYPE, () => db.compact({ keyspace: any(1) })],
    ['compact keyspace', 'VARVE_NOT_FOUND', () => db.compact({ keyspace: 'nope' })],
    ['checkpoint type', TYPE, () => db.checkpoint(any(1))],
    ['checkpoint itself', INVALID, () => db.checkpoint(db.location)],
    ['verify option', INVALID, () => db.verify(any({ a: 1 }))],
    ['verify progress', TYPE, () => db.verify({ onProgress: any(1) })],
    ['verify signal', TYPE, () => db.verify({ signal: any(1) })],
    ['open type', TYPE, () => Varve.open(any(undefined))],
    ['open empty', INVALID, () => Varve.open('')],
    ['open lone', INVALID, () => Varve.open(`/x/${lone}`)],
    ['destroy lone', INVALID, () => Varve.destroy(`/x/${lone}`)],
    ['repair lone', INVALID, () => Varve.repair(`/x/${lone}`)],
    ['checkpoint lone', INVALID, () => db.checkpoint(`/x/${lone}`)],
    ['destroy type', TYPE, () => Varve.destroy(any(1))],
    ['repair type', TYPE, () => Varve.repair(any(1))],
    ['scan nextBatch 0', INVALID, () => db.scanSinceSeqno(1).nextBatch(0)],
    ['scan nextBatch type', TYPE, () => db.scanSinceSeqno(1).nextBatch(any('1'))],
    ['scan nextBatch NaN', INVALID, () => db.scanSinceSeqno(1).nextBatch(NaN)],
    ['cursor nextBatch 0', INVALID, () => db.entries().nextBatch(0)],
    ['cursor nextBatch 1.5', INVALID, () => db.entries().nextBatch(1.5)],
    ['cursor nextBatch type', TYPE, () => db.entries().nextBatch(any('1'))],
  ]
  test.each(rejecting)('reject: %s is %s', async (_what, code, call) => {
    expect(await rejected(call())).toBe(code)
    expect(db.history().latest).toBe(0)
    expect(db.consumers()).toEqual([])
  })

  const throwing: [string, string, () => unknown][] = [
    ['getSync empty', INVALID, () => db.getSync('')],
    ['getSync type', TYPE, () => db.getSync(any(1))],
    ['getSync options', INVALID, () => db.getSync('a', any({ x: 1 }))],
    ...(['entries', 'keys', 'values', 'entriesSync'] as const).flatMap(
      (name): [string, string, () => unknown][] => [
        [`${name} limit -1`, INVALID, () => db[name]({ limit: -1 })],
        [`${name} limit NaN`, INVALID, () => db[name]({ limit: NaN })],
        [`${name} limit 1.5`, INVALID, () => db[name]({ limit: 1.5 })],
        [`${name} limit type`, TYPE, () => db[name]({ limit: any('1') })],
        [`${name} reverse type`, TYPE, () => db[name]({ reverse: any(1) })],
        [`${name} gt type`, TYPE, () => db[name]({ gt: any(1) })],
        [`${name} lone`, INVALID, () => db[name]({ prefix: lone })],
        [`${name} unknown`, INVALID, () => db[name](any({ start: 'a' }))],
        [`${name} null`, TYPE, () => db[name](any(null))],
        [`${name} signal`, TYPE, () => db[name]({ signal: any(1) })],
        [`${name} snapshot`, TYPE, () => db[name]({ snapshot: any({}) })],
      ],
    ),
    ['batch put key', INVALID, () => db.batch().put('', 'v')],
    ['batch put key type', TYPE, () => db.batch().put(any(1), 'v')],
    ['batch put value', TYPE, () => db.batch().put('a', any(undefined))],
    ['batch put keyspace', TYPE, () => db.batch().put('a', 'v', any('counters'))],
    ['batch put keyspace object', TYPE, () => db.batch().put('a', 'v', any({ name: 'counters' }))],
    ['batch put keyspace null', TYPE, () => db.batch().put('a', 'v', any(null))],
    ['batch delete', INVALID, () => db.batch().delete('')],
    ['batch merge none', 'VARVE_NO_MERGE_OPERATOR', () => db.batch().merge('a', 'v')],
    ['batch merge operand', INVALID, () => db.batch().merge('a', 'v', counters)],
    ['batch range', INVALID, () => db.batch().deleteRange('b', 'a')],
    ['batch ack name', INVALID, () => db.batch().ack('', 1)],
    ['batch ack name type', TYPE, () => db.batch().ack(any(1), 1)],
    ['batch ack next', INVALID, () => db.batch().ack('c', 1.5)],
    ['batch ack next -1', INVALID, () => db.batch().ack('c', -1)],
    ['batch ack next type', TYPE, () => db.batch().ack('c', any('1'))],
    ['scan from type', TYPE, () => db.scanSinceSeqno(any(undefined))],
    ['scan from bigint', TYPE, () => db.scanSinceSeqno(any(1n))],
    ['scan from -1', INVALID, () => db.scanSinceSeqno(-1)],
    ['scan from 1.5', INVALID, () => db.scanSinceSeqno(1.5)],
    ['scan from NaN', INVALID, () => db.scanSinceSeqno(NaN)],
    ['scan from Infinity', INVALID, () => db.scanSinceSeqno(Infinity)],
    ['scan from 2**53', INVALID, () => db.scanSinceSeqno(2 ** 53)],
    ['scan token', INVALID, () => db.scanSinceSeqno('latest')],
    ['scan token empty', INVALID, () => db.scanSinceSeqno('')],
    ['scan upTo', INVALID, () => db.scanSinceSeqno(1, { upTo: -1 })],
    ['scan upTo NaN', INVALID, () => db.scanSinceSeqno(1, { upTo: NaN })],
    ['scan upTo type', TYPE, () => db.scanSinceSeqno(1, { upTo: any('1') })],
    ['scan limit 0', INVALID, () => db.scanSinceSeqno(1, { limit: 0 })],
    ['scan visibility', INVALID, () => db.scanSinceSeqno(1, { visibility: any('all') })],
    ['scan visibility type', TYPE, () => db.scanSinceSeqno(1, { visibility: any(1) })],
    ['scan skip', TYPE, () => db.scanSinceSeqno(1, { skip: any(1) })],
    ['scan budget', INVALID, () => db.scanSinceSeqno(1, { memoryBudgetBytes: 0 })],
    ['scan unknown', INVALID, () => db.scanSinceSeqno(1, any({ since: 1 }))],
    ['scan options', TYPE, () => db.scanSinceSeqno(1, any(null))],
    ['scan keyspaces', TYPE, () => db.scanSinceSeqno(1, { keyspaces: any('a') })],
    ['scan keyspaces item', TYPE, () => db.scanSinceSeqno(1, { keyspaces: [any(1)] })],
    ['scan types', INVALID, () => db.scanSinceSeqno(1, { types: [any('Put')] })],
    ['scan types type', TYPE, () => db.scanSinceSeqno(1, { types: any('Insert') })],
    ['scan range', INVALID, () => db.scanSinceSeqno(1, { range: any({ start: 'a' }) })],
    ['scan range reverse', INVALID, () => db.scanSinceSeqno(1, { range: any({ reverse: true }) })],
    ['scan range type', TYPE, () => db.scanSinceSeqno(1, { range: any('a') })],
    ['scan range bound', TYPE, () => db.scanSinceSeqno(1, { range: { gt: any(1) } })],
    ['scan range lone', INVALID, () => db.scanSinceSeqno(1, { range: { gt: lone } })],
    ['scan signal', TYPE, () => db.scanSinceSeqno(1, { signal: any({}) })],
    ['tail nothing', TYPE, () => db.tail(any(undefined))],
    ['tail no from', TYPE, () => db.tail(any({}))],
    ['tail from -1', INVALID, () => db.tail({ from: -1 })],
    ['tail from word', INVALID, () => db.tail({ from: 'latest' })],
    ['tail max', INVALID, () => db.tail({ from: 1, maxBatchEvents: 0 })],
    ['tail heartbeat', INVALID, () => db.tail({ from: 1, heartbeatMs: -1 })],
    ['tail unknown', INVALID, () => db.tail(any({ from: 1, upTo: 3 }))],
    ['tail limit', INVALID, () => db.tail(any({ from: 1, limit: 3 }))],
    ['on unknown', INVALID, () => db.on(any('flushed'), () => undefined)],
    ['on type', TYPE, () => db.on(any(1), () => undefined)],
    ['on listener', TYPE, () => db.on('flush', any(undefined))],
    ['off listener', TYPE, () => db.off('flush', any(undefined))],
  ]
  test.each(throwing)('throw: %s is %s', async (_what, code, call) => {
    expect(thrown(call)).toBe(code)
    expect(db.history().latest).toBe(0)
  })
  test('type errors are TypeErrors', async () => {
    expect(() => db.getSync(any(1))).toThrow(TypeError)
    await expect(db.put(any(1), 'a')).rejects.toThrow(TypeError)
    await expect(db.put('a', any(1))).rejects.toBeInstanceOf(TypeError)
  })
})

test('what only looks like bytes is none; an array whose memory was transferred is empty', async () => {
  const db = await memoryPlace({ mergeOperator: 'append' }).open()
  const proxy = new Proxy(Buffer.from('abc'), {})
  const heir: unknown = Object.create(Uint8Array.prototype)
  for (const fake of [any(proxy), any(heir), any(new DataView(new ArrayBuffer(3)))]) {
    for (const call of [
      () => db.put(fake, 'v'),
      () => db.put('k', fake),
      () => db.put('k', 'v', { meta: fake }),
      () => db.merge('k', fake),
      () => db.delete(fake),
      () => db.deleteRange(fake),
      () => db.deleteRange('a', fake),
      () => db.get(fake),
      () => db.getMany([fake]),
      () => db.has(fake),
      () => db.compact({ start: fake }),
    ]) {
      expect(await rejected(call())).toBe(TYPE)
    }
    for (const call of [
      () => db.getSync(fake),
      () => db.entries({ gt: fake }),
      () => db.entriesSync({ prefix: fake }),
      () => db.batch().put(fake, 'v'),
      () => db.batch().put('k', fake),
      () => db.scanSinceSeqno(1, { range: { lte: fake } }),
      () => db.tail({ from: 1, range: { gte: fake } }),
    ]) {
      expect(thrown(call)).toBe(TYPE)
    }
  }
  expect(db.history().latest).toBe(0)
  const bytes = new Uint8Array(4)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  expect(await rejected(db.put(bytes, 'v'))).toBe(INVALID)
  await db.put('k', bytes)
  await db.write(db.batch().put('l', bytes), { meta: bytes })
  expect((await db.values({ gt: bytes, gte: bytes, prefix: bytes }).all()).map(text)).toEqual([
    '',
    '',
  ])
  expect(await db.keys({ lt: bytes, lte: bytes }).all()).toEqual([])
  expect(await db.scanSinceSeqno(1, { range: { gt: bytes } }).nextBatch()).toHaveLength(2)
  await db.compact({ start: bytes })
  await db.deleteRange(bytes)
  expect(await db.keys().all()).toEqual([])
})

test('options that are inherited count, and are checked, like those of the object itself', async () => {
  const place = memoryPlace()
  const db = await place.open()
  for (const key of ['a', 'b', 'c']) await db.put(key, 'v')
  const from = (defaults: object): never => any(Object.create(defaults))
  class Options {
    readonly #most: unknown
    constructor(most: unknown) {
      this.#most = most
    }
    get limit(): unknown {
      return this.#most
    }
  }
  expect(await db.keys(from({ limit: 2, reverse: true })).all()).toHaveLength(2)
  expect(await db.keys(any(new Options(1))).all()).toHaveLength(1)
  expect(thrown(() => db.keys(any(new Options('1'))))).toBe(TYPE)
  expect(thrown(() => db.entriesSync(from({ limit: -1 })))).toBe(INVALID)
  expect(thrown(() => db.keys(from({ signal: 5 })))).toBe(TYPE)
  expect(thrown(() => db.getSync('a', from({ snapshot: 5 })))).toBe(TYPE)
  expect(await rejected(db.put('a', 'w', from({ sync: 'no' })))).toBe(TYPE)
  expect(await rejected(db.put('a', 'w', from({ signal: 5 })))).toBe(TYPE)
  expect(await rejected(db.keyspace('k', from({ blockBytes: 1 })))).toBe(INVALID)
  expect(await rejected(memoryPlace().open(any({ history: from({ maxBytes: '1' }) })))).toBe(TYPE)
  const { fs } = memoryPlace()
  const opening = Varve.open('/x', from({ environment: { fs }, memtableBytes: '65536' }))
  expect(await rejected(opening)).toBe(TYPE)
  expect(fs.operationCount).toBe(0)
  // Of an own one that overrides it, what is inherited is nobody's business.
  expect(await db.keys(any(Object.assign(from({ limit: -1 }), { limit: 1 }))).all()).toHaveLength(1)
  expect(db.history().latest).toBe(3)
  const kept = await memoryPlace().open({ history: from({ maxBytes: 0 }) })
  await kept.put('a', '1')
  await kept.flush()
  await kept.flush()
  expect(kept.history().floor).toBe(2)
})

test('a proxy of a snapshot, a batch or a store is none', async () => {
  const db = await memoryPlace().open()
  const proxy = <T extends object>(target: T): T => new Proxy(target, {})
  using snapshot = db.snapshot()
  for (const read of [
    db.get('a', { snapshot: proxy(snapshot) }),
    db.getMany(['a'], { snapshot: proxy(snapshot) }),
    db.write(proxy(db.batch().put('a', '1'))),
    replicate(proxy(db), db),
    replicate(db, proxy(db)),
  ]) {
    expect(await rejected(read)).toBe(TYPE)
  }
  expect(thrown(() => db.keys({ snapshot: proxy(snapshot) }))).toBe(TYPE)
  expect(thrown(() => db.batch().put('a', '1', proxy(db)))).toBe(TYPE)
  // Options are only read, whatever they are.
  expect(await db.put('a', '1', proxy({ sync: true }))).toBe(1)
  expect(await db.get('a', proxy({ snapshot }))).toBeUndefined()
})

describe('open options', () => {
  const cases: [string, string, object][] = [
    ['unknown', INVALID, { foo: 1 }],
    ['createIfMissing', TYPE, { createIfMissing: 1 }],
    ['readOnly', TYPE, { readOnly: 'yes' }],
    ['role', INVALID, { role: 'master' }],
    ['role type', TYPE, { role: 1 }],
    ['sync', TYPE, { sync: 1 }],
    ['syncIntervalMs', INVALID, { syncIntervalMs: -1 }],
    ['syncIntervalMs NaN', INVALID, { syncIntervalMs: NaN }],
    ['memtable', INVALID, { memtableBytes: 16383 }],
    ['segment', INVALID, { segmentBytes: 16383 }],
    ['cache', INVALID, { blockCacheBytes: -1 }],
    ['workers', INVALID, { backgroundWorkers: -1 }],
    ['workers 1.5', INVALID, { backgroundWorkers: 1.5 }],
    ['workers type', TYPE, { backgroundWorkers: '1' }],
    ['history', INVALID, { history: 'some' }],
    ['history type', TYPE, { history: 1 }],
    ['history age', INVALID, { history: { maxAgeMs: -1 } }],
    ['history age type', TYPE, { history: { maxAgeMs: '1' } }],
    ['history unknown', INVALID, { history: { age: 1 } }],
    ['operators', TYPE, { mergeOperators: {} }],
    ['operators item', TYPE, { mergeOperators: [1] }],
    ['operators no merge', TYPE, { mergeOperators: [{ name: 'a' }] }],
    ['operator lone', INVALID, { mergeOperators: [{ name: 'a\ud800', merge() {} }] }],
    [
      'operator twice',
      INVALID,
      {
        mergeOperators: [
          { name: 'a', merge() {} },
          { name: 'a', merge() {} },
        ],
      },
    ],
    ['merge operator', 'VARVE_MERGE_OPERATOR_MISMATCH', { mergeOperator: 'nope' }],
    ['environment', TYPE, { environment: 1 }],
    ['environment now', TYPE, { environment: { now: 1 } }],
    ['environment fs', TYPE, { environment: { fs: 1 } }],
    ['environment logger', TYPE, { environment: { logger: 1 } }],
    ['signal', TYPE, { signal: 1 }],
    ['block', INVALID, { blockBytes: 100 }],
    ['bloom', INVALID, { bloomBitsPerKey: 1.5 }],
    ['aborted', 'VARVE_ABORTED', { signal: AbortSignal.abort() }],
    ['not there', 'VARVE_NOT_FOUND', { createIfMissing: false }],
    ['not there ro', 'VARVE_NOT_FOUND', { readOnly: true }],
  ]
  test.each(cases)('%s is %s', async (_w, code, options) => {
    const place = memoryPlace()
    const env = (options as { environment?: object }).environment
    const all = typeof env === 'object' ? { environment: { fs: place.fs, ...env } } : {}
    expect(await rejected(place.open(any({ ...options, ...all })))).toBe(code)
    expect(place.fs.operationCount).toBe(0)
  })
  test('null options', async () => {
    expect(await rejected(Varve.open('/x', any(null)))).toBe(TYPE)
    expect(await rejected(Varve.open('/x', any(3)))).toBe(TYPE)
  })
  test('options are copied by the call', async () => {
    const { fs } = memoryPlace()
    const history = { maxBytes: 1e9 }
    const mergeOperators: MergeOperator[] = [
      { name: 'mine', merge: (_key, _base, operands) => Buffer.concat(operands) },
    ]
    const environment: Partial<Environment> = { fs, now: () => 5 }
    const options: OpenOptions = {
      history,
      mergeOperators,
      environment,
      mergeOperator: 'mine',
      sync: true,
      syncIntervalMs: 0,
    }
    const opening = Varve.open('/data/copied', options)
    history.maxBytes = 0
    mergeOperators.length = 0
    environment.fs = memoryPlace().fs
    environment.now = () => 7
    Object.assign(options, { mergeOperator: 'none', sync: false, readOnly: true, history: 'none' })
    Object.assign(options, { signal: AbortSignal.abort(), unknown: 1 })
    const db = await opening
    await db.merge('a', 'x')
    expect(db.history().durable).toBe(1)
    await db.flush()
    expect(text(await db.get('a'))).toBe('x')
    expect(await db.scanSinceSeqno(1).nextBatch()).toMatchObject([{ timestamp: 5 }])
    await db.close()
    expect([...fs.files().keys()].some((file) => file.startsWith('/data/copied/'))).toBe(true)
  })
  test('undefined options and fields are as if left out', async () => {
    const place = memoryPlace()
    const db = await place.open(
      any({ sync: undefined, signal: undefined, mergeOperator: undefined }),
    )
    await db.put('a', 'b', any({ sync: undefined, meta: undefined, signal: undefined }))
    expect(text(await db.get('a', any({ snapshot: undefined })))).toBe('b')
    expect(await db.keys(any({ gt: undefined, prefix: undefined })).all()).toHaveLength(1)
    expect(
      await db.scanSinceSeqno(1, any({ upTo: undefined, range: undefined })).nextBatch(),
    ).toHaveLength(1)
    const snapshot: Snapshot = db.snapshot()
    expect(snapshot.seqno).toBe(1)
    snapshot.close()
  })
})
