/**
 * What `stats()` tells, gathered without reading anything.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'
import type { Version } from '../version/version.ts'
import type { Snapshots } from './snapshots.ts'
import type { StoreParts } from './store-parts.ts'

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

/** One level of a keyspace. */
export interface LevelStats {
  /** 0 has the newest segments, as they were flushed. */
  level: number
  /** How many. */
  segments: number
  /** Of their files. */
  bytes: number
  /** Versions of keys in them, derived ones too. */
  entries: number
  /** Smallest seqno of an event in them. */
  minSeqno: number
  /** Largest seqno of an event in them. */
  maxSeqno: number
}

/** What `stats()` tells, without reading anything. */
export interface StoreStats {
  /** Of the last published operation; 0 in a new store. */
  latestSeqno: number
  /** Of the last operation that a power cut cannot take back. */
  durableSeqno: number
  /** All memtables together, those that wait for their flush too. */
  memtableBytes: number
  /** By name: where its entries are. */
  keyspaces: Record<
    string,
    {
      levels: LevelStats[]
      /** Segments that hold only superseded versions, kept for change capture and not read otherwise. */
      history: Omit<LevelStats, 'level'>
    }
  >
  /** Blob files; `liveBytes`: what segments, history too, still refer to. */
  blobs: { files: number; bytes: number; liveBytes: number }
  /** Logs in use. */
  wal: { files: number; bytes: number }
  /** Since open. */
  blockCache: { bytes: number; hits: number; misses: number }
  /** Since open. */
  io: {
    userBytesWritten: number
    walBytesWritten: number
    flushBytesWritten: number
    compactionBytesRead: number
    compactionBytesWritten: number
  }
  /** Snapshots that are not closed. */
  openSnapshots: number
  /** 0 when there is none. */
  oldestSnapshotAgeMs: number
  /** What compaction would have to read to be done. */
  pendingCompactionBytes: number
}

/** Keyspaces by name; names of dropped ones are left out. */
function keyspaceStats(
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

function blobStats(version: Version): StoreStats['blobs'] {
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

export function storeStats(parts: StoreParts, snapshots: Snapshots): StoreStats {
  const { blockCache, counters, engine, keyspaces } = parts
  const version = parts.currentVersion()
  const logs = parts.logs()
  return {
    latestSeqno: parts.latestSeqno(),
    durableSeqno: parts.durableSeqno(),
    memtableBytes: parts.memtableBytes(),
    keyspaces: keyspaceStats(version, keyspaces.all()),
    blobs: blobStats(version),
    wal: {
      files: logs.length,
      bytes: logs.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    blockCache: blockCache.stats,
    io: counters.totals(),
    openSnapshots: snapshots.count,
    oldestSnapshotAgeMs: snapshots.oldestAgeMs(),
    pendingCompactionBytes: engine?.compactor.pendingBytes() ?? 0,
  }
}
