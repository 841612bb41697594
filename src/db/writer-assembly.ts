/**
 * Puts a writable store together out of what its opening found.
 *
 * The parts need each other in a circle: the engine tells change capture what was published, change capture acks through the
 * store, the store writes through the engine. So each is given callbacks, which look the others up when they are called; no part
 * calls any before all of them are made.
 */
import { EventPages } from '../cdc/event-pages.ts'
import type { SeriesRecorder } from '../cdc/history-series.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import { translateDiskError } from '../env/disk-errors.ts'
import { ReadScratch } from '../read/read-scratch.ts'
import type { SnapshotRegistry } from '../version/snapshot-registry.ts'
import type { ConsumerRecord } from '../version/store-state.ts'
import type { VersionSet } from '../version/version-set.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'
import { Changes } from './changes.ts'
import { Engine } from './engine.ts'
import { FloorKeeper } from './floor-keeper.ts'
import { Health } from './health.ts'
import { DEFAULT_KEYSPACE_ID, type KeyspaceDirectory } from './keyspace-directory.ts'
import { KeyspaceRegistry } from './keyspace-registry.ts'
import type { ReplayedAck } from './log-replay.ts'
import type { OpenContext } from './open-store.ts'
import { finalIfSync } from './maintenance.ts'
import { ScanHolds } from './scan-holds.ts'
import { shutDown } from './shut-down.ts'
import { spaceOf } from './space-of.ts'
import { StoreCounters } from './stats.ts'
import { Store } from './store.ts'
import { StoreEmitter } from './store-events.ts'
import { ViewCache } from './view-cache.ts'

/** What is there of a store once its log was replayed. */
export interface OpenedFiles {
  readonly versions: VersionSet
  readonly logged: readonly LoggedMemtable[]
  readonly finishOpening: (() => Promise<void>) | undefined
  readonly acks: readonly ReplayedAck[]
  readonly sourceToken: ResumeToken | undefined
  readonly lastTimeMs: number
  readonly series: SeriesRecorder
  readonly keyspaces: KeyspaceDirectory
}

export function assembleWriter(
  context: OpenContext,
  opened: OpenedFiles,
  snapshots: SnapshotRegistry,
): Store {
  const { engine, store } = new WriterAssembly(context, opened, snapshots)
  engine.start()
  return store
}

class WriterAssembly {
  readonly engine: Engine
  readonly store: Store
  readonly #context: OpenContext
  readonly #opened: OpenedFiles
  readonly #snapshots: SnapshotRegistry
  readonly #events: StoreEmitter
  readonly #counters: StoreCounters = new StoreCounters()
  readonly #holds: ScanHolds
  readonly #health: Health
  readonly #views: ViewCache
  readonly #changes: Changes

  constructor(context: OpenContext, opened: OpenedFiles, snapshots: SnapshotRegistry) {
    this.#context = context
    this.#opened = opened
    this.#snapshots = snapshots
    this.#events = new StoreEmitter(context.environment.logger, context.diagnostics)
    this.#holds = new ScanHolds(context.leaks)
    this.#health = this.#makeHealth()
    this.engine = this.#makeEngine()
    this.#views = this.#makeViews()
    this.#changes = this.#makeChanges()
    this.store = this.#makeStore()
  }

  #makeHealth(): Health {
    const { logger } = this.#context.environment
    return new Health({
      onPoisoned: (error) => this.engine.poisoned(error),
      onBackgroundError: (error) => {
        logger.error('background work failed', { code: error.code, message: error.message })
        this.#events.emit('backgroundError', { error })
      },
    })
  }

  #makeEngine(): Engine {
    const { options, environment } = this.#context
    const { keyspaces } = this.#opened
    return new Engine({
      directory: this.#context.directory,
      fs: this.#context.fs,
      timers: this.#context.timers,
      versions: this.#opened.versions,
      logged: this.#opened.logged,
      finishOpening: this.#opened.finishOpening,
      lastTimeMs: this.#opened.lastTimeMs,
      recoveredSourceToken: this.#opened.sourceToken,
      space: (version) => spaceOf(options, version),
      segmentBytes: options.segmentBytes,
      syncIntervalMs: options.syncIntervalMs,
      tuning: this.#context.tuning,
      keyspaces,
      operators: options.operators,
      snapshots: this.#snapshots,
      series: this.#opened.series,
      health: this.#health,
      events: this.#events,
      diagnostics: this.#context.diagnostics,
      counters: this.#counters,
      runner: this.#context.runner,
      callingThread: this.#context.callingThread,
      now: () => environment.now(),
      sealMarks: () => ({
        consumers: this.#changes.ledger.capture(),
        sourceToken: this.#changes.sourceToken,
      }),
      makeFloors: (engine) => this.#makeFloors(engine),
      sourceEpochs: () => this.#changes.epochs,
      marksSynced: (marks) => {
        if (marks !== undefined) this.#changes.ledger.settleMarks(marks.consumers)
      },
      consumerRecords: () => this.#consumerRecords(),
      onPublished: () => this.#changes.feed.published(),
      onDurable: (durable) => {
        if (this.#changes.ledger.settle(durable)) this.engine.consumersMoved()
        this.#changes.feed.synced()
      },
      onKeyspaceForgotten: (id) => keyspaces.forget(id),
      filesGone: () => this.#context.deleter.drain(),
    })
  }

  #makeFloors(engine: Engine): FloorKeeper {
    const { options, environment } = this.#context
    return new FloorKeeper({
      policy: options.history,
      versions: this.#opened.versions,
      series: this.#opened.series,
      holds: this.#holds,
      latest: () => engine.memtables.latestSeqno,
      durable: () => engine.durability.durableSeqno,
      now: () => environment.now(),
      consumers: () => this.#changes.ledger.floorConsumers(),
      settle: (verdicts) => this.#changes.consumerSet.settle(verdicts),
      consumerRecords: () => this.#consumerRecords(),
      onRisk: (risk) => {
        if (risk.lost) this.#changes.feed.wakeAll()
        this.#events.emit('consumerAtRisk', risk)
      },
      onRaised: (floor) => this.#events.emit('historyFloor', { floor }),
      timeOf: (seqno) => this.#changes.timeOf(seqno),
    })
  }

  #makeViews(): ViewCache {
    const { segments, files, blockCache } = this.#context
    const { versions } = this.#opened
    const { memtables } = this.engine
    return new ViewCache({
      memtables: {
        generation: () => memtables.generation,
        list: () => [...memtables.sealed, memtables.active].map(({ memtable }) => memtable),
      },
      currentVersion: () => versions.current,
      segments,
      files,
      scratch: new ReadScratch(),
      pages: new EventPages(blockCache),
    })
  }

  #makeChanges(): Changes {
    const { environment, timers, diagnostics } = this.#context
    const { versions, keyspaces, acks, sourceToken } = this.#opened
    const { engine } = this
    const health = this.#health
    const changes = new Changes(
      {
        storeId: () => versions.current.state.storeId,
        isWriter: () => versions.current.state.role === 'primary',
        latest: () => engine.memtables.latestSeqno,
        durable: () => engine.durability.durableSeqno,
        status: () => health.phase,
        view: () => this.#views.changeView(),
        keyspaceName: (id) => keyspaces.byId(id)?.name ?? '',
        holds: this.#holds,
        floors: engine.floors,
        timers,
        scanBegan: (from) => diagnostics.scanBegan(from),
        consumers: {
          writeAck: (entry, next) => this.store.writeAck(entry, next),
          saveConsumers: () => this.#guarded(() => this.#saveConsumers()),
          consumersMoved: () => engine.consumersMoved(),
          running: (call) => this.store.calls.run(call),
          whileFloorStands: (run) => engine.floors.whileStanding(run),
          now: () => environment.now(),
        },
      },
      versions.current.state,
    )
    for (const { consumer, next, commitLast, timeMs } of acks) {
      changes.ledger.replayAck(consumer, next, { commitLast, timeMs })
    }
    changes.ledger.settleAll()
    changes.sourceToken = sourceToken
    return changes
  }

  #makeStore(): Store {
    const { options } = this.#context
    const { versions, keyspaces } = this.#opened
    const { engine } = this
    const { memtables } = engine
    return new Store({
      location: this.#context.location,
      directory: this.#context.directory,
      environment: this.#context.environment,
      timers: this.#context.timers,
      fs: this.#context.fs,
      files: this.#context.files,
      blockCache: this.#context.blockCache,
      segments: this.#context.segments,
      lock: this.#context.lock,
      sync: options.sync,
      health: this.#health,
      events: this.#events,
      counters: this.#counters,
      leaks: this.#context.leaks,
      keyspaces,
      registry: new KeyspaceRegistry({
        keyspaces,
        operators: options.operators,
        versions,
        ensureWritable: () => this.store.ensureWorking(),
        drained: () => engine.pipeline.drained(),
        sync: () => engine.durability.sync(),
        guarded: (run) => this.#guarded(run),
      }),
      defaultKeyspace: keyspaces.byId(DEFAULT_KEYSPACE_ID)!,
      snapshots: this.#snapshots,
      views: this.#views,
      changes: this.#changes,
      engine,
      currentVersion: () => versions.current,
      latestSeqno: () => memtables.latestSeqno,
      durableSeqno: () => engine.durability.durableSeqno,
      reload: () => Promise.resolve(),
      logs: () =>
        [...memtables.sealed, memtables.active]
          .filter(({ wal }) => wal.hasBegun)
          .map(({ wal }) => ({ number: wal.number, bytes: wal.size })),
      manifest: () => ({ path: versions.manifestPath, mayBeTorn: versions.mayEndTorn }),
      memtableBytes: () => memtables.bytes,
      retainedBytes: () => engine.floors.retainedBytes(),
      changeState: async (change) => {
        await this.#guarded(() => versions.apply({ state: change }))
      },
      shutDown: () => {
        const parts = { engine, versions, health: this.#health, changes: this.#changes }
        return shutDown(this.#context, parts)
      },
    })
  }

  /** For an edit that is about another thing; called when its turn has come. */
  #consumerRecords(): ConsumerRecord[] {
    const { consumers } = this.#opened.versions.current.state
    return this.#changes.ledger.records((name) =>
      consumers.some((consumer) => consumer.name === name),
    )
  }

  async #saveConsumers(): Promise<void> {
    this.store.ensureWorking() // Else a poisoned store fails with its cause, as if it came again.
    await this.engine.durability.sync()
    await this.#opened.versions.apply(({ state }) => {
      const records = this.#changes.ledger.records()
      const names = new Set(records.map(({ name }) => name))
      const dropped = state.consumers.filter(({ name }) => !names.has(name)).map(({ name }) => name)
      return { state: { consumers: records, droppedConsumers: dropped } }
    })
  }

  /** Edits of the manifest, with what went wrong said as users know it; a failure of the manifest itself poisons. */
  async #guarded<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (cause) {
      const file = this.#context.directory
      const error = translateDiskError(cause, { operation: 'write manifest', file })
      if (this.#opened.versions.failure === undefined) throw error
      const final = finalIfSync(cause, error)
      this.#health.poison(final)
      throw final
    }
  }
}
