/**
 * What Varve sets itself against the others: one row per claim, checked by every run.
 *
 * A row with peers compares Varve's figure with theirs as a ratio (above 1: Varve does more, or needs less); a row
 * without compares the figure itself with a limit. `two` holds what changes on two CPUs.
 */

export interface RatioTarget {
  readonly workload: string
  /** Metric, where not the workload's own. */
  readonly metric?: string
  readonly subject?: string
  readonly peer: string
  /** Workload of the peer's figure, where not the same. */
  readonly peerWorkload?: string
  readonly atLeast: number
  readonly aim: number
  readonly two?: { readonly atLeast: number; readonly aim: number }
}

export interface LimitTarget {
  readonly workload: string
  readonly metric: string
  readonly subject?: string
  readonly atMost: number
  readonly aim: number
  /** Only asked for with so many CPUs. */
  readonly cpus?: number
}

/** Stands for whichever peer is fastest in a row. */
export const BEST_PEER = 'best peer'

export const ratioTargets: readonly RatioTarget[] = [
  {
    workload: 'fillrandom',
    peer: 'classic-level',
    atLeast: 1.5,
    aim: 2.5,
    two: { atLeast: 3, aim: 5 },
  },
  { workload: 'fillseq', peer: BEST_PEER, atLeast: 1.5, aim: 2.5 },
  { workload: 'put', peer: 'classic-level', atLeast: 4, aim: 6 },
  { workload: 'putsync100', peer: 'lmdb', atLeast: 3, aim: 5 },
  { workload: 'putsync100', peer: 'classic-level', atLeast: 10, aim: 20 },
  { workload: 'readrandom', peer: 'classic-level', atLeast: 2, aim: 4 },
  { workload: 'readrandom', peer: 'lmdb', atLeast: 1, aim: 2 },
  { workload: 'readrandom-awaited', peer: 'classic-level', atLeast: 5, aim: 9 },
  { workload: 'readmissing', peer: 'classic-level', atLeast: 1.5, aim: 4 },
  { workload: 'readseq', peer: 'classic-level', atLeast: 4, aim: 8 },
  { workload: 'readseq', peer: 'lmdb', atLeast: 2.5, aim: 5 },
  { workload: 'seekrandom', peer: 'classic-level', atLeast: 3, aim: 6 },
  { workload: 'seekrandom', peer: 'lmdb', atLeast: 1.3, aim: 2.5 },
  { workload: 'blobwrite', peer: 'classic-level', atLeast: 2, aim: 4 },
  { workload: 'blobread', peer: 'classic-level', atLeast: 2, aim: 4 },
  { workload: 'cdcfill', peer: 'better-sqlite3', atLeast: 20, aim: 40 },
  { workload: 'cdcfill', peer: 'classic-level', atLeast: 3, aim: 6 },
  { workload: 'cdcscan-1%-written', peer: 'lmdb', atLeast: 3, aim: 10 },
  { workload: 'cdcscan-1%-compacted', peer: 'lmdb', atLeast: 1, aim: 1.5 },
  { workload: 'cdcscan-all-compacted', peer: 'classic-level', atLeast: 2, aim: 4 },
  { workload: 'cdcscan-all-compacted', peer: 'lmdb', atLeast: 1, aim: 2 },
  { workload: 'cdcpoll', peer: 'lmdb', atLeast: 3, aim: 10 },
  { workload: 'reopen', peer: 'classic-level', atLeast: 1, aim: 2 },
  // At most 1.1 times the peer's bytes is at least 1 / 1.1 of its thrift.
  {
    workload: 'disk',
    subject: 'varve:lz4',
    peer: 'classic-level',
    atLeast: 1 / 1.1,
    aim: 1 / 0.95,
  },
  {
    workload: 'overwrite-compacted',
    subject: 'varve:history-all',
    peer: 'varve:history-none',
    atLeast: 0.9,
    aim: 0.95,
  },
  {
    workload: 'readseq-overwritten',
    subject: 'varve:history-all',
    peer: 'varve:history-none',
    atLeast: 1 / 1.3,
    aim: 1,
  },
  {
    workload: 'cdctail-catchup',
    peer: 'varve',
    peerWorkload: 'cdcscan-all-compacted',
    atLeast: 0.5,
    aim: 1,
  },
  {
    workload: 'cdcpoll-10M',
    peer: 'varve',
    peerWorkload: 'cdcpoll-100k',
    atLeast: 1 / 1.5,
    aim: 1,
  },
]

export const limitTargets: readonly LimitTarget[] = [
  { workload: 'loopdelay', metric: 'p99Ms', atMost: 20, aim: 8, cpus: 2 },
  { workload: 'fillrandom', metric: 'fillRssBytes', atMost: 350 * 2 ** 20, aim: 250 * 2 ** 20 },
  { workload: 'mergechain', metric: 'costRatio', atMost: 2, aim: 1 },
  { workload: 'cdcscan-memory', metric: 'growthBytes', atMost: 96 * 2 ** 20, aim: 64 * 2 ** 20 },
  { workload: 'cdcscan-memory', metric: 'firstEventMs', atMost: 100, aim: 20 },
  { workload: 'cdctail', metric: 'p50Ms', atMost: 0.2, aim: 0.1, cpus: 2 },
  { workload: 'cdctail', metric: 'p99Ms', atMost: 5, aim: 2, cpus: 2 },
  { workload: 'history-bound', metric: 'diskRatio', atMost: 1, aim: 0.9 },
  { workload: 'history-bound', metric: 'readCostRatio', atMost: 1.3, aim: 1.1 },
  ...['growth-write-1M', 'growth-write-10M', 'growth-write-30M'].flatMap((workload) => [
    { workload, metric: 'writeAmplification', atMost: 12, aim: 8 },
    { workload, metric: 'spaceAmplification', atMost: 1.3, aim: 1.2 },
  ]),
  // Flushed memtables are given back: without that it was 2.4 GiB.
  {
    workload: 'growth-write-10M',
    metric: 'peakRssBytes',
    atMost: 800 * 2 ** 20,
    aim: 600 * 2 ** 20,
  },
]
