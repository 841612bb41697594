/**
 * Turns the oldest sealed memtable into segments, and takes it out of the log, in one edit.
 *
 * The order is what crash safety rests on: the log is durable up to the memtable's last seqno before anything of it stands in
 * a segment; the floor is raised by an edit of its own before the job may drop below it; segments and directory are synced
 * before the edit names them; logs go after it.
 */
import type { ConsumerRecord, Epoch, SeriesPoint } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import type { StateChange, VersionEdit } from '../version/version-edit.ts'
import type { VersionSet } from '../version/version-set.ts'
import type { FlushJob, JobResult } from '../compaction/job.ts'
import type { FileSystem } from '../env/file-system.ts'
import type { Durability } from '../write/durability.ts'
import type { LoggedMemtable, MemtableSet } from '../write/memtable-set.ts'
import type { FloorKeeper } from './floor-keeper.ts'
import type { JobPlanner } from './job-planner.ts'
import type { KeyspaceDirectory, KeyspaceState } from './keyspace-directory.ts'
import type { StoreEmitter } from './store-events.ts'

export interface FlusherOptions {
  readonly directory: string
  readonly fs: FileSystem
  readonly versions: VersionSet
  readonly memtables: MemtableSet
  readonly durability: Durability
  readonly floors: FloorKeeper
  readonly planner: JobPlanner
  readonly keyspaces: KeyspaceDirectory
  readonly events: StoreEmitter
  readonly monotonicMs: () => number
  /** What this memtable's log holds is durable. */
  readonly logSynced: (logged: LoggedMemtable) => void
  /** Consumers as the manifest may know them now. */
  readonly consumerRecords: () => readonly ConsumerRecord[]
  /** The series to persist with a flush up to this seqno. */
  readonly seriesUpTo: (flushed: number) => readonly SeriesPoint[]
  readonly seriesSaved: (flushed: number) => void
  /** Resolves when no compaction works on the keyspace; none starts on a dropped one. */
  readonly compactionEnded: (keyspaceId: number) => Promise<void>
  /** Where the replica stood at its source when this memtable was sealed. */
  readonly sourceToken: (logged: LoggedMemtable) => string | undefined
  /** A replica's, as it knows them now: ahead of what is flushed is no harm, as what they say holds of the source. */
  readonly epochs: () => readonly Epoch[]
  readonly onFlushed: (bytesWritten: number) => void
}

export class Flusher {
  readonly #options: FlusherOptions

  constructor(options: FlusherOptions) {
    this.#options = options
  }

  async flush(logged: LoggedMemtable): Promise<void> {
    const { fs, directory, versions, memtables, durability, floors, planner } = this.#options
    const startedMs = this.#options.monotonicMs()
    const { memtable } = logged
    await durability.sync()
    // What the edit that lets go of the log says of them, each later one must: not less, as the log does not say it any more.
    this.#options.logSynced(logged)
    const dropped = this.#droppedIn(logged)
    for (const keyspace of dropped) await this.#options.compactionEnded(keyspace.id)
    await floors.raise(memtable.lastSeqno)

    let result: JobResult | undefined
    if (!memtable.isEmpty) {
      const job: FlushJob = {
        ...planner.base(memtable.bytesUsed),
        type: 'flush',
        memtable: memtable.toParts(),
      }
      result = await planner.run(job)
      if (result.added.length + result.blobs.length > 0) await fs.syncDirectory(directory)
    }

    const sourceToken = this.#options.sourceToken(logged)
    await versions.apply((current) => ({
      ...(result === undefined ? {} : { additions: result.added, blobAdditions: result.blobs }),
      ...this.#leaveTree(dropped, current),
      state: {
        ...this.#progress(logged),
        // Not before its turn: the edit ahead may be the one that drops a consumer.
        consumers: this.#options.consumerRecords(),
        ...(current.state.role === 'replica'
          ? { sourceToken: sourceToken ?? null, epochs: this.#options.epochs() }
          : {}),
        series: this.#options.seriesUpTo(memtable.lastSeqno),
        keyspaces: dropped.map((keyspace) => ({
          id: keyspace.id,
          name: keyspace.name,
          options: keyspace.options,
          droppedAt: keyspace.droppedAt,
        })),
      },
    }))
    memtables.removeOldest(logged)
    this.#options.seriesSaved(memtable.lastSeqno)
    await this.#removeLog(logged)
    this.#options.onFlushed(result?.bytesWritten ?? 0)
    if (result !== undefined) this.#announce(result, this.#options.monotonicMs() - startedMs)
  }

  #progress(
    logged: LoggedMemtable,
  ): Pick<StateChange, 'lastFlushedSeqno' | 'lastFlushedTimeMs' | 'walNumber'> {
    const { memtables } = this.#options
    const { memtable } = logged
    const next = memtables.sealed[1] ?? memtables.active
    const last = memtable.commits.count - 1
    return {
      lastFlushedSeqno: memtable.lastSeqno,
      ...(memtable.isEmpty || last < 0
        ? {}
        : { lastFlushedTimeMs: memtable.commits.timeMs[last]! }),
      walNumber: next.wal.number,
    }
  }

  #droppedIn(logged: LoggedMemtable): KeyspaceState[] {
    const { firstSeqno, lastSeqno } = logged.memtable
    return this.#options.keyspaces.everyone().filter(({ droppedAt }) => {
      return droppedAt !== undefined && droppedAt >= firstSeqno && droppedAt <= lastSeqno
    })
  }

  /** The live segments of dropped keyspaces become history as they are, as far as they hold events that are kept. */
  #leaveTree(
    dropped: readonly KeyspaceState[],
    version: Version,
  ): Pick<VersionEdit, 'moves' | 'removals'> {
    const { dropFloor } = this.#options.floors
    const moves: { number: number; level: 'history' }[] = []
    const removals: number[] = []
    for (const { id } of dropped) {
      for (const meta of version.files(id).levels.flat()) {
        if (meta.events > 0 && meta.maxEventSeqno >= dropFloor) {
          moves.push({ number: meta.number, level: 'history' })
        } else {
          removals.push(meta.number)
        }
      }
    }
    return { moves, removals }
  }

  async #removeLog(logged: LoggedMemtable): Promise<void> {
    const { wal } = logged
    await wal.close()
    try {
      await this.#options.fs.discard(wal.path)
    } catch {
      // Nothing needs it any more: an orphan, which the next open removes.
    }
  }

  #announce(result: JobResult, durationMs: number): void {
    const { events, keyspaces } = this.#options
    for (const { keyspaceId, level, meta } of result.added) {
      if (level !== 0) continue
      events.emit('flush', {
        keyspace: keyspaces.byId(keyspaceId)?.name ?? '',
        segment: meta.number,
        entries: meta.entries,
        bytes: meta.bytes,
        durationMs,
      })
    }
  }
}
