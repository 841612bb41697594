/** LMDB through lmdb-js. Reads are synchronous by design; the hand-made log is a second database in the same environment. */
import { encodeLogEntry, LOG_DELETE, LOG_PUT, logEntryKey, logEntryValue } from './log-entry.ts'
import { loadPeer } from './load-peer.ts'
import type { BenchStore, ChangeLog, Engine, StoreOptions, VisitChange } from './store.ts'

interface Database<K> {
  put(key: K, value: Buffer): Promise<boolean>
  remove(key: K): Promise<boolean>
  getBinary(key: K): Buffer | undefined
  getRange(options: object): Iterable<{ key: K; value: Buffer }>
  getKeys(options: object): Iterable<K>
  transactionSync(action: () => void): void
  batch(action: () => void): Promise<boolean>
  resetReadTxn(): void
  readonly flushed: Promise<boolean>
  close(): Promise<void>
}
interface RootDatabase extends Database<Buffer> {
  openDB<K>(options: object): Database<K>
}

export const lmdb: Engine = {
  name: 'lmdb',
  profiles: {
    default: 'as it comes: every commit is flushed, overlapping the next one',
    tuned: 'noSync, noMemInit, 8 KiB pages; durable only when asked',
  },
  reads: ['sync'],
  hasMerge: false,
  async open(options: StoreOptions): Promise<BenchStore> {
    const { open } = loadPeer<{ open: (options: object) => RootDatabase }>('lmdb')
    const tuned = { noSync: !options.sync, noMemInit: true, pageSize: 8192 }
    const root = open({
      path: options.directory,
      // A directory whose name has a dot is taken for a file otherwise.
      noSubdir: false,
      maxDbs: 2,
      ...(options.profile === 'tuned' ? tuned : {}),
    })
    return createStore(root, options)
  },
}

function createStore(root: RootDatabase, options: StoreOptions): BenchStore {
  const data = root.openDB<Buffer>({ name: 'data', encoding: 'binary', keyEncoding: 'binary' })
  const log = options.changeLog ? new LmdbLog(root) : undefined
  const putNow = (key: Buffer, value: Buffer): void => {
    void data.put(key, value)
    log?.append(LOG_PUT, key, value)
  }
  const atomically = async (action: () => void): Promise<void> => {
    root.transactionSync(action)
    if (options.sync) await root.flushed
  }
  return {
    putBatch: (keys, values) =>
      atomically(() => {
        for (let i = 0; i < keys.length; i++) putNow(keys[i] as Buffer, values[i] as Buffer)
      }),
    deleteBatch: (keys) =>
      atomically(() => {
        for (const key of keys) {
          void data.remove(key)
          log?.append(LOG_DELETE, key, undefined)
        }
      }),
    async put(key, value) {
      if (log === undefined) await data.put(key, value)
      else await root.batch(() => putNow(key, value))
      // The promise of a put stands for the commit; `flushed` for the disk.
      if (options.sync) await root.flushed
    },
    getSync: (key) => data.getBinary(key),
    scan(start, limit, visit) {
      let visited = 0
      for (const { key, value } of data.getRange({ start, ...(limit < Infinity && { limit }) })) {
        visit(key, value)
        visited++
      }
      return visited
    },
    ...(log !== undefined && { changes: log }),
    async settle() {
      await root.flushed
    },
    close: () => root.close(),
  }
}

class LmdbLog implements ChangeLog {
  readonly #log: Database<number>
  #latest = 0

  constructor(root: RootDatabase) {
    this.#log = root.openDB<number>({ name: 'log', encoding: 'binary', keyEncoding: 'uint32' })
    for (const last of this.#log.getKeys({ reverse: true, limit: 1 })) this.#latest = last
  }

  append(kind: number, key: Buffer, value: Buffer | undefined): void {
    void this.#log.put(++this.#latest, encodeLogEntry(kind, key, value))
  }

  latest(): number {
    return this.#latest
  }

  read(from: number, visit: VisitChange): number {
    let visited = 0
    for (const { key, value } of this.#log.getRange({ start: from })) {
      visit(key, logEntryKey(value), logEntryValue(value))
      visited++
    }
    return visited
  }

  poll(from: number): number {
    // lmdb-js keeps one read transaction for all reads of a turn. A poll is the first read of its turn: it must see what
    // another process committed since, so it pays for a new transaction.
    this.#log.resetReadTxn()
    let found = 0
    for (const _ of this.#log.getRange({ start: from, limit: 1000 })) found++
    return found
  }
}
