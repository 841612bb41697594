/**
 * The public store: a thin face over `Store`, and the handle of the default keyspace.
 */
import type { ConsumerInfo } from '../cdc/consumers.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import type {
  ChangeScan,
  ChangeTail,
  Consumer,
  ConsumerOptions,
  ScanOptions,
  TailOptions,
} from '../cdc/streams.ts'
import type { Environment } from '../env/environment.ts'
import type { ChangeEvent } from '../cdc/change-event.ts'
import type { Batch } from './batch.ts'
import { type CompactRange } from './compact-range.ts'
import { destroyStore } from './destroy.ts'
import type { HistoryInfo } from './history-info.ts'
import { type Keyspace, KeyspaceHandle } from './keyspace.ts'
import { openStoreCore } from './open-store.ts'
import type { KeyspaceOptions, OpenOptions } from './options.ts'
import type { ApplyOptions } from './replica.ts'
import { type RepairOptions, type RepairReport, repairStore } from './repair.ts'
import type { Snapshot } from './snapshots.ts'
import type { StoreStats } from './stats.ts'
import { Store } from './store.ts'
import type { StoreEvents } from './store-events.ts'
import type { VerifyOptions, VerifyReport } from './verify.ts'
import type { CommitInfo, WriteOptions } from './writer.ts'

/** What stands behind the face, for what works on whole stores; undefined for anything that is no store of ours. */
export let storeOf: (varve: unknown) => Store | undefined

/**
 * An embedded key-value store that is its own change log. The store is also the handle of its default keyspace.
 *
 * ```ts
 * const db = await Varve.open('./my-store')
 * await db.put('key', 'value')
 * await db.delete('key')
 * for await (const event of db.scanSinceSeqno(1)) console.log(event.seqno, event.type)
 * // 1 Insert
 * // 2 PointTombstone
 * await db.close()
 * ```
 */
export class Varve extends KeyspaceHandle implements AsyncDisposable {
  readonly #store: Store

  static {
    storeOf = (varve) =>
      typeof varve === 'object' && varve !== null && #store in varve ? varve.#store : undefined
  }

  /**
   * Opened by `Varve.open`.
   * @hidden
   */
  constructor(store: Store) {
    if (!(store instanceof Store)) throw new TypeError('use await Varve.open(location, options)')
    super(store.defaultKeyspace, store)
    this.#store = store
  }

  /**
   * Opens or creates the store in directory `location`. Codes: LOCKED, NOT_FOUND (missing, and readOnly or !createIfMissing),
   * EXISTS, INVALID_ARGUMENT (options; a file in the directory's place), CORRUPTION, UNSUPPORTED_FORMAT,
   * MERGE_OPERATOR_MISMATCH, NO_SPACE, IO.
   */
  static async open(location: string, options?: OpenOptions): Promise<Varve> {
    return new Varve(await openStoreCore(location, options))
  }

  /** Removes the files that Varve made in `location`, and the directory when it is then empty. Refuses an open store. */
  static destroy(
    location: string,
    options?: { environment?: Partial<Environment> },
  ): Promise<void> {
    return destroyStore(location, options)
  }

  /**
   * Makes a damaged store open again with everything that is still readable; sets the rest aside in `lost/`. The floor rises
   * over any hole and a new epoch starts. Refuses an open store. Changes nothing where nothing is damaged.
   */
  static repair(location: string, options?: RepairOptions): Promise<RepairReport> {
    return repairStore(location, options)
  }

  /** As given to `open`. */
  get location(): string {
    return this.#store.location
  }

  /** 'primary' accepts writes; 'replica' takes only `applyChanges`, until `promote`. */
  get role(): 'primary' | 'replica' {
    return this.#store.role
  }

  /** 'poisoned': a write or sync of the log failed for good; reads go on, writes are refused until it is reopened. */
  get status(): 'open' | 'closing' | 'closed' | 'poisoned' {
    return this.#store.status
  }

  /**
   * Opens keyspace `name` (1 to 255 bytes of UTF-8), creating it where it is new; that takes no seqno.
   *
   * ```ts
   * const db = await Varve.open('./my-store')
   * const visits = await db.keyspace('visits', { mergeOperator: 'counter' })
   * await visits.merge('home', encodeCounter(3))
   * console.log(db.keyspaces().join(), decodeCounter(await visits.get('home'))) // default,visits 3n
   * await db.close()
   * ```
   */
  async keyspace(name: string, options?: KeyspaceOptions): Promise<Keyspace> {
    const state = await this.#store.openKeyspace(name, options)
    return state === this.#store.defaultKeyspace ? this : new KeyspaceHandle(state, this.#store)
  }

  /** Names of all keyspaces, sorted. */
  keyspaces(): string[] {
    return this.#store.keyspaceNames()
  }

  /**
   * Deletes all its keys as one RangeTombstone event, then the keyspace; its history stays. One that is opened later under the same
   * name is another one. Unknown: VARVE_NOT_FOUND; 'default': VARVE_INVALID_ARGUMENT.
   */
  async dropKeyspace(name: string, options?: WriteOptions): Promise<number> {
    return this.#store.dropKeyspace(name, options)
  }

  /** An empty batch, to be filled and given to `write`. */
  batch(): Batch {
    return this.#store.batch()
  }

  /** Atomic across keyspaces. A batch may be written once; an empty one is VARVE_INVALID_ARGUMENT. */
  write(batch: Batch, options?: WriteOptions): Promise<CommitInfo> {
    return this.#store.writer.write(batch, options)
  }

  /**
   * A view of every keyspace as it is now, until closed.
   *
   * ```ts
   * const db = await Varve.open('./my-store')
   * await db.put('a', '1')
   * const snapshot = db.snapshot()
   * await db.put('a', '2')
   * console.log(String(await db.get('a', { snapshot })), String(await db.get('a'))) // 1 2
   * snapshot.close()
   * await db.close()
   * ```
   */
  snapshot(): Snapshot {
    return this.#store.openSnapshot()
  }

  /**
   * Every event from `from` (0 means 1) to the latest, in order, each once, uncollapsed; docs/cdc.md has the whole promise. The window
   * is fixed and held at the call: what is written, flushed, compacted or given up meanwhile changes nothing.
   *
   * ```ts
   * const db = await Varve.open('./my-store')
   * await db.put('a', '1')
   * const scan = db.scanSinceSeqno(1)
   * console.log((await scan.nextBatch()).map(({ type }) => type)) // [ 'Insert' ]
   * await db.deleteRange('a', 'b')
   * for await (const event of db.scanSinceSeqno(scan.token)) console.log(event.seqno, event.type)
   * // 2 RangeTombstone
   * await db.close()
   * ```
   *
   * Codes, with the first read: HISTORY_TRUNCATED { requested, floor }, CURSOR_AHEAD { requested, latest }, HISTORY_DIVERGED,
   * WRONG_STORE; while reading: CORRUPTION, IO, ABORTED, CLOSED. INVALID_ARGUMENT is thrown by the call.
   */
  scanSinceSeqno(from: number | ResumeToken, options?: ScanOptions): ChangeScan {
    return this.#store.changes.scan(from, options)
  }

  /**
   * Follows the stream in whole commits, as they are published. Never blocks a writer, and holds no history: one that the floor
   * overtakes fails with VARVE_HISTORY_TRUNCATED. Ends when the store closes.
   *
   * ```ts
   * const db = await Varve.open('./my-store')
   * const tail = db.tail({ from: 'now' })
   * await db.put('a', '1')
   * for await (const { events, next } of tail) {
   *   console.log(events.length, next) // 1 2
   *   break
   * }
   * await db.close()
   * ```
   */
  tail(options: TailOptions): ChangeTail {
    return this.#store.changes.tail(options)
  }

  /** The first seqno committed at or after `timestampMs`, or latest + 1. Exact within retained history. */
  async seqnoAt(timestampMs: number): Promise<number> {
    return this.#store.changes.seqnoAt(timestampMs)
  }

  /** How far change capture reaches back, and of which store and epoch it is. Reads nothing. */
  history(): HistoryInfo {
    return this.#store.history()
  }

  /**
   * Syncs, then gives up history below `floor`; consumers below it become 'lost'. Lower than today's floor: nothing happens; above
   * latest + 1: VARVE_INVALID_ARGUMENT.
   */
  async truncateHistory(floor: number): Promise<void> {
    return this.#store.truncateHistory(floor)
  }

  /**
   * Opens or creates the durable consumer `name` (1 to 255 bytes). `from` counts only when it is created. Default 'oldest'. What it
   * has not acked is kept, within `maxHeldBytes`, and comes again after a crash.
   *
   * ```ts
   * const db = await Varve.open('./my-store')
   * await db.put('order:1', 'two books')
   * const mailer = await db.consumer('mailer')
   * for await (const { events, next } of mailer.batches({ stopAtLatest: true })) {
   *   for (const event of events) console.log(event.type) // Insert
   *   await mailer.ack(next)
   * }
   * console.log(mailer.position) // 2
   * await db.close()
   * ```
   */
  async consumer(name: string, options?: ConsumerOptions): Promise<Consumer> {
    return this.#store.changes.consumer(name, options)
  }

  /** All durable consumers, lost ones too. */
  consumers(): ConsumerInfo[] {
    return this.#store.changes.consumers()
  }

  /** Its position is forgotten, and with it what it held. Unknown: VARVE_NOT_FOUND. */
  async dropConsumer(name: string): Promise<void> {
    return this.#store.changes.dropConsumer(name)
  }

  /**
   * On a replica: applies whole commits with the source's seqnos, bounds, times and metas, each atomically. Seqnos already held
   * are skipped; a hole before the next one is VARVE_SEQNO_GAP, nothing applied. An incomplete commit at the end is left out,
   * together with the token: send it again whole. Keyspaces are made as needed. See `replicate` and docs/cdc.md.
   *
   * Codes: INVALID_ARGUMENT (a primary; malformed events), SEQNO_GAP, NO_MERGE_OPERATOR, WRONG_STORE, HISTORY_DIVERGED.
   */
  async applyChanges(
    events: readonly ChangeEvent[],
    options?: ApplyOptions,
  ): Promise<{ latest: number; applied: number }> {
    return this.#store.replica.apply(events, options)
  }

  /** Turns a replica into a primary, in a new epoch; durable when it resolves. On a primary: VARVE_INVALID_ARGUMENT. */
  async promote(): Promise<void> {
    return this.#store.replica.promote()
  }

  /**
   * A consistent, independent copy in a new or empty directory (else VARVE_INVALID_ARGUMENT), made while the store goes on: hard
   * links where possible. Opened as a primary it starts an epoch of its own; opened with role 'replica' it goes on from here.
   *
   * ```ts
   * const db = await Varve.open('./my-store')
   * await db.put('a', '1')
   * console.log(await db.checkpoint('./backup')) // { seqno: 1 }
   * await db.close()
   * ```
   */
  async checkpoint(directory: string): Promise<{ seqno: number }> {
    return this.#store.checkpoint(directory)
  }

  /** On a readOnly store: takes in what its writer did since. Resolves to latest. */
  async refresh(): Promise<number> {
    return this.#store.refresh()
  }

  /** Makes every acknowledged write durable. */
  async sync(): Promise<void> {
    return this.#store.sync()
  }

  /** Writes the memtables to segments. */
  async flush(): Promise<void> {
    return this.#store.flush()
  }

  /** Compacts a key range (default: everything) down to the last level. History stays readable. */
  async compact(range?: CompactRange): Promise<void> {
    return this.#store.compact(range)
  }

  /** Reads every file, checks every checksum, and that every seqno from the floor to the latest stands exactly once. */
  async verify(options?: VerifyOptions): Promise<VerifyReport> {
    return this.#store.verify(options)
  }

  /** What is where, and what was done since the store was opened. Reads nothing. */
  stats(): StoreStats {
    return this.#store.stats()
  }

  /**
   * Waits for the writes and the upkeep that were called before it (a `compact` or a `verify` goes to its end), syncs, releases the lock. Tails
   * get what is committed, then end. Idempotent.
   */
  close(): Promise<void> {
    return this.#store.close()
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Calls `listener` with each such event. One that throws disturbs nobody: the logger hears of it. */
  on<E extends keyof StoreEvents>(event: E, listener: (info: StoreEvents[E]) => void): this {
    this.#store.events.on(event, listener)
    return this
  }

  /** Takes one listener away that `on` was given. */
  off<E extends keyof StoreEvents>(event: E, listener: (info: StoreEvents[E]) => void): this {
    this.#store.events.off(event, listener)
    return this
  }
}
