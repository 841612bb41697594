/**
 * How much may wait in memtables, logs and level 0, where the history policy bounds the disk in bytes. Pure.
 *
 * Whoever keeps `maxBytes` of history wants a disk of about that much and a small multiple of the live data. A compaction needs
 * twice the live data (what it reads stays until what it writes is in force). Of the rest of `maxBytes + 2.5 x live` a third
 * is left to history segments and to files that are about to go; the others are what may be *young*: in logs, memtables and
 * level 0. All of that is reckoned from one number:
 *
 * ```
 *   young = 2/3 (maxBytes + live/2)      a memtable    3/32 of it (never more than memtableBytes: the default policy leaves it there)
 *                                        level 0       compacted from 1/3 of it on
 *                                        writers       slower from 2/3 of it on, waiting at all of it
 * ```
 *
 * A policy without `maxBytes` asks for no such bound, and has none. Without history ('none') nothing is gained by leaving old
 * versions where they are: level 0 is compacted once it has a fifth of the live data, so that with the levels above the last
 * one, a tenth, the disk holds at most 1.3 times what is alive.
 */
import type { SegmentMeta } from '../segment/segment-meta.ts'

/** Below it a memtable is not made smaller for the sake of the disk. */
const MEMTABLE_BYTES_MIN = 2 ** 20
const YOUNG_SHARE = 2 / 3
const MEMTABLE_SHARE = 3 / 32
const SLOW_SHARE = 2 / 3
/** Without history, of the live data; and below this part of a memtable level 0 is left to its count. */
const LEVEL0_SHARE = 1 / 5
const LEVEL0_MEMTABLE_SHARE = 1 / 16

export interface SpaceBudget {
  /** Memtables are sealed at this size. */
  readonly memtableBytes: number
  /** Level 0 of all keyspaces together is compacted from here on, however few its segments are. */
  readonly level0Bytes: number
  /** Of young data: writers are slowed down from here on. */
  readonly slowBytes: number
  /** Of young data: no new memtable is begun beyond it. */
  readonly youngBytes: number
}

export function spaceBudget(input: {
  /** False: the policy is 'none'. */
  readonly keepsHistory: boolean
  /** `maxBytes` of the policy. */
  readonly historyBytes: number | undefined
  /** As the user set it. */
  readonly memtableBytes: number
  readonly liveBytes: number
}): SpaceBudget {
  const { keepsHistory, historyBytes, memtableBytes, liveBytes } = input
  if (historyBytes === undefined) {
    const level0Bytes = keepsHistory
      ? Infinity
      : Math.max(liveBytes * LEVEL0_SHARE, memtableBytes * LEVEL0_MEMTABLE_SHARE)
    return { memtableBytes, level0Bytes, slowBytes: Infinity, youngBytes: Infinity }
  }
  const wanted = YOUNG_SHARE * (historyBytes + liveBytes / 2)
  const least = Math.min(memtableBytes, MEMTABLE_BYTES_MIN) / MEMTABLE_SHARE
  const youngBytes = Math.max(wanted, least)
  return {
    memtableBytes: Math.min(memtableBytes, Math.round(youngBytes * MEMTABLE_SHARE)),
    level0Bytes: youngBytes / 3,
    slowBytes: youngBytes * SLOW_SHARE,
    youngBytes,
  }
}

/** How much is young now, against its bound. */
export interface SpaceUse {
  /** Of the keyspaces that compaction may work on. */
  readonly level0Bytes: number
  readonly budget: SpaceBudget
}

/** About what a reader can see: each keyspace's largest level, which the others only cover, and the values in blob files. */
export function liveBytes(files: {
  readonly keyspaces: ReadonlyMap<number, { readonly levelBytes: readonly number[] }>
  readonly blobLiveBytes: ReadonlyMap<number, number>
}): number {
  let bytes = 0
  for (const { levelBytes } of files.keyspaces.values()) {
    bytes += Math.max(0, ...levelBytes.slice(1))
  }
  for (const live of files.blobLiveBytes.values()) bytes += live
  return bytes
}

/** Bytes of level 0 with the blobs that it refers to. */
export function level0Bytes(levels: readonly (readonly SegmentMeta[])[]): number {
  let bytes = 0
  for (const meta of levels[0] ?? []) {
    bytes += meta.bytes
    for (const reference of meta.blobReferences) bytes += reference.bytes
  }
  return bytes
}
