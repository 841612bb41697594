/**
 * Where repair begins when no manifest can be read: with every file in the directory, as far as it tells of itself.
 *
 * What stood in the manifest alone is gone: the store's id and epochs (it gets a new id, so that every token of before is
 * refused), names and options of keyspaces, consumers, and the level of each segment (see tree-rebuild.ts). The floor follows
 * from the events that are there.
 */
import { commitFirstSeqno } from '../batch/commit-decoder.ts'
import { hasCode } from '../base/errors.ts'
import { runReads } from '../block/read-fully.ts'
import { type FileType, joinPath, parseFileName } from '../env/file-names.ts'
import type { FileSystem } from '../env/file-system.ts'
import { randomBytes } from '../env/random.ts'
import { readFooterSteps } from '../segment/opened-segment.ts'
import type { BlobFileMeta, SegmentMeta } from '../segment/segment-meta.ts'
import { FileLifetimes } from '../version/file-lifetimes.ts'
import { firstFreeFileNumber } from '../version/file-numbers.ts'
import { type SalvagedManifest, surveyBlob } from '../version/manifest-salvage.ts'
import { initialState } from '../version/store-state.ts'
import { Version } from '../version/version.ts'
import type { Place } from '../version/version-edit.ts'
import { listLogs } from '../wal/wal-chain.ts'
import { findLogId, salvageWal } from '../wal/wal-salvage.ts'
import { DEFAULT_KEYSPACE, DEFAULT_KEYSPACE_ID } from './keyspace-directory.ts'
import { mergeKeyspaceOptions } from './options.ts'

/** Undefined where there is no trace of a store. Level 0 stands for any level. */
export async function rebuildManifest(
  fs: FileSystem,
  directory: string,
): Promise<SalvagedManifest | undefined> {
  const manifests = pathsOf(fs, directory, 'manifest')
  const logs = listLogs(fs, directory)
  const segments: [SegmentMeta, Place][] = []
  const damagedPaths = manifests.map(({ path }) => path)
  const files = pathsOf(fs, directory, 'segment')
  for (const { path, number } of files) {
    const meta = await footerOf(fs, path, number)
    if (meta === undefined) damagedPaths.push(path)
    else segments.push([meta, meta.order === 'seqno' ? 'history' : 0])
  }
  const blobs = new Map<number, BlobFileMeta>()
  const blobFiles = pathsOf(fs, directory, 'blob')
  for (const { number } of blobFiles) blobs.set(number, await surveyBlob(fs, directory, number))
  if (manifests.length + files.length + blobFiles.length + logs.length === 0) return undefined

  const storeId = randomBytes(12).toString('hex')
  const logId = (await findLogId(fs, directory)) ?? storeId
  const walNumber = logs[0] ?? 1
  let firstLogged = Number.POSITIVE_INFINITY
  await salvageWal({ fs, directory, logId, walNumber, lastFlushedSeqno: 0 }, ({ bytes, start }) => {
    firstLogged = Math.min(firstLogged, commitFirstSeqno(bytes, start))
  })
  const lastSeqno = segments.reduce((last, [meta]) => Math.max(last, meta.maxSeqno), 0)
  const state = {
    ...initialState({
      storeId,
      role: 'primary',
      walNumber,
      epochs: [{ epoch: 1, id: randomBytes(12).toString('hex'), first: 1 }],
      keyspaces: [
        {
          id: DEFAULT_KEYSPACE_ID,
          name: DEFAULT_KEYSPACE,
          options: mergeKeyspaceOptions({}, undefined),
          droppedAt: undefined,
        },
      ],
    }),
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

async function footerOf(
  fs: FileSystem,
  path: string,
  number: number,
): Promise<SegmentMeta | undefined> {
  const file = fs.openRead(path)
  try {
    const { meta } = await runReads(file, readFooterSteps(file.path, file.size))
    return meta.number === number ? meta : undefined
  } catch (error) {
    if (!hasCode(error, 'VARVE_CORRUPTION')) throw error
    return undefined
  } finally {
    file.close()
  }
}
