/**
 * A whole ReadView from a history of operations: the oldest go to deep levels, then to L0, sealed memtables and the active
 * one, as flushes and compactions that kept every version would have left them. With the naive answer beside it.
 */
import { FLAG_BLOB, KIND_DELETE, KIND_INSERT, KIND_MERGE } from '../../src/base/entry-kind.ts'
import { CommitTable, NO_COMMIT } from '../../src/base/commit-table.ts'
import { FragmentedRanges, type RangeTombstone } from '../../src/base/range-tombstones.ts'
import {
  BLOB_REFERENCE_BYTES_MAX,
  type BlobLocation,
  encodeBlobReference,
} from '../../src/block/blob-reference.ts'
import { BlockCache } from '../../src/block/block-cache.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import type { Memtable } from '../../src/memtable/memtable.ts'
import { ReadScratch } from '../../src/read/read-scratch.ts'
import type { ReadView } from '../../src/read/read-view.ts'
import type { SegmentCache } from '../../src/segment/segment-cache.ts'
import type { SegmentMeta } from '../../src/segment/segment-meta.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { SegmentWriter } from '../../src/segment/segment-writer.ts'
import { NO_FILES, type Version } from '../../src/version/version.ts'
import { commit, merge, newMemtable, put, remove, removeRange } from '../memtable/commits.ts'

export interface Step {
  readonly type: 'put' | 'merge' | 'delete' | 'deleteRange'
  readonly key: string
  /** Value or operand; end of a range, undefined for none. */
  readonly value?: string | undefined
}

/** Where a stretch of the history lies, from the oldest on: at most one of each deep level, descending. */
export type Place = 6 | 5 | 1 | 'L0' | 'sealed' | 'active'
export interface Stretch {
  readonly place: Place
  readonly steps: readonly Step[]
}

export const KEYSPACE = 7
/** Values of so many characters go to a blob file in segments. */
export const BLOB_MIN = 40

interface Entry {
  readonly key: Buffer
  readonly seqno: number
  readonly kind: number
  readonly value: Buffer
}

export class TestView implements ReadView {
  readonly scratch: ReadScratch = new ReadScratch()
  readonly fs: MemoryFileSystem = new MemoryFileSystem()
  readonly cache: BlockCache
  readonly files = { isDiskFast: true, isClosed: false }
  readonly memtables: readonly Memtable[]
  readonly version: Version
  readonly segments: SegmentCache
  readonly latest: number
  pins = 0
  blobReads = 0
  /** Fails reads of blobs. */
  blobError: Error | undefined = undefined
  readonly #readers = new Map<number, SegmentReader>()
  readonly #blobs: Buffer[] = []
  readonly #openSnapshots: readonly number[]
  #nextNumber = 1

  constructor(
    stretches: readonly Stretch[],
    options: { cacheBytes?: number; openSnapshots?: readonly number[] } = {},
  ) {
    this.cache = new BlockCache({ capacityBytes: options.cacheBytes ?? 1 << 20 })
    this.#openSnapshots = options.openSnapshots ?? []
    const memtables: Memtable[] = []
    const levels: SegmentMeta[][] = NO_FILES.levels.map(() => [])
    let next = 1
    for (const { place, steps } of stretches) {
      if (place === 'sealed' || place === 'active') {
        const memtable = newMemtable({
          firstSeqno: next,
          openSnapshots: () => this.#openSnapshots,
        })
        for (const step of steps) commit(memtable, [operationOf(step)])
        memtables.unshift(memtable)
      } else {
        const metas = this.#writeSegments(place, steps, next)
        levels[place === 'L0' ? 0 : place]!.unshift(...metas)
      }
      next += steps.length
    }
    this.latest = next - 1
    this.memtables = memtables
    const files = { ...NO_FILES, levels }
    const version = {
      files: (id: number) => (id === KEYSPACE ? files : NO_FILES),
      acquire: () => {
        this.pins++
      },
      release: () => {
        this.pins--
      },
    }
    this.version = version as unknown as Version
    const segments = {
      reader: (meta: SegmentMeta) => this.#readers.get(meta.number)!,
      blob: () => ({
        read: async (at: BlobLocation) => this.#readBlob(at),
        readSync: (at: BlobLocation) => this.#readBlob(at),
      }),
    }
    this.segments = segments as unknown as SegmentCache
  }

  #readBlob({ offset }: BlobLocation): Buffer {
    this.blobReads++
    if (this.blobError !== undefined) throw this.blobError
    return Buffer.from(this.#blobs[offset]!)
  }

  #writeSegments(place: Place, steps: readonly Step[], firstSeqno: number): SegmentMeta[] {
    const entries: Entry[] = []
    const tombstones: RangeTombstone[] = []
    for (const [i, step] of steps.entries()) {
      const seqno = firstSeqno + i
      if (step.type !== 'deleteRange') entries.push(this.#entryOf(step, seqno))
      else {
        const end = step.value === undefined ? undefined : Buffer.from(step.value)
        tombstones.push({ start: Buffer.from(step.key), end, seqno })
      }
    }
    entries.sort((a, b) => Buffer.compare(a.key, b.key) || b.seqno - a.seqno)
    const all = steps.map((_, i) => firstSeqno + i)
    const ranges = FragmentedRanges.build(tombstones, all)
    // Deeper levels are cut now and then, never between versions of one key.
    const cuts: Buffer[] = []
    if (place !== 'L0') {
      for (let i = 5; i < entries.length; i += 5) {
        const { key } = entries[i]!
        if (cuts.length === 0 || !cuts[cuts.length - 1]!.equals(key)) cuts.push(key)
      }
    }
    const metas: SegmentMeta[] = []
    for (let i = 0; i <= cuts.length; i++) {
      const [lower, upper] = [cuts[i - 1], cuts[i]]
      const inside = entries.filter(({ key }) => isWithin(key, lower, upper))
      const clipped = ranges.clip(lower, upper)
      if (inside.length > 0 || clipped.count > 0) metas.push(this.#write(inside, clipped))
    }
    return metas
  }

  #write(entries: readonly Entry[], ranges: FragmentedRanges): SegmentMeta {
    const number = this.#nextNumber++
    const path = `${number}.seg`
    const file = this.fs.create(path)
    const writer = new SegmentWriter(file, {
      number,
      keyspaceId: KEYSPACE,
      order: 'key',
      blockBytes: 512,
      compression: 'none',
      bloomBitsPerKey: 10,
    })
    const commits = new CommitTable()
    for (const { key, seqno, kind, value } of entries) {
      writer.add(key, 0, key.length, seqno, kind, value, 0, value.length, commits, NO_COMMIT)
    }
    if (ranges.count > 0) writer.addRangeFragments(ranges)
    const meta = writer.finish()
    file.close()
    this.#readers.set(number, new SegmentReader(this.fs.openRead(path), meta, this.cache))
    return meta
  }

  #entryOf(step: Step, seqno: number): Entry {
    const key = Buffer.from(step.key)
    const value = Buffer.from(step.value ?? '')
    const kind =
      step.type === 'put' ? KIND_INSERT : step.type === 'merge' ? KIND_MERGE : KIND_DELETE
    if (value.length < BLOB_MIN) return { key, seqno, kind, value }
    const target = Buffer.alloc(BLOB_REFERENCE_BYTES_MAX)
    const location = { file: 1, offset: this.#blobs.length, length: value.length }
    const end = encodeBlobReference(target, 0, location)
    this.#blobs.push(value)
    return { key, seqno, kind: kind | FLAG_BLOB, value: target.subarray(0, end) }
  }
}

function operationOf({ type, key, value }: Step): ReturnType<typeof put> {
  if (type === 'put') return put(key, value!, KEYSPACE)
  if (type === 'merge') return merge(key, value!, KEYSPACE)
  if (type === 'delete') return remove(key, KEYSPACE)
  return removeRange(key, value, KEYSPACE)
}

function isWithin(key: Buffer, lower: Buffer | undefined, upper: Buffer | undefined): boolean {
  return (
    (lower === undefined || Buffer.compare(key, lower) >= 0) &&
    (upper === undefined || Buffer.compare(key, upper) < 0)
  )
}

/** The state after the first `snapshot` steps, sorted. Operands are concatenated. */
export function naiveState(stretches: readonly Stretch[], snapshot: number): [string, string][] {
  const state = new Map<string, string>()
  for (const { type, key, value } of stretches.flatMap((s) => s.steps).slice(0, snapshot)) {
    if (type === 'put') state.set(key, value!)
    else if (type === 'merge') state.set(key, (state.get(key) ?? '') + value!)
    else if (type === 'delete') state.delete(key)
    else
      for (const k of state.keys())
        if (k >= key && (value === undefined || k < value)) state.delete(k)
  }
  return [...state.entries()].sort(([a], [b]) => (a < b ? -1 : 1))
}
