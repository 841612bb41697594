/** Varve itself. It needs no log beside the data: the change log of this store is the store. */
import { setTimeout } from 'node:timers/promises'
import type { ChangeEvent, OpenOptions, Varve } from '../../src/index.ts'
import type {
  BenchStore,
  ChangeLog,
  Engine,
  ReadOptions,
  StoreOptions,
  VisitChange,
} from './store.ts'

type VarveModule = typeof import('../../src/index.ts')

const BATCH = 1000

const profileOptions: Readonly<Record<string, OpenOptions>> = {
  default: {},
  tuned: { memtableBytes: 128 << 20, blockCacheBytes: 256 << 20 },
  lz4: { compression: 'lz4' },
  deflate: { compression: 'deflate' },
  'history-all': { history: 'all' },
  'history-none': { history: 'none' },
  'no-worker': { backgroundWorkers: 0 },
}

export const varve: Engine = {
  name: 'varve',
  profiles: {
    default: 'as it comes',
    tuned: '128 MiB memtable, 256 MiB block cache',
    lz4: 'default with compression lz4',
    deflate: 'default with compression deflate',
    'history-all': 'default with history: all',
    'history-none': 'default with history: none',
    'no-worker': 'default with flush and compaction on the calling thread',
  },
  reads: ['sync', 'async'],
  hasMerge: true,
  async open(options: StoreOptions): Promise<BenchStore> {
    const more = {
      ...(options.counters && { mergeOperator: 'counter' }),
      ...(options.forgets && { blockCacheBytes: 0 }),
    }
    return createStore(await openVarve(options, more))
  },
}

/** Opens the store under test with a profile's options; workloads of Varve alone use it directly. */
export async function openVarve(
  options: Pick<StoreOptions, 'directory' | 'profile' | 'sync' | 'varveModule'>,
  more: OpenOptions = {},
): Promise<Varve> {
  const profile = profileOptions[options.profile]
  if (profile === undefined) throw new Error(`varve has no profile ${options.profile}`)
  const module = await loadVarve(options.varveModule)
  return module.Varve.open(options.directory, { ...profile, sync: options.sync, ...more })
}

export function loadVarve(module: string): Promise<VarveModule> {
  return import(module) as Promise<VarveModule>
}

function createStore(store: Varve): BenchStore {
  return {
    async putBatch(keys, values) {
      const puts = store.batch()
      for (let i = 0; i < keys.length; i++) puts.put(keys[i] as Buffer, values[i] as Buffer)
      await store.write(puts)
    },
    async deleteBatch(keys) {
      const deletes = store.batch()
      for (const key of keys) deletes.delete(key)
      await store.write(deletes)
    },
    put: (key, value) => store.put(key, value) as unknown as Promise<void>,
    merge: (key, operand) => store.merge(key, operand) as unknown as Promise<void>,
    get: (key) => store.get(key),
    getSync: (key) => store.getSync(key),
    async scan(start, limit, visit) {
      const cursor = store.entries({
        ...(start && { gte: start }),
        ...(limit < Infinity && { limit }),
      })
      const size = Math.min(BATCH, limit)
      let visited = 0
      for (;;) {
        const entries = await cursor.nextBatch(size)
        for (const [key, value] of entries) visit(key, value)
        visited += entries.length
        if (entries.length < size || visited === limit) break
      }
      await cursor.close()
      return visited
    },
    changes: createLog(store),
    flush: () => store.flush(),
    async untilCompacted() {
      await store.flush()
      // Two milliseconds of seconds: what is looked for has no event that every way of it ends with.
      while (store.stats().pendingCompactionBytes > 0) await setTimeout(2)
    },
    async settle() {
      await store.flush()
      await store.compact()
    },
    ownMetrics: () => ownMetrics(store),
    close: () => store.close(),
  }
}

function createLog(store: Varve): ChangeLog {
  return {
    latest: () => store.history().latest,
    async read(from: number, visit: VisitChange, options?: ReadOptions) {
      await using scan = store.scanSinceSeqno(from, { skip: options?.skip ?? true })
      let visited = 0
      for (;;) {
        const events = await scan.nextBatch(BATCH)
        if (events.length === 0) break
        for (const event of events) visitEvent(event, visit)
        visited += events.length
      }
      options?.onStats?.({ ...scan.stats })
      return visited
    },
    async poll(from) {
      const scan = store.scanSinceSeqno(from)
      const events = await scan.nextBatch(BATCH)
      await scan.close()
      return events.length
    },
  }
}

const NO_VALUE = new Uint8Array(0)

function visitEvent(event: ChangeEvent, visit: VisitChange): void {
  if (event.type === 'Insert') visit(event.seqno, event.key, event.value)
  else if (event.type === 'MergeOperand') visit(event.seqno, event.key, event.operand)
  else if (event.type === 'PointTombstone') visit(event.seqno, event.key, NO_VALUE)
  else visit(event.seqno, event.startKey, NO_VALUE)
}

function ownMetrics(store: Varve): Record<string, number> {
  const { io } = store.stats()
  const written = io.walBytesWritten + io.flushBytesWritten + io.compactionBytesWritten
  return { writeAmplification: written / Math.max(1, io.userBytesWritten) }
}
