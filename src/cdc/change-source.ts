/**
 * What change capture needs from the store, and nothing more. `db/` implements it; the tests of this folder do so on fakes.
 *
 * The flow: a scan or a tail stands at a position (the next seqno to deliver). For each window it takes a `ChangeView`, reads
 * what it needs and releases it at once, so that no reader pins a flushed memtable or a file that compaction replaced. What
 * keeps its events from being *dropped* between windows is a hold (scans), a consumer's position, or nothing (tails).
 *
 * The shapes of memtables, segments and blob files are the least that is used here; Memtable, SegmentReader and BlobReader
 * fit them as they are.
 */
import type { CommitTable } from '../base/commit-table.ts'
import type { EntryIterator } from '../base/entry-iterator.ts'
import type { VarveError } from '../base/errors.ts'
import type { BlobLocation } from '../block/blob-reference.ts'
import type { EventRun } from '../segment/change-reader.ts'
import type { GatherTarget } from '../segment/gather-target.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { Epoch, SeriesPoint } from '../version/store-state.ts'
import type { ConsumerEntry } from './consumer-ledger.ts'
import type { EventPages } from './event-pages.ts'
import type { ScanStats } from './scan-tally.ts'

export type { ConsumerRecord, SeriesPoint } from '../version/store-state.ts'

export interface ChangeSource {
  readonly storeId: string
  /** Ascending, at least one; the last is the current one. */
  readonly epochs: readonly Epoch[]
  /**
   * True where this process gives out the seqnos: a token beyond the latest can then only be of another history. False on
   * replicas and readOnly stores, which may only be behind.
   */
  readonly isWriter: boolean
  /** Last published seqno; 0 in a new store. */
  readonly latest: number
  /** Last seqno that a power cut cannot take back; never above `latest`. */
  readonly durable: number
  /** Smallest seqno that may be asked for: `history().floor`. Holds do not lower it. */
  readonly floor: number
  /** 'closing': no more commits come, reads still work. Poisoned stores are 'open': reads go on. */
  readonly status: 'open' | 'closing' | 'closed'
  /** `status` is 'closed', for what asks once an event. */
  readonly isClosed: boolean
  /** The error for a read after close, VARVE_CLOSED. */
  closedError(): VarveError
  /**
   * The store as it is now. Synchronous and cheap: every read takes one. Throws nothing while the store is not closed.
   */
  view(): ChangeView
  /** Name of a keyspace, dropped ones too while history has their events. An id never changes its name. */
  keyspaceName(id: number): string
  /** From the call on, no job that is planned drops an event at or above `position`. Never refused. */
  hold(position: number): ScanHold
  /** Releases the hold when `owner` was collected as garbage without closing. The hold must not reference its owner. */
  releaseWhenAbandoned(owner: object, hold: ScanHold): void
  /** Points of (seqno, time, user bytes), ascending: see history-series.ts. */
  readonly series: readonly SeriesPoint[]
  /** A scan begins: what to call when it is over, where somebody wants to know. */
  scanBegan?(from: number): ((end: ScanEnd) => void) | undefined
}

/** How a scan ended: at its end, closed before, or with an error, whose code it is. */
export interface ScanEnd {
  readonly outcome: 'ended' | 'closed' | 'failed'
  readonly code: string | undefined
  readonly upTo: number
  readonly position: number
  readonly stats: ScanStats
}

/** A pinned look at the store. Seqnos from `memtables[0].firstSeqno` on are in memtables, smaller ones in segments. */
export interface ChangeView {
  /** Oldest first; the active one, which may be empty, is last. Their seqnos are dense and join up. */
  readonly memtables: readonly ChangeMemtable[]
  /** Reads on the calling thread cost microseconds now: the page cache has what is asked for. Left out: not known. */
  readonly isDiskFast?: boolean
  /**
   * Every segment with events, of all keyspaces, dropped ones too, live and history: ascending by maxEventSeqno. Cheap: asked
   * for each window.
   */
  listSegments(): readonly SegmentMeta[]
  /** A reader, not opened yet. Valid until the release. */
  segment(meta: SegmentMeta): ChangeSegment
  /** Undefined when the file is no longer part of the store. */
  blob(file: number): ChangeBlobs | undefined
  /** Events that were read from segments and are kept for the next reader. Left out: none are. */
  readonly pages?: EventPages
  release(): void
}

/** See memtable/memtable.ts. An ordinal is a seqno less `firstSeqno`. */
export interface ChangeMemtable {
  readonly firstSeqno: number
  /** firstSeqno - 1 while it is empty. */
  readonly lastSeqno: number
  readonly arena: Uint8Array
  readonly commits: CommitTable
  commitOf(ordinal: number): number
  keyspaceOf(ordinal: number): number
  kindOf(ordinal: number): number
  keyStart(ordinal: number): number
  keyEnd(ordinal: number): number
  valueStart(ordinal: number): number
  valueEnd(ordinal: number): number
}

/** See segment/segment-reader.ts. */
export interface ChangeSegment {
  readonly isOpenForChanges: boolean
  openForChanges(): Promise<void>
  /** The same on the calling thread. */
  openForChangesSync(): void
  readonly blockCount: number
  /** Events with from <= seqno <= upTo, at most `limit`, ascending. */
  events(from: number, upTo: number, limit: number): Promise<EventRun>
  /** The same on the calling thread. */
  eventsSync(from: number, upTo: number, limit: number): EventRun
  /** Commit of every entry, by ordinal; NO_COMMIT for those that are no events. */
  commitsByOrdinal(): { readonly commits: CommitTable; readonly commitOf: Int32Array }
  /** The data block of the entry with this ordinal. */
  blockOf(ordinal: number): number
  /**
   * Appends the entries with these ascending ordinals to `target`; stops when that is full. `mayRead`: on the calling thread,
   * which is ten times faster for what the page cache has. `seen`: one bit a block, set when it was read and checked; a block
   * that the same scan comes back to is neither checked nor counted again.
   */
  gather(
    ordinals: Int32Array,
    count: number,
    target: GatherTarget,
    mayRead?: boolean,
    seen?: Uint8Array,
  ): Promise<{ readonly gathered: number; readonly blocksRead: number; readonly bytesRead: number }>
  /** Every entry in file order. */
  iterator(options: { readonly mayRead: boolean }): EntryIterator
}

/** See blob/blob-reader.ts. */
export interface ChangeBlobs {
  read(location: BlobLocation): Promise<Buffer>
  readSync(location: BlobLocation): Buffer
}

/** Keeps events at or above its position from being dropped; the floor may rise past it. */
export interface ScanHold {
  /** Only forward. */
  advance(position: number): void
  /** Idempotent. */
  release(): void
  /** True when it held too much given-up history and was taken away: the scan must fail with VARVE_HISTORY_TRUNCATED. */
  readonly isCutOff: boolean
}

/** Where consumers put what must outlive the process. */
export interface ConsumerStore {
  /**
   * Appends a commit record with one FIELD_ACK and no operation. Resolves when it, and with it everything before it, is
   * durable; `ConsumerLedger.applyAck` was then called for it. Refused where another consumer has its name meanwhile.
   */
  writeAck(entry: ConsumerEntry, next: number): Promise<void>
  /** Makes the WAL durable, then `Consumers.records()` in one manifest edit. Resolves when that is durable. */
  saveConsumers(): Promise<void>
  /** A position moved or a consumer went: the floor may rise. Called often; the store applies the policy when it suits. */
  consumersMoved(): void
  /** A call that a close of the store waits for. */
  running<T>(call: () => Promise<T>): Promise<T>
  /** Runs while no floor is on its way up: one that is would not know of a consumer that comes or goes now. */
  whileFloorStands<T>(run: () => T | Promise<T>): Promise<T>
  /** Wall clock. */
  now(): number
}
