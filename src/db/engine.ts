/**
 * The writing half of a store: commit pipeline, memtables, logs, flushes, compactions and the floor, put together.
 *
 * ```
 * Writer ──> CommitPipeline ──> MemtableSet + WAL ──seal──> Flusher ──> VersionSet <── Compactor
 *                  ▲                    │                      └────── FloorKeeper ──────┘
 *             Backpressure          Durability
 * ```
 */
import type { VarveError } from '../base/errors.ts'
import { settled } from '../base/settled.ts'
import type { ConsumerRisk } from '../cdc/consumers.ts'
import { extendSeries, withEvent } from '../cdc/history-series.ts'
import { isNoSpace, systemCode, translateDiskError } from '../env/disk-errors.ts'
import { Memtable } from '../memtable/memtable.ts'
import { WalWriter } from '../wal/wal-writer.ts'
import { CommitPipeline } from '../write/commit-pipeline.ts'
import { Durability } from '../write/durability.ts'
import { type LoggedMemtable, MemtableSet } from '../write/memtable-set.ts'
import { Backpressure } from './backpressure.ts'
import type { DecodedCompactRange } from './compact-range.ts'
import { Compactor } from './compactor.ts'
import type { FloorKeeper } from './floor-keeper.ts'
import type { EngineOptions } from './engine-options.ts'
import { Flusher } from './flusher.ts'
import { closedError } from './health.ts'
import { JobPlanner } from './job-planner.ts'
import { finalIfSync, isFailedSync, Maintenance } from './maintenance.ts'
import { MemtableMarks } from './memtable-marks.ts'
import { TakeOver } from './take-over.ts'

export class Engine {
  readonly memtables: MemtableSet
  readonly durability: Durability
  readonly pipeline: CommitPipeline
  readonly floors: FloorKeeper
  readonly #maintenance: Maintenance
  readonly #backpressure: Backpressure
  readonly #takeOver: TakeOver
  readonly #marks = new MemtableMarks()
  readonly #options: EngineOptions
  readonly #stopping = new AbortController()
  // Made when there is work for them: who opens a store to read it has none.
  #planner: JobPlanner | undefined
  #flusher: Flusher | undefined
  #compactor: Compactor | undefined
  #cancelSyncInterval: (() => void) | undefined
  #isStopped = false

  constructor(options: EngineOptions) {
    this.#options = options
    const { logged, health, timers, tuning } = options
    this.memtables = new MemtableSet(logged, (previous) => this.#nextMemtable(previous))
    this.durability = new Durability(this.memtables, {
      durable: this.memtables.latestSeqno,
      onFailure: (error) => health.poison(error),
      onAdvance: (durable) => options.onDurable(durable),
    })
    this.floors = options.makeFloors(this)
    this.#maintenance = new Maintenance({
      directory: options.directory,
      timers,
      oldestSealed: () => this.memtables.sealed[0],
      flushMemtable: (oldest) => (this.#flusher ??= this.#makeFlusher()).flush(oldest),
      compactOnce: () => this.compactor.runOnce(),
      onProgress: () => this.#progressed(),
      onFailure: (error, _work, isFinal) => this.#backgroundFailed(error, isFinal),
      isStopped: () => this.#isStopped || health.poisonError !== undefined,
    })
    this.#backpressure = new Backpressure({
      tuning,
      measure: () => ({ pressure: this.compactor.pressure(), space: this.compactor.spaceUse() }),
      sealedMemtables: () => this.memtables.sealed.map(({ memtable }) => memtable.bytesUsed),
      flushFailure: () => this.#maintenance.flushFailure,
      compactionFailure: () => this.#maintenance.compactionFailure,
      monotonicMs: () => timers.monotonicMs(),
      onStall: (stall) => options.events.emit('stall', stall),
    })
    this.#takeOver = new TakeOver(options.finishOpening, {
      onDone: () => this.#takenOver(),
      onFailure: (cause) => this.#takeOverFailed(cause),
    })
    this.pipeline = this.#makePipeline()
  }

  /** Starts what was left to do when the store was opened. */
  start(): void {
    const { failure } = this.#options.versions
    if (failure !== undefined) this.poison(failure, 'open')
    if (this.#takeOver.isDone) return this.#startWork()
    // Not before whoever waits for the open has gone on.
    void this.#options.timers.nextTurn().then(() => {
      if (!this.#options.health.isClosing) void this.#takeOver.attempt()
    })
  }

  get compactor(): Compactor {
    return (this.#compactor ??= this.#makeCompactor())
  }

  /** The manifest in force is this writer's, and names its logs. */
  get isTakenOver(): boolean {
    return this.#takeOver.isDone
  }

  /** A failed sync or an unreadable state of log or manifest: nothing is written from here on. */
  poison(cause: unknown, operation: string): void {
    this.#options.health.poison(this.#translated(cause, operation))
  }

  #translated(cause: unknown, operation: string): VarveError {
    const file = this.#options.directory
    return finalIfSync(cause, translateDiskError(cause, { operation, file }))
  }

  /** From `Health`: whoever waits is told. */
  poisoned(error: VarveError): void {
    this.pipeline.fail(error)
    this.durability.fail(error)
    this.#cancelSyncInterval?.()
    this.#stopping.abort()
  }

  /** Everything that was written before the call stands in segments when it resolves. */
  async flush(): Promise<void> {
    await this.pipeline.mended()
    const target = this.memtables.latestSeqno
    const isIdle = this.memtables.sealed.length === 0 && this.memtables.active.memtable.isEmpty
    await this.#maintenance.flushSealed(target)
    const isToBeSealed = (): boolean => {
      const { memtable } = this.memtables.active
      return !memtable.isEmpty && memtable.firstSeqno <= target
    }
    // A write that came meanwhile may have failed: nothing follows a broken log.
    while (isToBeSealed() && this.memtables.active.wal.isBroken) await this.pipeline.mended()
    if (isToBeSealed()) this.#seal()
    // Also where another flush, which waited beside this one, has sealed it.
    await this.#maintenance.flushSealed(target)
    if (!isIdle) return
    // No flush has applied the history policy; time has passed and consumers have moved all the same.
    const { floor } = this.floors
    await this.#final('flush', () => this.floors.raise())
    if (this.floors.floor > floor) this.#maintenance.wakeCompaction()
  }

  async compact(range: DecodedCompactRange): Promise<void> {
    await this.flush()
    await this.#final('compaction', () =>
      this.#maintenance.withoutCompaction(() => this.compactor.compactRange(range)),
    )
    this.#progressed()
  }

  /** Gives up history on demand; see `FloorKeeper.raiseTo`. */
  async truncate(floor: number, lose: (floor: number) => readonly ConsumerRisk[]): Promise<void> {
    await this.#final('truncate history', () => this.floors.raiseTo(floor, lose))
  }

  /** As when it runs in the background: a failed sync is final, whoever asked for it (I8). */
  async #final(operation: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (cause) {
      if (this.#isFinal(cause)) this.poison(cause, operation)
      throw cause
    }
  }

  /** Applies the history policy soon: a consumer has moved. */
  consumersMoved(): void {
    this.#maintenance.wakeCompaction()
  }

  /**
   * For a close: no more commits, but for acks; those that wait are written, and flushed when they are `flushBytes` or more. Where they
   * cannot be flushed they stay in the log: that costs the next open a replay, and nothing else.
   */
  async finishWrites(flushBytes: number): Promise<void> {
    this.#cancelSyncInterval?.()
    this.pipeline.close()
    if (this.#options.health.poisonError === undefined) {
      await this.#takeOver.attempt()
      // Who closes is told of what open() could not wait for.
      if (this.#options.health.poisonError !== undefined) throw this.#options.health.poisonError
    }
    await this.pipeline.drained()
    if (this.#options.health.poisonError !== undefined) return
    try {
      if (this.memtables.bytes >= flushBytes) await this.flush()
    } catch (error) {
      if (this.#options.health.poisonError !== undefined) throw error
    }
    // A close ends what runs: lives that are shorter than a compaction would add to level 0 for ever.
    await this.#maintenance.madeRoom(() => this.compactor.pressure().isStopped)
  }

  /** Ends background work, when the acks that were taken are durable. */
  async stop(): Promise<void> {
    this.pipeline.end()
    await this.pipeline.drained()
    await this.durability.settled()
    this.#isStopped = true
    this.#stopping.abort()
    await this.#maintenance.stop()
    await this.durability.settled()
  }

  async closeLogs(): Promise<void> {
    for (const { wal } of [...this.memtables.sealed, this.memtables.active]) await wal.close()
    this.memtables.letGo()
  }

  /** Commits may go on, so there may be something to sync. */
  #startWork(): void {
    const { syncIntervalMs, timers, health } = this.#options
    if (syncIntervalMs > 0 && !health.isClosing && health.poisonError === undefined) {
      this.#cancelSyncInterval = timers.every(syncIntervalMs, () => this.#syncInBackground())
    }
    this.#startMaintenance()
  }

  #startMaintenance(): void {
    this.#maintenance.wakeFlush()
    this.#maintenance.wakeCompaction()
  }

  #takenOver(): void {
    this.pipeline.resume()
    this.#startWork()
  }

  #takeOverFailed(cause: unknown): void {
    const error = this.#translated(cause, 'open')
    // As where any other log is begun.
    this.#backgroundFailed(error, systemCode(cause) === 'EIO')
    this.pipeline.refuseWaiting(error)
    // It may be what makes room.
    this.#startMaintenance()
  }

  #seal(): void {
    this.memtables.rotate()
    this.#maintenance.wakeFlush()
  }

  #nextMemtable(previous: LoggedMemtable): LoggedMemtable {
    const { fs, directory, versions, snapshots, space, series } = this.#options
    let wal: WalWriter
    try {
      wal = WalWriter.create(fs, directory, versions.allocateFileNumber(), {
        logId: versions.current.state.logId,
        previous: previous.wal,
      })
    } catch (cause) {
      // Nothing was lost, but a disk that refuses a new log is not to be trusted with the old one (I8).
      if (systemCode(cause) === 'EIO') this.poison(cause, 'create log')
      throw cause
    }
    this.#marks.sealed(previous.memtable, this.#options.sealMarks())
    series.seal()
    const memtable = new Memtable({
      firstSeqno: previous.memtable.lastSeqno + 1,
      capacityBytes: space(versions.current).memtableBytes,
      shared: true,
      openSnapshots: () => snapshots.seqnos,
    })
    return { memtable, wal }
  }

  #makePipeline(): CommitPipeline {
    const { counters, series, timers, now, health, diagnostics } = this.#options
    return new CommitPipeline(
      this.memtables,
      this.durability,
      {
        now,
        admit: (needsRoom) => this.#takeOver.admit() ?? this.#backpressure.admit(needsRoom),
        onSealed: () => this.#maintenance.wakeFlush(),
        onPublished: (latest, { logBytes, userBytes }) => {
          counters.userBytesWritten += userBytes
          counters.walBytesWritten += logBytes
          series.note(latest, this.pipeline.lastTimeMs, userBytes)
          this.#options.onPublished(latest)
        },
        wantsCommits: () => diagnostics.wantsCommits,
        onCommit: (commit) => diagnostics.committed(commit),
        onPoisoned: (error) => health.poison(error),
        translate: (cause, operation) => this.#translated(cause, operation),
        nextTurn: (fn) => void timers.nextTurn().then(fn),
        after: (ms, fn) => void timers.wait(ms).then(fn),
      },
      this.#options.lastTimeMs,
    )
  }

  #planning(): JobPlanner {
    const { directory, segmentBytes, keyspaces, operators, snapshots, versions } = this.#options
    this.#planner ??= new JobPlanner({
      directory,
      segmentBytes,
      keyspaces,
      operators,
      dropFloor: () => this.floors.dropFloor,
      snapshots: () => snapshots.seqnos,
      bands: () => this.floors.bands(),
      reserveFileNumbers: (count) => versions.reserveFileNumbers(count),
      runner: this.#options.runner,
      callingThread: this.#options.callingThread,
      signal: () => this.#stopping.signal,
    })
    return this.#planner
  }

  #makeFlusher(): Flusher {
    const { directory, fs, versions, keyspaces, events, timers, series, counters } = this.#options
    return new Flusher({
      directory,
      fs,
      versions,
      memtables: this.memtables,
      durability: this.durability,
      floors: this.floors,
      planner: this.#planning(),
      keyspaces,
      events,
      monotonicMs: () => timers.monotonicMs(),
      logSynced: ({ memtable }) => this.#options.marksSynced(this.#marks.of(memtable)),
      consumerRecords: () => this.#options.consumerRecords(),
      sourceToken: ({ memtable }) => {
        // Sealed by the recovery: what was replayed is all there was, and durable.
        const marks = this.#marks.of(memtable)
        return marks === undefined ? this.#options.recoveredSourceToken : marks.sourceToken
      },
      epochs: () => this.#options.sourceEpochs(),
      seriesUpTo: (flushed) => {
        const { floor, series: saved } = versions.current.state
        const extended = extendSeries(saved, series.pending, { floor, flushed })
        const holder = this.memtables.sealed.find(
          ({ memtable }) => memtable.firstSeqno <= floor && floor <= memtable.lastSeqno,
        )?.memtable
        if (holder === undefined || floor > flushed) return extended
        const timeMs = holder.commits.timeMs[holder.commitOf(floor - holder.firstSeqno)]!
        return withEvent(extended, { seqno: floor, timeMs })
      },
      seriesSaved: (flushed) => series.settle(flushed),
      compactionEnded: (keyspaceId) => this.compactor.ended(keyspaceId),
      onFlushed: (bytes) => {
        counters.flushBytesWritten += bytes
      },
    })
  }

  #makeCompactor(): Compactor {
    const { directory, fs, versions, keyspaces, events, timers, counters } = this.#options
    return new Compactor({
      directory,
      fs,
      versions,
      floors: this.floors,
      planner: this.#planning(),
      keyspaces,
      events,
      tuning: this.#options.tuning,
      space: this.#options.space,
      monotonicMs: () => timers.monotonicMs(),
      snapshots: () => this.#options.snapshots.seqnos,
      nextFileNumber: () => versions.allocateFileNumber(),
      onForgotten: (id) => this.#options.onKeyspaceForgotten(id),
      filesGone: () => this.#options.filesGone(),
      onCompacted: ({ read, written }) => {
        counters.compactionBytesRead += read
        counters.compactionBytesWritten += written
      },
      ensureOpen: () => {
        const { health } = this.#options
        if (health.poisonError !== undefined) throw health.poisonError
        if (health.isEnding) throw closedError()
      },
    })
  }

  #progressed(): void {
    this.#backpressure.update()
    this.pipeline.resume()
  }

  #backgroundFailed(error: VarveError, isFinal: boolean): void {
    const { health } = this.#options
    if (isFinal || this.#isFinal(error)) health.poison(error)
    else health.backgroundFailed(error)
  }

  /** Whether what is on the disk is not known any more. */
  #isFinal(cause: unknown): boolean {
    return this.#options.versions.failure !== undefined || isFailedSync(cause)
  }

  /** The log is idle: says in the log that all of it is durable, so that rot in its end is not taken for a torn tail. */
  #markSynced(): void {
    const { wal } = this.memtables.active
    if (!this.pipeline.isEmpty || wal.isBroken || this.#options.health.poisonError !== undefined)
      return
    try {
      wal.markSynced()
    } catch (cause) {
      // Nothing was lost; the next write meets the same disk and says so to its caller.
      if (isNoSpace(cause)) this.pipeline.repairLog()
      else this.poison(cause, 'write')
    }
  }

  #syncInBackground(): void {
    if (!this.durability.isBehind) {
      this.#markSynced()
      return
    }
    // A failure has poisoned the store already, and is what the next write is told.
    void settled(this.durability.sync())
  }
}
