/**
 * A checkpoint: a consistent, independent copy of the store in another directory, made while the store goes on.
 *
 * ```
 * pin version, memtables, latest ─> log durable ─> CHECKPOINT ─> segments and blob files linked, or copied
 *                                                      └─> log written anew, synced ─> manifest ─> CURRENT ─> CHECKPOINT removed
 * ```
 *
 * Segments and blob files never change, so a hard link is a copy. Manifest and log do change: the copy gets its own, with a
 * log id of its own, so that neither store can take the other's log for its own. The log is not copied from its files, which
 * a flush may remove meanwhile, but from the memtables: their records are the log's.
 *
 * CURRENT comes last, and the file CHECKPOINT stands in the directory before anything else does: what a crash leaves is
 * either a whole store or a directory that `open` refuses. No clean close is recorded, so opening it as a primary starts a new
 * epoch (I6). Nothing is in it that a power cut could take back from the store it was made from.
 */
import { invalidArgument, VarveError } from '../base/errors.ts'
import { randomBytes } from '../env/random.ts'
import { systemCode } from '../env/disk-errors.ts'
import {
  blobFileName,
  CHECKPOINT_FILE,
  CURRENT_FILE,
  joinPath,
  LOCK_FILE,
  segmentFileName,
} from '../env/file-names.ts'
import { type FileSystem, type WritableFile, writeFully } from '../env/file-system.ts'
import type { StoreState } from '../version/store-state.ts'
import type { Version } from '../version/version.ts'
import { VersionSet } from '../version/version-set.ts'
import { WalWriter } from '../wal/wal-writer.ts'
import type { LoggedMemtable } from '../write/memtable-set.ts'
import { checkIsDirectory } from './location.ts'
import { isFailedSync } from './maintenance.ts'

export interface CheckpointSource {
  readonly fs: FileSystem
  /** Of the store. */
  readonly directory: string
  readonly currentVersion: () => Version
  /** Oldest first, the active one last. */
  readonly logged: () => readonly LoggedMemtable[]
  readonly latest: () => number
  /** Everything that was written before the call is durable when it resolves. */
  readonly sync: () => Promise<void>
  readonly nextTurn: () => Promise<void>
}

/** What is copied, as it was at one moment. */
interface Image {
  readonly version: Version
  readonly logs: readonly LogImage[]
  readonly seqno: number
  /** Of the copy's own log. */
  readonly logId: string
}

/** Commit records of one memtable, up to `end`: they do not change any more. */
interface LogImage {
  readonly memtable: LoggedMemtable['memtable']
  readonly end: number
}

/** Errors that say that a link cannot be, where a copy can. */
const NO_LINK: ReadonlySet<string | undefined> = new Set([
  'EXDEV',
  'EPERM',
  'EMLINK',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
])
const COPY_BYTES = 1024 * 1024
/** Links are made so many at a time, so that a store of many files does not hold the event loop. */
const LINKS_PER_TURN = 64

/** Resolves when the copy is durable. On failure what was begun is removed again, as far as that can be. */
export async function makeCheckpoint(
  source: CheckpointSource,
  location: string,
): Promise<{ seqno: number }> {
  const { fs } = source
  const directory = fs.canonicalPath(location)
  const isThere = checkIsDirectory(fs, directory)
  if (directory === source.directory) throw notEmpty(location)
  if (isThere) ensureEmpty(fs, directory, location)
  else fs.makeDirectory(directory)
  const lock = await fs.lock(directory)
  try {
    ensureEmpty(fs, directory, location)
    const image = takeImage(source)
    try {
      await source.sync()
      await writeImage(source, image, directory)
    } finally {
      image.version.release()
    }
    return { seqno: image.seqno }
  } finally {
    await lock.release()
  }
}

function takeImage(source: CheckpointSource): Image {
  const version = source.currentVersion().acquire()
  const logs = source
    .logged()
    // Of those below nothing is needed any more, only their files are not removed yet.
    .filter(({ wal }) => wal.number >= version.state.walNumber)
    .map(({ memtable }) => ({ memtable, end: memtable.arenaEnd }))
  const logId = randomBytes(12).toString('hex')
  return { version, logs, seqno: source.latest(), logId }
}

async function writeImage(
  source: CheckpointSource,
  image: Image,
  directory: string,
): Promise<void> {
  const { fs } = source
  const marker = joinPath(directory, CHECKPOINT_FILE)
  try {
    const file = fs.create(marker)
    try {
      await file.sync()
    } finally {
      file.close()
    }
    await fs.syncDirectory(directory)
    await takeFiles(source, image.version, directory)
    const walNumber = await writeLog(source, image, directory)
    await writeManifest(fs, image, directory, walNumber)
    fs.remove(marker)
    await fs.syncDirectory(directory)
  } catch (error) {
    await removeAttempt(fs, directory, error)
    throw error
  }
}

async function takeFiles(
  { fs, directory: home, nextTurn }: CheckpointSource,
  version: Version,
  directory: string,
): Promise<void> {
  const names: string[] = []
  for (const { number } of version.segments()) names.push(segmentFileName(number))
  for (const number of version.blobs.keys()) names.push(blobFileName(number))
  let mayLink = true
  for (const [index, name] of names.entries()) {
    const from = joinPath(home, name)
    const to = joinPath(directory, name)
    if (mayLink) mayLink = linkFile(fs, from, to)
    if (!mayLink) await copyFile(fs, from, to)
    if ((index + 1) % LINKS_PER_TURN === 0) await nextTurn()
  }
}

/** False where it cannot be. */
function linkFile(fs: FileSystem, from: string, to: string): boolean {
  try {
    fs.link(from, to)
    return true
  } catch (error) {
    if (NO_LINK.has(systemCode(error))) return false
    throw error
  }
}

async function copyFile(fs: FileSystem, from: string, to: string): Promise<void> {
  const source = fs.openRead(from)
  let target: WritableFile | undefined
  try {
    target = fs.create(to)
    const buffer = Buffer.allocUnsafeSlow(Math.min(COPY_BYTES, Math.max(1, source.size)))
    for (let at = 0; at < source.size; ) {
      const read = await source.read(buffer, 0, Math.min(buffer.length, source.size - at), at)
      if (read === 0) throw new VarveError('VARVE_IO', `${from} became shorter`, { file: from })
      writeFully(target, buffer, 0, read)
      at += read
    }
    await target.sync()
  } finally {
    target?.close()
    source.close()
  }
}

/** Returns the log's number. Durable when it resolves, with everything else in the directory. */
async function writeLog(
  { fs, nextTurn }: CheckpointSource,
  image: Image,
  directory: string,
): Promise<number> {
  const number = image.version.state.nextFileNumber
  const wal = WalWriter.create(fs, directory, number, { logId: image.logId })
  try {
    for (const { memtable, end } of image.logs) {
      for (const group of groupsOf(memtable.recordOffsets(), end)) {
        // A copy: frame and checksum become those of another log, and the memtable must stay as it is.
        const bytes = Buffer.from(memtable.arena.subarray(group.start, group.end))
        for (const offset of group.offsets) wal.seal(bytes, offset - group.start)
        wal.write(bytes, 0, bytes.length)
        await nextTurn()
      }
    }
    // The first sync of a log syncs its directory, too: with it the links are durable.
    await wal.sync()
  } finally {
    await wal.close()
  }
  return number
}

interface RecordGroup {
  readonly start: number
  readonly end: number
  readonly offsets: readonly number[]
}

/** Neighbouring records below `end`, about COPY_BYTES at a time. */
function* groupsOf(all: Int32Array, end: number): Generator<RecordGroup> {
  let offsets: number[] = []
  for (const [index, offset] of all.entries()) {
    if (offset >= end) break
    offsets.push(offset)
    const next = Math.min(end, all[index + 1] ?? end)
    if (next - offsets[0]! < COPY_BYTES && next < end) continue
    yield { start: offsets[0]!, end: next, offsets }
    offsets = []
  }
}

/** CURRENT is the last file that it writes. */
async function writeManifest(
  fs: FileSystem,
  { version, logId }: Image,
  directory: string,
  walNumber: number,
): Promise<void> {
  const state: StoreState = {
    ...version.state,
    logId,
    walNumber,
    nextFileNumber: walNumber + 1,
    cleanClose: undefined,
  }
  const versions = await VersionSet.create({ fs, directory }, state, version)
  await versions.close()
}

function ensureEmpty(fs: FileSystem, directory: string, location: string): void {
  // A lock that was released may leave its file.
  if (fs.list(directory).some((name) => name !== LOCK_FILE)) throw notEmpty(location)
}

function notEmpty(location: string): VarveError {
  return invalidArgument(
    `a checkpoint needs a new or empty directory, and ${location} is not empty`,
    {
      directory: location,
    },
  )
}

/** CURRENT first and the marker last: at no time does it look like a store that has lost files, also after a power cut. */
async function removeAttempt(fs: FileSystem, directory: string, failure: unknown): Promise<void> {
  try {
    const names = fs.list(directory).filter((name) => name !== LOCK_FILE)
    const data = names.filter((name) => name !== CURRENT_FILE && name !== CHECKPOINT_FILE)
    if (names.includes(CURRENT_FILE)) fs.remove(joinPath(directory, CURRENT_FILE))
    for (const name of data) fs.remove(joinPath(directory, name))
    // Behind a sync that failed another one says nothing.
    if (data.length > 0 && !isFailedSync(failure)) await fs.syncDirectory(directory)
    if (names.includes(CHECKPOINT_FILE)) fs.remove(joinPath(directory, CHECKPOINT_FILE))
  } catch {
    // The marker stands: the directory is refused by `open`, and the error that led here says more.
  }
}
