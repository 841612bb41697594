/**
 * From the files of a store to the parts that write to it: manifest, replay of the log, what is replayed in new logs, epoch,
 * orphans.
 *
 * ```
 * CURRENT ─> version ─> every file there? ─> replay ─> memtables ─> new logs ─> one edit, synced with them ─> old files removed
 *                                                                       └─ after a clean close the store is open from here on
 * ```
 *
 * Until that edit is durable nothing that was there has changed, so a crash at any point starts over from the same files (I5).
 * The edit also starts the new epoch where one is due (I6).
 */
import { VarveError } from '../base/errors.ts'
import { STAND_IN_EPOCH } from '../cdc/lineage.ts'
import {
  CURRENT_FILE,
  joinPath,
  type StoreFile,
  storeFiles,
  temporaryFileName,
} from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { randomBytes } from '../env/random.ts'
import type { Memtable } from '../memtable/memtable.ts'
import { startEpoch } from '../version/epochs.ts'
import { findOrphans } from '../version/orphans.ts'
import {
  initialState,
  type StoredKeyspaceOptions,
  type StoreState,
} from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import type { StateChange } from '../version/version-edit.ts'
import { type Recovered, VersionSet, type VersionSetOptions } from '../version/version-set.ts'
import { isHeaderAlone } from '../wal/wal-header.ts'
import { replayWal } from '../wal/wal-reader.ts'
import { WalWriter } from '../wal/wal-writer.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'
import { DEFAULT_KEYSPACE, DEFAULT_KEYSPACE_ID } from './keyspace-directory.ts'
import { isSameOptions } from './keyspace-registry.ts'
import { emptyMemtable, LogReplay, type LogReplayOptions, type ReplayedLog } from './log-replay.ts'

export type RecoveryOptions = VersionSetOptions & LogReplayOptions

/** Creates the first files of a store. Durable when it resolves. */
export async function createStore(
  options: RecoveryOptions,
  role: 'primary' | 'replica',
  keyspaceOptions: StoredKeyspaceOptions,
): Promise<{ versions: VersionSet; logged: LoggedMemtable[] }> {
  const { fs, directory } = options
  removeLeftovers(fs, directory)
  const storeId = randomId()
  const wal = WalWriter.create(fs, directory, 1, { logId: storeId })
  const state = initialState({
    storeId,
    role,
    walNumber: wal.number,
    epochs: [{ epoch: role === 'primary' ? 1 : STAND_IN_EPOCH, id: randomId(), first: 1 }],
    keyspaces: [
      {
        id: DEFAULT_KEYSPACE_ID,
        name: DEFAULT_KEYSPACE,
        options: keyspaceOptions,
        droppedAt: undefined,
      },
    ],
  })
  const logged = [{ memtable: emptyMemtable(options, 1), wal }]
  return closingLogsOnFailure(logged, async () => {
    await wal.sync()
    return { versions: await VersionSet.create(options, state), logged }
  })
}

/** For a writer: replays what the logs hold, where they hold anything. Changes nothing on disk. */
export async function replayFor(
  options: RecoveryOptions,
  { versions, wasClosed, isClean, files }: Recovered,
): Promise<ReplayedLog> {
  const { state } = versions.current
  // As a store mostly is that nobody wrote to since it was opened, or that was flushed when it was closed.
  if (isClean && endsWithEmptyLog(state, files)) return new LogReplay(options, state).result()
  return replayLogs(options, versions.current, wasClosed, files)
}

/** The log that it was closed at is the only one that counts, there, and nothing but a header. */
function endsWithEmptyLog(state: StoreState, files: readonly StoreFile[]): boolean {
  const { cleanClose, walNumber, logId } = state
  return (
    cleanClose !== undefined &&
    cleanClose.walNumber === walNumber &&
    isHeaderAlone(cleanClose.walBytes, logId) &&
    files.some(({ type, number }) => type === 'wal' && number === walNumber)
  )
}

/**
 * Replays the logs of a version into memtables. Changes nothing on disk. `files`: what is in the directory, where nobody else
 * changes it.
 */
export async function replayLogs(
  options: RecoveryOptions,
  version: Version,
  wasClosed: boolean,
  files?: readonly StoreFile[],
): Promise<ReplayedLog> {
  const { fs, directory } = options
  const { state } = version
  const replay = new LogReplay(options, state)
  await replayWal(
    {
      fs,
      directory,
      logId: state.logId,
      walNumber: state.walNumber,
      files,
      lastFlushedSeqno: state.lastFlushedSeqno,
      floor: state.floor,
      cleanEnd:
        wasClosed && state.cleanClose !== undefined
          ? { number: state.cleanClose.walNumber, bytes: state.cleanClose.walBytes }
          : undefined,
    },
    (commit) => replay.take(commit),
  )
  return replay.result()
}

/** What a writer begins with. */
export interface Begun {
  readonly logged: readonly LoggedMemtable[]
  /** Has still to be done where nothing has to be durable for what the store says of itself; see take-over.ts. */
  readonly finish: (() => Promise<void>) | undefined
}

/**
 * Takes a store over for writing: what was replayed stands in new logs, and an edit names them; then old files go. Where the
 * last end was not clean a new epoch begins with that edit, and all of it is done when this resolves. After a clean close,
 * where the edit changes nothing that anybody sees, the caller has to `finish` it: until then the old files are untouched, and
 * nothing but a new log, where records had to be copied or the finish was cut off, tells that the store was opened.
 * `orphans`: of all files that were there, logs too, those that nothing needs then.
 */
export async function takeOver(
  options: RecoveryOptions,
  recovered: Recovered,
  replayed: ReplayedLog,
  { change, orphans: found }: { readonly change: StateChange; readonly orphans: readonly string[] },
): Promise<Begun> {
  const { fs, directory } = options
  const { versions, isClean, files } = recovered
  const { state } = versions.current
  const role = change.role ?? state.role
  const allocate = (): number => versions.allocateFileNumber()
  const logged = await plannedLogs(options, state.logId, allocate, replayed.memtables)
  const first = logged[0]!.wal.number
  const isUnclean = role === 'primary' && !isClean
  const epochs = isUnclean ? startEpoch(replayed, replayed.lastSeqno, randomId()) : replayed.epochs
  // A torn end behind the close record is no harm, but `verify` should not find it.
  const isWhole = isClean && recovered.manifest.torn === undefined
  // What is beside CURRENT every new manifest replaces.
  const orphans = found.filter((name) => name !== temporaryFileName(CURRENT_FILE))
  // What nobody left there on purpose is gone when a store is open.
  const logs = files.filter(({ type, number }) => type === 'wal' && number >= state.walNumber)
  const hasStrays = orphans.length > logs.length
  const mayFollow = isWhole && !hasStrays && changesNothing(state, { ...change, epochs })
  const finish = async (): Promise<void> => {
    for (const { wal } of logged) wal.begin()
    await versions.takeOver(
      (current) => ({
        state: {
          ...(mayFollow ? {} : { ...change, epochs }),
          // A flush may have come before.
          walNumber: Math.max(first, current.state.walNumber),
        },
      }),
      () => logged.at(-1)!.wal.sync(),
    )
    await removeOrphans(fs, directory, orphans)
  }
  if (mayFollow) return { logged, finish }
  await closingLogsOnFailure(logged, finish)
  return { logged, finish: undefined }
}

/** Whether the edit leaves the state as it is, to whoever looks at it from outside. */
function changesNothing(state: StoreState, change: StateChange): boolean {
  const { role = state.role, epochs = state.epochs, keyspaces = [] } = change
  return (
    role === state.role &&
    epochs.length === state.epochs.length &&
    keyspaces.every(({ id, options }) => {
      const stored = state.keyspaces.find((known) => known.id === id)
      return stored !== undefined && isSameOptions(stored.options, options)
    })
  )
}

async function removeOrphans(
  fs: FileSystem,
  directory: string,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    try {
      await fs.discard(joinPath(directory, name))
    } catch {
      // Nothing needs it, and the next open tries again: no reason to refuse this one.
    }
  }
}

/** Writes the records of memtables to new logs, a chain of its own, synced when it resolves. */
export async function rewriteLogs(
  options: Pick<RecoveryOptions, 'fs' | 'directory'>,
  logId: string,
  allocate: () => number,
  memtables: readonly Memtable[],
): Promise<LoggedMemtable[]> {
  const logged = await writeLogs(options, logId, allocate, memtables)
  await closingLogsOnFailure(logged, () => logged.at(-1)!.wal.sync())
  return logged
}

/** The same without the sync; where there are no records, a log that is still to begin. */
async function plannedLogs(
  options: Pick<RecoveryOptions, 'fs' | 'directory'>,
  logId: string,
  allocate: () => number,
  memtables: readonly Memtable[],
): Promise<LoggedMemtable[]> {
  const memtable = memtables[0]!
  if (memtables.length > 1 || memtable.arenaEnd > 0) {
    return writeLogs(options, logId, allocate, memtables)
  }
  const wal = WalWriter.plan(options.fs, options.directory, allocate(), { logId })
  return [{ memtable, wal }]
}

/** The same without the sync. */
async function writeLogs(
  options: Pick<RecoveryOptions, 'fs' | 'directory'>,
  logId: string,
  allocate: () => number,
  memtables: readonly Memtable[],
): Promise<LoggedMemtable[]> {
  const { fs, directory } = options
  const logged: LoggedMemtable[] = []
  return closingLogsOnFailure(logged, async () => {
    let previous: WalWriter | undefined
    for (const memtable of memtables) {
      const wal: WalWriter = WalWriter.create(fs, directory, allocate(), { logId, previous })
      logged.push({ memtable, wal })
      for (const offset of memtable.recordOffsets()) wal.seal(memtable.arena, offset)
      if (memtable.arenaEnd > 0) wal.write(memtable.arena, 0, memtable.arenaEnd)
      previous = wal
    }
    return logged
  })
}

/** A refused open gives its descriptors back. What was written stays: the next open takes it for the orphan that it is. */
async function closingLogsOnFailure<T>(
  logged: readonly LoggedMemtable[],
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run()
  } catch (error) {
    for (const { wal } of logged) await wal.close()
    throw error
  }
}

/** What the crash of a creation left: there is no CURRENT, so nothing in it was ever acknowledged. */
function removeLeftovers(fs: FileSystem, directory: string): void {
  const version = { segment: () => undefined, blobs: new Map(), segments: () => [] }
  const orphans = findOrphans(directory, storeFiles(fs.list(directory)), {
    version: version as unknown as Version,
    manifestNumber: 0,
    keepsLog: () => false,
  })
  for (const name of orphans) fs.remove(joinPath(directory, name))
}

function randomId(): string {
  return randomBytes(12).toString('hex')
}

export function notFound(directory: string): VarveError {
  return new VarveError('VARVE_NOT_FOUND', `there is no store in ${directory}`, { directory })
}
