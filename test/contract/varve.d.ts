/**
 * The public contract of Varve: what `import { ... } from 'varve'` must offer.
 *
 * It fixes names, shapes and meaning. It does not fix how anything is built. What is exported may be more than this,
 * never less or different: test/house/contract.test-d.ts holds it against what src/ exports.
 *
 * Conventions
 * - Keys and values are bytes. Inputs may also be strings, which mean their UTF-8 bytes (a string with a lone surrogate
 *   is refused: two of them would collide). Outputs are `Buffer`s that the caller owns: they never change later.
 * - Keys are ordered bytewise, unsigned. A key has 1 to 65,535 bytes, a value at most 2^30,
 *   all of one commit at most 2^31 - 2^20: INVALID_ARGUMENT beyond.
 * - A seqno is a JS number, a safe integer. The first write of a store has seqno 1.
 * - Times are milliseconds since the Unix epoch. Sizes are bytes.
 * - An absent key reads as `undefined`; that is no error.
 * - Writes take effect, and get their seqnos, in the order of the calls, awaited or not. A write that was rejected may be there
 *   after the next open only where the rejection was VARVE_POISONED or VARVE_IO; then it is there whole.
 * - Writes that wait (for room in memtables, or for the disk) keep one copy of their input; when more than 1 GiB waits, further
 *   ones are refused with VARVE_BUSY, nothing written.
 * - Files are created with mode 0600, directories with 0700.
 * - Inputs are copied during the call. Wrong types and values are refused by the call itself (where it returns a promise: by
 *   rejecting it), before anything is written.
 * - Everything with a `close()` also has `[Symbol.asyncDispose]` (Snapshot: `[Symbol.dispose]`). Everything that waits takes `signal`.
 * - Every error is a `VarveError` with a stable `code`, except a wrong argument *type*, which is a TypeError with
 *   code 'ERR_INVALID_ARG_TYPE'.
 */

export type Seqno = number
export type BytesLike = Uint8Array | string

// ---------------------------------------------------------------------------------------------- opening

export interface OpenOptions extends KeyspaceOptions {
  /** Creates the directory, missing parents included. Default true. */ createIfMissing?: boolean
  /** Default false. */ errorIfExists?: boolean
  /**
   * Opens without the writer's lock and without changing any file, also beside a running writer; sees what the writer had handed
   * to the operating system at open, or at the last `refresh()`. Starts no epoch. Default false.
   */
  readOnly?: boolean
  /**
   * 'primary' accepts writes; 'replica' accepts only `applyChanges` until `promote()`, and refuses local writes with READ_ONLY.
   * Stored; default: as stored, else 'primary'. A stored primary may be opened as a replica; 'primary' on a stored replica is
   * INVALID_ARGUMENT (promote it). A replica takes its source's store id and epochs, so that tokens work on either, and starts none.
   */
  role?: 'primary' | 'replica'
  /** Default for `WriteOptions.sync`. Default false: an acknowledged write survives the death of the process, not of the machine. */
  sync?: boolean
  /** Acknowledged but not yet synced writes are synced at least this often. 0 switches it off. Default 1,000. */
  syncIntervalMs?: number
  /** The memtables of all keyspaces together are sealed at this size. At least 16 KiB. Default 64 MiB. */
  memtableBytes?: number
  /** Cache for decoded blocks, shared by all keyspaces. Default 64 MiB. */
  blockCacheBytes?: number
  /** Segments are cut near this size by compaction. At least 16 KiB. Default 64 MiB. */
  segmentBytes?: number
  /** Worker threads for flush and compaction; 0 runs them on the calling thread in short slices. Default 1. */
  backgroundWorkers?: number
  /** How much history `scanSinceSeqno` can reach back. Default { maxAgeMs: 24 h, maxBytes: 1 GiB }. */
  history?: HistoryPolicy
  /** Merge operators by name, for keyspaces stored with one of these names. The built-in ones are always known. */
  mergeOperators?: readonly MergeOperator[]
  /** Where the outside world comes in; tests replace it. See `varve/testing`. */
  environment?: Partial<Environment>
  signal?: AbortSignal
}

export interface KeyspaceOptions {
  /** Name of a merge operator (built in, or in `mergeOperators`). Stored; may be added later, but not changed or unavailable: MERGE_OPERATOR_MISMATCH. */
  mergeOperator?: string
  /** Values of at least this many bytes go to blob files. `false` switches it off. Default 4,096. */
  blobThresholdBytes?: number | false
  /** Block codec. A missing codec package is a clear error at open. */
  compression?: 'none' | 'deflate' | 'lz4'
  /** Bloom filter bits per key; 0 for none. Default 10. */
  bloomBitsPerKey?: number
  /** Data blocks are cut near this size: 512 bytes to 1 MiB. */ blockBytes?: number
}

/**
 * Everything at or above the *history floor* can be read back event by event. The floor rises when history is older than
 * `maxAgeMs` or bigger than `maxBytes` (user bytes written since), whichever comes first, but never past a consumer's
 * hold. 'all' never raises it; 'none' keeps only what holds and open scans need. The policy is applied at every flush, at
 * every compaction and when consumers move; in between the floor stands still. `history().floor` is the one in force.
 */
export type HistoryPolicy = 'all' | 'none' | { maxAgeMs?: number; maxBytes?: number }

export interface WriteOptions {
  /** True: the promise resolves when the write is on disk (fdatasync). It is visible before. */ sync?: boolean
  /** At most 256 bytes that travel with the commit's events, through replicas too: an origin (two-way sync without loops), a trace id. */
  meta?: BytesLike
  /** Counts until the commit is in the write-ahead log; after that the write resolves. */ signal?: AbortSignal
}
export interface ReadOptions { snapshot?: Snapshot }

export interface RangeOptions extends ReadOptions {
  gt?: BytesLike; gte?: BytesLike; lt?: BytesLike; lte?: BytesLike
  /** Together with bounds: both hold. A range that holds nothing is empty, not an error. */ prefix?: BytesLike
  /** Default false. */ reverse?: boolean
  /** 0 gives nothing. Default: no limit. */ limit?: number
  signal?: AbortSignal
}

// ---------------------------------------------------------------------------------------------- keyspaces

/** A named, independent key order inside a store. All keyspaces share one seqno and one write-ahead log. */
export interface Keyspace {
  readonly name: string
  /** Each write resolves to its seqno once it is acknowledged and visible. */
  put(key: BytesLike, value: BytesLike, options?: WriteOptions): Promise<Seqno>
  /** Refused with VARVE_NO_MERGE_OPERATOR where the keyspace has none. */
  merge(key: BytesLike, operand: BytesLike, options?: WriteOptions): Promise<Seqno>
  delete(key: BytesLike, options?: WriteOptions): Promise<Seqno>
  /** Deletes [start, end). Bounds may be empty; `end` left out: to the end of the keyspace. start >= end is VARVE_INVALID_ARGUMENT, and no event. */
  deleteRange(start: BytesLike, end?: BytesLike, options?: WriteOptions): Promise<Seqno>

  get(key: BytesLike, options?: ReadOptions): Promise<Buffer | undefined>
  /** The same without a promise; may read the disk on the calling thread. */
  getSync(key: BytesLike, options?: ReadOptions): Buffer | undefined
  getMany(keys: readonly BytesLike[], options?: ReadOptions): Promise<(Buffer | undefined)[]>
  has(key: BytesLike, options?: ReadOptions): Promise<boolean>

  /** Reads a state fixed at the call, whatever is written meanwhile. */
  entries(range?: RangeOptions): Cursor<[key: Buffer, value: Buffer]>
  keys(range?: RangeOptions): Cursor<Buffer>
  values(range?: RangeOptions): Cursor<Buffer>
  /** Synchronous; ends its pins when iteration ends or `return()` is called. */
  entriesSync(range?: RangeOptions): IterableIterator<[key: Buffer, value: Buffer]>
}

export interface Cursor<T> extends AsyncIterableIterator<T> {
  /** Up to `max` (at least 1) more items; [] at the end and after close. The fast way to read much. Default 1,000. */
  nextBatch(max?: number): Promise<T[]>
  all(): Promise<T[]>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A view of every keyspace at one seqno. Until closed it keeps what it sees from being collected. */
export interface Snapshot { readonly seqno: Seqno; close(): void; [Symbol.dispose](): void }

/** Operations that become visible together, with consecutive seqnos in the order they were added. */
export interface Batch {
  put(key: BytesLike, value: BytesLike, keyspace?: Keyspace): this
  merge(key: BytesLike, operand: BytesLike, keyspace?: Keyspace): this
  delete(key: BytesLike, keyspace?: Keyspace): this
  deleteRange(start: BytesLike, end?: BytesLike, keyspace?: Keyspace): this
  /**
   * Moves a consumer's position in the same atomic commit: exactly-once for what is derived inside this store. As durable as the
   * batch; `next` up to the batch's own last seqno + 1. Takes no seqno; a batch needs one operation besides.
   */
  ack(consumer: string, next: Seqno): this
  readonly length: number
  readonly byteLength: number
  /** Empties it; a written batch can be used again. */ clear(): this
}
export interface CommitInfo { readonly first: Seqno; readonly last: Seqno }

// ---------------------------------------------------------------------------------------------- the store

export declare class Varve implements Keyspace {
  /**
   * Opens or creates the store in directory `location`. Codes: LOCKED, NOT_FOUND (missing, and readOnly or !createIfMissing),
   * EXISTS, INVALID_ARGUMENT (options; a file in the directory's place), CORRUPTION, UNSUPPORTED_FORMAT, MERGE_OPERATOR_MISMATCH,
   * NO_SPACE, IO (also: not permitted).
   */
  static open(location: string, options?: OpenOptions): Promise<Varve>
  /** Removes the files that Varve made in `location`, and the directory when it is then empty. Refuses an open store. */
  static destroy(location: string, options?: Pick<OpenOptions, 'environment'>): Promise<void>
  /**
   * Makes a damaged store open again with everything that is still readable; sets the rest aside in `lost/`. The floor rises
   * over any hole and a new epoch starts. Refuses an open store. Changes nothing where nothing is damaged.
   */
  static repair(location: string, options?: Pick<OpenOptions, 'environment' | 'mergeOperators' | 'signal'>): Promise<RepairReport>

  readonly location: string
  readonly role: 'primary' | 'replica'
  readonly status: 'open' | 'closing' | 'closed' | 'poisoned'

  // The default keyspace, named 'default'.
  readonly name: string
  put: Keyspace['put']; merge: Keyspace['merge']; delete: Keyspace['delete']; deleteRange: Keyspace['deleteRange']
  get: Keyspace['get']; getSync: Keyspace['getSync']; getMany: Keyspace['getMany']; has: Keyspace['has']
  entries: Keyspace['entries']; keys: Keyspace['keys']; values: Keyspace['values']; entriesSync: Keyspace['entriesSync']

  /** Opens keyspace `name` (1 to 255 bytes of UTF-8), creating it where it is new; that takes no seqno, and works on a replica too. */
  keyspace(name: string, options?: KeyspaceOptions): Promise<Keyspace>
  keyspaces(): string[]
  /**
   * Deletes all its keys as one RangeTombstone event (startKey empty, endKey undefined, dropsKeyspace), then the keyspace; its
   * history stays. A keyspace opened later under the same name is another one, with options of its own.
   * Unknown name, and its handles afterwards: NOT_FOUND. 'default': INVALID_ARGUMENT.
   */
  dropKeyspace(name: string, options?: WriteOptions): Promise<Seqno>

  batch(): Batch
  /** Atomic across keyspaces. A batch may be written once. An empty batch is VARVE_INVALID_ARGUMENT. */
  write(batch: Batch, options?: WriteOptions): Promise<CommitInfo>
  snapshot(): Snapshot

  // -------------------------------------------------------------------------------------------- change data capture
  /** `from` 0 means 1: from the very beginning. */
  scanSinceSeqno(from: Seqno | ResumeToken, options?: ScanOptions): ChangeScan
  tail(options: TailOptions): ChangeTail
  /** The first seqno committed at or after `timestampMs`, or latest+1. Exact within retained history. */
  seqnoAt(timestampMs: number): Promise<Seqno>
  history(): HistoryInfo
  /** Syncs, then gives up history below `floor`; consumers below it become 'lost'. Lower than today's floor: no-op; above latest+1: VARVE_INVALID_ARGUMENT. */
  truncateHistory(floor: Seqno): Promise<void>
  /** Opens or creates the durable consumer `name` (1 to 255 bytes). `from` counts only when it is created. Default 'oldest'. */
  consumer(name: string, options?: ConsumerOptions): Promise<Consumer>
  consumers(): ConsumerInfo[]
  /** Unknown name, and its handles afterwards: NOT_FOUND. */ dropConsumer(name: string): Promise<void>

  // -------------------------------------------------------------------------------------------- replicas
  /**
   * On a replica: applies commits with the source's seqnos, commit bounds and times, each commit atomically. Seqnos already
   * held are skipped; a hole before the next one is VARVE_SEQNO_GAP and nothing is applied. Keyspaces are created as needed;
   * a MergeOperand for a keyspace whose operator is not given is VARVE_NO_MERGE_OPERATOR. An incomplete commit at the end of
   * `events` (commitLast beyond the last one) is left out together with the token, as `latest` tells; send it again whole. On a
   * primary: VARVE_INVALID_ARGUMENT. Consumers, scans and tails work on a replica as on a primary.
   */
  applyChanges(events: readonly ChangeEvent[], options?: ApplyOptions): Promise<{ latest: Seqno; applied: number }>
  /** Turns a replica into a primary, in a new epoch. On a primary: VARVE_INVALID_ARGUMENT. */
  promote(): Promise<void>

  // -------------------------------------------------------------------------------------------- upkeep
  /** On a readOnly store: takes in what its writer did since, for reads, scans and tails. Resolves to latest; elsewhere does nothing more. */
  refresh(): Promise<Seqno>
  /** Makes every acknowledged write durable. */
  sync(): Promise<void>
  /** Writes the memtables to segments. */
  flush(): Promise<void>
  /** Compacts a key range (default: everything) down to the last level. History at or above the floor stays readable. */
  compact(options?: { keyspace?: string; start?: BytesLike; end?: BytesLike }): Promise<void>
  /** A consistent, independent copy in a new or empty directory: hard links where possible. Same store id; opened as a primary it starts an epoch of its own. */
  checkpoint(directory: string): Promise<{ seqno: Seqno }>
  /** Reads every file, checks every checksum, and that every seqno from the floor to the latest stands exactly once. */
  verify(options?: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void }): Promise<VerifyReport>
  stats(): StoreStats
  /** Waits for running work, syncs, releases the lock. Tails get what is committed, then end. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
  on<E extends keyof StoreEvents>(event: E, listener: (info: StoreEvents[E]) => void): this
  off<E extends keyof StoreEvents>(event: E, listener: (info: StoreEvents[E]) => void): this
}

export interface StoreEvents {
  flush: { keyspace: string; segment: number; entries: number; bytes: number; durationMs: number }
  compaction: { keyspace: string; inputs: number[]; outputs: number[]; bytesRead: number; bytesWritten: number; durationMs: number }
  stall: { reason: 'memtables' | 'level0' | 'space'; durationMs: number }
  historyFloor: { floor: Seqno }
  /** A consumer came near its limits (50 %, 80 %) or was cut off. */
  consumerAtRisk: { consumer: string; usedFraction: number; lost: boolean }
  backgroundError: { error: VarveError }
}

// ---------------------------------------------------------------------------------------------- changes

interface ChangeBase {
  readonly keyspace: string
  /** Unique to this operation. From the floor to the latest every seqno stands exactly once: without filters there are no gaps. */
  readonly seqno: Seqno
  /** Seqnos of the first and the last operation of the same atomic commit. Equal commitSeqno = became visible together. */
  readonly commitSeqno: Seqno
  readonly commitLast: Seqno
  /** `WriteOptions.meta` of the commit, on each of its events. */
  readonly commitMeta?: Buffer
  /** When it was committed; never decreases with seqno. */
  readonly timestamp: number
}
/** `key` was written. The value is the one written, also where it lives in a blob file. */
export interface Insert extends ChangeBase { readonly type: 'Insert'; readonly key: Buffer; readonly value: Buffer }
/** A merge operand was written; the consumer applies the same merge operator. Never a folded or synthetic one. */
export interface MergeOperand extends ChangeBase { readonly type: 'MergeOperand'; readonly key: Buffer; readonly operand: Buffer }
export interface PointTombstone extends ChangeBase { readonly type: 'PointTombstone'; readonly key: Buffer }
/** [startKey, endKey) was deleted, in the bounds of the call, once. endKey undefined: to the end of the keyspace. */
export interface RangeTombstone extends ChangeBase {
  readonly type: 'RangeTombstone'; readonly startKey: Buffer; readonly endKey: Buffer | undefined
  /** The keyspace was dropped with it; applyChanges drops it too. */ readonly dropsKeyspace?: true
}
export type ChangeEvent = Insert | MergeOperand | PointTombstone | RangeTombstone

/** Opaque, URL-safe: store id, epoch, next seqno. Refused where it does not fit this store's history. */
export type ResumeToken = string & { readonly __varveResumeToken?: never }

export interface ChangeFilter {
  /** Only these keyspaces (one that does not exist has no events). Segments of others are not touched. */ keyspaces?: readonly string[]
  /** Only keys in this range (a RangeTombstone: where it overlaps; its bounds are not clipped). */
  range?: Pick<RangeOptions, 'gt' | 'gte' | 'lt' | 'lte' | 'prefix'>
  types?: readonly ChangeEvent['type'][]
}

export interface ScanOptions extends ChangeFilter {
  /** Inclusive upper bound. Default, and at most: the latest seqno at the call. */ upTo?: Seqno
  /** At least 1. Ends after the first whole commit with which at least `limit` events were delivered. */ limit?: number
  /** 'committed' (default) or only what is 'durable'. */ visibility?: 'committed' | 'durable'
  /** False reads every block instead of trusting seqno bounds and indexes; the events are the same. Default true. */ skip?: boolean
  /** Bound on what the scan itself buffers, values included, unless one commit alone is bigger. Default 32 MiB. */
  memoryBudgetBytes?: number
  signal?: AbortSignal
}

/**
 * Change events with `from <= seqno <= upTo`, in increasing seqno order, each exactly once, uncollapsed. The window is fixed
 * and held at the call: writes, flushes, compactions, blob collection and a floor that rises meanwhile change nothing (a scan
 * that holds more than 10 GiB of given-up history fails with HISTORY_TRUNCATED rather than fill the disk).
 * Codes, before the first event: HISTORY_TRUNCATED { requested, floor }, CURSOR_AHEAD { requested, latest } (from > latest + 1),
 * HISTORY_DIVERGED (token of an unknown epoch, or beyond the end of its own), WRONG_STORE; while reading: CORRUPTION, IO, ABORTED,
 * CLOSED. They reject the first read; INVALID_ARGUMENT is thrown by the call. upTo < from, or visibility 'durable' from beyond
 * what is durable: no events, position = from.
 */
export interface ChangeScan extends AsyncIterableIterator<ChangeEvent> {
  /** Whole commits only, at least one; [] at the end. Default 1,000. */
  nextBatch(max?: number): Promise<ChangeEvent[]>
  readonly upTo: Seqno
  /**
   * Where to go on after what was delivered so far: last delivered seqno + 1 (also inside a commit); upTo + 1 at the end, also
   * when a filter let nothing through; after `limit`, the end of the last commit + 1.
   */
  readonly position: Seqno
  readonly token: ResumeToken
  readonly stats: ScanStats
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
export interface ScanStats {
  /** Segments that hold any change index at all, and how many of them were left unopened because their max seqno < from. */
  segmentsTotal: number; segmentsSkipped: number
  /** Data blocks of the segments not skipped; those the scan needed, from disk or cache. */ blocksTotal: number; blocksRead: number
  bytesRead: number; eventsDelivered: number
}

export interface TailOptions extends ChangeFilter {
  /** 'now': only what commits after this call returns. 'oldest': from the floor. */
  from: Seqno | ResumeToken | 'now' | 'oldest'
  /** Default 'committed'. */ visibility?: 'committed' | 'durable'
  /** At most so many events a batch, but whole commits. Default 1,000. */ maxBatchEvents?: number
  /** An empty batch with a new `next` is delivered when nothing matched for so long. Default 10,000; 0 for none. */ heartbeatMs?: number
  signal?: AbortSignal
}
export interface ChangeBatch { readonly events: readonly ChangeEvent[]; readonly upTo: Seqno; readonly next: Seqno; readonly token: ResumeToken }
/**
 * Never blocks a writer: a slow reader falls back to segments. It holds no history: one that the floor overtakes fails with
 * HISTORY_TRUNCATED (a consumer is not overtaken). Ends when the store closes; rejects with ABORTED on signal.
 */
export interface ChangeTail extends AsyncIterableIterator<ChangeBatch> { close(): Promise<void>; [Symbol.asyncDispose](): Promise<void> }

export interface ConsumerOptions {
  from?: Seqno | 'now' | 'oldest'
  /** Holding more than this beyond what the policy keeps anyway, the consumer is cut off ('lost') rather than the disk filled. Default 10 GiB. */ maxHeldBytes?: number
  /** Cut off after so long without an ack. Default: none. */ maxIdleMs?: number
}
export interface Consumer {
  readonly name: string
  readonly position: Seqno
  readonly state: 'active' | 'lost'
  batches(options?: Omit<TailOptions, 'from'> & { /** End when caught up. Default false. */ stopAtLatest?: boolean }): ChangeTail
  /** Durable when resolved, with everything it acknowledges (an ack never outlives its events). `next` is the first seqno not yet processed; backwards or beyond latest + 1: VARVE_INVALID_ARGUMENT. */
  ack(next: Seqno): Promise<void>
}
export interface ConsumerInfo { name: string; position: Seqno; state: 'active' | 'lost'; lagEvents: number; heldBytes: number; lastAckAt: number | undefined }

export interface HistoryInfo {
  storeId: string
  epoch: number
  /**
   * Counted from 1; a new one starts, at latest + 1, with each open as a primary that does not follow a clean close of these very
   * files (a copied or restored directory counts as unclean), and with `promote`. Each has a random id, so that two copies of a
   * store that go on apart never share one; tokens carry it.
   */
  epochs: readonly { epoch: number; id: string; first: Seqno }[]
  /** Smallest `from` that scanSinceSeqno accepts. */ floor: Seqno
  latest: Seqno
  durable: Seqno
  oldestTimestamp: number | undefined
  retainedBytes: number
  /** On a replica: where to resume at its source. */ sourceToken: ResumeToken | undefined
}

export interface ApplyOptions extends WriteOptions {
  /**
   * The source's token after `events` (`ChangeBatch.token`, `ChangeScan.token`): kept in the same atomic commit, so that the
   * replica resumes exactly, and so that a source with another store id is refused (WRONG_STORE).
   */
  token?: ResumeToken
  /** The source's `history().epochs`: kept in the same commit. One unknown here that begins at or below latest: HISTORY_DIVERGED, nothing applied. */
  epochs?: HistoryInfo['epochs']
}
/**
 * Keeps `replica` up to date with `source`: resumes where the replica stands, follows until `signal` aborts or the source
 * closes, or (stopAtLatest) syncs the source and stops when caught up with it; then resolves. Creates keyspaces with their source's options. Reads only durable events, so a
 * replica never knows what its source may forget.
 */
export declare function replicate(source: Varve, replica: Varve, options?: {
  signal?: AbortSignal; stopAtLatest?: boolean; onProgress?: (state: { latest: Seqno; sourceLatest: Seqno }) => void
}): Promise<{ latest: Seqno }>

// ---------------------------------------------------------------------------------------------- merge operators

export interface MergeOperator {
  readonly name: string
  /** `base` undefined: no value. Must be deterministic. Throwing fails the read with VARVE_MERGE_FAILED, and loses nothing. */
  merge(key: Buffer, base: Buffer | undefined, operands: readonly Buffer[]): Buffer
  /** Throws for an operand that it cannot use; `merge` then refuses it with VARVE_INVALID_ARGUMENT. */
  validate?(operand: Buffer): void
  /** Where the operator is associative on operands alone: folds them into one. */
  combine?(key: Buffer, operands: readonly Buffer[]): Buffer | undefined
  /** Module that default-exports this operator, so that background workers can load it. Without it, chains that must be folded are folded on the calling thread. */
  readonly module?: string | URL
}
/** Built in, by name. */
export declare const mergeOperators: {
  /** Signed 64-bit little-endian addition, wrapping. Absent base: 0. */ readonly counter: MergeOperator
  /** Concatenation. */ readonly append: MergeOperator
  /** Bytewise maximum and minimum. */ readonly max: MergeOperator; readonly min: MergeOperator
  /** JSON merge patch, RFC 7396, on UTF-8 JSON. */ readonly jsonMergePatch: MergeOperator
}
export declare function encodeCounter(value: number | bigint): Buffer
export declare function decodeCounter(value: Uint8Array | undefined): bigint

// ---------------------------------------------------------------------------------------------- reports

export interface VerifyReport { ok: boolean; filesChecked: number; bytesChecked: number; problems: { file: string; offset?: number; code: string; message: string }[] }

export interface RepairReport { filesRead: number; filesSetAside: string[]; eventsKept: number; seqnosLost: readonly { from: Seqno; to: Seqno }[]; floor: Seqno; epoch: number }

export interface StoreStats {
  latestSeqno: Seqno; durableSeqno: Seqno
  memtableBytes: number
  keyspaces: Record<string, {
    levels: { level: number; segments: number; bytes: number; entries: number; minSeqno: Seqno; maxSeqno: Seqno }[]
    /** Segments that hold only superseded versions, kept for change capture and not read otherwise. */
    history: { segments: number; bytes: number; entries: number; minSeqno: Seqno; maxSeqno: Seqno }
  }>
  blobs: { files: number; bytes: number; liveBytes: number }
  wal: { files: number; bytes: number }
  blockCache: { bytes: number; hits: number; misses: number }
  /** Since open. */
  io: { userBytesWritten: number; walBytesWritten: number; flushBytesWritten: number; compactionBytesRead: number; compactionBytesWritten: number }
  openSnapshots: number; oldestSnapshotAgeMs: number
  pendingCompactionBytes: number
}

// ---------------------------------------------------------------------------------------------- errors

export declare class VarveError extends Error { readonly code: VarveErrorCode; readonly details: Readonly<Record<string, unknown>> }
export type VarveErrorCode =
  // fix the call
  | 'VARVE_INVALID_ARGUMENT' | 'VARVE_CLOSED' | 'VARVE_READ_ONLY' | 'VARVE_NOT_FOUND' | 'VARVE_EXISTS' | 'VARVE_NO_MERGE_OPERATOR'
  | 'VARVE_MERGE_OPERATOR_MISMATCH' | 'VARVE_ABORTED' | 'VARVE_BATCH_USED'
  // wait or look who has it
  | 'VARVE_LOCKED' | 'VARVE_NO_SPACE' | 'VARVE_BUSY'
  // start the consumer over, from a snapshot
  | 'VARVE_HISTORY_TRUNCATED' | 'VARVE_CURSOR_AHEAD' | 'VARVE_HISTORY_DIVERGED' | 'VARVE_WRONG_STORE' | 'VARVE_SEQNO_GAP' | 'VARVE_CONSUMER_LOST'
  // stop and restore
  | 'VARVE_CORRUPTION' | 'VARVE_IO' | 'VARVE_POISONED' | 'VARVE_UNSUPPORTED_FORMAT' | 'VARVE_MERGE_FAILED'

// ---------------------------------------------------------------------------------------------- environment

export interface Environment {
  /** The store's lock belongs to it. With any other than Node's, `backgroundWorkers` is 0. */ fs: FileSystem
  /** Wall clock in ms, for event times, ages and maxIdleMs; the store keeps event times from going backwards. Intervals run on real, unref'd timers. */ now(): number
  logger: { debug(msg: string, fields?: object): void; info(msg: string, fields?: object): void; warn(msg: string, fields?: object): void; error(msg: string, fields?: object): void }
}
/** The engine's only door to the disk. Its methods are the project's to design; `varve/testing` (testing.d.ts) has two more of it. */
export interface FileSystem { readonly kind: string }
