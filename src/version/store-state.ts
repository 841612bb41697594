/**
 * What the manifest keeps beside the lists of files: plain data that never changes in place. A version edit makes a new one.
 */

/** One stretch of history in which a seqno means one thing. It ends where the next one begins. */
export interface Epoch {
  /** Counted from 1. */
  readonly epoch: number
  /** Random, in hex: two copies of a store that go on apart never share one. */
  readonly id: string
  /** First seqno that was given out in it. */
  readonly first: number
}

/** Options of a keyspace as they are stored, every one of them given. */
export interface StoredKeyspaceOptions {
  readonly mergeOperator: string | undefined
  /** Infinity: no blob files. */
  readonly blobThresholdBytes: number
  readonly compression: 'none' | 'deflate' | 'lz4'
  readonly bloomBitsPerKey: number
  readonly blockBytes: number
}

export interface KeyspaceRecord {
  /** Never used again for another keyspace. */
  readonly id: number
  readonly name: string
  readonly options: StoredKeyspaceOptions
  /** Seqno of the range delete that dropped it; it stays here while history has events of it. */
  readonly droppedAt: number | undefined
}

export interface ConsumerRecord {
  readonly name: string
  /** First seqno not yet processed. */
  readonly position: number
  readonly state: 'active' | 'lost'
  /** Undefined: none. */
  readonly maxHeldBytes: number | undefined
  readonly maxIdleMs: number | undefined
  readonly createdAt: number
  readonly lastAckAt: number | undefined
}

/** Every event up to `seqno` was committed by `timeMs`, and all of them took `userBytes` since the store began. */
export interface SeriesPoint {
  readonly seqno: number
  readonly timeMs: number
  readonly userBytes: number
}

/** What a clean close leaves, as the last edit: any later one takes it away. */
export interface CleanClose {
  /** The last log, and where it ends. */
  readonly walNumber: number
  readonly walBytes: number
  /** Of the very manifest file that holds this: after a copy or a restore they differ. */
  readonly manifestInode: number
  readonly manifestBirthTimeMs: number
}

export interface StoreState {
  /** A replica takes its source's. */
  readonly storeId: string
  /** Ties log files to this store; never changes, and differs from the store id on a replica. */
  readonly logId: string
  readonly role: 'primary' | 'replica'
  readonly epochs: readonly Epoch[]
  /** Every seqno from here on stands exactly once in the store. */
  readonly floor: number
  /** Every operation up to here is in segments. */
  readonly lastFlushedSeqno: number
  /** Time of the commit that holds it; commit times never decrease. 0: none yet. */
  readonly lastFlushedTimeMs: number
  /** The first log that is needed. */
  readonly walNumber: number
  /** No file with this or a higher number was ever named by a version. */
  readonly nextFileNumber: number
  readonly nextKeyspaceId: number
  /** Ascending by id. */
  readonly keyspaces: readonly KeyspaceRecord[]
  /** Ascending by name. */
  readonly consumers: readonly ConsumerRecord[]
  /** Ascending in all three; kept sparse by cdc/history-series.ts. */
  readonly series: readonly SeriesPoint[]
  /** Where a replica resumes at its source. */
  readonly sourceToken: string | undefined
  readonly cleanClose: CleanClose | undefined
}

/** More points than any policy needs: a series that is longer was not thinned. */
export const SERIES_POINTS_MAX = 4_096

export interface NewStore {
  readonly storeId: string
  readonly role: 'primary' | 'replica'
  /** The log that was created and synced for it. */
  readonly walNumber: number
  readonly epochs: readonly Epoch[]
  readonly keyspaces: readonly KeyspaceRecord[]
}

/** The state of a store that holds nothing yet. */
export function initialState(store: NewStore): StoreState {
  return {
    storeId: store.storeId,
    logId: store.storeId,
    role: store.role,
    epochs: store.epochs,
    floor: 1,
    lastFlushedSeqno: 0,
    lastFlushedTimeMs: 0,
    walNumber: store.walNumber,
    nextFileNumber: store.walNumber + 1,
    nextKeyspaceId: store.keyspaces.reduce((next, { id }) => Math.max(next, id + 1), 1),
    keyspaces: store.keyspaces,
    consumers: [],
    series: [],
    sourceToken: undefined,
    cleanClose: undefined,
  }
}
