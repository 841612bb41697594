/**
 * A store without a store: operations, flushes and compactions run by hand on a memory file system, and beside it a plain log
 * of what was written. `check` holds everything that the jobs promise against that log.
 */
import { assert } from '../../src/base/assert.ts'
import { compareBytes } from '../../src/base/bytes.ts'
import {
  FLAG_BLOB,
  FLAG_DERIVED,
  FLAG_DROPS_KEYSPACE,
  KIND_DELETE,
  KIND_INSERT,
  KIND_MASK,
  KIND_RANGE_DELETE,
} from '../../src/base/entry-kind.ts'
import { type MergeOperator, mergeOperators } from '../../src/base/merge-operators.ts'
import { BlobReader } from '../../src/blob/blob-reader.ts'
import { decodeBlobReference } from '../../src/block/blob-reference.ts'
import { sparseBlobs } from '../../src/compaction/blob-picker.ts'
import {
  type CompactionOptions,
  compactionOptions,
} from '../../src/compaction/compaction-options.ts'
import type {
  Job,
  JobBase,
  JobResult,
  JobSteps,
  KeyspaceSettings,
} from '../../src/compaction/job.ts'
import { overlapping, spanOf, spanOfAll, spansMeet } from '../../src/compaction/key-span.ts'
import {
  type CompactionPick,
  type KeyspaceSegments,
  pickExpired,
  type PickerInput,
} from '../../src/compaction/picker.ts'
import { startJob } from '../../src/compaction/run-job.ts'
import { blobFileName, joinPath, segmentFileName } from '../../src/env/file-names.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { EntryArena } from '../../src/segment/entry-arena.ts'
import type { BlobFileMeta, SegmentMeta } from '../../src/segment/segment-meta.ts'
import { SegmentReader } from '../../src/segment/segment-reader.ts'
import { encodeCommit, newMemtable, type TestOperation } from '../memtable/commits.ts'

const DIRECTORY = '/store'
export const NEVER: number = Number.MAX_SAFE_INTEGER

export interface LoggedOperation extends TestOperation {
  seqno: number
  commitFirst: number
  commitSize: number
  meta: string | undefined
}

interface LiveEntry {
  key: Buffer
  seqno: number
  kind: number
  value: Buffer
}

interface Place {
  meta: SegmentMeta
  level: number | 'history'
}

export async function runToEnd<T>(steps: JobSteps<T>): Promise<T> {
  let step = steps.next()
  while (step.done !== true) {
    try {
      await step.value
    } catch (error) {
      step = steps.throw(error)
      continue
    }
    step = steps.next()
  }
  return step.value
}

export class TinyTree {
  readonly fs: MemoryFileSystem = new MemoryFileSystem()
  readonly log: LoggedOperation[] = []
  readonly blobs: Map<number, BlobFileMeta> = new Map()
  readonly settings: KeyspaceSettings[]
  readonly options: CompactionOptions
  operators: Map<string, MergeOperator> = new Map(Object.entries(mergeOperators))
  snapshots: number[] = []
  dropFloor = 1
  bands: number[] = []
  /** Whether compactions may take inputs over whole. */
  mayTakeOver = true
  dropped: Set<number> = new Set()
  #places: Place[] = []
  #nextNumber = 1
  #flushed = 0
  historyBufferBytes = 4096

  constructor(settings: readonly Partial<KeyspaceSettings>[], segmentBytes: number = 16 * 1024) {
    this.fs.makeDirectory(DIRECTORY)
    this.settings = settings.map((given, i) => ({
      id: i + 1,
      blobThresholdBytes: Infinity,
      compression: 'none',
      bloomBitsPerKey: 10,
      blockBytes: 512,
      ...given,
    }))
    this.options = compactionOptions({ segmentBytes, memtableBytes: segmentBytes })
  }

  get latest(): number {
    return this.log.length
  }

  get segments(): readonly Place[] {
    return this.#places
  }

  write(operations: readonly TestOperation[], meta?: string): void {
    const first = this.latest + 1
    for (const operation of operations) {
      this.log.push({
        ...operation,
        seqno: this.latest + 1,
        commitFirst: first,
        commitSize: operations.length,
        meta,
      })
    }
  }

  files(keyspaceId: number): KeyspaceSegments {
    const mine = this.#places.filter(({ meta }) => meta.keyspaceId === keyspaceId)
    const levels: SegmentMeta[][] = Array.from({ length: 7 }, () => [])
    const history: SegmentMeta[] = []
    for (const { meta, level } of mine) (level === 'history' ? history : levels[level]!).push(meta)
    levels.forEach((level, i) => {
      level.sort((a, b) => (i === 0 ? b.maxSeqno - a.maxSeqno : byLower(a, b)))
    })
    history.sort((a, b) => a.minEventSeqno - b.minEventSeqno)
    return { levels, history }
  }

  pickerInput(): PickerInput {
    return {
      keyspaces: this.settings
        .filter(({ id }) => !this.dropped.has(id))
        .map(({ id }) => ({ id, files: this.files(id) })),
      blobs: this.blobs,
      busy: new Set(),
      snapshots: this.snapshots,
      bands: this.bands,
      level0Bytes: Infinity,
      options: this.options,
    }
  }

  base(): JobBase {
    const firstFileNumber = this.#nextNumber
    this.#nextNumber += 100_000
    return {
      directory: DIRECTORY,
      firstFileNumber,
      fileNumberCount: 100_000,
      dropFloor: this.dropFloor,
      snapshots: [...this.snapshots],
      bands: this.bands,
      segmentBytes: this.options.segmentBytes,
      keyspaces: this.settings,
    }
  }

  flushJob(): Job {
    const memtable = newMemtable({ firstSeqno: this.#flushed + 1 })
    let at = this.#flushed
    while (at < this.log.length) {
      const { commitSize, meta } = this.log[at]!
      const record = encodeCommit(
        at + 1,
        this.log.slice(at, at + commitSize),
        meta === undefined ? {} : { meta: Buffer.from(meta) },
      )
      memtable.publish(memtable.append(record, 0, record.length))
      at += commitSize
    }
    memtable.seal()
    return { ...this.base(), type: 'flush', memtable: memtable.toParts() }
  }

  async flush(): Promise<JobResult> {
    const job = this.flushJob()
    const result = await this.run(job)
    for (const operation of this.log.slice(this.#flushed)) {
      if ((operation.kind & FLAG_DROPS_KEYSPACE) === 0) continue
      this.dropped.add(operation.keyspaceId)
      for (const place of this.#places) {
        if (place.meta.keyspaceId === operation.keyspaceId) place.level = 'history'
      }
    }
    this.#flushed = this.log.length
    this.apply(result)
    return result
  }

  compactJob(pick: Extract<CompactionPick, { type: 'compact' | 'merge-history' }>): Job {
    const { keyspaceId } = pick
    if (pick.type === 'merge-history') {
      return { ...this.base(), type: 'merge-history', keyspaceId, inputs: pick.inputs }
    }
    const span = spanOfAll([...pick.upper, ...pick.lower])
    return {
      ...this.base(),
      type: 'compact',
      keyspaceId,
      level: pick.level,
      outputLevel: pick.outputLevel,
      upper: pick.upper,
      lower: pick.lower,
      deeper: this.files(keyspaceId)
        .levels.slice(pick.outputLevel + 1)
        .map((level) => overlapping(level, span)),
      overlapBytesMax: this.options.overlapBytesMax,
      rewriteBlobFiles: [...sparseBlobs(this.pickerInput())],
      mayTakeOver: this.mayTakeOver,
    }
  }

  async carryOut(pick: CompactionPick): Promise<JobResult | undefined> {
    if (pick.type === 'move') {
      const moved = new Set(pick.segments.map(({ number }) => number))
      for (const place of this.#places) {
        if (moved.has(place.meta.number)) place.level = pick.outputLevel
      }
      return undefined
    }
    const result = await this.run(this.compactJob(pick))
    this.apply(result)
    return result
  }

  /** Everything of level 0 to the last level, whatever the picker thinks. */
  compactAll(keyspaceId = 1): Promise<JobResult | undefined> {
    const { levels } = this.files(keyspaceId)
    return this.carryOut({
      type: 'compact',
      keyspaceId,
      level: 0,
      outputLevel: 6,
      upper: levels[0]!,
      lower: levels[6]!,
      reason: 'manual',
    })
  }

  expire(): void {
    const { segments } = pickExpired({
      ...this.pickerInput(),
      keyspaces: this.settings.map(({ id }) => ({ id, files: this.files(id) })),
      dropFloor: this.dropFloor,
    })
    this.#remove(new Set(segments.map(({ number }) => number)))
  }

  run(job: Job): Promise<JobResult> {
    return runToEnd(
      startJob(job, {
        fs: this.fs,
        operators: this.operators,
        historyBufferBytes: this.historyBufferBytes,
        readAheadBytes: 4096,
      }),
    )
  }

  apply(result: JobResult): void {
    this.#remove(new Set(result.removed))
    for (const { meta, level } of result.added) this.#places.push({ meta, level })
    for (const meta of result.blobs) this.blobs.set(meta.number, meta)
    const referenced = new Set(
      this.#places.flatMap(({ meta }) => meta.blobReferences.map(({ file }) => file)),
    )
    for (const number of this.blobs.keys()) {
      if (referenced.has(number)) continue
      this.blobs.delete(number)
      this.fs.remove(joinPath(DIRECTORY, blobFileName(number)))
    }
  }

  #remove(numbers: ReadonlySet<number>): void {
    for (const number of numbers) this.fs.remove(joinPath(DIRECTORY, segmentFileName(number)))
    this.#places = this.#places.filter(({ meta }) => !numbers.has(meta.number))
  }

  reader(meta: SegmentMeta): SegmentReader {
    const path = joinPath(DIRECTORY, segmentFileName(meta.number))
    return new SegmentReader(this.fs.openRead(path), meta, undefined)
  }

  #value(kind: number, value: Buffer): Buffer {
    if ((kind & FLAG_BLOB) === 0) return value
    const location = decodeBlobReference(value, 0, value.length)
    assert(location !== undefined, 'a reference')
    assert(this.blobs.has(location.file), `blob file ${location.file} is known`)
    const path = joinPath(DIRECTORY, blobFileName(location.file))
    const reader = new BlobReader(this.fs.openRead(path), location.file)
    const read = Buffer.from(reader.readSync(location))
    reader.close()
    return read
  }

  /** Every entry of a segment, in its order. */
  entries(meta: SegmentMeta): LiveEntry[] {
    const iterator = this.reader(meta).iterator({ mayRead: true })
    const entries: LiveEntry[] = []
    for (iterator.seekToFirst(); iterator.valid; iterator.next()) {
      entries.push({
        key: Buffer.from(iterator.keyBytes.subarray(iterator.keyStart, iterator.keyEnd)),
        seqno: iterator.seqno,
        kind: iterator.kind,
        value: Buffer.from(iterator.valueBytes.subarray(iterator.valueStart, iterator.valueEnd)),
      })
    }
    iterator.close()
    return entries
  }

  /** All keys with their values as a reader at the snapshot sees them in the segments. */
  state(keyspaceId: number, snapshot: number): Map<string, string> {
    const live = this.#places.filter(
      ({ meta, level }) => meta.keyspaceId === keyspaceId && level !== 'history',
    )
    const ranges = live.map(({ meta }) => this.reader(meta).ranges)
    const byKey = new Map<string, LiveEntry[]>()
    for (const { meta } of live) {
      for (const entry of this.entries(meta)) {
        const text = entry.key.toString('latin1')
        const list = byKey.get(text)
        if (list === undefined) byKey.set(text, [entry])
        else list.push(entry)
      }
    }
    const state = new Map<string, string>()
    for (const [text, versions] of byKey) {
      versions.sort((a, b) => b.seqno - a.seqno)
      const key = Buffer.from(text, 'latin1')
      const cover = Math.max(0, ...ranges.map((r) => r.coveringSeqno(key, 0, key.length, snapshot)))
      const seen = versions.filter(({ seqno }) => seqno <= snapshot && seqno > cover)
      const value = this.#fold(keyspaceId, key, seen)
      if (value !== undefined) state.set(text, value)
    }
    return state
  }

  #fold(keyspaceId: number, key: Buffer, newestFirst: LiveEntry[]): string | undefined {
    const operands: Buffer[] = []
    let base: Buffer | undefined
    let isFound = false
    for (const { kind, value } of newestFirst) {
      const bare = kind & KIND_MASK
      if (bare === KIND_DELETE) break
      isFound = true
      if (bare === KIND_INSERT) {
        base = this.#value(kind, value)
        break
      }
      operands.unshift(this.#value(kind, value))
    }
    if (!isFound) return undefined
    if (operands.length === 0) return base!.toString('latin1')
    const name = this.settings.find(({ id }) => id === keyspaceId)!.mergeOperator
    return this.operators.get(name!)!.merge(key, base, operands).toString('latin1')
  }

  /** The same from the log alone. */
  expectedState(keyspaceId: number, snapshot: number): Map<string, string> {
    const state = new Map<string, string>()
    const name = this.settings.find(({ id }) => id === keyspaceId)!.mergeOperator
    const upTo = Math.min(snapshot, this.#flushed)
    for (const { key, kind, value, keyspaceId: id } of this.log.slice(0, upTo)) {
      if (id !== keyspaceId) continue
      const text = key.toString('latin1')
      const bare = kind & KIND_MASK
      if (bare === KIND_INSERT) state.set(text, value.toString('latin1'))
      else if (bare === KIND_DELETE) state.delete(text)
      else if (bare === KIND_RANGE_DELETE) {
        const end = value.toString('latin1')
        for (const k of state.keys()) {
          if (k >= text && (value.length === 0 || k < end)) state.delete(k)
        }
      } else {
        const base = state.get(text)
        const operator = this.operators.get(name!)!
        const before = base === undefined ? undefined : Buffer.from(base, 'latin1')
        state.set(text, operator.merge(key, before, [value]).toString('latin1'))
      }
    }
    return state
  }

  /** Every event of every change index, as text, by seqno. Throws when one stands twice. */
  async events(): Promise<Map<number, string>> {
    const events = new Map<number, string>()
    for (const { meta } of this.#places) {
      const reader = this.reader(meta)
      const run = await reader.events(1, NEVER, 1_000_000)
      assert(run.count === meta.events, 'the meta counts the events')
      const arena = new EntryArena({ limitBytes: 1 << 26 })
      const ordinals = run.ordinals.slice().sort()
      if (run.count > 0) await reader.gather(ordinals, run.count, arena)
      const rows = new Map(Array.from({ length: arena.count }, (_, i) => [arena.seqno[i]!, i]))
      for (let i = 0; i < run.count; i++) {
        const seqno = run.seqnos[i]!
        const row = rows.get(seqno)!
        const kind = arena.kind[row]!
        assert((kind & FLAG_DERIVED) === 0, 'a derived entry is no event')
        const key = Buffer.from(arena.bytes.subarray(arena.keyStart[row]!, arena.keyEnd[row]!))
        const stored = arena.bytes.subarray(arena.valueStart[row]!, arena.valueEnd[row]!)
        const value = this.#value(kind, Buffer.from(stored))
        const id = run.commitIds[i]!
        const { commits } = run
        assert(!events.has(seqno) || seqno < this.dropFloor, `event ${seqno} stands once`)
        events.set(
          seqno,
          describe({
            keyspaceId: meta.keyspaceId,
            kind: kind & ~FLAG_BLOB,
            key,
            value,
            seqno,
            commitFirst: commits.first[id]!,
            commitSize: commits.size[id]!,
            meta: commits.meta(id)?.toString(),
          }),
        )
      }
    }
    return events
  }

  /** Throws when anything that the jobs promise does not hold. */
  async check(): Promise<void> {
    for (const { id } of this.settings) {
      if (this.dropped.has(id)) continue
      for (const snapshot of [...this.snapshots, NEVER]) {
        const found = this.state(id, snapshot)
        const expected = this.expectedState(id, snapshot)
        sameMaps(found, expected, `keyspace ${id} at ${snapshot}`)
      }
      this.#checkLevels(id)
    }
    const events = await this.events()
    for (const operation of this.log.slice(this.dropFloor - 1, this.#flushed)) {
      const found = events.get(operation.seqno)
      const expected = describe(operation)
      assert(found === expected, `event ${operation.seqno}: ${found} instead of ${expected}`)
    }
    const known = this.#places.length + this.blobs.size
    assert(this.fs.list(DIRECTORY).length === known, 'no file is left behind')
  }

  #checkLevels(id: number): void {
    const { levels, history } = this.files(id)
    levels.forEach((level, i) => {
      for (let k = 1; k < level.length; k++) {
        const [a, b] = [level[k - 1]!, level[k]!]
        if (i === 0) assert(a.minSeqno > b.maxSeqno, 'level 0: disjoint seqnos')
        else assert(!spansMeet(spanOf(a), spanOf(b)), `level ${i}: disjoint keys`)
      }
    })
    for (const meta of history) {
      assert(meta.rangeFragments === 0 && meta.heldEntries === 0, 'history has only events')
    }
    for (const meta of [...levels.flat(), ...history]) {
      const entries = this.entries(meta)
      assert(entries.length === meta.entries, 'entries')
      const tombstones = entries.filter(({ kind }) => (kind & KIND_MASK) === KIND_DELETE).length
      assert(tombstones === meta.pointTombstones, 'tombstones')
      if (meta.order === 'seqno') assert(entries.length === meta.events, 'history: all events')
    }
  }
}

function byLower(a: SegmentMeta, b: SegmentMeta): number {
  const x = spanOf(a)!.lower
  const y = spanOf(b)!.lower
  return compareBytes(x, 0, x.length, y, 0, y.length)
}

function describe(o: LoggedOperation): string {
  const value =
    o.value.length > 40 ? `${o.value.length}#${o.value.toString('latin1', 0, 8)}` : String(o.value)
  return `${o.seqno} in ${o.keyspaceId}: ${o.kind} ${o.key.toString()}=${value} commit ${o.commitFirst}+${o.commitSize} ${o.meta ?? ''}`
}

function sameMaps(found: Map<string, string>, expected: Map<string, string>, where: string): void {
  for (const [key, value] of expected) {
    assert(found.get(key) === value, `${where}: ${key} is ${found.get(key)}, must be ${value}`)
  }
  for (const key of found.keys()) assert(expected.has(key), `${where}: ${key} must not be there`)
}
