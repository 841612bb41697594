/**
 * What `stats()` tells, gathered without reading anything.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { Version } from '../version/version.ts'

/** Counted since the store was opened. */
export class StoreCounters {
  userBytesWritten = 0
  walBytesWritten = 0
  flushBytesWritten = 0
  compactionBytesRead = 0
  compactionBytesWritten = 0

  totals(): StoreStats['io'] {
    const { userBytesWritten, walBytesWritten, flushBytesWritten } = this
    const { compactionBytesRead, compactionBytesWritten } = this
    return {
      userBytesWritten,
      walBytesWritten,
      flushBytesWritten,
      compactionBytesRead,
      compactionBytesWritten,
    }
  }
}

export interface LevelStats {
  level: number
  segments: number
  bytes: number
  entries: number
  minSeqno: number
  maxSeqno: number
}

export interface StoreStats {
  latestSeqno: number
  durableSeqno: number
  memtableBytes: number
  keyspaces: Record<
    string,
    {
      levels: LevelStats[]
      /** Segments that hold only superseded versions, kept for change capture and not read otherwise. */
      history: Omit<LevelStats, 'level'>
    }
  >
  blobs: { files: number; bytes: number; liveBytes: number }
  wal: { files: number; bytes: number }
  blockCache: { bytes: number; hits: number; misses: number }
  /** Since open. */
  io: {
    userBytesWritten: number
    walBytesWritten: number
    flushBytesWritten: number
    compactionBytesRead: number
    compactionBytesWritten: number
  }
  openSnapshots: number
  oldestSnapshotAgeMs: number
  pendingCompactionBytes: number
}

/** Keyspaces by name; names of dropped ones are left out. */
export function keyspaceStats(
  version: Version,
  keyspaces: readonly { readonly id: number; readonly name: string }[],
): StoreStats['keyspaces'] {
  // No prototype: a keyspace may be called __proto__.
  const all: StoreStats['keyspaces'] = Object.create(null) as StoreStats['keyspaces']
  for (const { id, name } of keyspaces) {
    const { levels, history } = version.files(id)
    all[name] = {
      levels: levels.flatMap((segments, level) =>
        segments.length === 0 ? [] : [{ level, ...summarize(segments) }],
      ),
      history: summarize(history),
    }
  }
  return all
}

export function blobStats(version: Version): StoreStats['blobs'] {
  let bytes = 0
  let liveBytes = 0
  for (const blob of version.blobs.values()) bytes += blob.bytes
  for (const live of version.blobLiveBytes.values()) liveBytes += live
  return { files: version.blobs.size, bytes, liveBytes }
}

function summarize(segments: readonly SegmentMeta[]): Omit<LevelStats, 'level'> {
  let bytes = 0
  let entries = 0
  let minSeqno = Number.POSITIVE_INFINITY
  let maxSeqno = 0
  for (const meta of segments) {
    bytes += meta.bytes
    entries += meta.entries
    minSeqno = Math.min(minSeqno, meta.minSeqno)
    maxSeqno = Math.max(maxSeqno, meta.maxSeqno)
  }
  return {
    segments: segments.length,
    bytes,
    entries,
    minSeqno: segments.length === 0 ? 0 : minSeqno,
    maxSeqno,
  }
}
