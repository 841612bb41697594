import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import type { UnreachableFile } from '../../src/version/file-lifetimes.ts'
import {
  initialState,
  type KeyspaceRecord,
  type StoreState,
} from '../../src/version/store-state.ts'
import type { Version } from '../../src/version/version.ts'
import { VersionSet } from '../../src/version/version-set.ts'
import type { Place, SegmentAddition } from '../../src/version/version-edit.ts'

export const DIRECTORY = '/db'

export function keyspaceOf(id: number, name = `k${id}`): KeyspaceRecord {
  return {
    id,
    name,
    droppedAt: undefined,
    options: {
      mergeOperator: undefined,
      blobThresholdBytes: 4096,
      compression: 'none',
      bloomBitsPerKey: 10,
      blockBytes: 4096,
    },
  }
}

export function newState(overrides: Partial<StoreState> = {}): StoreState {
  const state = initialState({
    storeId: 'aabbccdd',
    role: 'primary',
    walNumber: 1,
    epochs: [{ epoch: 1, id: 'ee01', first: 1 }],
    keyspaces: [keyspaceOf(1, 'default'), keyspaceOf(2)],
  })
  return { ...state, ...overrides }
}

export interface Opened {
  readonly fs: MemoryFileSystem
  readonly versions: VersionSet
  readonly unreachable: UnreachableFile[]
}

export async function newVersions(state: StoreState = newState()): Promise<Opened> {
  const fs = new MemoryFileSystem()
  fs.makeDirectory(DIRECTORY)
  const unreachable: UnreachableFile[] = []
  const onUnreachable = (files: readonly UnreachableFile[]): void => void unreachable.push(...files)
  const versions = await VersionSet.create({ fs, directory: DIRECTORY, onUnreachable }, state)
  return { fs, versions, unreachable }
}

export async function reopen(
  fs: MemoryFileSystem,
): Promise<Opened & { isClean: boolean; isTorn: boolean }> {
  const unreachable: UnreachableFile[] = []
  const recovered = await VersionSet.recover({
    fs,
    directory: DIRECTORY,
    onUnreachable: (files) => void unreachable.push(...files),
  })
  if (recovered === undefined) throw new Error('there is no store')
  return {
    fs,
    versions: recovered.versions,
    unreachable,
    isClean: recovered.isClean,
    isTorn: recovered.manifest.torn !== undefined,
  }
}

/** A segment with keys [first, last], and events of the seqnos given, if any. */
export function segmentOf(
  number: number,
  options: Partial<SegmentMeta> & { keys?: [string, string] } = {},
): SegmentMeta {
  const { keys = ['a', 'b'], ...overrides } = options
  return {
    number,
    keyspaceId: 1,
    bytes: 1000 + number,
    order: 'key',
    entries: 10,
    pointTombstones: 1,
    derivedEntries: 2,
    heldEntries: 3,
    firstKey: Buffer.from(keys[0]),
    lastKey: Buffer.from(keys[1]),
    rangeFragments: 0,
    coverStart: undefined,
    coverEnd: undefined,
    minSeqno: number,
    maxSeqno: number,
    events: 1,
    minEventSeqno: number,
    maxEventSeqno: number,
    blobReferences: [],
    ...overrides,
  }
}

export function added(level: Place, ...metas: SegmentMeta[]): SegmentAddition[] {
  return metas.map((meta) => ({ keyspaceId: meta.keyspaceId, level, meta }))
}

/** Everything a version says, in a form that can be compared. */
export function describeVersion(version: Version): unknown {
  const { cleanClose: _, nextFileNumber: __, ...state } = version.state
  return {
    state,
    keyspaces: [...version.keyspaces].sort(([a], [b]) => a - b),
    blobs: [...version.blobs].sort(([a], [b]) => a - b),
    blobLiveBytes: [...version.blobLiveBytes].sort(([a], [b]) => a - b),
    events: version.eventSegments().map(({ number }) => number),
  }
}
