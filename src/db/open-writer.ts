/**
 * Opens a store for writing: makes it, or recovers it. What was found goes to `writer-assembly.ts`.
 */
import { SeriesRecorder } from '../cdc/history-series.ts'
import { VarveError } from '../base/errors.ts'
import { findOrphans } from '../version/orphans.ts'
import { SnapshotRegistry } from '../version/snapshot-registry.ts'
import type { StateChange } from '../version/version-edit.ts'
import { VersionSet } from '../version/version-set.ts'
import { throwIfAborted } from './arguments.ts'
import { DEFAULT_KEYSPACE, DEFAULT_KEYSPACE_ID, KeyspaceDirectory } from './keyspace-directory.ts'
import { givenOverStored, keyspaceStateOf, operatorOf } from './keyspace-registry.ts'
import type { OpenContext } from './open-store.ts'
import { checkRole, mergeKeyspaceOptions } from './options.ts'
import { type Begun, createStore, type RecoveryOptions, replayFor, takeOver } from './recovery.ts'
import { spaceOf } from './space-of.ts'
import type { Store } from './store.ts'
import { assembleWriter, type OpenedFiles } from './writer-assembly.ts'

export async function openWriter(context: OpenContext): Promise<Store> {
  const snapshots = new SnapshotRegistry()
  const opened = context.exists
    ? await recover(context, snapshots)
    : await create(context, snapshots)
  return assembleWriter(context, opened, snapshots)
}

async function create(context: OpenContext, snapshots: SnapshotRegistry): Promise<OpenedFiles> {
  const { options } = context
  const stored = mergeKeyspaceOptions(options.keyspace, undefined)
  operatorOf('default', stored, options.operators)
  const recovery = recoveryOptions(context, snapshots, () => undefined)
  const { versions, logged } = await createStore(recovery, options.role ?? 'primary', stored)
  return {
    versions,
    logged,
    finishOpening: undefined,
    acks: [],
    sourceToken: undefined,
    lastTimeMs: 0,
    series: new SeriesRecorder(options.history, undefined),
    keyspaces: directoryOf(context, versions, new Map()),
  }
}

async function recover(context: OpenContext, snapshots: SnapshotRegistry): Promise<OpenedFiles> {
  const { options, directory } = context
  let series: SeriesRecorder | undefined
  const recovery = recoveryOptions(context, snapshots, (seqno, timeMs, bytes) =>
    series!.note(seqno, timeMs, bytes),
  )
  const recovered = await VersionSet.recover(recovery)
  if (recovered === undefined) throw new VarveError('VARVE_IO', 'CURRENT vanished while opening')
  const { versions } = recovered
  const { state } = versions.current
  series = new SeriesRecorder(options.history, state.series.at(-1))
  checkRole(options.role, state.role)
  // Before anything is written: a store of which a file is missing is not touched.
  const orphans = findOrphans(directory, recovered.files, {
    version: versions.current,
    manifestNumber: versions.manifestNumber,
    keepsLog: () => false,
  })
  const { memtableBytes } = spaceOf(options, versions.current)
  const replayed = await replayFor({ ...recovery, memtableBytes }, recovered)
  // The last moment: from here on files are written.
  throwIfAborted(options.signal)
  // Before anything is written: what does not fit is refused with the store as it was.
  const keyspaces = directoryOf(context, versions, replayed.drops)
  const change: StateChange = {
    ...(options.role === undefined ? {} : { role: options.role }),
    ...defaultKeyspaceChange(context, versions),
  }
  let begun: Begun
  try {
    begun = await takeOver(recovery, recovered, replayed, { change, orphans })
  } catch (error) {
    await versions.close()
    throw error
  }
  const { acks, sourceToken, lastTimeMs } = replayed
  const { logged, finish: finishOpening } = begun
  return { versions, logged, finishOpening, acks, sourceToken, lastTimeMs, series, keyspaces }
}

function recoveryOptions(
  context: OpenContext,
  snapshots: SnapshotRegistry,
  noteCommit: RecoveryOptions['noteCommit'],
): RecoveryOptions {
  const { fs, directory, options, deleter, found } = context
  return {
    fs,
    directory,
    files: found,
    onUnreachable: (files) => deleter.delete(files),
    memtableBytes: spaceOf(options, undefined).memtableBytes,
    openSnapshots: () => snapshots.seqnos,
    noteCommit,
  }
}

/** Keyspaces of the manifest, with what the log says was dropped since. */
function directoryOf(
  { options }: OpenContext,
  versions: VersionSet,
  drops: ReadonlyMap<number, number>,
): KeyspaceDirectory {
  const keyspaces = new KeyspaceDirectory()
  for (const record of versions.current.state.keyspaces) {
    const state = keyspaceStateOf(record, options, drops)
    keyspaces.add(state)
    if (state.isDropped) keyspaces.drop(state)
  }
  return keyspaces
}

function defaultKeyspaceChange(context: OpenContext, versions: VersionSet): StateChange {
  const record = versions.current.state.keyspaces.find(({ id }) => id === DEFAULT_KEYSPACE_ID)
  if (record === undefined) return {}
  return {
    keyspaces: [
      {
        ...record,
        options: givenOverStored(DEFAULT_KEYSPACE, context.options.keyspace, record.options),
      },
    ],
  }
}
