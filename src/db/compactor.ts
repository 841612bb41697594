/**
 * Runs what the picker proposes, and `compact()`: plans the job at the moment it starts, turns its result into one edit.
 */
import { settled } from '../base/settled.ts'
import { sparseBlobs } from '../compaction/blob-picker.ts'
import type { CompactionOptions } from '../compaction/compaction-options.ts'
import type { Job, JobResult } from '../compaction/job.ts'
import { overlapping, spanOfAll, totalBytes } from '../compaction/key-span.ts'
import { planManualCompaction } from '../compaction/manual-compaction.ts'
import {
  type CompactionPick,
  type CompactPick,
  type MovePick,
  pendingCompactionBytes,
  pickCompaction,
  pickExpired,
  type PickerInput,
  type WritePressure,
  writePressure,
} from '../compaction/picker.ts'
import { level0Bytes, type SpaceBudget, type SpaceUse } from '../compaction/space-budget.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Version } from '../version/version.ts'
import type { VersionSet } from '../version/version-set.ts'
import type { DecodedCompactRange } from './compact-range.ts'
import type { FloorKeeper } from './floor-keeper.ts'
import type { JobPlanner } from './job-planner.ts'
import {
  type KeyspaceDirectory,
  type KeyspaceState,
  keyspaceNotFound,
} from './keyspace-directory.ts'
import type { StoreEmitter } from './store-events.ts'

export interface CompactorOptions {
  readonly directory: string
  readonly fs: FileSystem
  readonly versions: VersionSet
  readonly floors: FloorKeeper
  readonly planner: JobPlanner
  readonly keyspaces: KeyspaceDirectory
  readonly events: StoreEmitter
  readonly tuning: CompactionOptions
  /** What a version may take on the disk. */
  readonly space: (version: Version) => SpaceBudget
  readonly monotonicMs: () => number
  readonly snapshots: () => readonly number[]
  readonly nextFileNumber: () => number
  /** A keyspace of which nothing is left, not even history. */
  readonly onForgotten: (keyspaceId: number) => void
  /** Resolves when files that nothing can reach any more are gone from the disk. */
  readonly filesGone: () => Promise<void>
  readonly onCompacted: (bytes: { read: number; written: number }) => void
  readonly ensureOpen: () => void
}

export class Compactor {
  readonly #options: CompactorOptions
  readonly #busy = new Set<number>()
  #running: { readonly keyspaceId: number; readonly ended: Promise<unknown> } | undefined

  constructor(options: CompactorOptions) {
    this.#options = options
  }

  pressure(): WritePressure {
    return writePressure(this.#compactable(), this.#options.tuning)
  }

  spaceUse(): SpaceUse {
    let bytes = 0
    for (const { files } of this.#compactable()) bytes += level0Bytes(files.levels)
    return { level0Bytes: bytes, budget: this.#options.space(this.#options.versions.current) }
  }

  pendingBytes(): number {
    return pendingCompactionBytes(this.#input())
  }

  /** Does the most useful thing there is to do; false when there is nothing. */
  async runOnce(): Promise<boolean> {
    await this.#options.floors.raise()
    if (await this.#expire()) return true
    const pick = pickCompaction(this.#input())
    if (pick === undefined) return false
    await this.#run(pick)
    return true
  }

  /** `compact()`: everything in the range down to the last level. Automatic compaction must be paused. */
  async compactRange(range: DecodedCompactRange): Promise<void> {
    const { keyspaces, versions } = this.#options
    const startedAt = this.#options.nextFileNumber()
    await this.#options.floors.raise()
    for (const keyspace of this.#chosen(range, keyspaces)) {
      for (;;) {
        this.#options.ensureOpen()
        if (keyspace.isDropped) break
        const step = planManualCompaction({
          ...this.#input(),
          keyspaceId: keyspace.id,
          files: versions.current.files(keyspace.id),
          range,
          startedAt,
        })
        if (step === undefined) break
        if (step === 'wait') await this.#running?.ended
        else await this.#run(step)
      }
    }
    while (await this.#expire());
  }

  /** Resolves when no job works on the keyspace. */
  async ended(keyspaceId: number): Promise<void> {
    while (this.#running?.keyspaceId === keyspaceId) {
      await this.#running.ended
    }
  }

  #chosen(range: DecodedCompactRange, keyspaces: KeyspaceDirectory): KeyspaceState[] {
    if (range.keyspace === undefined) return keyspaces.all()
    const keyspace = keyspaces.named(range.keyspace)
    if (keyspace === undefined) throw keyspaceNotFound(range.keyspace)
    return [keyspace]
  }

  #keyspaces(version: Version): PickerInput['keyspaces'] {
    const list: { id: number; files: PickerInput['keyspaces'][number]['files'] }[] = []
    for (const [id, files] of version.keyspaces) list.push({ id, files })
    return list
  }

  /**
   * Without dropped keyspaces that have live segments: these wait for their flush to become history, and no job may hold them
   * then. So no writer may be made to wait for them either.
   */
  #compactable(): PickerInput['keyspaces'] {
    const { versions, keyspaces } = this.#options
    return this.#keyspaces(versions.current).filter(({ id, files }) => {
      return (
        keyspaces.byId(id)?.isDropped !== true || files.levels.every(({ length }) => length === 0)
      )
    })
  }

  #input(): PickerInput {
    const { versions, snapshots, floors, tuning } = this.#options
    const version = versions.current
    return {
      keyspaces: this.#compactable(),
      blobs: version.blobs,
      busy: this.#busy,
      snapshots: snapshots(),
      bands: floors.bands(),
      level0Bytes: this.#options.space(version).level0Bytes,
      options: tuning,
    }
  }

  /** Takes away history below the drop floor, whole files at a time, and keyspaces of which nothing is left. */
  async #expire(): Promise<boolean> {
    const { versions, floors, onForgotten } = this.#options
    const version = versions.current
    const { segments, blobs } = pickExpired({
      keyspaces: this.#keyspaces(version),
      blobs: version.blobs,
      busy: this.#busy,
      dropFloor: floors.dropFloor,
    })
    const expired = new Set(segments.map(({ number }) => number))
    const forgotten = version.state.keyspaces.filter(({ id, droppedAt }) => {
      if (droppedAt === undefined || droppedAt > version.state.lastFlushedSeqno) return false
      const files = version.files(id)
      return (
        files.levels.every(({ length }) => length === 0) &&
        files.history.every(({ number }) => expired.has(number))
      )
    })
    if (segments.length + forgotten.length === 0) return false
    const unreferenced = blobs.filter((number) => version.blobLiveBytes.get(number) === undefined)
    await versions.apply({
      removals: [...expired],
      blobRemovals: unreferenced,
      state: { forgottenKeyspaces: forgotten.map(({ id }) => id) },
    })
    for (const { id } of forgotten) onForgotten(id)
    return true
  }

  async #run(pick: CompactionPick): Promise<void> {
    const ended = pick.type === 'move' ? this.#move(pick) : this.#runJob(pick)
    const running = { keyspaceId: pick.keyspaceId, ended: settled(ended) }
    this.#running = running
    try {
      await ended
    } finally {
      if (this.#running === running) this.#running = undefined
    }
  }

  async #move(pick: MovePick): Promise<void> {
    await this.#options.versions.apply({
      moves: pick.segments.map(({ number }) => ({ number, level: pick.outputLevel })),
    })
  }

  async #runJob(pick: Exclude<CompactionPick, MovePick>): Promise<void> {
    const { fs, directory, versions, planner } = this.#options
    const inputs = pick.type === 'compact' ? [...pick.upper, ...pick.lower] : pick.inputs
    const startedMs = this.#options.monotonicMs()
    for (const { number } of inputs) this.#busy.add(number)
    const version = versions.current.acquire()
    try {
      const result = await planner.run(this.#plan(pick, inputs, version))
      if (result.added.length + result.blobs.length > 0) await fs.syncDirectory(directory)
      await versions.apply({
        additions: result.added,
        removals: result.removed,
        blobAdditions: result.blobs,
      })
      this.#finished(pick, inputs, result, this.#options.monotonicMs() - startedMs)
    } finally {
      version.release()
      for (const { number } of inputs) this.#busy.delete(number)
    }
    // The next job would begin to write while what this one replaced still takes its space.
    await this.#options.filesGone()
  }

  #plan(
    pick: Exclude<CompactionPick, MovePick>,
    inputs: CompactPick['upper'],
    version: Version,
  ): Job {
    const { planner, tuning } = this.#options
    const base = planner.base(totalBytes(inputs))
    const { keyspaceId } = pick
    if (pick.type === 'merge-history') return { ...base, type: 'merge-history', keyspaceId, inputs }
    const span = spanOfAll(inputs)
    const { levels } = version.files(keyspaceId)
    return {
      ...base,
      type: 'compact',
      keyspaceId,
      level: pick.level,
      outputLevel: pick.outputLevel,
      upper: pick.upper,
      lower: pick.lower,
      deeper: levels.slice(pick.outputLevel + 1).map((level) => overlapping(level, span)),
      overlapBytesMax: tuning.overlapBytesMax,
      rewriteBlobFiles: [...sparseBlobs({ ...this.#input(), options: tuning })],
      mayTakeOver: true,
    }
  }

  #finished(
    pick: CompactionPick,
    inputs: CompactPick['upper'],
    result: JobResult,
    durationMs: number,
  ): void {
    const { events, keyspaces, onCompacted } = this.#options
    onCompacted({ read: result.bytesRead, written: result.bytesWritten })
    events.emit('compaction', {
      keyspace: keyspaces.byId(pick.keyspaceId)?.name ?? '',
      inputs: inputs.map(({ number }) => number),
      outputs: result.added.map(({ meta }) => meta.number),
      bytesRead: result.bytesRead,
      bytesWritten: result.bytesWritten,
      durationMs,
    })
  }
}
