/**
 * SQLite through better-sqlite3, a synchronous binding. The change log is filled by triggers, as change capture on SQLite is usually built.
 *
 * Journal mode is WAL in both profiles: with the built-in default (rollback journal, fsync at each commit) it would do
 * more for durability than the others and lose every row by far.
 */
import { loadPeer } from './load-peer.ts'
import type { BenchStore, ChangeLog, Engine, StoreOptions, VisitChange } from './store.ts'

interface Statement {
  run(...parameters: unknown[]): unknown
  get(...parameters: unknown[]): unknown
  all(...parameters: unknown[]): unknown[]
  raw(): Statement
  pluck(): Statement
}
interface Sqlite {
  pragma(text: string): unknown
  exec(sql: string): void
  prepare(sql: string): Statement
  transaction<A extends unknown[]>(action: (...parameters: A) => void): (...parameters: A) => void
  close(): void
}

const PAGE = 1000
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS kv (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;`
const LOG_SCHEMA = `
  CREATE TABLE IF NOT EXISTS log (seqno INTEGER PRIMARY KEY, kind INTEGER NOT NULL, key BLOB NOT NULL, value BLOB);
  CREATE TRIGGER IF NOT EXISTS kv_insert AFTER INSERT ON kv BEGIN
    INSERT INTO log (kind, key, value) VALUES (1, new.key, new.value);
  END;
  CREATE TRIGGER IF NOT EXISTS kv_update AFTER UPDATE ON kv BEGIN
    INSERT INTO log (kind, key, value) VALUES (1, new.key, new.value);
  END;
  CREATE TRIGGER IF NOT EXISTS kv_delete AFTER DELETE ON kv BEGIN
    INSERT INTO log (kind, key, value) VALUES (2, old.key, NULL);
  END;`

export const betterSqlite3: Engine = {
  name: 'better-sqlite3',
  profiles: {
    default:
      'WAL journal, synchronous NORMAL (FULL where each write is synced), WITHOUT ROWID table',
    tuned: 'the same with a 64 MiB page cache and 1 GiB of mmap',
  },
  reads: ['sync'],
  hasMerge: false,
  async open(options: StoreOptions): Promise<BenchStore> {
    const Database = loadPeer<new (path: string) => Sqlite>('better-sqlite3')
    const db = new Database(`${options.directory}/store.sqlite`)
    db.pragma('journal_mode = WAL')
    db.pragma(`synchronous = ${options.sync ? 'FULL' : 'NORMAL'}`)
    if (options.profile === 'tuned') {
      db.pragma('cache_size = -65536')
      db.pragma('mmap_size = 1073741824')
    }
    db.exec(SCHEMA)
    if (options.changeLog) db.exec(LOG_SCHEMA)
    return createStore(db, options)
  },
}

function createStore(db: Sqlite, options: StoreOptions): BenchStore {
  const put = db.prepare(
    `INSERT INTO kv (key, value) VALUES (?, ?)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
  )
  const remove = db.prepare('DELETE FROM kv WHERE key = ?')
  const get = db.prepare('SELECT value FROM kv WHERE key = ?').pluck()
  const first = db.prepare('SELECT key, value FROM kv ORDER BY key LIMIT ?').raw()
  const from = db.prepare('SELECT key, value FROM kv WHERE key >= ? ORDER BY key LIMIT ?').raw()
  const after = db.prepare('SELECT key, value FROM kv WHERE key > ? ORDER BY key LIMIT ?').raw()
  const putAll = db.transaction((keys: readonly Buffer[], values: readonly Buffer[]) => {
    for (let i = 0; i < keys.length; i++) put.run(keys[i], values[i])
  })
  const removeAll = db.transaction((keys: readonly Buffer[]) => {
    for (const key of keys) remove.run(key)
  })
  return {
    putBatch: (keys, values) => putAll(keys, values),
    deleteBatch: (keys) => removeAll(keys),
    put(key, value) {
      put.run(key, value)
    },
    getSync: (key) => get.get(key) as Buffer | undefined,
    scan(start, limit, visit) {
      let visited = 0
      let page = Math.min(PAGE, limit)
      let rows = (start === undefined ? first.all(page) : from.all(start, page)) as Row[]
      while (rows.length > 0) {
        for (const [key, value] of rows) visit(key, value)
        visited += rows.length
        if (rows.length < page || visited === limit) break
        page = Math.min(PAGE, limit - visited)
        rows = after.all((rows.at(-1) as Row)[0], page) as Row[]
      }
      return visited
    },
    ...(options.changeLog && { changes: createLog(db) }),
    async settle() {
      db.pragma('wal_checkpoint(TRUNCATE)')
      db.exec('VACUUM')
    },
    async close() {
      db.close()
    },
  }
}

type Row = [key: Buffer, value: Buffer]

function createLog(db: Sqlite): ChangeLog {
  const latest = db.prepare('SELECT coalesce(max(seqno), 0) FROM log').pluck()
  const page = db
    .prepare('SELECT seqno, key, value FROM log WHERE seqno >= ? ORDER BY seqno LIMIT ?')
    .raw()
  const readPage = (from: number): [number, Buffer, Buffer][] =>
    page.all(from, PAGE) as [number, Buffer, Buffer][]
  return {
    latest: () => latest.get() as number,
    read(from: number, visit: VisitChange): number {
      let visited = 0
      for (;;) {
        const rows = readPage(from)
        for (const [seqno, key, value] of rows) visit(seqno, key, value)
        visited += rows.length
        const last = rows.at(-1)
        if (rows.length < PAGE || last === undefined) return visited
        from = last[0] + 1
      }
    },
    poll: (from) => readPage(from).length,
  }
}
