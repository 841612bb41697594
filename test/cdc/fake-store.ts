/**
 * A ChangeSource of real memtables and segments that are lists of entries: what the store does around change capture (flush,
 * compaction, the floor) as single calls, so that tests say exactly what happens between two reads.
 */
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { EntryIterator } from '../../src/base/entry-iterator.ts'
import { FLAG_BLOB, FLAG_DERIVED } from '../../src/base/entry-kind.ts'
import { VarveError } from '../../src/base/errors.ts'
import { encodeBlobReference } from '../../src/block/blob-reference.ts'
import { ChangeFeed } from '../../src/cdc/change-feed.ts'
import type { ChangeEvent } from '../../src/cdc/change-event.ts'
import type { EventPages } from '../../src/cdc/event-pages.ts'
import type {
  ChangeBlobs,
  ChangeSegment,
  ChangeSource,
  ChangeView,
  ScanHold,
} from '../../src/cdc/change-source.ts'
import type { Timers } from '../../src/env/timers.ts'
import { Memtable } from '../../src/memtable/memtable.ts'
import type { EventRun } from '../../src/segment/change-reader.ts'
import type { GatherTarget } from '../../src/segment/gather-target.ts'
import type { SegmentReader } from '../../src/segment/segment-reader.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import type { Epoch, SeriesPoint } from '../../src/version/store-state.ts'
import { encodeCommit, type TestOperation } from '../memtable/commits.ts'

export interface FakeEntry {
  readonly keyspaceId: number
  readonly key: Buffer
  readonly value: Buffer
  readonly kind: number
  readonly seqno: number
  readonly commit: FakeCommit | undefined
}

export interface FakeCommit {
  readonly first: number
  readonly size: number
  readonly timeMs: number
  readonly meta: Buffer | undefined
}

export class ManualTimers implements Timers {
  nowMs = 0
  #jobs: { atMs: number; run: () => void }[] = []

  after(ms: number, run: () => void): () => void {
    const job = { atMs: this.nowMs + ms, run }
    this.#jobs.push(job)
    return () => {
      this.#jobs = this.#jobs.filter((one) => one !== job)
    }
  }
  every(): () => void {
    throw new Error('not used')
  }
  nextTurn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }
  /** Who waits is never kept waiting: time jumps. */
  async wait(ms: number): Promise<void> {
    this.advance(ms)
    await this.nextTurn()
  }
  monotonicMs(): number {
    return this.nowMs
  }
  get pending(): number {
    return this.#jobs.length
  }
  advance(ms: number): void {
    this.nowMs += ms
    const due = this.#jobs.filter(({ atMs }) => atMs <= this.nowMs)
    this.#jobs = this.#jobs.filter(({ atMs }) => atMs > this.nowMs)
    for (const { run } of due) run()
  }
}

export class FakeHold implements ScanHold {
  position: number
  isReleased = false
  isCutOff = false
  constructor(position: number) {
    this.position = position
  }
  advance(position: number): void {
    this.position = position
  }
  release(): void {
    this.isReleased = true
  }
}

export class FakeSegment implements ChangeSegment {
  readonly meta: SegmentMeta
  readonly entries: readonly FakeEntry[]
  isOpenForChanges = false
  readonly blockCount: number
  opens = 0
  gathers = 0

  constructor(number: number, entries: readonly FakeEntry[], order: 'key' | 'seqno') {
    this.entries = [...entries].sort((a, b) =>
      order === 'seqno' ? a.seqno - b.seqno : a.key.compare(b.key) || b.seqno - a.seqno,
    )
    const events = this.entries.filter(({ commit }) => commit !== undefined)
    const seqnos = events.map(({ seqno }) => seqno)
    this.blockCount = Math.ceil(entries.length / 10)
    this.meta = {
      number,
      keyspaceId: entries[0]!.keyspaceId,
      bytes: 1,
      order,
      entries: entries.length,
      pointTombstones: 0,
      derivedEntries: 0,
      heldEntries: 0,
      firstKey: this.entries.map(({ key }) => key).sort((a, b) => a.compare(b))[0]!,
      lastKey: this.entries
        .map(({ key }) => key)
        .sort((a, b) => a.compare(b))
        .at(-1)!,
      rangeFragments: 0,
      coverStart: undefined,
      coverEnd: undefined,
      minSeqno: Math.min(...entries.map(({ seqno }) => seqno)),
      maxSeqno: Math.max(...entries.map(({ seqno }) => seqno)),
      events: events.length,
      minEventSeqno: events.length === 0 ? 0 : Math.min(...seqnos),
      maxEventSeqno: events.length === 0 ? 0 : Math.max(...seqnos),
      blobReferences: [],
    }
  }

  openForChanges(): Promise<void> {
    this.isOpenForChanges = true
    this.opens++
    return Promise.resolve()
  }

  openForChangesSync(): void {
    if (!this.isOpenForChanges) this.opens++
    this.isOpenForChanges = true
  }

  events(from: number, upTo: number, limit: number): Promise<EventRun> {
    return Promise.resolve(this.eventsSync(from, upTo, limit))
  }

  eventsSync(from: number, upTo: number, limit: number): EventRun {
    const { commits, commitOf } = this.commitsByOrdinal()
    const found = this.entries
      .map((entry, ordinal) => ({ entry, ordinal }))
      .filter(({ entry }) => entry.commit !== undefined)
      .filter(({ entry }) => entry.seqno >= from && entry.seqno <= upTo)
      .sort((a, b) => a.entry.seqno - b.entry.seqno)
    const taken = found.slice(0, limit)
    return {
      count: taken.length,
      seqnos: Float64Array.from(taken, ({ entry }) => entry.seqno),
      ordinals: Int32Array.from(taken, ({ ordinal }) => ordinal),
      commitIds: Int32Array.from(taken, ({ ordinal }) => commitOf[ordinal]!),
      commits,
      next: found[limit]?.entry.seqno ?? upTo + 1,
    }
  }

  commitsByOrdinal(): { commits: CommitTable; commitOf: Int32Array } {
    const commits = new CommitTable()
    const commitOf = Int32Array.from(this.entries, ({ commit }) =>
      commit === undefined
        ? NO_COMMIT
        : commits.add(commit.first, commit.size, commit.timeMs, commit.meta),
    )
    return { commits, commitOf }
  }

  /** Entries lie in blocks in turn. */
  blockOf(ordinal: number): number {
    return ordinal % this.blockCount
  }

  async gather(
    ordinals: Int32Array,
    count: number,
    target: GatherTarget,
  ): Promise<{ gathered: number; blocksRead: number; bytesRead: number }> {
    this.gathers++
    await Promise.resolve()
    let bytesRead = 0
    for (let i = 0; i < count; i++) {
      if (target.isFull) return { gathered: i, blocksRead: 0, bytesRead }
      const { key, value, kind, seqno } = this.entries[ordinals[i]!]!
      const at = target.add(key.length, value.length, kind, seqno, 0)
      target.bytes.set(key, at)
      target.bytes.set(value, at + key.length)
      bytesRead += key.length + value.length
    }
    return { gathered: count, blocksRead: Math.min(count, this.blockCount), bytesRead }
  }

  iterator(): EntryIterator {
    return new FakeIterator(this.entries)
  }
}

class FakeIterator extends EntryIterator {
  readonly #entries: readonly FakeEntry[]
  constructor(entries: readonly FakeEntry[]) {
    super()
    this.#entries = entries
  }
  #show(ordinal: number): void {
    const entry = this.#entries[ordinal]
    this.valid = entry !== undefined
    if (entry === undefined) return
    this.ordinal = ordinal
    this.seqno = entry.seqno
    this.kind = entry.kind
  }
  override seekToFirst(): void {
    this.#show(0)
  }
  override next(): void {
    this.#show(this.ordinal + 1)
  }
  override seekToLast(): void {}
  override seek(): void {}
  override seekBefore(): void {}
  override prev(): void {}
  override load(): Promise<void> {
    return Promise.resolve()
  }
  override close(): void {}
}

export class FakeStore implements ChangeSource {
  storeId = 'store-1'
  epochs: Epoch[] = [{ epoch: 1, id: 'epoch-1', first: 1 }]
  isWriter = true
  durable = 0
  floor = 1
  status: 'open' | 'closing' | 'closed' = 'open'
  series: SeriesPoint[] = []
  readonly timers: ManualTimers = new ManualTimers()
  readonly feed: ChangeFeed = new ChangeFeed(this, this.timers)
  memtables: Memtable[] = [makeMemtable(1)]
  segments: FakeSegment[] = []
  /** Segments in files, beside the others. */
  readers: readonly SegmentReader[] = []
  readonly blobs: Map<number, Buffer[]> = new Map()
  pages: EventPages | undefined
  readonly names: Map<number, string> = new Map([
    [1, 'default'],
    [2, 'other'],
    [3, 'third'],
  ])
  readonly holds: FakeHold[] = []
  readonly log: FakeEntry[] = []
  openViews = 0
  views = 0
  #nextNumber = 1
  #timeMs = 1000

  get latest(): number {
    return this.memtables.at(-1)!.lastSeqno
  }

  get isClosed(): boolean {
    return this.status === 'closed'
  }

  closedError(): VarveError {
    return new VarveError('VARVE_CLOSED', 'the store is closed')
  }

  view(): ChangeView {
    if (this.status === 'closed') throw this.closedError()
    this.openViews++
    this.views++
    const segments = [...this.segments, ...this.readers]
    const metas = segments
      .map(({ meta }) => meta)
      .filter(({ events }) => events > 0)
      .sort((a, b) => a.maxEventSeqno - b.maxEventSeqno)
    let isReleased = false
    return {
      memtables: this.memtables,
      ...(this.pages && { pages: this.pages }),
      listSegments: () => metas,
      segment: ({ number }) => segments.find(({ meta }) => meta.number === number)!,
      blob: (file) => {
        const values = this.blobs.get(file)
        return values === undefined ? undefined : blobsOf(values)
      },
      release: () => {
        if (isReleased) throw new Error('a view is released once')
        isReleased = true
        this.openViews--
      },
    }
  }

  keyspaceName(id: number): string {
    return this.names.get(id)!
  }

  hold(position: number): ScanHold {
    const hold = new FakeHold(position)
    this.holds.push(hold)
    return hold
  }

  releaseWhenAbandoned(): void {}

  /** Positions of holds that are still there. */
  get held(): number[] {
    return this.holds.filter(({ isReleased }) => !isReleased).map(({ position }) => position)
  }

  commit(
    operations: readonly TestOperation[],
    options: { timeMs?: number; meta?: string } = {},
  ): number {
    const memtable = this.memtables.at(-1)!
    const first = memtable.lastSeqno + 1
    this.#timeMs = options.timeMs ?? this.#timeMs + 1
    const meta = options.meta === undefined ? undefined : Buffer.from(options.meta)
    const record = encodeCommit(first, operations, { meta }, this.#timeMs)
    memtable.publish(memtable.append(record, 0, record.length))
    const commit = { first, size: operations.length, timeMs: this.#timeMs, meta }
    operations.forEach(({ keyspaceId, key, value, kind }, i) => {
      this.log.push({ keyspaceId, key, value, kind, seqno: first + i, commit })
    })
    this.feed.published()
    return first
  }

  /** The memtables become segments, one a keyspace and `parts`. */
  flush(options: { parts?: number; order?: 'key' | 'seqno'; blobThreshold?: number } = {}): void {
    const first = this.memtables[0]!.firstSeqno
    const last = this.latest
    this.memtables = [makeMemtable(last + 1)]
    const entries = this.log.slice(first - 1, last)
    this.place(entries, options)
  }

  seal(): void {
    this.memtables.at(-1)!.seal()
    this.memtables = [...this.memtables, makeMemtable(this.latest + 1)]
  }

  /** All segments are written anew, their entries dealt out in another way. */
  compact(options: { parts?: number; order?: 'key' | 'seqno'; blobThreshold?: number } = {}): void {
    const entries = this.segments.flatMap((segment) => [...segment.entries])
    this.segments = []
    // As blob collection: what is referenced anew is in new files.
    this.blobs.clear()
    const originals = entries.map(({ seqno }) => this.log[seqno - 1]!)
    this.place(originals, options)
  }

  place(
    entries: readonly FakeEntry[],
    options: { parts?: number; order?: 'key' | 'seqno'; blobThreshold?: number },
  ): void {
    const { parts = 1, order = 'key', blobThreshold = Infinity } = options
    const byPart = new Map<string, FakeEntry[]>()
    entries.forEach((entry, i) => {
      const part = `${entry.keyspaceId}/${(i * 7919) % parts}`
      const list = byPart.get(part) ?? []
      list.push(entry.value.length >= blobThreshold ? this.#separate(entry) : entry)
      byPart.set(part, list)
    })
    const made = [...byPart.values()].map(
      (list) => new FakeSegment(this.#nextNumber++, list, order),
    )
    this.segments = [...this.segments, ...made]
  }

  replaceSegments(segments: FakeSegment[], readers: readonly SegmentReader[] = []): void {
    this.segments = segments
    this.readers = readers
  }

  #separate(entry: FakeEntry): FakeEntry {
    const file = 900 + (this.segments.length % 3) + this.#nextNumber
    const values = this.blobs.get(file) ?? []
    this.blobs.set(file, values)
    const reference = Buffer.alloc(24)
    const location = { file, offset: values.length, length: entry.value.length }
    const length = encodeBlobReference(reference, 0, location)
    values.push(entry.value)
    return { ...entry, value: reference.subarray(0, length), kind: entry.kind | FLAG_BLOB }
  }
}

export function derived(entry: FakeEntry): FakeEntry {
  return { ...entry, kind: entry.kind | FLAG_DERIVED, commit: undefined }
}

function blobsOf(values: readonly Buffer[]): ChangeBlobs {
  return {
    read: ({ offset }) => Promise.resolve(Buffer.from(values[offset]!)),
    readSync: ({ offset }) => Buffer.from(values[offset]!),
  }
}

function makeMemtable(firstSeqno: number): Memtable {
  return new Memtable({
    firstSeqno,
    capacityBytes: 64 * 2 ** 20,
    shared: false,
    openSnapshots: () => [],
  })
}

/** Events as one line each: what they are in all. */
export function lines(events: readonly ChangeEvent[]): string[] {
  return events.map((event) => {
    const { type, keyspace, seqno, commitSeqno, commitLast, timestamp } = event
    const bytes =
      event.type === 'Insert'
        ? `${event.key.toString('latin1')}=${event.value.toString('latin1')}`
        : event.type === 'MergeOperand'
          ? `${event.key.toString('latin1')}+${event.operand.toString('latin1')}`
          : event.type === 'PointTombstone'
            ? event.key.toString('latin1')
            : `${event.startKey.toString('latin1')}..${event.endKey?.toString('latin1') ?? ''}` +
              (event.dropsKeyspace === true ? ' drops' : '')
    const meta = event.commitMeta === undefined ? '' : ` meta ${event.commitMeta.toString()}`
    return `${seqno} ${type} ${keyspace} ${bytes} @${commitSeqno}-${commitLast} t${timestamp}${meta}`
  })
}

/** What the log of all commits says that a scan of [from, upTo] yields. */
export function expected(store: FakeStore, from: number, upTo: number): string[] {
  const types = ['', 'Insert', 'MergeOperand', 'PointTombstone', 'RangeTombstone']
  return store.log
    .filter(({ seqno }) => seqno >= from && seqno <= upTo)
    .map(({ keyspaceId, key, value, kind, seqno, commit }) => {
      const type = types[kind & 7]!
      const text = key.toString('latin1')
      const bytes =
        type === 'Insert'
          ? `${text}=${value.toString('latin1')}`
          : type === 'MergeOperand'
            ? `${text}+${value.toString('latin1')}`
            : type === 'PointTombstone'
              ? text
              : `${text}..${value.toString('latin1')}` + ((kind & 0x40) === 0 ? '' : ' drops')
      const { first, size, timeMs, meta } = commit!
      const suffix = meta === undefined ? '' : ` meta ${meta.toString()}`
      const name = store.names.get(keyspaceId)!
      return `${seqno} ${type} ${name} ${bytes} @${first}-${first + size - 1} t${timeMs}${suffix}`
    })
}

export async function collect<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of iterable) items.push(item)
  return items
}

/** Lets waiting tails be told and read on. */
export async function turns(count = 4): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
