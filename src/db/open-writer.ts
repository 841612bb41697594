/**
 * Opens a store for writing: recovery, then the parts, then what was left to do.
 */
import { EventPages } from '../cdc/event-pages.ts'
import { SeriesRecorder } from '../cdc/history-series.ts'
import { VarveError } from '../base/errors.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import { translateDiskError } from '../env/disk-errors.ts'
import { ReadScratch } from '../read/read-scratch.ts'
import { findOrphans } from '../version/orphans.ts'
import { SnapshotRegistry } from '../version/snapshot-registry.ts'
import type { StateChange } from '../version/version-edit.ts'
import { VersionSet } from '../version/version-set.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'
import { throwIfAborted } from './arguments.ts'
import { Changes } from './changes.ts'
import { Engine } from './engine.ts'
import { FloorKeeper } from './floor-keeper.ts'
import { Health } from './health.ts'
import { DEFAULT_KEYSPACE, DEFAULT_KEYSPACE_ID, KeyspaceDirectory } from './keyspace-directory.ts'
import { givenOverStored, KeyspaceRegistry, operatorOf } from './keyspace-registry.ts'
import type { ReplayedAck } from './log-replay.ts'
import type { OpenContext } from './open-store.ts'
import { checkRole, mergeKeyspaceOptions } from './options.ts'
import { type Begun, createStore, type RecoveryOptions, replayFor, takeOver } from './recovery.ts'
import { ScanHolds } from './scan-holds.ts'
import { spaceOf } from './space-of.ts'
import { StoreCounters } from './stats.ts'
import { Store } from './store.ts'
import { StoreEmitter } from './store-events.ts'
import { ViewCache } from './view-cache.ts'

interface Opened {
  readonly versions: VersionSet
  readonly logged: readonly LoggedMemtable[]
  readonly finishOpening: (() => Promise<void>) | undefined
  readonly acks: readonly ReplayedAck[]
  readonly sourceToken: ResumeToken | undefined
  readonly lastTimeMs: number
  readonly series: SeriesRecorder
  readonly keyspaces: KeyspaceDirectory
}

export async function openWriter(context: OpenContext): Promise<Store> {
  const snapshots = new SnapshotRegistry()
  const opened = context.exists
    ? await recover(context, snapshots)
    : await create(context, snapshots)
  return assemble(context, opened, snapshots)
}

async function create(context: OpenContext, snapshots: SnapshotRegistry): Promise<Opened> {
  const { options } = context
  const stored = mergeKeyspaceOptions(options.keyspace, undefined)
  operatorOf('default', stored, options.operators)
  const recovery = recoveryOptions(context, snapshots, () => undefined)
  const { versions, logged } = await createStore(recovery, options.role ?? 'primary', stored)
  return {
    versions,
    logged,
    finishOpening: undefined,
    acks: [],
    sourceToken: undefined,
    lastTimeMs: 0,
    series: new SeriesRecorder(options.history, undefined),
    keyspaces: directoryOf(context, versions, new Map()),
  }
}

async function recover(context: OpenContext, snapshots: SnapshotRegistry): Promise<Opened> {
  const { options, directory } = context
  let series: SeriesRecorder | undefined
  const recovery = recoveryOptions(context, snapshots, (seqno, timeMs, bytes) =>
    series!.note(seqno, timeMs, bytes),
  )
  const recovered = await VersionSet.recover(recovery)
  if (recovered === undefined) throw new VarveError('VARVE_IO', 'CURRENT vanished while opening')
  const { versions } = recovered
  const { state } = versions.current
  series = new SeriesRecorder(options.history, state.series.at(-1))
  checkRole(options.role, state.role)
  // Before anything is written: a store of which a file is missing is not touched.
  const orphans = findOrphans(directory, recovered.files, {
    version: versions.current,
    manifestNumber: versions.manifestNumber,
    keepsLog: () => false,
  })
  const { memtableBytes } = spaceOf(options, versions.current)
  const replayed = await replayFor({ ...recovery, memtableBytes }, recovered)
  // The last moment: from here on files are written.
  throwIfAborted(options.signal)
  // Before anything is written: what does not fit is refused with the store as it was.
  const keyspaces = directoryOf(context, versions, replayed.drops)
  const change: StateChange = {
    ...(options.role === undefined ? {} : { role: options.role }),
    ...defaultKeyspaceChange(context, versions),
  }
  let begun: Begun
  try {
    begun = await takeOver(recovery, recovered, replayed, { change, orphans })
  } catch (error) {
    await versions.close()
    throw error
  }
  const { acks, sourceToken, lastTimeMs } = replayed
  const { logged, finish: finishOpening } = begun
  return { versions, logged, finishOpening, acks, sourceToken, lastTimeMs, series, keyspaces }
}

function recoveryOptions(
  context: OpenContext,
  snapshots: SnapshotRegistry,
  noteCommit: RecoveryOptions['noteCommit'],
): RecoveryOptions {
  const { fs, directory, options, deleter, found } = context
  return {
    fs,
    directory,
    files: found,
    onUnreachable: (files) => deleter.delete(files),
    memtableBytes: spaceOf(options, undefined).memtableBytes,
    openSnapshots: () => snapshots.seqnos,
    noteCommit,
  }
}

/** Keyspaces of the manifest, with what the log says was dropped since. */
function directoryOf(
  context: OpenContext,
  versions: VersionSet,
  drops: ReadonlyMap<number, number>,
): KeyspaceDirectory {
  const { options } = context
  const keyspaces = new KeyspaceDirectory()
  for (const record of versions.current.state.keyspaces) {
    const droppedAt = record.droppedAt ?? drops.get(record.id)
    const stored =
      record.id === DEFAULT_KEYSPACE_ID
        ? givenOverStored(DEFAULT_KEYSPACE, context.options.keyspace, record.options)
        : record.options
    const isDropped = droppedAt !== undefined
    const state = {
      id: record.id,
      name: record.name,
      options: stored,
      // What is left of a dropped keyspace is history, where nothing is folded.
      operator: isDropped ? undefined : operatorOf(record.name, stored, options.operators),
      isDropped,
      droppedAt,
    }
    keyspaces.add(state)
    if (isDropped) keyspaces.drop(state)
  }
  return keyspaces
}

function defaultKeyspaceChange(context: OpenContext, versions: VersionSet): StateChange {
  const record = versions.current.state.keyspaces.find(({ id }) => id === DEFAULT_KEYSPACE_ID)
  if (record === undefined) return {}
  return {
    keyspaces: [
      {
        ...record,
        options: givenOverStored(DEFAULT_KEYSPACE, context.options.keyspace, record.options),
      },
    ],
  }
}

function assemble(context: OpenContext, opened: Opened, snapshots: SnapshotRegistry): Store {
  const { options, environment, timers, directory, fs, segments, files, diagnostics, leaks } =
    context
  const { versions, keyspaces, series } = opened
  const { logger } = environment
  const events = new StoreEmitter(logger, diagnostics)
  const counters = new StoreCounters()
  const holds = new ScanHolds(leaks)
  const health = new Health({
    onPoisoned: (error) => engine.poisoned(error),
    onBackgroundError: (error) => {
      logger.error('background work failed', { code: error.code, message: error.message })
      events.emit('backgroundError', { error })
    },
  })
  const engine: Engine = new Engine({
    directory,
    fs,
    timers,
    versions,
    logged: opened.logged,
    finishOpening: opened.finishOpening,
    lastTimeMs: opened.lastTimeMs,
    recoveredSourceToken: opened.sourceToken,
    space: (version) => spaceOf(options, version),
    segmentBytes: options.segmentBytes,
    syncIntervalMs: options.syncIntervalMs,
    tuning: context.tuning,
    keyspaces,
    operators: options.operators,
    snapshots,
    series,
    health,
    events,
    diagnostics,
    counters,
    runner: context.runner,
    callingThread: context.callingThread,
    now: () => environment.now(),
    sealMarks: () => ({ consumers: changes.ledger.capture(), sourceToken: changes.sourceToken }),
    makeFloors: (self) =>
      new FloorKeeper({
        policy: options.history,
        versions,
        series,
        holds,
        latest: () => self.memtables.latestSeqno,
        durable: () => self.durability.durableSeqno,
        now: () => environment.now(),
        consumers: () => changes.ledger.floorConsumers(),
        settle: (verdicts) => changes.consumerSet.settle(verdicts),
        consumerRecords: () => changes.ledger.records(),
        onRisk: (risk) => {
          if (risk.lost) changes.feed.wakeAll()
          events.emit('consumerAtRisk', risk)
        },
        onRaised: (floor) => events.emit('historyFloor', { floor }),
        timeOf: (seqno) => changes.timeOf(seqno),
      }),
    sourceEpochs: () => changes.epochs,
    consumerRecords: (marks) => changes.ledger.records(marks?.consumers),
    onPublished: () => changes.feed.published(),
    onDurable: (durable) => {
      if (changes.ledger.settle(durable)) engine.consumersMoved()
      changes.feed.synced()
    },
    onKeyspaceForgotten: (id) => keyspaces.forget(id),
    filesGone: () => context.deleter.drain(),
  })
  const scratch = new ReadScratch()
  const views = new ViewCache({
    memtables: {
      generation: () => engine.memtables.generation,
      list: () =>
        [...engine.memtables.sealed, engine.memtables.active].map(({ memtable }) => memtable),
    },
    currentVersion: () => versions.current,
    segments,
    files,
    scratch,
    pages: new EventPages(context.blockCache),
  })
  const saveConsumers = async (): Promise<void> => {
    store.ensureWorking() // Else a poisoned store fails with its cause, as if it came again.
    await engine.durability.sync()
    await versions.apply(({ state }) => {
      const records = changes.ledger.records()
      const names = new Set(records.map(({ name }) => name))
      const dropped = state.consumers.filter(({ name }) => !names.has(name)).map(({ name }) => name)
      return { state: { consumers: records, droppedConsumers: dropped } }
    })
  }
  const changes: Changes = new Changes(
    {
      storeId: () => versions.current.state.storeId,
      isWriter: () => versions.current.state.role === 'primary',
      latest: () => engine.memtables.latestSeqno,
      durable: () => engine.durability.durableSeqno,
      status: () => (health.isClosing ? (health.status as 'closing' | 'closed') : 'open'),
      view: () => views.changeView(),
      keyspaceName: (id) => keyspaces.byId(id)?.name ?? '',
      holds,
      floors: engine.floors,
      timers,
      scanBegan: (from) => diagnostics.scanBegan(from),
      consumers: {
        writeAck: (name, next) => store.writeAck(name, next),
        saveConsumers: () => guarded(saveConsumers),
        consumersMoved: () => engine.consumersMoved(),
        running: (call) => store.calls.run(call),
        whileFloorStands: (run) => engine.floors.whileStanding(run),
        now: () => environment.now(),
      },
    },
    versions.current.state,
  )
  for (const { consumer, next, commitLast, timeMs } of opened.acks) {
    changes.ledger.replayAck(consumer, next, { commitLast, timeMs })
  }
  changes.ledger.settleAll()
  changes.sourceToken = opened.sourceToken

  const guarded = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run()
    } catch (cause) {
      const error = translateDiskError(cause, {
        operation: 'write manifest',
        file: context.directory,
      })
      if (versions.failure !== undefined) health.poison(error)
      throw error
    }
  }
  const store: Store = new Store({
    location: context.location,
    directory,
    environment,
    timers,
    fs,
    files,
    blockCache: context.blockCache,
    segments,
    lock: context.lock,
    sync: options.sync,
    health,
    events,
    counters,
    leaks,
    keyspaces,
    registry: new KeyspaceRegistry({
      keyspaces,
      operators: options.operators,
      versions,
      ensureWritable: () => store.ensureWorking(),
      drained: () => engine.pipeline.drained(),
      sync: () => engine.durability.sync(),
      guarded,
    }),
    defaultKeyspace: keyspaces.byId(DEFAULT_KEYSPACE_ID)!,
    snapshots,
    views,
    changes,
    engine,
    currentVersion: () => versions.current,
    latestSeqno: () => engine.memtables.latestSeqno,
    durableSeqno: () => engine.durability.durableSeqno,
    reload: () => Promise.resolve(),
    logs: () =>
      [...engine.memtables.sealed, engine.memtables.active]
        .filter(({ wal }) => wal.hasBegun)
        .map(({ wal }) => ({ number: wal.number, bytes: wal.size })),
    manifestPath: () => versions.manifestPath,
    memtableBytes: () => engine.memtables.bytes,
    retainedBytes: () => engine.floors.retainedBytes(),
    changeState: async (change) => {
      await guarded(() => versions.apply({ state: change }))
    },
    shutDown: () => shutDown(context, engine, versions, health, changes),
  })
  engine.start()
  return store
}

/** A memtable smaller than this is left to the log at a close: replaying it is faster than a segment of its own. */
const CLOSE_FLUSH_BYTES = 256 * 1024

async function shutDown(
  context: OpenContext,
  engine: Engine,
  versions: VersionSet,
  health: Health,
  changes: Changes,
): Promise<void> {
  const { runner, callingThread, deleter, segments, files, lock } = context
  // Who closes a poisoned store knows already; a sync that fails now is news.
  const isNews = health.poisonError === undefined
  let failure: unknown
  const attempt = async (step: () => Promise<unknown>): Promise<void> => {
    try {
      await step()
    } catch (error) {
      failure ??= error
    }
  }
  const isHealthy = (): boolean => health.poisonError === undefined && failure === undefined
  await attempt(() => engine.finishWrites(CLOSE_FLUSH_BYTES))
  if (isHealthy()) await attempt(() => engine.durability.sync())
  await attempt(() => changes.feed.drain())
  await attempt(() => engine.stop())
  // Without a manifest that names the log there is nothing to record; the next open starts an epoch, as after a crash.
  if (isHealthy() && engine.isTakenOver) {
    const { wal } = engine.memtables.active
    await attempt(async () => {
      try {
        await versions.markClean({ walNumber: wal.number, walBytes: wal.size })
      } catch (error) {
        // Everything is durable; without the record the next open starts an epoch, as after a crash.
        if (versions.failure !== undefined) throw error
      }
    })
  }
  await attempt(() => engine.closeLogs())
  await attempt(() => versions.close())
  await attempt(() => runner.close())
  await attempt(() => callingThread.close())
  await attempt(() => deleter.drain())
  await attempt(async () => segments.close())
  await attempt(async () => files.close())
  await attempt(async () => lock?.release())
  if (failure !== undefined && isNews) {
    throw translateDiskError(failure, { operation: 'close', file: context.directory })
  }
}
