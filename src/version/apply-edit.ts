/**
 * From one version and an edit to the parts of the next: pure, and at the cost of what changes.
 *
 * The same code serves edits of this process and those read from a manifest; what is wrong with one is our bug in the first
 * case and corruption in the second, so the caller says how to fail.
 */
import { paranoid } from '../base/assert.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import type { FileLifetimes } from './file-lifetimes.ts'
import { changeList, indexIn, isBefore, orderOf } from './level-order.ts'
import { SERIES_POINTS_MAX, type StoreState } from './store-state.ts'
import { type KeyspaceFiles, NO_FILES, type VersionParts } from './version.ts'
import type { Place, SegmentAddition, VersionEdit } from './version-edit.ts'
import type { StoredEdit, StoredStateChange } from './version-edit-codec.ts'

/** Says what is wrong with an edit; must throw. */
export type EditFailure = (reason: string) => never

export interface EditContext {
  readonly lifetimes: Pick<FileLifetimes, 'segment' | 'has'>
  readonly fail: EditFailure
  /** Read from a manifest: says itself which blob files leave, and puts them in before what references them. */
  readonly isStored: boolean
}

export interface AppliedEdit {
  readonly parts: VersionParts
  /** The edit with the removals of blob files that follow from it: what the manifest must hold. */
  readonly edit: StoredEdit
  readonly added: readonly SegmentAddition[]
  readonly removed: readonly SegmentMeta[]
  readonly moved: readonly { readonly number: number; readonly level: Place }[]
  readonly blobsAdded: readonly BlobFileMeta[]
  readonly blobsRemoved: readonly number[]
}

interface ListChange {
  readonly removed: SegmentMeta[]
  readonly added: SegmentMeta[]
}

/** What happens to the lists of one keyspace. */
type KeyspaceChange = Map<Place, ListChange>

export function applyEdit(
  base: VersionParts,
  edit: VersionEdit,
  context: EditContext,
): AppliedEdit {
  return changesFiles(edit) ? applyFiles(base, edit, context) : applyState(base, edit, context)
}

function changesFiles(edit: VersionEdit): boolean {
  const { additions, removals, moves, blobAdditions, blobRemovals } = edit
  const lists = [additions, removals, moves, blobAdditions, blobRemovals]
  return lists.some((list) => list !== undefined && list.length > 0)
}

/** Most of what a manifest holds beside its snapshot: files and lists stay. */
function applyState(base: VersionParts, edit: VersionEdit, { fail }: EditContext): AppliedEdit {
  const state = nextState(base.state, edit.state ?? {}, fail)
  const { keyspaces, blobs, blobLiveBytes } = base
  checkForgotten(keyspaces, edit, fail)
  const parts = { state, keyspaces, blobs, blobLiveBytes }
  return { parts, edit, added: [], removed: [], moved: [], blobsAdded: [], blobsRemoved: [] }
}

function applyFiles(base: VersionParts, edit: VersionEdit, context: EditContext): AppliedEdit {
  const { lifetimes, fail } = context
  const changes = new Map<number, KeyspaceChange>()
  const change = (keyspaceId: number, place: Place): ListChange => {
    let keyspace = changes.get(keyspaceId)
    if (keyspace === undefined) changes.set(keyspaceId, (keyspace = new Map()))
    let list = keyspace.get(place)
    if (list === undefined) keyspace.set(place, (list = { removed: [], added: [] }))
    return list
  }
  const seen = new Set<number>()
  const live = (number: number): { meta: SegmentMeta; place: Place } => {
    const lifetime = lifetimes.segment(number)
    if (lifetime === undefined || lifetime.removedIn !== Infinity) {
      return fail(`segment ${number} is not there`)
    }
    if (seen.has(number)) fail(`segment ${number} is changed twice`)
    seen.add(number)
    return lifetime
  }

  const removed: SegmentMeta[] = []
  for (const number of edit.removals ?? []) {
    const { meta, place } = live(number)
    change(meta.keyspaceId, place).removed.push(meta)
    removed.push(meta)
  }
  for (const { number, level } of edit.moves ?? []) {
    const { meta, place } = live(number)
    change(meta.keyspaceId, place).removed.push(meta)
    change(meta.keyspaceId, level).added.push(meta)
  }
  const added = edit.additions ?? []
  const newNumbers = new Set<number>()
  const claim = (number: number): void => {
    if (newNumbers.has(number) || lifetimes.has(number)) fail(`file number ${number} is used twice`)
    newNumbers.add(number)
  }
  for (const { keyspaceId, level, meta } of added) {
    if (keyspaceId !== meta.keyspaceId) fail(`segment ${meta.number} is of another keyspace`)
    claim(meta.number)
    change(keyspaceId, level).added.push(meta)
  }
  for (const { number } of edit.blobAdditions ?? []) claim(number)

  const state = nextState(base.state, edit.state ?? {}, fail)
  const keyspaces = changes.size === 0 ? base.keyspaces : new Map(base.keyspaces)
  for (const [id, keyspace] of changes) {
    const files = changeFiles(base.keyspaces.get(id) ?? NO_FILES, keyspace, fail)
    if (isEmpty(files)) (keyspaces as Map<number, KeyspaceFiles>).delete(id)
    else (keyspaces as Map<number, KeyspaceFiles>).set(id, files)
    if (!isEmpty(files) && !state.keyspaces.some((known) => known.id === id)) {
      fail(`there is no keyspace ${id}`)
    }
  }
  checkForgotten(keyspaces, edit, fail)
  const blobs = changeBlobs(base, edit, { added, removed }, context)
  return {
    parts: { state, keyspaces, blobs: blobs.blobs, blobLiveBytes: blobs.liveBytes },
    edit: blobs.removed.length === 0 ? edit : { ...edit, blobRemovals: blobs.removed },
    added,
    removed,
    moved: edit.moves ?? [],
    blobsAdded: edit.blobAdditions ?? [],
    blobsRemoved: blobs.removed,
  }
}

function checkForgotten(
  keyspaces: VersionParts['keyspaces'],
  edit: VersionEdit,
  fail: EditFailure,
): void {
  for (const id of edit.state?.forgottenKeyspaces ?? []) {
    if (keyspaces.has(id)) fail(`keyspace ${id} is forgotten while it has files`)
  }
}

function changeFiles(
  files: KeyspaceFiles,
  change: KeyspaceChange,
  fail: EditFailure,
): KeyspaceFiles {
  const levels = files.levels.slice()
  const levelBytes = files.levelBytes.slice()
  let { history, historyBytes } = files
  for (const [place, list] of change) {
    const bytes = bytesOf(list.added) - bytesOf(list.removed)
    if (place === 'history') {
      history = changeList(history, orderOf(place), list)
      historyBytes += bytes
      continue
    }
    const changed = changeList(levels[place]!, orderOf(place), list)
    levels[place] = changed
    levelBytes[place] = levelBytes[place]! + bytes
    checkLevel(place, changed, paranoid() ? changed : list.added, fail)
  }
  return { levels, history, levelBytes, historyBytes }
}

/** A key, or at level 0 a seqno, stands in at most one segment of a level. `suspects` and their neighbours are looked at. */
function checkLevel(
  level: number,
  list: readonly SegmentMeta[],
  suspects: readonly SegmentMeta[],
  fail: EditFailure,
): void {
  const areApart =
    level === 0 ? (a: SegmentMeta, b: SegmentMeta): boolean => a.minSeqno > b.maxSeqno : isBefore
  for (const meta of suspects) {
    const index = indexIn(list, meta, orderOf(level))
    const before = list[index - 1]
    const after = list[index + 1]
    if (before !== undefined && !areApart(before, meta)) {
      fail(`segments ${before.number} and ${meta.number} overlap in level ${level}`)
    }
    if (after !== undefined && !areApart(meta, after)) {
      fail(`segments ${meta.number} and ${after.number} overlap in level ${level}`)
    }
  }
}

interface BlobChange {
  readonly blobs: ReadonlyMap<number, BlobFileMeta>
  readonly liveBytes: ReadonlyMap<number, number>
  readonly removed: readonly number[]
}

/** Counts references anew where they change; a file that lost its last one, or never had one, leaves with the same edit. */
function changeBlobs(
  base: VersionParts,
  edit: VersionEdit,
  segments: {
    readonly added: readonly SegmentAddition[]
    readonly removed: readonly SegmentMeta[]
  },
  { fail, isStored }: EditContext,
): BlobChange {
  const hasReferences =
    segments.added.some(({ meta }) => meta.blobReferences.length > 0) ||
    segments.removed.some(({ blobReferences }) => blobReferences.length > 0)
  const hasFiles = (edit.blobAdditions?.length ?? 0) + (edit.blobRemovals?.length ?? 0) > 0
  if (!hasReferences && !hasFiles) {
    return { blobs: base.blobs, liveBytes: base.blobLiveBytes, removed: [] }
  }
  const blobs = new Map(base.blobs)
  const liveBytes = new Map(base.blobLiveBytes)
  for (const blob of edit.blobAdditions ?? []) blobs.set(blob.number, blob)
  const count = (file: number, bytes: number): void => {
    if (!blobs.has(file)) fail(`blob file ${file} is referenced and not there`)
    liveBytes.set(file, (liveBytes.get(file) ?? 0) + bytes)
  }
  const freed = new Set(edit.blobRemovals)
  for (const { meta } of segments.added) {
    for (const { file, bytes } of meta.blobReferences) count(file, bytes)
  }
  for (const { blobReferences } of segments.removed) {
    for (const { file, bytes } of blobReferences) {
      count(file, -bytes)
      if (!isStored && (liveBytes.get(file) ?? 0) <= 0) freed.add(file)
    }
  }
  for (const { number } of edit.blobAdditions ?? []) {
    if (!isStored && !liveBytes.has(number)) freed.add(number)
  }
  for (const file of freed) {
    if ((liveBytes.get(file) ?? 0) > 0) fail(`blob file ${file} is removed while it is referenced`)
    if (!blobs.delete(file)) fail(`blob file ${file} is not there`)
    liveBytes.delete(file)
  }
  return { blobs, liveBytes, removed: [...freed] }
}

function nextState(state: StoreState, change: StoredStateChange, fail: EditFailure): StoreState {
  const next: StoreState = {
    storeId: change.storeId ?? state.storeId,
    logId: change.logId ?? state.logId,
    role: change.role ?? state.role,
    epochs: change.epochs ?? state.epochs,
    floor: change.floor ?? state.floor,
    lastFlushedSeqno: change.lastFlushedSeqno ?? state.lastFlushedSeqno,
    lastFlushedTimeMs: change.lastFlushedTimeMs ?? state.lastFlushedTimeMs,
    walNumber: change.walNumber ?? state.walNumber,
    nextFileNumber: Math.max(change.nextFileNumber ?? 0, state.nextFileNumber),
    nextKeyspaceId: change.nextKeyspaceId ?? state.nextKeyspaceId,
    keyspaces: nextKeyspaces(state, change),
    consumers: nextConsumers(state, change),
    series: change.series ?? state.series,
    sourceToken:
      change.sourceToken === undefined ? state.sourceToken : (change.sourceToken ?? undefined),
    cleanClose: change.cleanClose,
  }
  if (next.floor < state.floor) fail(`the floor falls from ${state.floor} to ${next.floor}`)
  if (next.lastFlushedSeqno < state.lastFlushedSeqno) fail('what is flushed becomes less')
  if (next.walNumber < state.walNumber) fail('a log comes back')
  if (next.nextKeyspaceId < state.nextKeyspaceId) fail('keyspace ids come back')
  if (next.series.length > SERIES_POINTS_MAX) fail('the series was not thinned')
  return next
}

function nextKeyspaces(state: StoreState, change: StoredStateChange): StoreState['keyspaces'] {
  const { keyspaces = [], forgottenKeyspaces = [] } = change
  if (keyspaces.length + forgottenKeyspaces.length === 0) return state.keyspaces
  const byId = new Map(state.keyspaces.map((keyspace) => [keyspace.id, keyspace]))
  for (const keyspace of keyspaces) byId.set(keyspace.id, keyspace)
  for (const id of forgottenKeyspaces) byId.delete(id)
  return [...byId.values()].sort((a, b) => a.id - b.id)
}

function nextConsumers(state: StoreState, change: StoredStateChange): StoreState['consumers'] {
  const { consumers = [], droppedConsumers = [] } = change
  if (consumers.length + droppedConsumers.length === 0) return state.consumers
  const byName = new Map(state.consumers.map((consumer) => [consumer.name, consumer]))
  // First dropped, then added: so that one edit can put a new consumer in the place of an old one.
  for (const name of droppedConsumers) byName.delete(name)
  for (const consumer of consumers) byName.set(consumer.name, consumer)
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function bytesOf(segments: readonly SegmentMeta[]): number {
  let bytes = 0
  for (const meta of segments) bytes += meta.bytes
  return bytes
}

function isEmpty(files: KeyspaceFiles): boolean {
  return files.history.length === 0 && files.levels.every((level) => level.length === 0)
}
