/**
 * Where repair begins when no manifest can be read: with every file in the directory, as far as it tells of itself.
 *
 * The level of each segment stood in the manifest alone (see tree-rebuild.ts), and so did the store's id and epochs, names and
 * options of keyspaces, and consumers. Where no record of a manifest tells of those either, the store gets a new id, so that
 * every token of before is refused.
 */
import { commitFirstSeqno } from '../batch/commit-decoder.ts'
import { FLAG_DROPS_KEYSPACE } from '../base/entry-kind.ts'
import { hasCode } from '../base/errors.ts'
import { runReads } from '../block/read-fully.ts'
import { type FileType, joinPath, parseFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { randomBytes } from '../env/random.ts'
import { readFooterSteps } from '../segment/opened-segment.ts'
import type { SegmentFooter } from '../segment/segment-footer.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import { salvageEntries } from '../segment/segment-salvage.ts'
import { verifySegment } from '../segment/segment-verify.ts'
import { FileLifetimes } from '../version/file-lifetimes.ts'
import { firstFreeFileNumber } from '../version/file-numbers.ts'
import { type SalvagedManifest, surveyBlob } from '../version/manifest-salvage.ts'
import { salvageState } from '../version/state-salvage.ts'
import { initialState, type KeyspaceRecord, type StoreState } from '../version/store-state.ts'
import { Version } from '../version/version.ts'
import type { Place } from '../version/version-edit.ts'
import { listLogs } from '../wal/wal-chain.ts'
import { findLogId, salvageWal } from '../wal/wal-salvage.ts'
import { closingSegments, segmentsToLeave } from './job-survey.ts'
import { DEFAULT_KEYSPACE, DEFAULT_KEYSPACE_ID } from './keyspace-directory.ts'
import { mergeKeyspaceOptions } from './options.ts'
import { recoveredKeyspace } from './repaired-state.ts'

/** Undefined where there is no trace of a store. Level 0 stands for any level. */
export async function rebuildManifest(
  fs: FileSystem,
  directory: string,
): Promise<SalvagedManifest | undefined> {
  const manifests = pathsOf(fs, directory, 'manifest')
  const logs = listLogs(fs, directory)
  const segments: [SegmentMeta, Place][] = []
  const drops = new Map<number, number>()
  const damagedPaths = manifests.map(({ path }) => path)
  const files = pathsOf(fs, directory, 'segment')
  const footers = new Map<string, SegmentFooter>()
  for (const { path, number } of files) {
    const footer = await footerOf(fs, path, number)
    if (footer === undefined) damagedPaths.push(path)
    else footers.set(path, footer)
  }
  const left = segmentsToLeave([...footers.values()], {
    present: new Set(files.map(({ number }) => number)),
    wholeClosing: await wholeClosing(fs, footers),
  })
  for (const [path, { meta, origin }] of footers) {
    if (left.has(meta.number)) {
      damagedPaths.push(path)
      continue
    }
    const isHistory = meta.order === 'seqno' || origin?.isHistory === true
    segments.push([meta, isHistory ? 'history' : 0])
    if (meta.order === 'seqno') await noteDrops(fs, path, meta, drops)
  }
  const blobs = new Map<number, BlobFileMeta>()
  const blobFiles = pathsOf(fs, directory, 'blob')
  for (const { number } of blobFiles) blobs.set(number, await surveyBlob(fs, directory, number))
  if (manifests.length + files.length + blobFiles.length + logs.length === 0) return undefined

  const known = await salvageState(
    fs,
    directory,
    manifests.map(({ number }) => number).toReversed(),
  )
  const storeId = known?.storeId ?? randomBytes(12).toString('hex')
  const logId = known?.logId ?? (await findLogId(fs, directory)) ?? storeId
  const walNumber = logs[0] ?? 1
  let firstLogged = Number.POSITIVE_INFINITY
  await salvageWal({ fs, directory, logId, walNumber, lastFlushedSeqno: 0 }, ({ bytes, start }) => {
    firstLogged = Math.min(firstLogged, commitFirstSeqno(bytes, start))
  })
  const lastSeqno = segments.reduce((last, [meta]) => Math.max(last, meta.maxSeqno), 0)
  const before = known ?? newState(storeId)
  const state = {
    ...before,
    keyspaces: withDrops(before.keyspaces, drops),
    walNumber,
    logId,
    lastFlushedSeqno: Math.min(lastSeqno, firstLogged - 1),
  }
  const lifetimes = new FileLifetimes(() => undefined)
  return {
    version: new Version(
      0,
      { state, keyspaces: new Map(), blobs, blobLiveBytes: new Map() },
      lifetimes,
    ),
    segments,
    isClean: false,
    isDamaged: true,
    damagedPaths,
    vanished: [],
    unknown: [],
    firstFreeNumber: firstFreeFileNumber({ fs, directory }),
    isRebuilt: true,
  }
}

/** Where no manifest says anything. */
function newState(storeId: string): StoreState {
  return initialState({
    storeId,
    role: 'primary',
    walNumber: 1,
    epochs: [{ epoch: 1, id: randomBytes(12).toString('hex'), first: 1 }],
    keyspaces: [
      {
        id: DEFAULT_KEYSPACE_ID,
        name: DEFAULT_KEYSPACE,
        options: mergeKeyspaceOptions({}, undefined),
        droppedAt: undefined,
      },
    ],
  })
}

/** A keyspace that was dropped says so in its history; `drops`: by id, the seqno of it. */
async function noteDrops(
  fs: FileSystem,
  path: string,
  meta: SegmentMeta,
  drops: Map<number, number>,
): Promise<void> {
  const file = fs.openRead(path)
  try {
    await salvageEntries(file, meta, {
      entry: ({ kind, seqno }) => {
        if ((kind & FLAG_DROPS_KEYSPACE) !== 0) drops.set(meta.keyspaceId, seqno)
      },
    })
  } catch (error) {
    // The check of the segments tells of it.
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
  } finally {
    file.close()
  }
}

function withDrops(
  keyspaces: readonly KeyspaceRecord[],
  drops: ReadonlyMap<number, number>,
): KeyspaceRecord[] {
  const records = new Map(keyspaces.map((record) => [record.id, record]))
  for (const [id, droppedAt] of drops) {
    const record = records.get(id) ?? recoveredKeyspace(id)
    records.set(id, { ...record, droppedAt: record.droppedAt ?? droppedAt })
  }
  return [...records.values()].sort((a, b) => a.id - b.id)
}

/** Ascending by number. */
function pathsOf(
  fs: FileSystem,
  directory: string,
  type: FileType,
): { readonly path: string; readonly number: number }[] {
  return fs
    .list(directory)
    .flatMap((name) => {
      const parsed = parseFileName(name)
      if (parsed?.type !== type) return []
      return [{ path: joinPath(directory, name), number: parsed.number }]
    })
    .sort((a, b) => a.number - b.number)
}

/** Numbers of those segments that were the last of a job and have nothing wrong. */
async function wholeClosing(
  fs: FileSystem,
  footers: ReadonlyMap<string, SegmentFooter>,
): Promise<ReadonlySet<number>> {
  const closing = closingSegments([...footers.values()])
  const whole = new Set<number>()
  for (const [path, { meta }] of footers) {
    if (!closing.has(meta.number)) continue
    const file = fs.openRead(path)
    try {
      if ((await verifySegment(file, meta)).length === 0) whole.add(meta.number)
    } finally {
      file.close()
    }
  }
  return whole
}

async function footerOf(
  fs: FileSystem,
  path: string,
  number: number,
): Promise<SegmentFooter | undefined> {
  const file = fs.openRead(path)
  try {
    const footer = await runReads(file, readFooterSteps(file.path, file.size))
    return footer.meta.number === number ? footer : undefined
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return undefined
  } finally {
    file.close()
  }
}
