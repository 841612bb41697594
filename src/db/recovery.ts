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
import { FLAG_DROPS_KEYSPACE } from '../base/entry-kind.ts'
import { corruption, hasCode, VarveError } from '../base/errors.ts'
import {
  commitFirstSeqno,
  commitOperations,
  commitTimeMs,
  decodeCommitFields,
  OperationCursor,
} from '../batch/commit-decoder.ts'
import type { CommitFieldValues } from '../batch/commit-decoder.ts'
import { STAND_IN_EPOCH } from '../cdc/lineage.ts'
import type { ResumeToken } from '../cdc/resume-token.ts'
import { joinPath } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { randomBytes } from '../env/random.ts'
import { Memtable } from '../memtable/memtable.ts'
import { decodeEpochs, newerEpochs, startEpoch } from '../version/epochs.ts'
import { checkFilesPresent, findOrphans } from '../version/orphans.ts'
import { type Epoch, initialState, type StoredKeyspaceOptions } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import type { StateChange } from '../version/version-edit.ts'
import { type Recovered, VersionSet, type VersionSetOptions } from '../version/version-set.ts'
import { replayWal, type WalCommit } from '../wal/wal-reader.ts'
import { WalWriter } from '../wal/wal-writer.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'
import { DEFAULT_KEYSPACE, DEFAULT_KEYSPACE_ID } from './keyspace-directory.ts'

/** What memtables are made with. */
export interface MemtableSettings extends Pick<VersionSetOptions, 'fs'> {
  readonly memtableBytes: number
  openSnapshots(): readonly number[]
}

export interface RecoveryOptions extends VersionSetOptions, MemtableSettings {
  /** Each replayed commit that is not in segments yet: its last seqno, its time, its bytes. */
  noteCommit(seqno: number, timeMs: number, userBytes: number): void
}

/** What a log held beside operations, in order. */
export interface ReplayedAck {
  readonly consumer: string
  readonly next: number
  readonly commitLast: number | undefined
  readonly timeMs: number
}

export interface ReplayedLog {
  /** Oldest first, at least one; the last one is not sealed. */
  readonly memtables: readonly Memtable[]
  readonly acks: readonly ReplayedAck[]
  readonly sourceToken: ResumeToken | undefined
  /** Those of the manifest, with what a replica learned since. */
  readonly epochs: readonly Epoch[]
  readonly lastSeqno: number
  readonly lastTimeMs: number
  /** By keyspace id: seqno of the operation that dropped it. */
  readonly drops: ReadonlyMap<number, number>
}

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

/**
 * Replays the logs of a version into memtables. Changes nothing on disk. With `onDamage` corruption ends the replay, and what
 * stood before it is kept; without, it is thrown.
 */
export async function replayLogs(
  options: RecoveryOptions,
  version: Version,
  isClean: boolean,
  onDamage?: (error: VarveError) => void,
): Promise<ReplayedLog> {
  const { fs, directory } = options
  const { state } = version
  const memtables = [emptyMemtable(options, state.lastFlushedSeqno + 1)]
  const acks: ReplayedAck[] = []
  const decoder = new LogDecoder()
  let lastTimeMs = 0
  let sourceToken: ResumeToken | undefined = state.sourceToken
  let epochs: readonly Epoch[] | undefined
  const replaying = replayWal(
    {
      fs,
      directory,
      logId: state.logId,
      walNumber: state.walNumber,
      lastFlushedSeqno: state.lastFlushedSeqno,
      cleanEnd:
        isClean && state.cleanClose !== undefined
          ? { number: state.cleanClose.walNumber, bytes: state.cleanClose.walBytes }
          : undefined,
    },
    (commit) => {
      const { bytes, start, end, isFlushed } = commit
      const decoded = decoder.decode(commit)
      const { fields, operations, last, timeMs, userBytes } = decoded
      for (const { consumer, next } of fields.acks) {
        acks.push({ consumer, next, timeMs, commitLast: operations === 0 ? undefined : last })
      }
      sourceToken = fields.sourceToken ?? sourceToken
      epochs = decoded.epochs ?? epochs
      if (isFlushed || (operations === 0 && !mustBeKept(fields))) return
      addRecord(memtables, options, bytes, start, end)
      lastTimeMs = timeMs
      if (operations > 0) options.noteCommit(last, timeMs, userBytes)
    },
  )
  try {
    await replaying
  } catch (error) {
    if (onDamage === undefined || !hasCode(error, 'VARVE_CORRUPTION')) throw error
    onDamage(error)
  }
  return {
    memtables,
    acks,
    sourceToken,
    epochs: newerEpochs(state.epochs, epochs),
    lastSeqno: memtables.at(-1)!.lastSeqno,
    lastTimeMs: Math.max(lastTimeMs, state.lastFlushedTimeMs),
    drops: dropsIn(memtables),
  }
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

/** What a record of the log says. */
interface DecodedCommit {
  readonly fields: CommitFieldValues
  readonly epochs: readonly Epoch[] | undefined
  readonly operations: number
  /** Seqno of its last operation; without any, of the one before it. */
  readonly last: number
  readonly timeMs: number
  readonly userBytes: number
}

export class LogDecoder {
  readonly #cursor = new OperationCursor()

  /** Throws VARVE_CORRUPTION with the place in the log. */
  decode({ bytes, start, file, offset, isFlushed }: WalCommit): DecodedCommit {
    const source = {
      file,
      fail: (reason: string, position: number): never => {
        throw corruption(`commit: ${reason}`, { file, offset: offset + position - start })
      },
    }
    const fields = decodeCommitFields(bytes, start, source)
    const operations = commitOperations(bytes, start)
    return {
      fields,
      epochs:
        fields.epochs === undefined
          ? undefined
          : decodeEpochs(fields.epochs, {
              file,
              fail: (reason) => source.fail(`epochs: ${reason}`, start),
            }),
      operations,
      last: commitFirstSeqno(bytes, start) + operations - 1,
      timeMs: commitTimeMs(bytes, start),
      userBytes: isFlushed ? 0 : userBytesOf(this.#cursor, bytes, start),
    }
  }
}

/** Bytes of keys and values in a checked commit. */
function userBytesOf(cursor: OperationCursor, bytes: Uint8Array, start: number): number {
  let userBytes = 0
  cursor.open(bytes, start)
  while (cursor.next()) {
    userBytes += cursor.keyEnd - cursor.keyStart + cursor.valueEnd - cursor.valueStart
  }
  return userBytes
}

export function emptyMemtable(options: MemtableSettings, firstSeqno: number): Memtable {
  return new Memtable({
    firstSeqno,
    capacityBytes: options.memtableBytes,
    shared: true,
    openSnapshots: () => options.openSnapshots(),
  })
}

/** Appends a record to the last memtable, or to a new one behind it. */
export function addRecord(
  memtables: Memtable[],
  options: MemtableSettings,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  let memtable = memtables[memtables.length - 1]!
  if (!memtable.hasRoom(end - start)) {
    memtable.seal()
    memtable = emptyMemtable(options, memtable.lastSeqno + 1)
    memtables.push(memtable)
  }
  memtable.publish(memtable.append(bytes, start, end))
}

/** Whether a record without operations must go into the new log: what it says is in no edit yet. */
export function mustBeKept(fields: CommitFieldValues): boolean {
  return fields.acks.length > 0 || fields.sourceToken !== undefined || fields.epochs !== undefined
}

/** By keyspace id: seqno of the operation in these memtables that dropped it. */
export function dropsIn(memtables: readonly Memtable[]): Map<number, number> {
  const drops = new Map<number, number>()
  for (const memtable of memtables) {
    for (const id of memtable.keyspaceIds()) {
      for (const { kind, seqno } of memtable.rangeDeletes(id)) {
        if ((kind & FLAG_DROPS_KEYSPACE) !== 0) drops.set(id, seqno)
      }
    }
  }
  return drops
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
