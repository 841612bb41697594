/**
 * One version of the store: which files make it up, and the state beside them. It never changes; an edit makes the next one,
 * which shares with it every list that the edit does not touch.
 *
 * Whoever reads from its files holds it with `acquire`, and gives it back with `release`: until then none of them is removed.
 */
import { assert } from '../base/assert.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import type { FileLifetimes } from './file-lifetimes.ts'
import { byLastEvent, changeList } from './level-order.ts'
import type { StoreState } from './store-state.ts'
import { LEVEL_COUNT } from './version-edit.ts'

/** The segments of one keyspace. */
export interface KeyspaceFiles {
  /** LEVEL_COUNT lists. Level 0: newest first, seqnos disjoint. Deeper: by key, keys and what is covered disjoint. */
  readonly levels: readonly (readonly SegmentMeta[])[]
  /** By first event, oldest first. Only change capture reads them. */
  readonly history: readonly SegmentMeta[]
  /** Bytes of the files, by level. */
  readonly levelBytes: readonly number[]
  readonly historyBytes: number
}

export const NO_FILES: KeyspaceFiles = {
  levels: Array.from({ length: LEVEL_COUNT }, () => []),
  history: [],
  levelBytes: Array.from({ length: LEVEL_COUNT }, () => 0),
  historyBytes: 0,
}

export interface VersionParts {
  readonly state: StoreState
  /** By keyspace id; keyspaces without files are left out, dropped ones with history are in. */
  readonly keyspaces: ReadonlyMap<number, KeyspaceFiles>
  readonly blobs: ReadonlyMap<number, BlobFileMeta>
  /** By blob file: bytes of frames that live and history segments reference. */
  readonly blobLiveBytes: ReadonlyMap<number, number>
}

export class Version implements VersionParts {
  readonly id: number
  readonly state: StoreState
  readonly keyspaces: ReadonlyMap<number, KeyspaceFiles>
  readonly blobs: ReadonlyMap<number, BlobFileMeta>
  readonly blobLiveBytes: ReadonlyMap<number, number>
  readonly #lifetimes: FileLifetimes
  #references = 1
  #eventSegments: readonly SegmentMeta[] | undefined

  /** Begins with one reference, the maker's. */
  constructor(id: number, parts: VersionParts, lifetimes: FileLifetimes) {
    this.id = id
    this.state = parts.state
    this.keyspaces = parts.keyspaces
    this.blobs = parts.blobs
    this.blobLiveBytes = parts.blobLiveBytes
    this.#lifetimes = lifetimes
  }

  /** The files of a keyspace, which need not exist any more; none for an unknown id. */
  files(keyspaceId: number): KeyspaceFiles {
    return this.keyspaces.get(keyspaceId) ?? NO_FILES
  }

  segment(number: number): SegmentMeta | undefined {
    const lifetime = this.#lifetimes.segment(number)
    if (lifetime === undefined) return undefined
    return lifetime.addedIn <= this.id && this.id < lifetime.removedIn ? lifetime.meta : undefined
  }

  /** Every segment of every keyspace that has events, live and history, by their last event. */
  eventSegments(): readonly SegmentMeta[] {
    this.#eventSegments ??= this.segments()
      .filter(({ events }) => events > 0)
      .sort(byLastEvent)
    return this.#eventSegments
  }

  /** Every segment, live and history. */
  segments(): SegmentMeta[] {
    const all: SegmentMeta[] = []
    for (const { levels, history } of this.keyspaces.values()) {
      for (const level of levels) for (const meta of level) all.push(meta)
      for (const meta of history) all.push(meta)
    }
    return all
  }

  /** Takes over what an older version has put in order already. Only while this one is being made. */
  inheritEventSegments(
    older: Version,
    change: { readonly removed: readonly SegmentMeta[]; readonly added: readonly SegmentMeta[] },
  ): void {
    if (older.#eventSegments === undefined) return
    const hasEvents = ({ events }: SegmentMeta): boolean => events > 0
    this.#eventSegments = changeList(older.#eventSegments, byLastEvent, {
      removed: change.removed.filter(hasEvents),
      added: change.added.filter(hasEvents),
    })
  }

  /** Keeps every file of this version from being removed until it is released. */
  acquire(): this {
    assert(this.#references > 0, 'a version that was given up is not acquired again')
    this.#references++
    return this
  }

  release(): void {
    assert(this.#references > 0, 'a version is released as often as it was acquired')
    this.#references--
    if (this.#references === 0) this.#lifetimes.end(this.id)
  }
}
