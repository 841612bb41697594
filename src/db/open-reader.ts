/**
 * Opens a store for reading only, also beside a running writer: changes no file, takes no lock, starts no epoch.
 *
 * It sees what the writer had handed to the operating system at the open or the last refresh. Every live file is opened at
 * once, because the writer removes files when *it* does not need them any more; when one has vanished already, everything
 * starts over from the manifest.
 */
import { VarveError } from '../base/errors.ts'
import { systemCode } from '../env/disk-errors.ts'
import type { Memtable } from '../memtable/memtable.ts'
import { ReadScratch } from '../read/read-scratch.ts'
import { SnapshotRegistry } from '../version/pins.ts'
import type { Version } from '../version/version.ts'
import { VersionSet } from '../version/version-set.ts'
import { Changes } from './changes.ts'
import { Health } from './health.ts'
import { DEFAULT_KEYSPACE_ID, KeyspaceDirectory } from './keyspace-directory.ts'
import { KeyspaceRegistry, operatorOf } from './keyspace-registry.ts'
import type { OpenContext } from './open-store.ts'
import { mergeKeyspaceOptions } from './options.ts'
import { notFound, type ReplayedLog, replayLogs } from './recovery.ts'
import { ScanHolds } from './scan-holds.ts'
import { StoreCounters } from './stats.ts'
import { Store } from './store.ts'
import { StoreEmitter } from './store-events.ts'
import { ViewCache } from './view-cache.ts'
import { readOnlyError } from './writer.ts'

/** The writer may move on while we read; so often we start over. */
const ATTEMPTS_MAX = 16

interface Image {
  readonly version: Version
  readonly manifestPath: string
  readonly replayed: ReplayedLog
}

export async function openReader(context: OpenContext): Promise<Store> {
  const { environment, timers, directory, fs, segments, files, options } = context
  const { diagnostics, leaks } = context
  const snapshots = new SnapshotRegistry()
  let image = await loadImage(context, snapshots)
  let generation = 0
  const keyspaces = new KeyspaceDirectory()
  updateKeyspaces(context, keyspaces, image)
  const health = new Health({ onPoisoned: () => undefined, onBackgroundError: () => undefined })
  const scratch = new ReadScratch()
  const views = new ViewCache({
    memtables: {
      get generation() {
        return generation
      },
      list: (): readonly Memtable[] => image.replayed.memtables,
    },
    currentVersion: () => image.version,
    segments,
    files,
    scratch,
  })
  const latest = (): number => image.replayed.lastSeqno
  const refuse = (): never => {
    throw readOnlyError('readOnly')
  }
  const changes: Changes = new Changes(
    {
      storeId: () => image.version.state.storeId,
      isWriter: () => false,
      latest,
      durable: latest,
      status: () => (health.isClosing ? (health.status as 'closing' | 'closed') : 'open'),
      view: () => views.changeView(),
      keyspaceName: (id) => keyspaces.byId(id)?.name ?? '',
      holds: new ScanHolds(leaks),
      scanBegan: (from) => diagnostics.scanBegan(from),
      floors: {
        get floor() {
          return image.version.state.floor
        },
        get policyFloor() {
          return image.version.state.floor
        },
        get scale() {
          const { series } = image.version.state
          return { series, latest: latest(), totalBytes: series.at(-1)?.userBytes ?? 0 }
        },
      },
      timers,
      consumers: {
        writeAck: async () => refuse(),
        saveConsumers: async () => refuse(),
        consumersMoved: () => undefined,
        floorSettled: () => Promise.resolve(),
        now: () => environment.now(),
      },
    },
    { consumers: image.version.state.consumers, epochs: image.replayed.epochs },
  )
  changes.sourceToken = image.replayed.sourceToken
  const reload = async (): Promise<void> => {
    const next = await loadImage(context, snapshots)
    const previous = image.version
    image = next
    generation++
    updateKeyspaces(context, keyspaces, image)
    changes.epochs = image.replayed.epochs
    changes.sourceToken = image.replayed.sourceToken
    previous.release()
    changes.feed.published()
  }
  return new Store({
    location: context.location,
    directory,
    environment,
    timers,
    fs,
    files,
    blockCache: context.blockCache,
    segments,
    lock: undefined,
    sync: options.sync,
    health,
    events: new StoreEmitter(environment.logger, diagnostics),
    counters: new StoreCounters(),
    leaks,
    keyspaces,
    registry: new KeyspaceRegistry({
      keyspaces,
      operators: options.operators,
      versions: undefined,
      ensureWritable: refuse,
      drained: () => Promise.resolve(),
      sync: () => Promise.resolve(),
      guarded: (run) => run(),
    }),
    defaultKeyspace: keyspaces.byId(DEFAULT_KEYSPACE_ID)!,
    snapshots,
    views,
    changes,
    engine: undefined,
    currentVersion: () => image.version,
    latestSeqno: latest,
    durableSeqno: latest,
    reload,
    logs: () => [],
    manifestPath: () => image.manifestPath,
    memtableBytes: () =>
      image.replayed.memtables.reduce((sum, { bytesUsed }) => sum + bytesUsed, 0),
    retainedBytes: () => 0,
    changeState: async () => refuse(),
    shutDown: async () => {
      await changes.feed.drain()
      await context.runner.close()
      segments.close()
      files.close()
    },
  })
}

async function loadImage(context: OpenContext, snapshots: SnapshotRegistry): Promise<Image> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await loadImageOnce(context, snapshots)
    } catch (error) {
      // Files vanish and logs are cut back under a reader; what is still wrong at the last attempt is wrong.
      const mayPass =
        systemCode(error) === 'ENOENT' ||
        (error instanceof VarveError && error.code === 'VARVE_CORRUPTION')
      if (!mayPass || attempt === ATTEMPTS_MAX) throw error
      await context.timers.nextTurn()
    }
  }
}

async function loadImageOnce(context: OpenContext, snapshots: SnapshotRegistry): Promise<Image> {
  const { fs, directory, segments, options } = context
  const loaded = await VersionSet.load(fs, directory)
  if (loaded === undefined) throw notFound(directory)
  const { version, manifest } = loaded
  for (const meta of version.segments()) segments.reader(meta)
  for (const number of version.blobs.keys()) segments.blob(number)
  const replayed = await replayLogs(
    {
      fs,
      directory,
      memtableBytes: options.memtableBytes,
      openSnapshots: () => snapshots.seqnos,
      noteCommit: () => undefined,
    },
    version,
    false,
  )
  return { version, manifestPath: manifest.path, replayed }
}

function updateKeyspaces(context: OpenContext, keyspaces: KeyspaceDirectory, image: Image): void {
  const { options } = context
  for (const record of image.version.state.keyspaces) {
    const droppedAt = record.droppedAt ?? image.replayed.drops.get(record.id)
    const known = keyspaces.byId(record.id)
    const given = record.id === DEFAULT_KEYSPACE_ID ? options.keyspace : {}
    const stored = mergeKeyspaceOptions(given, record.options)
    const isDropped = droppedAt !== undefined
    const state = known ?? {
      id: record.id,
      name: record.name,
      options: stored,
      operator: isDropped ? undefined : operatorOf(record.name, stored, options.operators),
      isDropped,
      droppedAt,
    }
    if (known === undefined) keyspaces.add(state)
    if (!isDropped) continue
    state.droppedAt = droppedAt
    keyspaces.drop(state)
  }
}
