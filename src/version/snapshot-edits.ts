/**
 * A whole version as edits from nothing, for the beginning of a manifest. Cut into pieces, so that no record grows with the store.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { StoreState } from './store-state.ts'
import type { VersionParts } from './version.ts'
import type { Place, SegmentAddition } from './version-edit.ts'
import type { StoredEdit, StoredStateChange } from './version-edit-codec.ts'

/** Segments of one piece: about 100 to 200 KiB with ordinary keys. */
const PIECE_SEGMENTS = 1_000

/** The state that snapshot edits are applied to. */
export const EMPTY_STATE: StoreState = {
  storeId: '',
  logId: '',
  role: 'primary',
  epochs: [],
  floor: 0,
  lastFlushedSeqno: 0,
  lastFlushedTimeMs: 0,
  walNumber: 0,
  nextFileNumber: 0,
  nextKeyspaceId: 0,
  keyspaces: [],
  consumers: [],
  series: [],
  sourceToken: undefined,
  cleanClose: undefined,
}

/** The first holds the state, and the blob files, which segments reference; few segments are in it too. A clean close is left out. */
export function snapshotEdits(version: VersionParts): StoredEdit[] {
  const additions: SegmentAddition[] = []
  const add = (keyspaceId: number, level: Place, segments: readonly SegmentMeta[]): void => {
    for (const meta of segments) additions.push({ keyspaceId, level, meta })
  }
  for (const [id, { levels, history }] of version.keyspaces) {
    for (const [level, segments] of levels.entries()) add(id, level, segments)
    add(id, 'history', history)
  }
  const blobAdditions = [...version.blobs.values()]
  const state = wholeState(version.state)
  const edits: StoredEdit[] = [
    { state, blobAdditions, additions: additions.slice(0, PIECE_SEGMENTS) },
  ]
  for (let at = PIECE_SEGMENTS; at < additions.length; at += PIECE_SEGMENTS) {
    edits.push({ additions: additions.slice(at, at + PIECE_SEGMENTS) })
  }
  return edits
}

function wholeState(state: StoreState): StoredStateChange {
  const { sourceToken, cleanClose: _, ...rest } = state
  return { ...rest, ...(sourceToken === undefined ? {} : { sourceToken }) }
}
