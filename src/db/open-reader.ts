/**
 * Opens a store for reading only, also beside a running writer: changes no file, takes no lock, starts no epoch.
 *
 * It sees what the writer had handed to the operating system at the open or the last refresh. Every live file is opened at
 * once, because the writer removes files when *it* does not need them any more; when one has vanished already, everything
 * starts over from the manifest.
 */
import { VarveError } from '../base/errors.ts'
import { EventPages } from '../cdc/event-pages.ts'
import { type ByteScale, bytesBetween } from '../cdc/history-policy.ts'
import { systemCode } from '../env/disk-errors.ts'
import type { Memtable } from '../memtable/memtable.ts'
import { ReadScratch } from '../read/read-scratch.ts'
import { SnapshotRegistry } from '../version/snapshot-registry.ts'
import { readCurrent } from '../version/current-file.ts'
import { isCleanClose } from '../version/epochs.ts'
import type { Version } from '../version/version.ts'
import { type Recovered, VersionSet } from '../version/version-set.ts'
import { throwIfAborted } from './arguments.ts'
import { Changes } from './changes.ts'
import { FilesInUse } from './files-in-use.ts'
import { Health } from './health.ts'
import { DEFAULT_KEYSPACE_ID, KeyspaceDirectory, type KeyspaceState } from './keyspace-directory.ts'
import { givenOverStored, KeyspaceRegistry, operatorOf } from './keyspace-registry.ts'
import type { OpenContext } from './open-store.ts'
import { checkRole } from './options.ts'
import { type FollowedLogs, LogFollower } from './log-follower.ts'
import { PinnedSource } from './pinned-source.ts'
import { notFound } from './recovery.ts'
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
  readonly manifest: Recovered['manifest']
  readonly replayed: FollowedLogs
}

export async function openReader(context: OpenContext): Promise<Store> {
  const { environment, timers, directory, fs, segments, files, options } = context
  const { diagnostics, leaks } = context
  const snapshots = new SnapshotRegistry()
  const inUse = new FilesInUse(segments)
  const follower = new LogFollower({
    fs,
    directory,
    memtableBytes: options.memtableBytes,
    openSnapshots: () => snapshots.seqnos,
  })
  const load = (previous?: Image): Promise<Image> => loadImage(context, follower, inUse, previous)
  let image = await load()
  checkRole(options.role, image.version.state.role)
  let generation = 0
  const keyspaces = new KeyspaceDirectory()
  keyspaceUpdate(context, keyspaces, image)()
  const health = new Health({ onPoisoned: () => undefined, onBackgroundError: () => undefined })
  const scratch = new ReadScratch()
  const views = new ViewCache({
    memtables: {
      generation: () => generation,
      list: (): readonly Memtable[] => image.replayed.memtables,
    },
    currentVersion: () => image.version,
    segments,
    files,
    scratch,
    pages: new EventPages(context.blockCache),
  })
  const latest = (): number => image.replayed.lastSeqno
  const refuse = (): never => {
    throw readOnlyError('readOnly')
  }
  const holds = new ScanHolds(leaks)
  const changes: Changes = new Changes(
    {
      storeId: () => image.version.state.storeId,
      isWriter: () => false,
      latest,
      durable: latest,
      status: () => (health.isClosing ? (health.status as 'closing' | 'closed') : 'open'),
      view: () => views.changeView(),
      keyspaceName: (id) => keyspaces.byId(id)?.name ?? '',
      holds,
      scanSource: (store) => new PinnedSource(store, views, holds),
      scanBegan: (from) => diagnostics.scanBegan(from),
      floors: {
        get floor() {
          return image.version.state.floor
        },
        get policyFloor() {
          return image.version.state.floor
        },
        get scale() {
          return scaleOf(image)
        },
      },
      timers,
      consumers: {
        writeAck: async () => refuse(),
        saveConsumers: async () => refuse(),
        consumersMoved: () => undefined,
        running: (call) => call(),
        whileFloorStands: async () => refuse(),
        now: () => environment.now(),
      },
    },
    { consumers: image.version.state.consumers, epochs: image.replayed.epochs },
  )
  const adopt = (): void => {
    changes.epochs = image.replayed.epochs
    changes.sourceToken = image.replayed.sourceToken
    changes.ledger.reload(image.version.state.consumers)
    for (const ack of image.replayed.acks) changes.ledger.replayAck(ack.consumer, ack.next, ack)
    changes.ledger.settleAll()
  }
  adopt()
  const reload = async (): Promise<void> => {
    const next = await load(image)
    const update = keyspaceUpdate(context, keyspaces, next)
    const previous = image.version
    image = next
    generation++
    update()
    adopt()
    if (next.version !== previous) previous.release()
    changes.feed.published()
  }
  let reloading: Promise<void> = Promise.resolve()
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
    reload: () => {
      const result = reloading.then(reload)
      reloading = result.catch(ignore)
      return result
    },
    logs: () => image.replayed.logs,
    manifestPath: () => image.manifest.path,
    memtableBytes: () =>
      image.replayed.memtables.reduce((sum, { bytesUsed }) => sum + bytesUsed, 0),
    retainedBytes: () => {
      const { floor } = image.version.state
      return Math.round(bytesBetween(scaleOf(image), { from: floor, to: latest() + 1 }))
    },
    changeState: async () => refuse(),
    shutDown: async () => {
      await reloading
      await changes.feed.drain()
      await context.runner.close()
      segments.close()
      files.close()
    },
  })
}

async function loadImage(
  context: OpenContext,
  follower: LogFollower,
  inUse: FilesInUse,
  previous: Image | undefined,
): Promise<Image> {
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(context.options.signal)
    try {
      return await loadImageOnce(context, follower, inUse, previous)
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

async function loadImageOnce(
  context: OpenContext,
  follower: LogFollower,
  inUse: FilesInUse,
  previous: Image | undefined,
): Promise<Image> {
  const { fs, directory } = context
  if (previous !== undefined && isUnchanged(context, previous)) {
    return { ...previous, replayed: await follow(follower, previous) }
  }
  const loaded = await VersionSet.load(fs, directory, (version) => inUse.removeAll(version))
  if (loaded === undefined) throw notFound(directory)
  const { version, manifest } = loaded
  try {
    inUse.addAll(version)
    return { version, manifest, replayed: await follow(follower, { version, manifest }) }
  } catch (error) {
    version.release()
    throw error
  }
}

function follow(
  follower: LogFollower,
  { version, manifest }: Pick<Image, 'version' | 'manifest'>,
): Promise<FollowedLogs> {
  const { state } = version
  return follower.follow(version, isCleanClose(state, manifest.stat) ? state.cleanClose : undefined)
}

/** Whether the manifest in force is the one that was read, with nothing added. */
function isUnchanged({ fs, directory }: OpenContext, { manifest }: Image): boolean {
  if (manifest.torn !== undefined || readCurrent(fs, directory) !== manifest.number) return false
  const stat = fs.stat(manifest.path)
  return stat?.inode === manifest.stat.inode && stat.size === manifest.bytes
}

function scaleOf({ version, replayed }: Image): ByteScale {
  const { series } = version.state
  const totalBytes = (series.at(-1)?.userBytes ?? 0) + replayed.userBytes
  return { series, latest: replayed.lastSeqno, totalBytes }
}

/** Throws where an operator is not at hand; what it returns makes the keyspaces those of the image. */
function keyspaceUpdate(
  context: OpenContext,
  keyspaces: KeyspaceDirectory,
  image: Image,
): () => void {
  const { options } = context
  const found = image.version.state.keyspaces.map((record): KeyspaceState => {
    const droppedAt = record.droppedAt ?? image.replayed.drops.get(record.id)
    const given = record.id === DEFAULT_KEYSPACE_ID ? options.keyspace : {}
    const stored = givenOverStored(record.name, given, record.options)
    const isDropped = droppedAt !== undefined
    return {
      id: record.id,
      name: record.name,
      options: stored,
      operator: isDropped ? undefined : operatorOf(record.name, stored, options.operators),
      isDropped,
      droppedAt,
    }
  })
  return () => {
    for (const state of found) {
      const known = keyspaces.byId(state.id)
      if (known === undefined) {
        keyspaces.add(state)
        if (state.isDropped) keyspaces.drop(state)
      } else if (state.isDropped) {
        known.droppedAt = state.droppedAt
        keyspaces.drop(known)
      } else {
        known.options = state.options
        known.operator = state.operator
      }
    }
  }
}

function ignore(): void {}
