/**
 * A version edit: what changes from one version of the store to the next, as plain data. It takes effect whole or not at all.
 * Its bytes are in version-edit-codec.ts.
 */
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import type {
  CleanClose,
  ConsumerRecord,
  Epoch,
  KeyspaceRecord,
  SeriesPoint,
} from './store-state.ts'

/** Live levels of a keyspace, counted from 0. */
export const LEVEL_COUNT = 7

/** Where a segment belongs: a live level, or among the history segments. */
export type Place = number | 'history'

export interface SegmentAddition {
  readonly keyspaceId: number
  readonly level: Place
  readonly meta: SegmentMeta
}

/** What is left out stays as it is. */
export interface StateChange {
  readonly storeId?: string
  readonly role?: 'primary' | 'replica'
  /** The whole list. */
  readonly epochs?: readonly Epoch[]
  /** Never lower than before. */
  readonly floor?: number
  readonly lastFlushedSeqno?: number
  readonly lastFlushedTimeMs?: number
  /** That log must have been synced (WalWriter.sync) before. */
  readonly walNumber?: number
  readonly nextFileNumber?: number
  readonly nextKeyspaceId?: number
  /** Added, or in the place of the one with the same id. */
  readonly keyspaces?: readonly KeyspaceRecord[]
  /** Ids. A keyspace that has files cannot be forgotten. */
  readonly forgottenKeyspaces?: readonly number[]
  /** Added, or in the place of the one with the same name. */
  readonly consumers?: readonly ConsumerRecord[]
  /** Names. */
  readonly droppedConsumers?: readonly string[]
  /** The whole list. */
  readonly series?: readonly SeriesPoint[]
  /** Null: none. */
  readonly sourceToken?: string | null
  /** Only in the last edit before a close: the next one takes it away by itself. */
  readonly cleanClose?: CleanClose
}

export interface VersionEdit {
  readonly additions?: readonly SegmentAddition[]
  /** Numbers of segments that leave the store. */
  readonly removals?: readonly number[]
  /** Segments that change their place without being rewritten. */
  readonly moves?: readonly { readonly number: number; readonly level: Place }[]
  readonly blobAdditions?: readonly BlobFileMeta[]
  /** Rarely needed: a blob file that no segment references after an edit leaves with it by itself. */
  readonly blobRemovals?: readonly number[]
  readonly state?: StateChange
}
