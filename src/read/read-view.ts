/**
 * What a read needs of the store. A view is made per read and fixed: what is written, flushed or compacted afterwards does
 * not change it. Reads that go on after the call returns (cursors, lookups that wait for the disk) acquire its version until
 * they end; the memtables stay as long as someone refers to them.
 */
import type { MergeOperator } from '../base/merge-operators.ts'
import type { Memtable } from '../memtable/memtable.ts'
import type { SegmentCache } from '../segment/segment-cache.ts'
import type { Version } from '../version/version.ts'
import type { ReadScratch } from './read-scratch.ts'

export interface ReadView {
  /** Newest first: the active one, then the sealed ones that are in no segment of `version` yet. */
  readonly memtables: readonly Memtable[]
  readonly version: Version
  readonly segments: SegmentCache
  /**
   * Whether reading a block on the calling thread is a matter of microseconds, and whether the store has let go of its files;
   * see env/file-cache.ts.
   */
  readonly files: { readonly isDiskFast: boolean; readonly isClosed: boolean }
  /** The same for all views of a store. */
  readonly scratch: ReadScratch
}

/** What reads must know of a keyspace. */
export interface KeyspaceReadSettings {
  readonly id: number
  /** For messages. */
  readonly name: string
  readonly operator: MergeOperator | undefined
}
