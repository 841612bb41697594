/** A segment as a plain sorted array, made from a seed, and ways to write it and to hold a reader against it. */
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { FLAG_DERIVED, KIND_DELETE, KIND_INSERT, KIND_MERGE } from '../../src/base/entry-kind.ts'
import type { FragmentedRanges } from '../../src/base/range-tombstones.ts'
import type { BlockCache } from '../../src/block/block-cache.ts'
import { runReadsSync } from '../../src/block/read-fully.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { hashKey, KeyHash } from '../../src/block/key-hash.ts'
import { openSteps } from '../../src/segment/opened-segment.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { SegmentWriter, type SegmentWriterOptions } from '../../src/segment/segment-writer.ts'

export interface ModelEntry {
  readonly key: Buffer
  readonly seqno: number
  readonly kind: number
  readonly value: Buffer
  /** Row in the commit table, or NO_COMMIT. */
  readonly commitId: number
}

export interface ModelSegment {
  readonly entries: readonly ModelEntry[]
  readonly commits: CommitTable
}

/** Numbers in [0, n) that depend on nothing but the seed (mulberry32). */
export function randomFrom(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) % n
  }
}

export interface ModelShape {
  readonly entries: number
  /** Different keys to choose from: fewer than entries gives keys many versions. */
  readonly keys: number
  readonly valueBytesMax: number
  readonly keyBytesMax?: number
  readonly order?: 'key' | 'seqno'
  /** Of a hundred entries, so many are no events. */
  readonly derivedPercent?: number
  readonly withMetas?: boolean
  readonly firstSeqno?: number
  readonly seqnoGapMax?: number
}

/** Entries whose keys share prefixes, in the order of the segment. */
export function makeSegment(seed: number, shape: ModelShape): ModelSegment {
  const random = randomFrom(seed)
  const keys: Buffer[] = []
  const prefixes = ['', 'user:', `${'long/'.repeat(60)}`, 'user:00', '\xff\xff']
  for (let i = 0; i < shape.keys; i++) {
    const prefix = Buffer.from(prefixes[random(prefixes.length)]!, 'latin1')
    const rest = Buffer.alloc(1 + random(shape.keyBytesMax ?? 12))
    for (let k = 0; k < rest.length; k++) rest[k] = random(8) === 0 ? random(256) : 97 + random(4)
    keys.push(Buffer.concat([prefix, rest]))
  }
  const commits = new CommitTable()
  const entries: ModelEntry[] = []
  let seqno = shape.firstSeqno ?? 1
  let timeMs = 1_700_000_000_000
  while (entries.length < shape.entries) {
    const size = random(3) === 0 ? 1 + random(40) : 1
    if (random(4) === 0) timeMs += random(2000)
    const meta = shape.withMetas && random(3) === 0 ? Buffer.from(`meta ${random(5)}`) : undefined
    const commitId = commits.add(seqno, size, timeMs, meta)
    for (let i = 0; i < size; i++, seqno++) {
      // Other operations of the commit are in other segments.
      if (random(5) === 0 || entries.length === shape.entries) continue
      const isDerived = random(100) < (shape.derivedPercent ?? 0)
      const kinds = [KIND_INSERT, KIND_INSERT, KIND_INSERT, KIND_MERGE, KIND_DELETE]
      const kind = isDerived ? KIND_INSERT : kinds[random(kinds.length)]!
      const value = Buffer.alloc(kind === KIND_DELETE ? 0 : random(shape.valueBytesMax + 1))
      for (let k = 0; k < value.length; k++) value[k] = k % 7 === 0 ? random(256) : 65 + (k % 26)
      entries.push({
        key: keys[random(keys.length)]!,
        seqno,
        kind: isDerived ? kind | FLAG_DERIVED : kind,
        value,
        commitId: isDerived ? NO_COMMIT : commitId,
      })
    }
    seqno += random(shape.seqnoGapMax ?? 1)
  }
  if (shape.order !== 'seqno') {
    entries.sort((a, b) => Buffer.compare(a.key, b.key) || b.seqno - a.seqno)
  }
  return { entries, commits }
}

export const PLAIN: SegmentWriterOptions = {
  number: 7,
  keyspaceId: 3,
  order: 'key',
  blockBytes: 1024,
  compression: 'none',
  bloomBitsPerKey: 10,
}

export interface WrittenSegment {
  readonly fs: MemoryFileSystem
  readonly path: string
  readonly meta: SegmentMeta
  readonly bytes: Buffer
  /** What the first data block takes in the file; 0 when there is none. */
  readonly firstBlockBytes: number
}

export function writeSegment(
  segment: ModelSegment,
  options: Partial<SegmentWriterOptions> = {},
  ranges?: FragmentedRanges,
): WrittenSegment {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/store')
  const path = '/store/000007.seg'
  const file = fs.create(path)
  const writer = new SegmentWriter(file, { ...PLAIN, ...options })
  for (const { key, seqno, kind, value, commitId } of segment.entries) {
    writer.add(key, 0, key.length, seqno, kind, value, 0, value.length, segment.commits, commitId)
  }
  if (ranges !== undefined) writer.addRangeFragments(ranges)
  const meta = writer.finish()
  file.close()
  const opened = fs.openRead(path)
  const { index } = runReadsSync(opened, openSteps(path, opened.size, meta))
  const firstBlockBytes = index.count === 0 ? 0 : index.storedBytes(0)
  return { fs, path, meta, bytes: Buffer.from(fs.files().get(path)!), firstBlockBytes }
}

export function openSegment(written: WrittenSegment, cache?: BlockCache): SegmentReader {
  return new SegmentReader(written.fs.openRead(written.path), written.meta, cache)
}

export function hashOf(key: Uint8Array): KeyHash {
  const hash = new KeyHash()
  hashKey(key, 0, key.length, hash)
  return hash
}

/** The newest entry of the key that the snapshot sees. */
export function modelFind(
  segment: ModelSegment,
  key: Uint8Array,
  snapshot: number,
): ModelEntry | undefined {
  return segment.entries.find((entry) => entry.key.equals(key) && entry.seqno <= snapshot)
}
