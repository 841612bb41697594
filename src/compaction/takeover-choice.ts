/**
 * Which inputs of a compaction become history as they stand (takeover.ts), decided before it begins.
 *
 * Worth it is a segment of level 0 of which nearly everything is superseded by newer ones of the same job: then it takes a copy
 * of its bytes, instead of putting all of its entries into the order of seqnos one by one. How much that is a sample says: the
 * keys of a few blocks, asked of the filters of the newer segments. Where it is mistaken, a few entries more stand twice, in
 * history and as derived entries in the live tree; nothing else depends on it.
 *
 * What history promises has to hold for all of the segment (`mayBecomeHistory`): that every event in it is at or above the drop
 * floor, that it lies in one band, and that it is not small, as history in key order is never merged.
 */
import { blockEntries } from '../block/block-entries.ts'
import { BLOCK_TRAILER_BYTES } from '../block/block-format.ts'
import { readFullySync, runReadsSync } from '../block/read-fully.ts'
import { hashKey, KeyHash } from '../block/key-hash.ts'
import type { ReadableFile } from '../env/file-system.ts'
import { BlockSource } from '../segment/block-source.ts'
import type { BloomFilter } from '../segment/bloom-filter.ts'
import { filterSteps, openSteps } from '../segment/opened-segment.ts'
import type { SegmentMeta } from '../segment/segment-meta.ts'
import { bandOf } from './history-picker.ts'
import type { InputSegments } from './input-segments.ts'
import type { CompactJob, JobSteps } from './job.ts'

/** A segment with less than this part of `segmentBytes` is not taken over: a band would fill with small files. */
const PART_OF_SEGMENT = 8
/** Of its entries at most so many, one in, are derived: they would be dead weight in history. */
const DERIVED_ONE_IN = 8
/** At most so many, one in, survive as far as the sample tells. */
const SURVIVING_ONE_IN = 8
/** The sample: of so many blocks, spread evenly, the first so many keys. Nothing has compiled yet what looks at them. */
const SAMPLE_BLOCKS = 64
const SAMPLE_KEYS_PER_BLOCK = 4

/** Inputs to take over, oldest first. `snapshots`: those that see some of the inputs but not all. */
export function* chooseTakeovers(
  job: CompactJob,
  inputs: InputSegments,
  snapshots: readonly number[],
): JobSteps<readonly SegmentMeta[]> {
  if (!job.mayTakeOver || job.level !== 0 || snapshots.length > 0) return []
  const newestFirst = job.upper.toSorted((a, b) => b.maxSeqno - a.maxSeqno)
  const chosen: SegmentMeta[] = []
  const filters: BloomFilter[] = []
  let filtered = 0
  for (const [at, meta] of newestFirst.entries()) {
    if (at === 0 || !mayBecomeHistory(job, meta)) continue
    for (; filtered < at; filtered++) {
      const filter = withFile(inputs, newestFirst[filtered]!, readFilter)
      if (filter !== undefined) filters.push(filter)
    }
    if (withFile(inputs, meta, (file) => isSuperseded(file, meta, filters))) chosen.unshift(meta)
    yield undefined
  }
  return chosen
}

/** Whether all that history promises holds for the segment, whatever is superseded. */
export function mayBecomeHistory(job: CompactJob, meta: SegmentMeta): boolean {
  return (
    meta.events > 0 &&
    meta.events + meta.derivedEntries === meta.entries &&
    meta.minEventSeqno >= job.dropFloor &&
    meta.derivedEntries * DERIVED_ONE_IN <= meta.entries &&
    meta.rangeFragments === 0 &&
    meta.blobReferences.length === 0 &&
    meta.bytes * PART_OF_SEGMENT >= job.segmentBytes &&
    bandOf(job.bands, meta.minEventSeqno) === bandOf(job.bands, meta.maxEventSeqno)
  )
}

function withFile<T>(
  inputs: InputSegments,
  meta: SegmentMeta,
  use: (file: ReadableFile, meta: SegmentMeta) => T,
): T {
  const file = inputs.openFile(meta)
  try {
    return use(file, meta)
  } finally {
    file.close()
  }
}

function readFilter(file: ReadableFile, meta: SegmentMeta): BloomFilter | undefined {
  const { footer } = runReadsSync(file, openSteps(file.path, file.size, meta))
  return runReadsSync(file, filterSteps(file.path, footer))
}

/** Whether of a sample of its keys nearly all are in one of the filters. */
function isSuperseded(
  file: ReadableFile,
  meta: SegmentMeta,
  filters: readonly BloomFilter[],
): boolean {
  if (filters.length === 0) return false
  const { index } = runReadsSync(file, openSteps(file.path, file.size, meta))
  const source = new BlockSource(index, { path: file.path, number: meta.number })
  const sampled = Math.min(SAMPLE_BLOCKS, index.count)
  const hash = new KeyHash()
  let keys = 0
  let surviving = 0
  for (let i = 0; i < sampled; i++) {
    const block = readBlock(file, source, Math.floor((i * index.count) / sampled))
    for (const { key, slot } of blockEntries(block, 0, block.length)) {
      if (slot === SAMPLE_KEYS_PER_BLOCK) break
      hashKey(key, 0, key.length, hash)
      keys++
      if (!filters.some((filter) => filter.mayContain(hash))) surviving++
    }
  }
  return surviving * SURVIVING_ONE_IN <= keys
}

/** The block, checked, decompressed and without its trailer. */
function readBlock(file: ReadableFile, source: BlockSource, block: number): Uint8Array {
  const { index } = source
  index.check(block)
  const stored = Buffer.allocUnsafeSlow(index.storedBytes(block))
  readFullySync(file, stored, 0, stored.length, index.positions[block]!)
  if (source.isPlain(block)) {
    source.check(stored, 0, block)
    return stored.subarray(0, stored.length - BLOCK_TRAILER_BYTES)
  }
  const raw = Buffer.allocUnsafeSlow(index.rawBytes(block))
  source.unpack(stored, 0, block, raw, 0)
  return raw
}
