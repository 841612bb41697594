/** RocksDB through the `rocksdb` package (callbacks, RocksDB 6): the only binding with binaries for many platforms that Node 20 loads. An extra: no row needs it. */
import { loadPeer } from './load-peer.ts'
import type { BenchStore, Engine, StoreOptions } from './store.ts'

type Callback<T = void> = (error: Error | undefined, result: T) => void
interface Rocks {
  open(options: object, callback: Callback): void
  close(callback: Callback): void
  put(key: Buffer, value: Buffer, options: object, callback: Callback): void
  get(key: Buffer, callback: Callback<Buffer>): void
  batch(operations: object[], options: object, callback: Callback): void
  iterator(options: object): RocksIterator
  compactRange(start: Buffer, end: Buffer, callback: Callback): void
}
interface RocksIterator {
  next(callback: (error: Error | undefined, key?: Buffer, value?: Buffer) => void): void
  end(callback: Callback): void
}

export const rocksdb: Engine = {
  name: 'rocksdb',
  profiles: { default: 'as the binding opens it' },
  reads: ['async'],
  hasMerge: false,
  async open(options: StoreOptions): Promise<BenchStore> {
    const open = loadPeer<(location: string) => Rocks>('rocksdb')
    const rocks = open(options.directory)
    await promised<void>((done) => rocks.open({ createIfMissing: true }, done))
    const writeOptions = { sync: options.sync }
    const write = (operations: object[]): Promise<void> =>
      promised((done) => rocks.batch(operations, writeOptions, done))
    return {
      putBatch: (keys, values) =>
        write(keys.map((key, i) => ({ type: 'put', key, value: values[i] }))),
      deleteBatch: (keys) => write(keys.map((key) => ({ type: 'del', key }))),
      put: (key, value) => promised((done) => rocks.put(key, value, writeOptions, done)),
      get: (key) => get(rocks, key),
      scan: (start, limit, visit) =>
        new Promise((resolve, reject) => {
          const iterator = rocks.iterator({
            ...(start && { gte: start }),
            ...(limit < Infinity && { limit }),
          })
          let visited = 0
          const onEntry = (error: Error | undefined, key?: Buffer, value?: Buffer): void => {
            if (error) return reject(error)
            if (key === undefined || value === undefined) {
              return iterator.end((failed) => (failed ? reject(failed) : resolve(visited)))
            }
            visit(key, value)
            visited++
            iterator.next(onEntry)
          }
          iterator.next(onEntry)
        }),
      settle: () =>
        promised((done) => rocks.compactRange(Buffer.from([0]), Buffer.alloc(32, 0xff), done)),
      close: () => promised((done) => rocks.close(done)),
    }
  },
}

function promised<T>(call: (done: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, result) => (error ? reject(error) : resolve(result)))
  })
}

/** An absent key is an error in this binding. */
function get(rocks: Rocks, key: Buffer): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    rocks.get(key, (error, value) => {
      if (!error) resolve(value)
      else if (/NotFound/i.test(error.message)) resolve(undefined)
      else reject(error)
    })
  })
}
