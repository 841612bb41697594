/**
 * One open store: its parts, put together, and the calls of the public face that are more than handing on.
 *
 * The reading half is here; the writing half is `Engine`, which a readOnly store does not have.
 */
import type { ConsumerEntry } from '../cdc/consumer-ledger.ts'
import { randomBytes } from '../env/random.ts'
import { hasCode, invalidArgument, VarveError, wrongType } from '../base/errors.ts'
import { translateDiskError } from '../env/disk-errors.ts'
import type { StoredKeyspaceOptions, StoreState } from '../version/store-state.ts'
import { checkName, checkSeqno } from './arguments.ts'
import { type Batch, type ResolveKeyspace, WriteBatch } from './batch.ts'
import type { Changes } from './changes.ts'
import { makeCheckpoint } from './checkpoint.ts'
import { type CompactRange, decodeCompactRange } from './compact-range.ts'
import type { Engine } from './engine.ts'
import { closedError, type StoreStatus } from './health.ts'
import { type HistoryInfo, historyInfo } from './history-info.ts'
import { checkLocation } from './location.ts'
import { type Keyspace, keyspaceStates } from './keyspace.ts'
import { type KeyspaceState, keyspaceNotFound } from './keyspace-directory.ts'
import type { KeyspaceOptions } from './options.ts'
import { Reader } from './reader.ts'
import type { StoreParts } from './store-parts.ts'
import { Replica } from './replica.ts'
import { RunningCalls } from './running-calls.ts'
import { type Snapshot, Snapshots } from './snapshots.ts'
import { type StoreStats, storeStats } from './stats.ts'
import type { StoreEmitter } from './store-events.ts'
import { type VerifyOptions, type VerifyReport, verifyStore } from './verify.ts'
import { readOnlyError, type WriteOptions, Writer } from './writer.ts'

export class Store {
  readonly location: string
  readonly events: StoreEmitter
  readonly changes: Changes
  readonly defaultKeyspace: KeyspaceState
  readonly reader: Reader
  readonly writer: Writer
  readonly replica: Replica
  readonly calls: RunningCalls = new RunningCalls()
  readonly #parts: StoreParts
  readonly #snapshots: Snapshots
  readonly #resolve: ResolveKeyspace
  #closing: Promise<void> | undefined

  constructor(parts: StoreParts) {
    this.#parts = parts
    this.location = parts.location
    this.events = parts.events
    this.changes = parts.changes
    this.defaultKeyspace = parts.defaultKeyspace
    const now = (): number => parts.environment.now()
    this.#snapshots = new Snapshots(parts.snapshots, now, parts.leaks)
    this.#resolve = (keyspace) => this.#stateOf(keyspace)
    this.reader = new Reader({
      snapshots: this.#snapshots,
      view: () => {
        if (parts.health.status === 'closed') throw closedError()
        return parts.views.current()
      },
      latestSeqno: () => parts.latestSeqno(),
      holdSeqno: (seqno) => {
        parts.snapshots.acquire(seqno)
        return () => parts.snapshots.release(seqno)
      },
      watch: parts.leaks,
      nextTurn: () => parts.timers.nextTurn(),
    })
    this.writer = new Writer({
      pipeline: parts.engine?.pipeline,
      sync: parts.sync,
      ensureWritable: () => this.#ensureWritable(),
      acks: {
        check: ({ consumer, next }, last) => {
          const { ledger, floor } = parts.changes
          ledger.checkAck(ledger.acking(consumer), next, last, floor)
        },
        apply: (ack, last, timeMs) =>
          parts.changes.ledger.applyAck(ack.consumer, ack.next, { commitLast: last, timeMs }),
      },
      resolveKeyspace: this.#resolve,
    })
    this.replica = new Replica({
      ensureUsable: () => this.ensureUsable(),
      role: () => this.role,
      latest: () => parts.latestSeqno(),
      latestTimeMs: () => parts.engine!.memtables.latestTimeMs ?? this.#state.lastFlushedTimeMs,
      lineage: () => parts.changes,
      sourceToken: () => parts.changes.sourceToken,
      learned: (news) => Object.assign(parts.changes, news),
      writer: this.writer,
      keyspaces: parts.keyspaces,
      registry: parts.registry,
      syncByDefault: parts.sync,
      sync: () => parts.engine!.durability.sync(),
      changeState: (change) => this.calls.run(() => parts.changeState(change)),
      randomId: () => randomBytes(12).toString('hex'),
    })
  }

  get role(): 'primary' | 'replica' {
    return this.#state.role
  }

  get latestSeqno(): number {
    return this.#parts.latestSeqno()
  }

  /** False for a readOnly store. */
  get isWritable(): boolean {
    return this.#parts.engine !== undefined
  }

  get isClosing(): boolean {
    return this.#parts.health.isClosing
  }

  get #state(): StoreState {
    return this.#parts.currentVersion().state
  }

  get status(): StoreStatus {
    return this.#parts.health.status
  }

  // -------------------------------------------------------------------------------------------- keyspaces

  async openKeyspace(name: string, options?: KeyspaceOptions): Promise<KeyspaceState> {
    checkName(name, 'keyspace')
    this.#ensureOpen()
    return this.calls.run(() => this.#parts.registry.open(name, options))
  }

  /** Stored options of the keyspace that had this name when `seqno` was written; undefined where none had. */
  keyspaceOptionsAt(name: string, seqno: number): StoredKeyspaceOptions | undefined {
    let found: KeyspaceState | undefined
    const end = (state: KeyspaceState): number => state.droppedAt ?? Number.POSITIVE_INFINITY
    for (const state of this.#parts.keyspaces.everyone()) {
      if (state.name !== name || end(state) < seqno) continue
      if (found === undefined || end(state) < end(found)) found = state
    }
    return found?.options
  }

  keyspaceNames(): string[] {
    this.#ensureOpen()
    return this.#parts.keyspaces.names()
  }

  async dropKeyspace(name: string, options?: WriteOptions): Promise<number> {
    checkName(name, 'keyspace')
    this.#ensureWritable()
    const { keyspaces } = this.#parts
    const keyspace = keyspaces.named(name)
    if (keyspace === undefined || keyspace.isDropped) throw keyspaceNotFound(name)
    if (keyspace === this.defaultKeyspace) {
      throw invalidArgument('the default keyspace cannot be dropped', { keyspace: name })
    }
    const written = this.writer.dropKeyspace(keyspace, options, (seqno) => {
      keyspace.droppedAt = seqno
      keyspaces.drop(keyspace)
    })
    // From the call on: writes that come after it must not find the keyspace.
    keyspace.isDropped = true
    try {
      return await written
    } catch (error) {
      if (keyspace.droppedAt === undefined) keyspace.isDropped = false
      throw error
    }
  }

  // ------------------------------------------------------------------------------------------------ reads

  batch(): Batch {
    return new WriteBatch(this.#resolve, this.writer)
  }

  openSnapshot(): Snapshot {
    this.#ensureOpen()
    const { engine, views } = this.#parts
    // A writer keeps what its snapshots see; what another process keeps is not known.
    const view = engine === undefined ? views.current() : undefined
    return this.#snapshots.open(this.#parts.latestSeqno(), view)
  }

  history(): HistoryInfo {
    this.#ensureOpen()
    return historyInfo(this.#parts)
  }

  stats(): StoreStats {
    this.#ensureOpen()
    return storeStats(this.#parts, this.#snapshots)
  }

  // ----------------------------------------------------------------------------------------------- upkeep

  async truncateHistory(floor: number): Promise<void> {
    checkSeqno(floor, 'floor')
    const engine = this.#engine()
    const latest = this.#parts.latestSeqno()
    if (floor > latest + 1) {
      throw invalidArgument(`floor ${floor} is above the next seqno, ${latest + 1}`, {
        floor,
        latest,
      })
    }
    if (floor <= this.changes.floor) return
    const { ledger, consumerSet } = this.changes
    await this.#guarded('truncate history', async () => {
      await engine.pipeline.drained()
      const acked = ledger.capture()
      await engine.durability.sync()
      ledger.settleMarks(acked)
      await engine.truncate(floor, (to) => consumerSet.loseBelow(to))
    })
    engine.consumersMoved()
  }

  async refresh(): Promise<number> {
    this.#ensureOpen()
    if (this.#parts.engine === undefined) {
      try {
        await this.#guarded('refresh', () => this.#parts.reload())
      } finally {
        this.#ensureOpen()
      }
    }
    return this.#parts.latestSeqno()
  }

  async sync(): Promise<void> {
    const engine = this.#engine()
    await this.calls.run(async () => {
      await engine.pipeline.drained()
      await engine.durability.sync()
    })
  }

  async flush(): Promise<void> {
    const engine = this.#engine()
    await this.#guarded('flush', () => engine.flush())
  }

  async compact(range?: CompactRange): Promise<void> {
    const decoded = decodeCompactRange(range)
    const engine = this.#engine()
    if (
      decoded.keyspace !== undefined &&
      this.#parts.keyspaces.named(decoded.keyspace) === undefined
    ) {
      throw keyspaceNotFound(decoded.keyspace)
    }
    await this.#guarded('compact', () => engine.compact(decoded))
  }

  async checkpoint(directory: string): Promise<{ seqno: number }> {
    checkLocation(directory, 'directory')
    const engine = this.#engine()
    const parts = this.#parts
    const source = {
      fs: parts.fs,
      directory: parts.directory,
      currentVersion: () => parts.currentVersion(),
      logged: () => [...engine.memtables.sealed, engine.memtables.active],
      latest: () => parts.latestSeqno(),
      sync: () => engine.durability.sync(),
      nextTurn: () => parts.timers.nextTurn(),
    }
    return this.#guarded('checkpoint', async () => {
      await engine.pipeline.drained()
      return makeCheckpoint(source, directory)
    })
  }

  async verify(options?: VerifyOptions): Promise<VerifyReport> {
    this.#ensureOpen()
    const target = {
      directory: this.#parts.directory,
      fs: this.#parts.fs,
      open: (path: string) =>
        this.isWritable ? this.#parts.fs.openRead(path) : this.#parts.files.open(path),
      isReadOnly: !this.isWritable,
      changes: this.#parts.changes,
      version: this.#parts.currentVersion(),
      logs: () => this.#parts.logs(),
      manifest: this.#parts.manifest(),
    }
    // A close waits: of files that are closed under its hands, or are another opener's already, it would tell damage.
    return this.calls.run(() => verifyStore(target, options))
  }

  /** An ack on its own: a record without operations, durable when it resolves. Taken until the tails of a closing store have ended. */
  async writeAck(entry: ConsumerEntry, next: number): Promise<void> {
    const { poisonError } = this.#parts.health
    if (poisonError !== undefined) throw poisonError
    const { ledger } = this.changes
    const consumer = entry.name
    await this.writer.ack(
      { consumer, next },
      {
        check: (first) => ledger.checkAck(entry, next, first - 1, this.changes.floor),
        published: (_first, timeMs) => {
          ledger.applyAck(consumer, next, { commitLast: undefined, timeMs })
        },
      },
    )
  }

  /** Throws where nothing may be written at all: closing, poisoned, readOnly. */
  ensureUsable(): void {
    this.#engine()
  }

  /** The same for calls that were accepted before: a close waits for them. */
  ensureWorking(): void {
    const { health } = this.#parts
    if (health.isEnding) throw closedError()
    if (health.poisonError !== undefined) throw health.poisonError
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { health, changes } = this.#parts
    health.startClosing()
    this.#parts.leaks.stop()
    try {
      await this.calls.ended()
      health.startEnding()
      await this.#parts.shutDown()
    } finally {
      health.finishClosing()
      changes.isClosed = true
      changes.feed.end()
    }
  }

  // ----------------------------------------------------------------------------------------------- checks

  #stateOf(keyspace: Keyspace | undefined): KeyspaceState {
    if (keyspace === undefined) return this.defaultKeyspace
    const state = keyspaceStates.get(keyspace)
    if (state === undefined) throw wrongType('keyspace', 'a keyspace made by keyspace()', keyspace)
    const known = this.#parts.keyspaces.byId(state.id)
    // Of one that was dropped nothing may be left, not even its id.
    if (known !== state && !(known === undefined && state.isDropped)) {
      throw invalidArgument('the keyspace is a handle of another store')
    }
    if (state.isDropped) throw keyspaceNotFound(state.name)
    return state
  }

  #ensureOpen(): void {
    if (this.#parts.health.isClosing) throw closedError()
  }

  #ensureWritable(): void {
    const { health, engine } = this.#parts
    if (health.isClosing) throw closedError()
    if (health.poisonError !== undefined) throw health.poisonError
    if (engine === undefined) throw readOnlyError('readOnly')
    if (this.role === 'replica') throw readOnlyError('replica')
  }

  /** For upkeep, which a replica may do too. */
  #engine(): Engine {
    const { health, engine } = this.#parts
    if (health.isClosing) throw closedError()
    if (health.poisonError !== undefined) throw health.poisonError
    if (engine === undefined) throw readOnlyError('readOnly')
    return engine
  }

  async #guarded<T>(operation: string, run: () => Promise<T>): Promise<T> {
    try {
      return await this.calls.run(run)
    } catch (cause) {
      const { poisonError } = this.#parts.health
      // Work that was stopped because the store was poisoned meanwhile.
      const isStopped = hasCode(cause, 'VARVE_CLOSED') || hasCode(cause, 'VARVE_ABORTED')
      if (poisonError !== undefined && (isStopped || !(cause instanceof VarveError))) {
        throw poisonError
      }
      throw translateDiskError(cause, { operation, file: this.#parts.directory })
    }
  }
}
