/**
 * From the files of a store to the parts that write to it: manifest, replay of the log, what is replayed in new logs, epoch,
 * orphans.
 *
 * ```
 * CURRENT ─> version ─> every file there? ─> replay ─> memtables ─> new logs, synced ─> one edit ─> old files removed
 * ```
 *
 * Until that edit is durable nothing that was there has changed, so a crash at any point starts over from the same files (I5).
 * The edit also starts the new epoch where one is due (I6).
 */
import { VarveError } from '../base/errors.ts'
import { STAND_IN_EPOCH } from '../cdc/lineage.ts'
import { joinPath } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { randomBytes } from '../env/random.ts'
import type { Memtable } from '../memtable/memtable.ts'
import { startEpoch } from '../version/epochs.ts'
import { checkFilesPresent, findOrphans } from '../version/orphans.ts'
import { initialState, type StoredKeyspaceOptions } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import type { StateChange } from '../version/version-edit.ts'
import { type Recovered, VersionSet, type VersionSetOptions } from '../version/version-set.ts'
import { replayWal } from '../wal/wal-reader.ts'
import { WalWriter } from '../wal/wal-writer.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'
import { DEFAULT_KEYSPACE, DEFAULT_KEYSPACE_ID } from './keyspace-directory.ts'
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

/** Replays the logs of a version into memtables. Changes nothing on disk. */
export async function replayLogs(
  options: RecoveryOptions,
  version: Version,
  isClean: boolean,
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
      lastFlushedSeqno: state.lastFlushedSeqno,
      floor: state.floor,
      cleanEnd:
        isClean && state.cleanClose !== undefined
          ? { number: state.cleanClose.walNumber, bytes: state.cleanClose.walBytes }
          : undefined,
    },
    (commit) => replay.take(commit),
  )
  return replay.result()
}

/**
 * Takes a store over for writing: what was replayed stands in new logs when it resolves, old files are gone, and a new epoch
 * has begun where the last end was not clean.
 */
export async function takeOver(
  options: RecoveryOptions,
  recovered: Recovered,
  replayed: ReplayedLog,
  change: StateChange,
): Promise<LoggedMemtable[]> {
  const { fs, directory } = options
  const { versions, isClean } = recovered
  const { state } = versions.current
  const role = change.role ?? state.role
  const allocate = (): number => versions.allocateFileNumber()
  const logged = await rewriteLogs(options, state.logId, allocate, replayed.memtables)
  let { epochs } = replayed
  if (role === 'primary' && !isClean) {
    epochs = startEpoch({ epochs }, replayed.lastSeqno, randomId())
  }
  const first = logged[0]!.wal.number
  await closingLogsOnFailure(logged, () =>
    versions.apply({ state: { ...change, epochs, walNumber: first } }),
  )
  const orphans = findOrphans(fs, directory, {
    version: versions.current,
    manifestNumber: versions.manifestNumber,
    keepsLog: (number) => number >= first,
  })
  for (const name of orphans) {
    try {
      fs.remove(joinPath(directory, name))
    } catch {
      // Nothing needs it, and the next open tries again: no reason to refuse this one.
    }
  }
  return logged
}

/** Before anything is written: a store of which a file is missing is not touched. */
export function checkFiles(fs: FileSystem, directory: string, version: Version): void {
  checkFilesPresent(directory, version, fs.list(directory))
}

/** Writes the records of memtables to new logs, a chain of its own, synced when it resolves. */
export async function rewriteLogs(
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
    await previous!.sync()
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
  const orphans = findOrphans(fs, directory, {
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
