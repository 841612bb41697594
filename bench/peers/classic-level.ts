/**
 * LevelDB through classic-level. One key order; the hand-made log lives in it under a prefix of its own.
 *
 * Batches are chained ones: an array of operations takes 1.5 to 9 times as long in JavaScript alone.
 */
import { encodeLogEntry, LOG_DELETE, LOG_PUT, logEntryKey, logEntryValue } from './log-entry.ts'
import { loadPeer } from './load-peer.ts'
import type { BenchStore, ChangeLog, Engine, StoreOptions, Visit, VisitChange } from './store.ts'

interface Level {
  open(): Promise<void>
  close(): Promise<void>
  put(key: Buffer, value: Buffer, options?: object): Promise<void>
  get(key: Buffer): Promise<Buffer | undefined>
  getSync(key: Buffer): Buffer | undefined
  batch(): ChainedBatch
  iterator(options: object): LevelIterator
  compactRange(start: Buffer, end: Buffer): Promise<void>
}
interface LevelIterator {
  nextv(size: number): Promise<[Buffer, Buffer][]>
  close(): Promise<void>
}
interface ChainedBatch {
  put(key: Buffer, value: Buffer): this
  del(key: Buffer): this
  write(options: object): Promise<void>
}

const BATCH = 1000
/** Keys of the benchmark are decimal digits: both marks sort after them. */
const LOG_MARK = 0xfe
const LOG_START: Buffer = Buffer.from([LOG_MARK])
const LOG_END: Buffer = Buffer.from([LOG_MARK + 1])

export const classicLevel: Engine = {
  name: 'classic-level',
  profiles: {
    default: 'as it comes: 4 MiB write buffer, 8 MiB cache, snappy',
    tuned: '64 MiB write buffer, 64 MiB cache, 32 MiB files, bloom filter as built in',
  },
  reads: ['sync', 'async'],
  hasMerge: false,
  async open(options: StoreOptions): Promise<BenchStore> {
    const { ClassicLevel } = loadPeer<{
      ClassicLevel: new (location: string, options: object) => Level
    }>('classic-level')
    const tuned = { writeBufferSize: 64 << 20, cacheSize: 64 << 20, maxFileSize: 32 << 20 }
    const level = new ClassicLevel(options.directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      ...(options.profile === 'tuned' ? tuned : {}),
    })
    await level.open()
    return createStore(level, options)
  },
}

async function createStore(level: Level, options: StoreOptions): Promise<BenchStore> {
  const writeOptions = { sync: options.sync }
  const log = options.changeLog ? await LevelLog.open(level) : undefined
  return {
    putBatch(keys, values) {
      const batch = level.batch()
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i] as Buffer
        const value = values[i] as Buffer
        batch.put(key, value)
        log?.append(batch, LOG_PUT, key, value)
      }
      return batch.write(writeOptions)
    },
    deleteBatch(keys) {
      const batch = level.batch()
      for (const key of keys) {
        batch.del(key)
        log?.append(batch, LOG_DELETE, key, undefined)
      }
      return batch.write(writeOptions)
    },
    put(key, value) {
      if (log === undefined) return level.put(key, value, writeOptions)
      const batch = level.batch().put(key, value)
      log.append(batch, LOG_PUT, key, value)
      return batch.write(writeOptions)
    },
    get: (key) => level.get(key),
    getSync: (key) => level.getSync(key),
    scan: (start, limit, visit) =>
      scanRange(level, { ...(start && { gte: start }), lt: LOG_START, limit }, visit),
    ...(log !== undefined && { changes: log }),
    settle: () => level.compactRange(Buffer.from([0]), Buffer.alloc(32, 0xff)),
    close: () => level.close(),
  }
}

async function scanRange(
  level: Level,
  range: { limit?: number } & Record<string, unknown>,
  visit: Visit,
): Promise<number> {
  const iterator = level.iterator(range)
  const size = Math.min(BATCH, range.limit ?? BATCH)
  let visited = 0
  for (;;) {
    const entries = await iterator.nextv(size)
    if (entries.length === 0) break
    for (const [key, value] of entries) visit(key, value)
    visited += entries.length
    if (visited === range.limit) break
  }
  await iterator.close()
  return visited
}

function logKey(seqno: number): Buffer {
  const key = Buffer.allocUnsafe(9)
  key[0] = LOG_MARK
  key.writeUInt32BE(Math.floor(seqno / 0x1_0000_0000), 1)
  key.writeUInt32BE(seqno >>> 0, 5)
  return key
}

class LevelLog implements ChangeLog {
  readonly #level: Level
  #latest: number

  private constructor(level: Level, latest: number) {
    this.#level = level
    this.#latest = latest
  }

  static async open(level: Level): Promise<LevelLog> {
    const iterator = level.iterator({ gte: logKey(0), lt: LOG_END, reverse: true, limit: 1 })
    const [last] = await iterator.nextv(1)
    await iterator.close()
    return new LevelLog(level, last === undefined ? 0 : last[0].readUIntBE(3, 6))
  }

  append(batch: ChainedBatch, kind: number, key: Buffer, value: Buffer | undefined): void {
    batch.put(logKey(++this.#latest), encodeLogEntry(kind, key, value))
  }

  latest(): number {
    return this.#latest
  }

  read(from: number, visit: VisitChange): Promise<number> {
    const range = { gte: logKey(from), lt: LOG_END }
    return scanRange(this.#level, range, (key, entry) => {
      visit((key as Buffer).readUIntBE(3, 6), logEntryKey(entry), logEntryValue(entry))
    })
  }

  async poll(from: number): Promise<number> {
    const iterator = this.#level.iterator({ gte: logKey(from), lt: LOG_END, limit: BATCH })
    const entries = await iterator.nextv(BATCH)
    await iterator.close()
    return entries.length
  }
}
